package launcher

import (
	"context"
	"time"

	"github.com/podlaunch/podlaunch/readiness"
)

// A program that goes to the background leaves its work to a process that it has forked,
// and exits: when it has bound its socket, or when that process has told it to. A launch
// that becomes ready in between would have a pod whose process is gone a moment later.

// settling is how long a process is watched that may be about to leave its work to
// another. dbus-daemon, nginx and redis go within 8 ms of their first answer, slapd within
// 50 ms of its pid file in 17 of 19 launches on a busy machine.
const settling = 50 * time.Millisecond

// backgroundNote is about a program that ends before it is ready, and says that all is well.
const backgroundNote = "it may have gone to the background: a pod has to stay in the foreground, for which most daemons have an option"

// stays reports whether the process of pod is still there and is not about to go, after
// the probe has found it ready.
//
// If the process itself has said that it is ready, stays looks once and takes no time. A line
// may be a child's: the process counts as who has said it if it has no children. Otherwise stays
// waits for a process that is ending. It watches a process that is at work, or has children,
// until the process is at rest without any, for settling at most. A server waits for its clients
// by now and is not held up. stays does not detect a program that takes longer to go; then
// Pod.Done reports its end, and Pod.Stop ends what it has left behind.
func stays(ctx context.Context, said word, pod *Pod) bool {
	if pod.hasExited() {
		return false
	}
	c, ours := pod.proc.(child)
	if !ours || pod.origin != nil || said == ownWord { // what was adopted has gone there already
		return true
	}
	settled := time.NewTimer(settling)
	defer settled.Stop()
	enough := false
	for delay := 200 * time.Microsecond; ; delay = min(2*delay, 5*time.Millisecond) {
		runs, ending := c.Outlook()
		if !ending && (enough || (said == aLine || !runs) && !c.HasChildren()) {
			return !pod.hasExited()
		}
		select {
		case <-pod.exited:
			return false
		case <-settled.C:
			enough = true
		case <-ctx.Done():
			return !ending && !pod.hasExited()
		case <-time.After(delay):
		}
	}
}

// remember looks who belongs to pod, whose process has just ended. One who goes to the
// background may soon have lost all that tells it: sshd writes its title over its
// environment. Who could not be found now is looked for again. remember returns a channel
// that gets a value when the look is over, the same one at each call.
func (p *Pod) remember() <-chan outcome[struct{}] {
	p.remembering.Do(func() {
		p.remembered = spawn(func() (struct{}, error) {
			f, giveBack := p.useFamily()
			defer giveBack()
			_, err := f.left()
			return struct{}{}, err
		})
	})
	return p.remembered
}

// A word is how a pod has said that it is ready, from the least to the most.
type word int

const (
	noWord  word = iota // not at all: the kernel answers for a program that listens
	aLine               // by a line, or a byte, that any process of the pod may have written
	ownWord             // by the protocol for pods, or sd_notify(3), which tells who has said it
)

// wordOf returns what a pod has said at least when p has ended.
func wordOf(p readiness.Probe) word {
	if first, ok := p.(readiness.Any); ok {
		least := ownWord
		for _, part := range first {
			least = min(least, wordOf(part))
		}
		return least
	}
	if c, ok := p.(readiness.Composite); ok {
		most := noWord
		for _, part := range c.Probes() {
			most = max(most, wordOf(part))
		}
		return most
	}
	switch p := p.(type) {
	case readiness.NotifySocket:
		if p.MainPID { // any process of the pod may have said it
			return noWord
		}
		return ownWord
	case readiness.LineOwner:
		return ownWord
	case readiness.Pattern, readiness.NotifyFD:
		return aLine
	}
	return noWord
}
