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

// D1 to D6: a launch that is cancelled at any instant, drawn at random, returns
// soon, and it is either ready or leaves nothing: 200 times with -soak, and else a
// hundred.
func TestCancelledAtAnyTime(t *testing.T) {
	instants := podrig.Size(t, 20, 100, 200)
	seed := *cancelSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("-cancel-seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	r := podrig.New(t, "spawn hang", "say one", "listen", "ready", "hang")
	// What a launch takes here is what the last one took that became ready: the
	// machine may have been slow before, and be fast now, or the other way round.
	_, took := cancelled(t, r, time.Hour)
	stages := make(map[launcher.Stage]int)
	ready := 0
	for range instants {
		e, lasted := cancelled(t, r, time.Duration(random.Int64N(int64(took*5/4))))
		if e == nil {
			ready++
			took = lasted
			continue
		}
		stages[e.Stage]++
	}
	t.Logf("a launch takes %v; %d were ready, the others were cancelled in the stages %v", took, ready, stages)
	if ready == instants || stages[launcher.StageReady] == 0 {
		t.Error("that was no storm")
	}
	r.Relaunch(name)
}

// cancelled cancels a launch after some time, and returns its error, or nil if the
// pod was ready, and how long it lasted.
func cancelled(t *testing.T, r *podrig.Rig, after time.Duration) (*launcher.Error, time.Duration) {
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
	began := time.Now()
	pod, err := r.L.Launch(ctx, launcher.Spec{Name: name})
	returned := time.Now()
	lasted := returned.Sub(began)
	if !timer.Stop() {
		<-done
		if took := returned.Sub(at); took > podrig.Late {
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
		return nil, lasted
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
	return e, lasted
}
