package launcher

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/podlaunch/podlaunch/launcher/internal/osproc"
	"github.com/podlaunch/podlaunch/launcher/internal/ownership"
	"github.com/podlaunch/podlaunch/readiness"
)

// A State is what has become of a pod.
type State string

// The states of a pod. docs/lifecycle.md says who moves it between them.
const (
	StateStarting    State = "starting"    // somebody is launching it
	StateReady       State = "ready"       // it runs, and a connection to it is accepted
	StateUnreachable State = "unreachable" // it runs, and nobody, or a stranger, answers, or not in time
	StateGone        State = "gone"        // it has provably ended, or was never ready and nobody launches it any more
)

// A Status is what [Launcher.List] tells of a pod.
type Status struct {
	Name       string
	State      State
	Why        error              // why it is unreachable or gone ([ErrAbandoned]), in one printable line; nil otherwise
	PID        int                // 0 if there is no process yet, or it has none here
	Endpoint   readiness.Endpoint // where it answers, or did; zero if it never was ready
	Session    uuid.UUID          // that it resumed; uuid.Nil: a fresh one
	Launch     uuid.UUID          // the launch that started it
	Command    []string           // path and arguments, an overlay's text replaced by its size
	Started    time.Time          // by the clock of then
	Lifetime   Lifetime           // whether it outlives its launcher
	RuntimeDir string
	LogPath    string
	Notes      []string // what else may explain what it does not do: its working directory is gone

	Containment Containment // what holds its processes together, as recorded; zero if there is no process yet
}

// How long List waits. What takes no notice of its context has patience in addition.
const (
	answerTime = time.Second     // for a pod to answer
	filesTime  = 2 * time.Second // for the filesystem, at each look
	findTime   = 5 * time.Second // for a Finder
)

// List yields the pods below the base directory, running or not, in the order
// of their names. What else is there is passed over. Each pod that runs is
// asked once whether it answers, as [Pod.Verify] does.
//
// A pod is gone only if that is proven: its process has ended, or its pid is
// another's by now, or it was never ready and nobody launches it any more. Where it
// cannot be told whether a pod runs, List yields an error: its record is damaged, or
// is of another pid namespace, or was deleted while processes hold the pod's lock.
//
// An error comes with a zero Status, or with the Name alone where it is about
// one pod, and then List goes on. A base that does not exist holds no pods; a
// Launcher.Dir without a base gives [errors.ErrUnsupported]. List ends, with
// context.Cause(ctx), when ctx is done: that is an error of List's, and the state of
// no pod.
//
// List looks at several pods at once, so a pod that does not answer holds up no other. It
// begins with further pods while it waits for the next one to yield. While the caller
// deals with a pod List begins with none. A Status tells what List saw when it looked.
//
// Nothing holds List up for long. A pod that does not answer within a second is
// unreachable. The kernel accepts connections for a pod that hangs: it is ready. A
// filesystem that does not answer a look within two seconds is an error, and so is a
// [Finder] that does not within five. Three looks that hang in the filesystem at a time
// end List. In each of these errors.Is finds [os.ErrDeadlineExceeded]. What hangs is left
// to itself: it keeps a goroutine until it returns. List keeps no other goroutine once it
// has ended, also if the caller breaks off.
func (l *Launcher) List(ctx context.Context) iter.Seq2[Status, error] {
	return func(yield func(Status, error) bool) {
		d := newLister(l)
		names, err := d.names(ctx)
		switch {
		case err != nil && over(ctx):
			yield(Status{}, context.Cause(ctx))
			return
		case err != nil:
			yield(Status{}, shown(fmt.Errorf("list pods: %w", err)))
			return
		}
		survey := newSurvey(ctx, d.looks, len(names), func(ctx context.Context, i int, first *look) (Status, error) {
			return d.status(ctx, names[i], first)
		})
		defer survey.end()
		for i, name := range names {
			status, err := survey.answer(i)
			switch {
			case over(ctx):
				yield(Status{}, context.Cause(ctx))
				return
			case errors.Is(err, errHung):
				yield(Status{}, shown(fmt.Errorf("list pods: the base directory %q: %w", d.base, err)))
				return
			case err != nil:
				status, err = Status{Name: name}, shown(err)
			case status.State == "":
				continue // it was claimed once, and never started
			}
			if !yield(status, err) {
				return
			}
		}
	}
}

// A lister is one call of List. Each look at files, and each question to a pod or to a
// Finder, runs in a goroutine of its own. The goroutine of a [survey] waits for it, or
// gives it up, and then it ends by itself.
type lister struct {
	Launcher // with defaults
	base     string
	looks    *looks
	finder   func() Finder // nil: the Starter is none
}

func newLister(l *Launcher) *lister {
	d := &lister{Launcher: l.withDefaults(), looks: newLooks()}
	switch s := d.Starter.(type) {
	case Snapshotter:
		d.finder = sync.OnceValue(s.Snapshot)
	case Finder:
		d.finder = func() Finder { return s }
	}
	return d
}

// names finds the base, and returns the names of the pods there.
func (l *lister) names(ctx context.Context) (names []string, err error) {
	type found struct {
		base  string
		names []string
	}
	f, err := bounded(ctx, filesTime, "Launcher.Dir, or the filesystem of the base directory,", func(ctx context.Context) (f found, err error) {
		if err = l.checkNamed("list"); err == nil {
			f.base, err = l.Launcher.base(ctx)
		}
		if err != nil {
			return f, err
		}
		if f.names, err = ownership.Names(f.base); errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		return f, err
	})
	l.base = f.base
	return f.names, err
}

// status looks at one pod until it is sure what it sees. first is the first look.
func (l *lister) status(ctx context.Context, name string, first *look) (Status, error) {
	var before ownership.Sight
	for next := first; ; {
		s, err := l.look(ctx, name, next)
		switch {
		case over(ctx):
			return Status{}, context.Cause(ctx)
		case err != nil:
			return Status{}, err
		case s.Final(before):
			return l.judge(ctx, name, s)
		}
		before = s
		if next, err = l.looks.begin(ctx); err != nil {
			return Status{}, err
		}
	}
}

// look takes one look at the files of a pod.
func (l *lister) look(ctx context.Context, name string, this *look) (ownership.Sight, error) {
	defer this.giveUp()
	bound := filesTime
	if l.finder != nil {
		bound += findTime
	}
	return bounded(ctx, bound, "the filesystem of its files", func(ctx context.Context) (ownership.Sight, error) {
		defer this.end()
		place, err := l.placeBelow(ctx, l.base, name)
		if err != nil {
			return ownership.Sight{}, err
		}
		defer place.Close()
		if l.finder != nil {
			place.Elsewhere = briefly{place.Elsewhere, ctx, l.finder, this}
		}
		return place.Look()
	})
}

// judge returns the Status of a pod, given the last look at it.
func (l *lister) judge(ctx context.Context, name string, s ownership.Sight) (Status, error) {
	status := newStatus(name, s)
	switch {
	case s.Err == nil:
		if l.workDirIsGone(ctx, status.PID) {
			status.Notes = append(status.Notes, "its working directory was removed: what it starts or opens by a relative path fails")
		}
		return l.ask(ctx, status)
	case s.Launching:
		status.State = StateStarting
	case s.Unclear != nil:
		return Status{}, s.Unclear
	case errors.Is(s.Err, ownership.ErrNoRecord):
	case s.Record.IsAbandoned(s.Err):
		status.State, status.Why = StateGone, abandoned(s.Err)
	case osproc.ProvesEnd(s.Err):
		status.State, status.Why = StateGone, shown(s.Err)
	default:
		return Status{}, s.Err // it may well run
	}
	return status, nil
}

// abandoned returns an ErrAbandoned. state is what is known of the first process: that it lives,
// or has ended.
func abandoned(state error) error {
	err := errors.Join(ErrAbandoned, state)
	if osproc.ProvesEnd(state) {
		err = errors.Join(err, os.ErrProcessDone)
	}
	what := ErrAbandoned.Error()
	if ownership.IsDoomed(state) {
		what = state.Error()
	}
	return plainError{what + "; what may still run of it the next launch ends", err}
}

// workDirIsGone reports whether the working directory of a pod was removed. A filesystem
// that does not answer tells nothing of that.
func (l *lister) workDirIsGone(ctx context.Context, pid int) bool {
	if pid == 0 {
		return false
	}
	this, err := l.looks.begin(ctx)
	if err != nil {
		return false
	}
	defer this.giveUp()
	gone, err := bounded(ctx, filesTime, "the filesystem of its working directory", func(context.Context) (bool, error) {
		defer this.end()
		return osproc.WorkDirIsGone(pid), nil
	})
	return err == nil && gone
}

// newStatus returns what the record of a pod tells. A pod that is being launched has
// nothing of an earlier one's.
func newStatus(name string, s ownership.Sight) Status {
	r := s.Record
	if s.Launching && s.Err != nil && r.Ready {
		return Status{Name: name}
	}
	if errors.Is(s.Err, osproc.ErrElsewhere) {
		r.PID = 0
	}
	return Status{
		Name:       name,
		PID:        r.PID,
		Endpoint:   endpointOf(r),
		Session:    r.Session,
		Launch:     r.Launch,
		Command:    r.Command,
		Started:    r.Started,
		Lifetime:   Lifetime(r.Lifetime),
		RuntimeDir: r.Dir,
		LogPath:    r.Log,

		Containment: containmentOf(r),
	}
}

// ask asks a pod that runs whether it answers.
func (l *lister) ask(ctx context.Context, s Status) (Status, error) {
	s.State = StateReady
	target := readiness.Target{Name: s.Name, RuntimeDir: s.RuntimeDir, PID: s.PID, Endpoint: s.Endpoint}
	_, err := bounded(ctx, answerTime, "it", func(ctx context.Context) (struct{}, error) {
		return struct{}{}, readiness.Verify(ctx, l.Ready, target)
	})
	switch {
	case err != nil && over(ctx):
		return Status{}, err
	case err != nil:
		s.State, s.Why = StateUnreachable, shown(err)
	}
	return s, nil
}

// A briefly asks a Finder, and waits no longer than findTime. The look at files ends when
// it asks: a Finder that hangs keeps no other pod from being looked at.
type briefly struct {
	ownership.Elsewhere
	ctx    context.Context
	finder func() Finder
	look   *look
}

// Check implements [ownership.Elsewhere].
func (b briefly) Check(r ownership.Record) error {
	b.look.end()
	_, err := bounded(b.ctx, findTime, "the Starter", func(ctx context.Context) (struct{}, error) {
		return struct{}{}, finderIn{ctx, b.finder()}.Check(r)
	})
	return err
}

// bounded runs f in a goroutine of its own, and does not wait much longer for it than
// bound, or ctx. If who did not answer in time, the error says so.
func bounded[T any](ctx context.Context, bound time.Duration, who string, f func(context.Context) (T, error)) (v T, err error) {
	timed, cancel := context.WithTimeout(ctx, bound)
	defer cancel()
	o, ok := within(timed, patience, spawn(func() (T, error) { return f(timed) }))
	if o.crash != nil {
		o.crash.resume()
	}
	if !ok || isTimeout(o.err) && over(timed) {
		return v, plainError{fmt.Sprintf("%s did not answer within %v", who, bound), os.ErrDeadlineExceeded}
	}
	return o.value, o.err
}

func isTimeout(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded)
}

// over reports whether ctx is done. Who has asked ctx for its deadline, as package net
// does, may notice that a moment before ctx does.
func over(ctx context.Context) bool {
	if at, ok := ctx.Deadline(); ok && !time.Now().Before(at) {
		receive(ctx.Done(), patience)
	}
	return ctx.Err() != nil
}
