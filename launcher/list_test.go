//go:build unix

package launcher_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/readiness"
)

// An answering probe finds each pod ready at once. Verify is the other function; nil: each
// pod answers.
type answering struct {
	verify func(context.Context, string) error
}

func (answering) Wait(context.Context, readiness.Target) (readiness.Endpoint, error) {
	return readiness.Endpoint{Network: "tcp", Address: "127.0.0.1:1"}, nil
}

func (a answering) Verify(ctx context.Context, t readiness.Target) error {
	if a.verify == nil {
		return nil
	}
	return a.verify(ctx, t.Name)
}

// An asked cluster counts the questions of List. A question to it does something first.
type asked struct {
	*cluster
	first func(ctx context.Context, name string) error // nil: nothing

	mu                 sync.Mutex
	begun, under, most int // questions; those under way, and how many at most
}

func (a *asked) Find(ctx context.Context, name string, id uuid.UUID) (launcher.Process, error) {
	a.mu.Lock()
	a.begun++
	a.under++
	a.most = max(a.most, a.under)
	a.mu.Unlock()
	defer func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.under--
	}()
	if a.first != nil {
		if err := a.first(ctx, name); err != nil {
			return nil, err
		}
	}
	return a.cluster.Find(ctx, name, id)
}

// atOnce returns how many questions were under way at a time, at most.
func (a *asked) atOnce() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.most
}

// counts returns how many questions were begun, and how many are under way.
func (a *asked) counts() (begun, under int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.begun, a.under
}

// askedAtOnce is how many pods List deals with at a time.
const askedAtOnce = 16

// fleet launches n pods on a cluster, whose names are in order, and releases them. first
// is what each question of the returned Launcher's List does first.
func fleet(t *testing.T, n int, first func(ctx context.Context, name string) error) (*launcher.Launcher, *asked) {
	t.Helper()
	l := elsewhere(t, new(cluster))
	l.Ready = answering{}
	for i := range n {
		pod, err := l.Launch(t.Context(), launcher.Spec{Name: fleetName(i)})
		if err != nil {
			t.Fatal(err)
		}
		pod.Release()
	}
	a := &asked{cluster: l.Starter.(*cluster), first: first}
	l.Starter = a
	return l, a
}

func fleetName(i int) string { return fmt.Sprintf("web%03d", i) }

// listAll returns what List yields: names with a state, or with the error.
func listAll(ctx context.Context, l *launcher.Launcher) (all []string, errs []error) {
	for s, err := range l.List(ctx) {
		if err != nil {
			errs = append(errs, err)
		}
		all = append(all, strings.TrimSpace(s.Name+" "+string(s.State)))
	}
	return all, errs
}

// Issue 18: engines that do not answer for some pods hold up these alone. List takes as long as
// one of them, asks for a bounded number at a time, and yields all in order. What hangs
// has its own reason.
func TestListAsksSeveralAtOnce(t *testing.T) {
	const pods = 100
	l, a := fleet(t, pods, nil)
	hung := make(map[string]bool)
	for _, i := range []int{0, 1, 2, 41, 42, 99} { // more than looks at files may hang
		hung[fleetName(i)] = true
	}
	synctest.Test(t, func(t *testing.T) {
		hangs := make(chan struct{})
		a.first = func(_ context.Context, name string) error {
			if hung[name] {
				<-hangs // it takes no notice of its context
			}
			return nil
		}
		began := time.Now()
		all, errs := listAll(t.Context(), l)
		if took := time.Since(began); took > 6*time.Second {
			t.Errorf("it took %v", took)
		}
		if len(all) != pods || len(errs) != len(hung) {
			t.Fatalf("List yields %q, %v", all, errs)
		}
		for i, got := range all {
			want := fleetName(i)
			if !hung[want] {
				want += " ready"
			}
			if got != want {
				t.Errorf("List yields %q, want %q", got, want)
			}
		}
		for _, err := range errs {
			if !errors.Is(err, os.ErrDeadlineExceeded) || !strings.Contains(err.Error(), "the Starter did not answer within 5s") {
				t.Error(err)
			}
		}
		if most := a.atOnce(); most > askedAtOnce {
			t.Errorf("%d questions were under way at a time", most)
		}
		if _, under := a.counts(); under != len(hung) {
			t.Errorf("List has returned, and %d questions are under way: those that hang are %d", under, len(hung))
		}
		close(hangs)
	})
}

// Pods that do not answer hold List up for a second each, and as many as it asks at a time
// share that second.
func TestListOfManyThatHang(t *testing.T) {
	l, _ := fleet(t, 2*askedAtOnce+8, nil)
	synctest.Test(t, func(t *testing.T) {
		l.Ready = answering{func(ctx context.Context, _ string) error {
			<-ctx.Done()
			return ctx.Err()
		}}
		began := time.Now()
		n := 0
		for s, err := range l.List(t.Context()) {
			n++
			if err != nil || s.State != launcher.StateUnreachable || !errors.Is(s.Why, os.ErrDeadlineExceeded) {
				t.Errorf("List yields %+v, %v", s, err)
			}
		}
		if took := time.Since(began); n != 2*askedAtOnce+8 || took != 3*time.Second {
			t.Errorf("List yields %d in %v", n, took)
		}
	})
}

// untilDone is a question that takes as long as its context.
func untilDone(ctx context.Context, _ string) error {
	<-ctx.Done()
	return context.Cause(ctx)
}

// When List ends, for any reason, the questions have ended too.
func TestListLeavesNoQuestion(t *testing.T) {
	l, a := fleet(t, 40, nil)
	mustHaveNone := func(t *testing.T) {
		t.Helper()
		if begun, under := a.counts(); under != 0 || begun == 0 {
			t.Errorf("List has returned, and %d of %d questions are under way", under, begun)
		}
	}
	t.Run("its context is done", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			a.first = untilDone
			enough := errors.New("enough")
			ctx, cancel := context.WithCancelCause(t.Context())
			time.AfterFunc(time.Second, func() { cancel(enough) })
			began := time.Now()
			all, errs := listAll(ctx, l)
			if len(errs) != 1 || !errors.Is(errs[0], enough) || !slices.Equal(all, []string{""}) || time.Since(began) != time.Second {
				t.Errorf("List yields %q, %v in %v", all, errs, time.Since(began))
			}
			mustHaveNone(t)
		})
	})
	t.Run("its context is done while the caller deals with a pod", func(t *testing.T) {
		a.first = nil
		enough := errors.New("enough")
		ctx, cancel := context.WithCancelCause(t.Context())
		defer cancel(nil)
		n := 0
		for s, err := range l.List(ctx) {
			if n++; n > 1 && (s.Name != "" || !errors.Is(err, enough)) || n > 2 {
				t.Errorf("List yields %+v, %v", s, err)
			}
			cancel(enough)
		}
		mustHaveNone(t)
	})
	t.Run("the caller breaks off", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			a.first = func(ctx context.Context, name string) error {
				if name == fleetName(0) {
					return nil
				}
				return untilDone(ctx, name)
			}
			for s, err := range l.List(t.Context()) {
				if err != nil || s.Name != fleetName(0) {
					t.Errorf("List yields %+v, %v", s, err)
				}
				break
			}
			mustHaveNone(t)
		})
	})
	t.Run("a strategy panics", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			a.first = func(ctx context.Context, name string) error {
				switch name {
				case fleetName(0), fleetName(1):
					return nil
				case fleetName(2):
					panic("no good")
				}
				return untilDone(ctx, name)
			}
			var names []string
			defer func() {
				if v := recover(); v != "no good" {
					t.Errorf("it panicked with %v", v)
				}
				if !slices.Equal(names, []string{fleetName(0), fleetName(1)}) {
					t.Errorf("before the panic List yields %q", names)
				}
				mustHaveNone(t)
			}()
			for s := range l.List(t.Context()) {
				names = append(names, s.Name)
			}
			t.Error("List has returned")
		})
	})
}

// List begins with no pod while its caller deals with one: the caller gets no status that
// is as old as that takes.
func TestListDoesNotRunAhead(t *testing.T) {
	const pods = 60
	l, a := fleet(t, pods, nil)
	synctest.Test(t, func(t *testing.T) {
		seen := 0
		for _, err := range l.List(t.Context()) {
			if err != nil {
				t.Error(err)
			}
			synctest.Wait() // what has begun goes on
			before, _ := a.counts()
			time.Sleep(time.Hour)
			if after, _ := a.counts(); after != before {
				t.Errorf("List asked %d times while the caller dealt with a pod", after-before)
			}
			seen++
		}
		if begun, _ := a.counts(); seen != pods || begun != pods {
			t.Errorf("List yields %d, and asked %d times", seen, begun)
		}
	})
}

// A snapshooter is a cluster that has snapshots, and cannot be asked in another way.
type snapshooter struct {
	*cluster
	mu        sync.Mutex
	snapshots int
}

func (s *snapshooter) Find(context.Context, string, uuid.UUID) (launcher.Process, error) {
	return nil, errors.New("ask a snapshot")
}

func (s *snapshooter) Snapshot() launcher.Finder {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.snapshots++
	return s.cluster
}

// Issue 18: List takes one snapshot of an engine that can be asked about all its pods at once.
func TestListTakesASnapshot(t *testing.T) {
	l, a := fleet(t, 40, nil)
	s := &snapshooter{cluster: a.cluster}
	l.Starter = s
	for n := 1; n <= 2; n++ {
		all, errs := listAll(t.Context(), l)
		if len(all) != 40 || errs != nil || s.snapshots != n {
			t.Errorf("List yields %d pods, %v, with %d snapshots", len(all), errs, s.snapshots)
		}
	}
	if _, err := l.Attach(t.Context(), fleetName(0)); err == nil || !strings.Contains(err.Error(), "ask a snapshot") {
		t.Errorf("Attach has to ask the Starter, and says %v", err)
	}
}
