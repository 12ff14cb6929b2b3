package launcher

import (
	"context"
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/podlaunch/podlaunch/logsource"
	"github.com/podlaunch/podlaunch/readiness"
)

// A scripted is a Process that lives in memory. It is used in a bubble.
type scripted struct {
	gone     chan struct{} // closed at its end
	signal   func(sig os.Signal) error
	signals  []os.Signal
	reaped   bool
	released bool
}

// newScripted returns a process that signal answers for. Nil: each signal is sent, and
// does nothing.
func newScripted(signal func(sig os.Signal) error) *scripted {
	if signal == nil {
		signal = func(os.Signal) error { return nil }
	}
	return &scripted{gone: make(chan struct{}), signal: signal}
}

func (s *scripted) PID() int { return 0 }

func (s *scripted) Wait(ctx context.Context) (Exit, error) {
	select {
	case <-s.gone:
		return Exit{Known: true}, nil
	case <-ctx.Done():
		return Exit{}, context.Cause(ctx)
	}
}

func (s *scripted) Signal(_ context.Context, sig os.Signal) error {
	s.signals = append(s.signals, sig)
	return s.signal(sig)
}

func (s *scripted) Reap(context.Context) error {
	s.reaped = true
	return nil
}

func (s *scripted) Release() { s.released = true }

// pod returns the Pod of s, which is ready.
func (s *scripted) pod(closing <-chan struct{}) *Pod {
	p := newPod(podConfig{name: "alice", grace: 10 * time.Second, signal: syscall.SIGTERM, log: hclog.NewNullLogger()}, s)
	p.keep(readiness.Endpoint{}, logsource.FileID{}, closing)
	return p
}

// A pod that is ready is not given up because a look at the processes takes long, as on a busy
// machine with many of them, as long as the launch has time. A launch that fails waits for a
// moment.
func TestSlowLookForTheFirstProcess(t *testing.T) {
	for _, c := range []struct {
		ready       bool
		takes, want time.Duration
		says        string
	}{
		{true, 10 * time.Second, 10 * time.Second, ""},
		{true, time.Hour, time.Minute + patience, "/proc has not answered within 1m0.4s"},
		{false, 10 * time.Second, patience, "/proc has not answered within 400ms"},
	} {
		synctest.Test(t, func(t *testing.T) {
			process := newScripted(nil)
			started := process.pod(nil)
			s := &succession{started: started, stop: func() {}, gone: make(chan struct{})}
			time.AfterFunc(c.takes, func() { close(s.gone) })
			w := waited{succession: s}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			began := time.Now()
			w.succeed(ctx, c.ready)
			if took := time.Since(began); took != c.want {
				t.Errorf("it took %v, want %v", took, c.want)
			}
			if found := c.says == ""; found != (w.err == nil) || found != (w.pod == started) || !found && !strings.Contains(w.err.Error(), c.says) {
				t.Errorf("the first process is that of %v, %v", w.pod, w.err)
			}
			close(process.gone)
			<-started.ended
			<-s.gone
		})
	}
}

// A pod that has gone gets no signal from Stop, and Wait tells of its end also where its
// context is done.
func TestPodThatIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScripted(nil)
		p := s.pod(nil)
		close(s.gone)
		<-p.ended
		if err := p.Stop(t.Context()); err != nil || len(s.signals) > 0 {
			t.Errorf("Stop returned %v, and has sent %v", err, s.signals)
		}
		done, cancel := context.WithCancel(t.Context())
		cancel()
		for range 64 { // which of two events counts that have come is left to chance
			if exit, err := p.Wait(done); err != nil || !exit.Known {
				t.Fatalf("Wait returned %v, %v", exit, err)
			}
		}
	})
}

// If a SIGTERM could not be sent, the next Stop sends it, with a grace of its own. If it
// was sent, it is not sent again, and its grace counts.
func TestStopAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		refused := errors.New("refused")
		var s *scripted
		s = newScripted(func(sig os.Signal) error {
			if len(s.signals) == 1 {
				return refused
			}
			if sig == syscall.SIGKILL && !s.reaped {
				select {
				case <-s.gone:
				default:
					close(s.gone)
				}
			}
			return nil
		})
		p := s.pod(nil)
		if err := p.Stop(t.Context()); !errors.Is(err, refused) {
			t.Errorf("Stop returned %v", err)
		}
		began := time.Now()
		short, cancel := context.WithTimeout(t.Context(), 4*time.Second)
		defer cancel()
		if err := p.Stop(short); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Stop returned %v", err)
		}
		if n := len(s.signals); n != 3 || s.signals[1] != syscall.SIGTERM {
			t.Errorf("it has been sent %v, want SIGTERM again, and SIGCONT", s.signals)
		}
		if err := p.Stop(t.Context()); err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took != p.grace {
			t.Errorf("SIGKILL came after %v, want %v", took, p.grace)
		}
	})
}

// What Stop returns tells of a SIGKILL that could not be sent to the rest of the group.
func TestStopTellsOfTheRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		refused := errors.New("refused")
		var s *scripted
		s = newScripted(func(sig os.Signal) error {
			if sig == syscall.SIGKILL {
				return refused
			}
			if sig == syscall.SIGTERM {
				close(s.gone)
			}
			return nil
		})
		if err := s.pod(nil).Stop(t.Context()); !errors.Is(err, refused) || !s.reaped {
			t.Errorf("Stop returned %v; reaped: %v", err, s.reaped)
		}
	})
}

// A process of a launch that has failed is not reaped before its group was sent SIGKILL.
func TestKillComesBeforeReap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s *scripted
		s = newScripted(func(os.Signal) error {
			time.Sleep(time.Second)
			if s.reaped {
				t.Error("it was reaped before")
			}
			return nil
		})
		p := newPod(podConfig{name: "alice", log: hclog.NewNullLogger()}, s)
		close(s.gone)
		if _, err := p.kill(0); err != nil {
			t.Error(err)
		}
		if len(s.signals) != 1 || s.signals[0] != syscall.SIGKILL {
			t.Errorf("it was sent %v, want SIGKILL", s.signals)
		}
	})
}

// The Pod reports its end once the launch has closed its log. If closing hangs, the Pod
// reports the end not much later than it happened.
func TestEndWaitsForTheLog(t *testing.T) {
	for _, took := range []time.Duration{patience / 4, 2 * patience} {
		synctest.Test(t, func(t *testing.T) {
			s, closing := newScripted(nil), make(chan struct{})
			p := s.pod(closing)
			began := time.Now()
			time.AfterFunc(took, func() { close(closing) })
			close(s.gone)
			<-p.Done()
			if after := time.Since(began); after != min(took, patience) {
				t.Errorf("it was told after %v, and the log was closed after %v", after, took)
			}
			<-closing
		})
	}
}

// A Pod to which Attach came too late is released.
func TestLateAttachIsReleased(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newLaunch(new(Launcher), opAttach, Spec{Name: "alice"})
		s := newScripted(nil)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := n.guarded(ctx, func(context.Context) (*Pod, error) {
			time.Sleep(2 * patience)
			return s.pod(nil), nil
		})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("Attach returned %v", err)
		}
		time.Sleep(2 * patience)
		synctest.Wait()
		if !s.released {
			t.Error("it was not released")
		}
	})
}
