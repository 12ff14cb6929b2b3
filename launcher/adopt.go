package launcher

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/podlaunch/podlaunch/launcher/internal/osproc"
	"github.com/podlaunch/podlaunch/launcher/internal/ownership"
	"github.com/podlaunch/podlaunch/logsource"
)

// adopt returns the Pod of the process that r proves.
func (n *attempt) adopt(ctx context.Context, place *ownership.Place, r ownership.Record) (*Pod, error) {
	process, err := n.adoptProcess(ctx, r)
	if err != nil {
		return nil, notRunning(err, false)
	}
	config := n.podConfig(r.Name, r.Intent)
	config.base, config.heirs = place.Base(), place.Heirs(r)
	p := newPod(config, process)
	p.first = r.Identity
	logFile, _ := logsource.IdentifyFile(r.Log)
	p.keep(endpointOf(r), logFile, nil)
	return p, nil
}

// adoptProcess returns the process of r, which is not this program's child.
func (n *attempt) adoptProcess(ctx context.Context, r ownership.Record) (Process, error) {
	if !r.Elsewhere {
		cgroup, err := findCgroup(r)
		if err != nil {
			return nil, err
		}
		process, err := adoptProcess(r.Identity, cgroup)
		if err != nil {
			return nil, err
		}
		if err := knowJob(process, r); err != nil {
			forgetProcess(process)
			return nil, err
		}
		return process, nil
	}
	finder, ok := n.Starter.(Finder)
	if !ok {
		return nil, errors.ErrUnsupported // Place.Running has said so before
	}
	return finderIn{ctx, finder}.process(r)
}

// findCgroup returns the cgroup of the process of r; nil if it has none. If the cgroup cannot
// be reached from here that is an error: who is in there could not be told.
func findCgroup(r ownership.Record) (*osproc.Cgroup, error) {
	if r.Cgroup == "" {
		return nil, nil
	}
	cgroup, err := osproc.FindCgroup(r.Cgroup, r.Launch.String())
	if cgroup != nil || err != nil {
		return cgroup, err
	}
	switch in, err := osproc.Holds(r.Cgroup, r.PID); {
	case err != nil:
		return nil, fmt.Errorf("find out whether pid %d is in the cgroup %q: %w", r.PID, r.Cgroup, err)
	case in:
		return nil, fmt.Errorf("pid %d is in the cgroup %q, which cannot be reached from here: mount cgroup v2 where its launcher had it: %w", r.PID, r.Cgroup, errors.ErrUnsupported)
	}
	return nil, nil // it has moved elsewhere, and somebody has removed the cgroup
}

// notRunning says what it means that a pod does not run, for the reason that
// Place.Running gave. A process that was not ready and whose launcher has died
// is as good as gone: the next launch ends it. If strangerIsGone, a process that is
// another's, or of another pid namespace, says that the pod is gone: who asks so
// launches next, and a launch finds out.
func notRunning(err error, strangerIsGone bool) error {
	switch {
	case errors.Is(err, osproc.ErrStranger) && !strangerIsGone:
		return fmt.Errorf("%w: %w", ErrNotOurs, err)
	case errors.Is(err, osproc.ErrElsewhere) && !strangerIsGone:
	case errors.Is(err, ownership.ErrNotReady), ownership.NoWitness(err):
		return &noPodError{err}
	}
	return err
}

// A noPodError says that no pod of the name runs, and why. It wraps [fs.ErrNotExist].
type noPodError struct{ why error }

func (e *noPodError) Error() string {
	if errors.Is(e.why, ownership.ErrNoRecord) {
		return "no such pod runs: there is no record of one"
	}
	return "no such pod runs: " + e.why.Error()
}

func (e *noPodError) Unwrap() []error { return []error{e.why, fs.ErrNotExist} }
