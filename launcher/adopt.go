package launcher

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/podlaunch/podlaunch/launcher/internal/ownership"
	"github.com/podlaunch/podlaunch/launcher/internal/unixproc"
	"github.com/podlaunch/podlaunch/readiness"
)

// adopt returns the Pod of the process that r proves.
func (n *attempt) adopt(ctx context.Context, r ownership.Record) (*Pod, error) {
	target := readiness.Target{Name: r.Name, RuntimeDir: r.Dir, PID: r.PID, Endpoint: endpointOf(r)}
	if err := readiness.Verify(ctx, n.Ready, target); errors.Is(err, readiness.ErrForeignPeer) {
		// The pod may have ended since, and its successor answer.
		if gone := r.Check(); !r.Elsewhere && (errors.Is(gone, unixproc.ErrGone) || errors.Is(gone, unixproc.ErrStranger)) {
			return nil, notRunning(gone, true)
		}
		return nil, fmt.Errorf("%w: %w", ErrNotOurs, err)
	}
	process, err := n.adoptProcess(ctx, r)
	if err != nil {
		return nil, notRunning(err, false)
	}
	p := newPod(n.podConfig(r.Name, r.Intent), process)
	logFile, _ := os.Stat(r.Log)
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
// is as good as gone: the next launch ends it.
func notRunning(err error, strangerIsGone bool) error {
	switch {
	case errors.Is(err, unixproc.ErrStranger) && !strangerIsGone:
		return fmt.Errorf("%w: %w", ErrNotOurs, err)
	case errors.Is(err, unixproc.ErrElsewhere) && !strangerIsGone:
	case errors.Is(err, ownership.ErrNotReady), ownership.NoWitness(err):
		return fmt.Errorf("no such pod runs (%w): %w", err, fs.ErrNotExist)
	}
	return err
}
