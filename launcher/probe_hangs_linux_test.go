package launcher_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/launcher/internal/leaktest"
	"github.com/podlaunch/podlaunch/launcher/internal/podrig"
	"github.com/podlaunch/podlaunch/readiness"
)

// A hangingAdopter does not answer whether it adopts.
type hangingAdopter struct {
	readiness.Probe
	until chan struct{}
}

func (p hangingAdopter) Adopts() bool {
	<-p.until
	return false
}

// A hangingComposite does not say what it is made of.
type hangingComposite struct {
	readiness.Probe
	until chan struct{}
}

func (p hangingComposite) Probes() []readiness.Probe {
	<-p.until
	return nil
}

// A probe that hangs when it is asked what it is holds no launch up beyond its time, and
// there is no process then.
func TestProbeThatHangsWhenAsked(t *testing.T) {
	leaktest.Parallel(t)
	if testing.Short() {
		t.Skip("skipped with -short: a launch waits for what hangs")
	}
	for name, hanging := range map[string]func(p readiness.Probe, until chan struct{}) readiness.Probe{
		"Adopts": func(p readiness.Probe, until chan struct{}) readiness.Probe { return hangingAdopter{p, until} },
		"Probes": func(p readiness.Probe, until chan struct{}) readiness.Probe { return hangingComposite{p, until} },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, "listen", "ready", "hang")
			until := make(chan struct{})
			l := r.L
			l.Ready = hanging(readiness.Sequence{readiness.ReadyLine{}, readiness.Socket{}}, until)
			l.Timeout = 50 * time.Millisecond
			returned := make(chan error, 1)
			go func() {
				_, err := l.Launch(context.Background(), launcher.Spec{Name: "alice"})
				returned <- err
			}()
			select {
			case err := <-returned:
				var e *launcher.Error
				if !errors.As(err, &e) || e.PID != 0 || e.Leftover == nil {
					t.Errorf("Launch: %v", err)
				}
			case <-time.After(podrig.Ample):
				t.Error("Launch has not returned")
			}
			close(until)
			r.Relaunch("alice")
		})
	}
}
