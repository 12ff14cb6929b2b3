package launcher

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/podlaunch/podlaunch/launcher/internal/ownership"
	"github.com/podlaunch/podlaunch/launcher/internal/unixproc"
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
		return adoptProcess(r.Identity)
	}
	finder, ok := n.Starter.(Finder)
	if !ok {
		return nil, errors.ErrUnsupported // Place.Running has said so before
	}
	return finderIn{ctx, finder}.process(r)
}

// notRunning says what it means that a pod does not run, for the reason that
// Place.Running gave. A process that was not ready and whose launcher has died
// is as good as gone: the next launch ends it. If strangerIsGone, a process that is
// another's, or of another pid namespace, says that the pod is gone: who asks so
// launches next, and a launch finds out.
func notRunning(err error, strangerIsGone bool) error {
	switch {
	case errors.Is(err, unixproc.ErrStranger) && !strangerIsGone:
		return fmt.Errorf("%w: %w", ErrNotOurs, err)
	case errors.Is(err, unixproc.ErrElsewhere) && !strangerIsGone:
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
