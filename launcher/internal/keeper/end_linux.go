package keeper

import (
	"cmp"
	"context"
	"errors"
	"os"
	"slices"
	"time"

	"github.com/podlaunch/podlaunch/launcher/internal/osproc"
)

// mostFailures is how many looks may fail, or find a cgroup that cannot be removed yet, until
// the keeper gives up: some seconds.
const mostFailures = 250

// errNotEmpty says that the processes in a cgroup were sent SIGKILL, and have not ended.
var errNotEmpty = errors.New("the cgroup is not empty")

// end ends all that belongs to the pods of the program. It looks until two looks have
// found nobody new, and no cgroup, and every child of the program that was between its fork
// and the end of its exec when it began has come to that end: such a child may be a pod, and
// shows its mark only then.
func end(pods map[string]*kept, program int) {
	if len(pods) == 0 {
		return
	}
	sent := make(map[osproc.Identity]bool)
	executing, err := osproc.Executing(program)
	if others, otherErr := osproc.Executing(os.Getppid()); err == nil && otherErr == nil {
		executing = append(executing, others...) // the kernel has given them a new parent, as it has us
	}
	quiet, failures := 0, 0
	for delay := time.Millisecond; ; delay = min(2*delay, 20*time.Millisecond) {
		found, err := kill(pods, sent)
		executing = slices.DeleteFunc(executing, func(id osproc.Identity) bool { return !osproc.IsExecuting(id) })
		if quiet++; found || len(executing) > 0 {
			quiet = 0
		}
		if err != nil {
			quiet = 0
			failures++
		}
		if quiet == 2 || failures == mostFailures {
			return
		}
		time.Sleep(delay)
	}
}

// kill sends SIGKILL to all processes that belong to the pods, and adds them to sent. It
// reports whether there was a new one. The pods are ended beside each other, for so they share
// the looks at all processes.
func kill(pods map[string]*kept, sent map[osproc.Identity]bool) (found bool, err error) {
	type killed struct {
		ids []osproc.Identity
		err error
	}
	all := make(chan killed, len(pods))
	for _, p := range pods {
		go func() {
			ids, err := p.kill()
			all <- killed{ids, err}
		}()
	}
	for range pods {
		k := <-all
		if k.err != nil {
			err = k.err
		}
		for _, id := range k.ids {
			found = found || !sent[id]
			sent[id] = true
		}
	}
	return found, err
}

// kill sends SIGKILL to all processes that belong to the pod, and returns them. If it cannot tell
// who they are, it sends SIGKILL to the pod's first process, and returns an error.
func (p *kept) kill() ([]osproc.Identity, error) {
	p.addHeirs()
	left, err := p.family.Kill(context.Background(), osproc.IsThere(p.First))
	if left != nil {
		err = nil // some refused a signal
	} else if err != nil {
		_ = osproc.Kill(p.First) // ErrStranger for a process that is not known
	}
	inside, cgroupErr := p.killCgroup()
	return append(left, inside...), cmp.Or(cgroupErr, err)
}

// killCgroup sends SIGKILL to all processes in the pod's cgroup, and returns them. Its error
// is then errNotEmpty. It removes an empty cgroup.
func (p *kept) killCgroup() ([]osproc.Identity, error) {
	cgroup, err := p.cgroup()
	if err != nil {
		return nil, err
	}
	left, err := cgroup.Left()
	if err != nil {
		return nil, err
	}
	if len(left) == 0 {
		return nil, cgroup.Remove() // if somebody has come to be in it, the next look finds him
	}
	if err := cgroup.Kill(); err != nil {
		return left, err
	}
	return left, errNotEmpty
}
