//go:build linux

package endurance_test

import (
	"context"
	"errors"
	"flag"
	"io/fs"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/launcher/internal/leaktest"
	"github.com/podlaunch/podlaunch/launcher/internal/podrig"
)

var cancelSeed = flag.Uint64("cancel-seed", 0, "when TestCancelledAtAnyTime cancels; 0: at other times each run")

// soonAfter is how long after a cancellation a launch may return: ten times what
// is promised, for a machine that is busy.
const soonAfter = 10 * 200 * time.Millisecond

// D1 to D6: a launch that is cancelled at any instant, drawn at random, returns
// soon, and it is either ready or leaves nothing: 200 times with -soak, and else a
// hundred.
func TestCancelledAtAnyTime(t *testing.T) {
	instants := 100
	if *podrig.Soak {
		instants = 200
	}
	seed := *cancelSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("-cancel-seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	r := podrig.New(t, "spawn hang", "say one", "listen", "ready", "hang")
	whole := time.Duration(0) // what a launch takes, roughly, here and now
	for range 5 {
		began := time.Now()
		pod, err := r.L.Launch(t.Context(), launcher.Spec{Name: name})
		if err != nil {
			t.Fatal(err)
		}
		whole = max(whole, time.Since(began))
		if err := pod.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	stages := make(map[launcher.Stage]int)
	ready := 0
	for range instants {
		e := cancelled(t, r, time.Duration(random.Int64N(int64(whole))))
		if e == nil {
			ready++
			continue
		}
		stages[e.Stage]++
	}
	t.Logf("a launch takes up to %v; %d were ready, the others were cancelled in the stages %v", whole, ready, stages)
	if ready == instants || stages[launcher.StageReady] == 0 {
		t.Error("that was no storm")
	}
	r.Relaunch(name)
}

// cancelled cancels a launch after some time, and returns its error; nil if the
// pod was ready.
func cancelled(t *testing.T, r *podrig.Rig, after time.Duration) *launcher.Error {
	t.Helper()
	before := leaktest.Take()
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("the caller gives up")
	var at time.Time
	done := make(chan struct{}) // closed by the timer, after at is set
	timer := time.AfterFunc(after, func() {
		at = time.Now()
		cancel(why)
		close(done)
	})
	pod, err := r.L.Launch(ctx, launcher.Spec{Name: name})
	returned := time.Now()
	if !timer.Stop() {
		<-done
		if took := returned.Sub(at); took > soonAfter {
			t.Errorf("cancelled after %v it took %v more to return", after, took)
		}
	}
	cancel(nil)
	if err == nil {
		if err := podrig.Answers(t.Context(), pod); err != nil {
			t.Errorf("ready, though cancelled after %v: %v", after, err)
		}
		if err := pod.Stop(t.Context()); err != nil {
			t.Error(err)
		}
		return nil
	}
	if left := before.Left(0, podrig.Pod); left != nil {
		t.Errorf("cancelled after %v it left:\n%s", after, strings.Join(left, "\n"))
	}
	e, ok := err.(*launcher.Error)
	if !ok {
		t.Fatalf("the error is a %T: %v", err, err)
	}
	podrig.MustBe(t, e, why, context.Canceled)
	if e.Leftover != nil {
		t.Errorf("cancelled after %v: %v", after, e)
	}
	if pod, err := r.L.Attach(t.Context(), name); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("cancelled after %v there is a pod %v, %v", after, pod, err)
	}
	return e
}
