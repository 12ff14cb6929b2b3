//go:build linux

package ending_test

import (
	"context"
	"testing"
	"time"

	"github.com/podlaunch/podlaunch/launcher/internal/leaktest"
	"github.com/podlaunch/podlaunch/launcher/internal/podrig"
)

// Release comes back, and with it Stop, although a Signal of the starter hangs.
func TestReleaseWhileASignalHangs(t *testing.T) {
	leaktest.Parallel(t)
	if testing.Short() {
		t.Skip("skipped with -short: it waits for the two seconds that a signal has")
	}
	r := newRig(t, podrig.Serve...)
	slow := &slowStarter{gate: make(chan struct{})}
	r.L.Starter = slow
	pod, err := r.L.Launch(t.Context(), podrig.Alice)
	if err != nil {
		t.Fatal(err)
	}
	other := r.MustAttach(pod)
	stopped := make(chan error, 1)
	go func() { stopped <- pod.Stop(context.Background()) }()
	for slow.began.Load() == 0 {
		time.Sleep(time.Millisecond)
	}
	released := make(chan struct{})
	go func() { pod.Release(); close(released) }()
	select {
	case <-released:
		if err := <-stopped; err == nil {
			t.Error("Stop returned no error")
		}
	case <-time.After(podrig.Ample):
		t.Error("Release hangs")
	}
	close(slow.gate)
	<-released
	if err := other.Kill(t.Context()); err != nil {
		t.Error(err)
	}
	r.Relaunch("alice") // which reaps it
}
