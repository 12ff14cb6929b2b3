package nomad

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"

	"github.com/podlaunch/podlaunch/launcher"
)

// OnLost says which of two risks a [Starter] takes with the name of a pod whose node
// does not answer: that nobody can have the name for as long as that lasts, or that
// two programs run under it. Nobody but the node could say whether the pod lives.
type OnLost int

const (
	// HoldName takes the first risk: a pod never runs twice. Its job stays with the
	// engine, bound to the node. As long as the node is one of the cluster's and does
	// not answer, Attach, Ensure and a launch of the name fail with [ErrLost]. If the
	// node comes back the pod can be attached to again. If it never does, the name is
	// free once the node is purged (PUT /v1/node/ID/purge).
	HoldName OnLost = iota

	// FreeName takes the second: a pod is never missed for long. The job is removed,
	// the name is free at once, and what still runs of the lost pod is ended when its
	// node hears of that.
	FreeName
)

// away reports whether a's node does not answer.
func (a allocation) away() bool { return a.ClientStatus == "lost" || a.ClientStatus == "unknown" }

// drained reports whether an operator drains its node.
func (a allocation) drained() bool {
	return a.DesiredTransition.Migrate != nil && *a.DesiredTransition.Migrate
}

// sorted puts the allocations of a job in order. The first is the pod: an engine
// that makes another has moved the pod.
func sorted(all []allocation) []allocation {
	return slices.SortedFunc(slices.Values(all), func(a, b allocation) int { return cmp.Compare(a.CreateIndex, b.CreateIndex) })
}

// first is the allocation that is the pod; it has no ID if there is none yet.
func first(all []allocation) (a allocation) {
	if len(all) > 0 {
		a = sorted(all)[0]
	}
	return a
}

// A movedError says that the engine has made a second program of a pod's job.
type movedError struct{ from, to allocation }

func (e *movedError) Error() string {
	why := "moved by the engine"
	if e.from.drained() {
		why = "its node is drained, and it was moved by the engine"
	}
	return fmt.Sprintf("%v: %s to %s; it was the allocation %s on the node %s", ErrLost, why, e.to.NodeName, e.from.ID, e.from.NodeName)
}

func (e *movedError) Unwrap() []error {
	if e.from.drained() {
		return []error{ErrLost, ErrDrained}
	}
	return []error{ErrLost}
}

// moved returns an error if the engine has made more than one allocation of a job.
func moved(all []allocation) error {
	if len(all) < 2 {
		return nil
	}
	all = sorted(all)
	return &movedError{from: all[0], to: all[len(all)-1]}
}

// An awayError says that the pod's node does not answer.
type awayError struct{ a allocation }

func (e *awayError) Error() string {
	return fmt.Sprintf("%v: the allocation %s was on the node %s, which does not answer; it may still run there", ErrLost, e.a.ID, e.a.NodeName)
}

func (e *awayError) Unwrap() error { return ErrLost }

// fate returns how an allocation ended that is terminal, or that nobody can ask.
func (a allocation) fate() (launcher.Exit, error) {
	switch {
	case a.away():
		return launcher.Exit{}, &awayError{a}
	case a.drained():
		return launcher.Exit{}, fmt.Errorf("%w: %w: the engine has ended it on the node %s (%v)", ErrLost, ErrDrained, a.NodeName, a.exit())
	case a.DesiredStatus == "evict":
		return launcher.Exit{}, fmt.Errorf("%w: the engine has ended it on the node %s for the allocation %s, which goes before (%v)", ErrLost, a.NodeName, a.PreemptedByAllocation, a.exit())
	}
	return a.exit(), nil
}

// find returns the allocation of a job that was registered before: one without an ID
// if it is not placed yet. The error wraps [os.ErrProcessDone] if nothing of it runs;
// any other says that it cannot be told. A job that has a second allocation, or could
// get one, is removed.
func (s Starter) find(ctx context.Context, id string, all []allocation) (allocation, error) {
	a, e := first(all), s.Engine
	if a.ID == "" {
		if _, err := e.registered(ctx, id); isStatus(err, http.StatusNotFound) {
			return a, fmt.Errorf("the engine has no job %s: %w", id, os.ErrProcessDone)
		} else if err != nil {
			return a, err
		}
		return a, nil
	}
	lost := slices.DeleteFunc(sorted(all), func(a allocation) bool { return !a.away() })
	live := slices.DeleteFunc(sorted(all), func(a allocation) bool { return a.away() || a.terminal() })
	switch err := moved(all); {
	case err == nil && len(live) == 1:
		return a, nil
	case err != nil && len(live) > 0:
		return a, errors.Join(err, s.remove(ctx, id))
	case len(lost) > 0:
		return a, s.findLost(ctx, id, lost)
	}
	done := fmt.Errorf("the allocation %s of the job %s is %s: %w", a.ID, id, a.ClientStatus, os.ErrProcessDone)
	if a.DesiredStatus != "stop" && a.DesiredStatus != "evict" {
		return a, done
	}
	// The engine, and not the program, has ended it, and may want to make up for it.
	if err := s.remove(ctx, id); err != nil {
		return a, err
	}
	if _, err := a.fate(); err != nil {
		done = fmt.Errorf("%w: %w", err, done)
	}
	return a, done
}

// findLost is find where nothing is left but allocations on nodes that do not answer.
func (s Starter) findLost(ctx context.Context, id string, lost []allocation) error {
	for _, a := range lost {
		_, why := a.fate()
		err := s.Engine.knowsNode(ctx, a.NodeID)
		gone := isStatus(err, http.StatusNotFound)
		switch {
		case gone, s.OnLost == FreeName:
		case err != nil && !errors.Is(err, ErrForbidden):
			return fmt.Errorf("%w; and what became of the node cannot be told: %w", why, err)
		default:
			return fmt.Errorf("%w; its name is free when the node is back, or was purged (Starter.OnLost)", why)
		}
	}
	if err := s.remove(ctx, id); err != nil {
		return err
	}
	_, why := lost[0].fate()
	return fmt.Errorf("%w, or the node is gone: %w", why, os.ErrProcessDone)
}

// remove has the engine forget a job that nobody minds any more.
func (s Starter) remove(ctx context.Context, id string) error {
	if _, err := s.Engine.deregister(ctx, id); err != nil {
		return fmt.Errorf("remove the job %s: %w", id, err)
	}
	return nil
}
