package winetest_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/windows"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/runtimedir/conformance"
)

var launches = flag.Int("launches", 50, "how many launches TestSoak makes")

// makeThreads has the runtime make more threads than a launch needs. It keeps them, and how
// many it would make otherwise depends on how busy the machine is.
func makeThreads() {
	var all sync.WaitGroup
	for range 24 {
		all.Go(func() { windows.SleepEx(200, false) })
	}
	all.Wait()
}

// After many launches there is no process, thread or handle more than before. The runtime
// may make a handle for one of its threads at any time, so what grows has to grow three times
// in a row: a launch that leaves something does that.
func TestSoak(t *testing.T) {
	l := newLauncher(t.TempDir())
	makeThreads()
	soak(t, l, 10) // what the runtime and the system make once
	var grown error
	for range 3 {
		if grown = soak(t, l, *launches); grown == nil {
			return
		}
		t.Log(grown)
	}
	t.Error(grown)
}

// soak launches and kills so many pods, and says what there is more than before.
func soak(t *testing.T, l *launcher.Launcher, count int) error {
	t.Helper()
	before, hadThreads, hadHandles := conformance.Take(), threads(t), handles(t)
	began, refused := time.Now(), 0
	for range count {
		pod, err := l.Launch(t.Context(), launcher.Spec{Name: "alice"})
		// Wine 8 fails to create one process of a thousand or two.
		if errors.Is(err, windows.ERROR_INTERNAL_ERROR) && refused < 1+count/200 {
			refused++
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := pod.Kill(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	took := time.Since(began)
	awaitOthers(t, 0)
	if left := before.Descriptors(patience); left != nil {
		t.Errorf("handles are left: %v", left)
	}
	if left := before.Goroutines(patience); left != nil {
		t.Errorf("goroutines are left: %v", left)
	}
	t.Logf("%d launches, %v each; the system has refused %d", count, took/time.Duration(count), refused)
	if hasThreads, hasHandles := threads(t), handles(t); hasThreads > hadThreads || hasHandles > hadHandles {
		return fmt.Errorf("%d threads and %d handles, and there were %d and %d", hasThreads, hasHandles, hadThreads, hadHandles)
	}
	return nil
}
