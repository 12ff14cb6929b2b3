package launcher

import (
	"context"
	"slices"
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
// If the pod itself has said that it is ready, stays looks once and takes no time.
// Otherwise it waits for a process that is ending. It watches a process that is at work,
// or has children, until the process is at rest without any, for settling at most. A
// server waits for its clients by now and is not held up. stays does not detect a program
// that takes longer to go; then Pod.Done reports its end, and Pod.Stop ends what it has
// left behind.
func stays(ctx context.Context, speaks bool, pod *Pod) bool {
	if pod.hasExited() {
		return false
	}
	c, ours := pod.proc.(child)
	if !ours || pod.origin != nil || speaks { // what was adopted has gone there already
		return true
	}
	settled := time.NewTimer(settling)
	defer settled.Stop()
	enough := false
	for delay := 200 * time.Microsecond; ; delay = min(2*delay, 5*time.Millisecond) {
		atRest, ending := c.Outlook()
		if !ending && (atRest || enough) {
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

// speaks reports whether p does not end before the pod itself has said that it is ready.
// A socket that answers says nothing: the kernel answers for a program that listens.
func speaks(p readiness.Probe) bool {
	if first, ok := p.(readiness.Any); ok {
		return !slices.ContainsFunc(first, func(part readiness.Probe) bool { return !speaks(part) })
	}
	if c, ok := p.(readiness.Composite); ok {
		return slices.ContainsFunc(c.Probes(), speaks)
	}
	switch p.(type) {
	case readiness.LineOwner, readiness.Pattern, readiness.NotifySocket, readiness.NotifyFD:
		return true
	}
	return false
}
