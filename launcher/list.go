package launcher

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"time"

	"github.com/google/uuid"

	"github.com/podlaunch/podlaunch/launcher/internal/ownership"
	"github.com/podlaunch/podlaunch/readiness"
)

// A State is what has become of a pod.
type State string

// The states of a pod. Package documentation has who moves it between them.
const (
	StateStarting    State = "starting"    // somebody is launching it
	StateReady       State = "ready"       // it runs, and answers
	StateUnreachable State = "unreachable" // it runs, and nobody, or a stranger, answers
	StateGone        State = "gone"        // it has ended, or its launcher has died before it was ready
)

// A Status is what [Launcher.List] tells of a pod.
type Status struct {
	Name       string
	State      State
	Why        error              // why it is unreachable or gone; nil otherwise
	PID        int                // 0 if there is no process yet, or it runs elsewhere
	Endpoint   readiness.Endpoint // where it answers, or did; zero if it never was ready
	Session    uuid.UUID          // that it resumed; uuid.Nil: a fresh one
	Launch     uuid.UUID          // the launch that started it
	Command    []string           // path and arguments, an overlay's text replaced by its size
	Started    time.Time          // by the clock of then
	RuntimeDir string
	LogPath    string
}

// List yields the pods below the base directory, running or not, in the order
// of their names. What else is there is passed over. Each pod that runs is
// dialled once, as [Launcher.Attach] does.
//
// An error comes with a zero Status, or with the Name alone where it is about
// one pod, and then List goes on. A base that does not exist holds no pods; a
// Launcher.Dir without a base gives [errors.ErrUnsupported]. List ends, with
// context.Cause(ctx), when ctx is done.
func (l *Launcher) List(ctx context.Context) iter.Seq2[Status, error] {
	return func(yield func(Status, error) bool) {
		d := l.withDefaults()
		base, err := d.base(ctx)
		if err != nil {
			yield(Status{}, fmt.Errorf("list pods: %w", err))
			return
		}
		names, err := ownership.Names(base)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			yield(Status{}, fmt.Errorf("list pods in %s: %w", printable(base, 4<<10), err))
			return
		}
		for _, name := range names {
			if ctx.Err() != nil {
				yield(Status{}, context.Cause(ctx))
				return
			}
			status, err := d.status(ctx, base, name)
			if err == nil && status.State == "" {
				continue // it was claimed once, and never started
			}
			if !yield(status, err) {
				return
			}
		}
	}
}

// status looks at one pod.
func (l *Launcher) status(ctx context.Context, base, name string) (Status, error) {
	place, err := l.placeBelow(ctx, base, name)
	if err != nil {
		return Status{Name: name}, err
	}
	defer place.Close()
	r, err := place.Running()
	s := Status{
		Name:       name,
		PID:        r.PID,
		Endpoint:   endpointOf(r),
		Session:    r.Session,
		Launch:     r.Launch,
		Command:    r.Command,
		Started:    r.Started,
		RuntimeDir: r.Dir,
		LogPath:    r.Log,
	}
	if err == nil {
		s.State = StateReady
		target := readiness.Target{Name: name, RuntimeDir: r.Dir, PID: r.PID, Endpoint: s.Endpoint}
		if s.Why = readiness.Verify(ctx, l.Ready, target); s.Why != nil {
			s.State = StateUnreachable
		}
		return s, nil
	}
	launching, lockErr := place.Launching()
	switch {
	case lockErr != nil:
		return Status{Name: name}, lockErr
	case launching:
		s.State = StateStarting
	case !ownership.NoWitness(err) && !errors.Is(err, ownership.ErrNotReady):
		return Status{Name: name}, err // it may well run
	case !errors.Is(err, ownership.ErrNoRecord):
		s.State, s.Why = StateGone, err
	}
	return s, nil
}
