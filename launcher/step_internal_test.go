package launcher

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// A line that is given up on in the instant in which its step fails has a stage.
func TestStuckWhileItFails(t *testing.T) {
	n := newLaunch(new(Launcher), opLaunch, Spec{Name: "alice"})
	n.fail(StageLog)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if e := n.stuck(ctx); e.Stage != StageLog {
		t.Errorf("the stage is %q: %v", e.Stage, e)
	}
}

// A launch that was given up on takes no further step, and is not recorded as ready.
func TestNothingAfterALaunchWasGivenUpOn(t *testing.T) {
	n := newLaunch(new(Launcher), opLaunch, Spec{Name: "alice"})
	n.fate.Store(fateGivenUp)
	_, err := runStep(n, stepLog, func() (struct{}, error) {
		t.Error("the step was taken")
		return struct{}{}, nil
	})
	if err != errGivenUp {
		t.Errorf("the step has ended with %v", err)
	}
	if err := n.mayRecord(); err != errGivenUp {
		t.Errorf("it may be recorded: %v", err)
	}
}

// Steps hang only if nothing has come of them for as long as patience: neither another
// step, nor a call of the Observer.
func TestStepsThatGoOnDoNotHang(t *testing.T) {
	for what, goOn := range map[string]func(n *attempt, i int){
		"a step":      func(n *attempt, i int) { n.at.Store(int32(i)) },
		"an Observer": func(n *attempt, i int) { n.unhurry(); n.hurry() },
	} {
		synctest.Test(t, func(t *testing.T) {
			n := newLaunch(new(Launcher), opLaunch, Spec{Name: "alice"})
			defer n.worker.leave()
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			ended := errors.New("ended")
			pod, err := n.watched(ctx, func() (*Pod, error) {
				for i := range 3 {
					time.Sleep(patience * 3 / 4)
					goOn(n, i+1)
				}
				return nil, ended
			})
			if pod != nil || err != ended {
				t.Errorf("%s goes on, and they have ended with %v", what, err)
			}
		})
	}
}

// Steps that hang are given up on, and what they have made is undone when they return.
// But a pod that was recorded as ready before stays.
func TestStepsThatHang(t *testing.T) {
	for _, ready := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			n := newLaunch(new(Launcher), opLaunch, Spec{Name: "alice"})
			defer n.worker.leave()
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			undone := false
			n.made.add("it", func() error { undone = true; return nil })
			_, err := n.watched(ctx, func() (*Pod, error) {
				time.Sleep(2 * patience)
				if ready {
					n.pod = newScripted(nil).pod(nil)
				}
				return n.pod, nil
			})
			if _, ok := err.(stuckError); !ok || n.fate.Load() != fateGivenUp {
				t.Errorf("they have ended with %v, and the fate is %d", err, n.fate.Load())
			}
			time.Sleep(2 * patience)
			synctest.Wait()
			if undone == ready {
				t.Errorf("ready: %v, undone: %v", ready, undone)
			}
			if ready {
				n.pod.Release()
			}
		})
	}
}
