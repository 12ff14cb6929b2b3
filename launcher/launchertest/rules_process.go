package launchertest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/runtimedir/conformance"
)

func starts(s *starting, r *running) error {
	if err := r.Signal(context.Background(), syscall.SIGKILL); err != nil {
		return fmt.Errorf("SIGKILL: %w", err)
	}
	if _, err := r.wait(); err != nil {
		return err
	}
	return r.reap()
}

// A waited is what a call of Wait returned.
type waited struct {
	exit launcher.Exit
	err  error
}

// waiting calls Wait in a goroutine.
func (r *running) waiting(ctx context.Context) <-chan waited {
	done := make(chan waited, 1)
	go func() {
		err := errors.New("the call of Wait did not return: it panicked")
		var exit launcher.Exit
		defer func() {
			recover()
			done <- waited{exit, err}
		}()
		exit, err = r.Wait(ctx)
	}()
	return done
}

func waitRuns(s *starting, r *running) error {
	select {
	case w := <-r.waiting(context.Background()):
		return fmt.Errorf("the process runs, and Wait returned %v, %v", w.exit, w.err)
	case <-time.After(moment):
		return nil
	}
}

func waitContext(s *starting, r *running) error {
	another, err := s.start(forever, nil)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	done := r.waiting(ctx)
	cancel(conformance.ErrStopped)
	for _, w := range []waited{<-done, <-another.waiting(conformance.Stopped())} {
		if w.err == nil {
			return fmt.Errorf("ctx is done and the process runs, and Wait returned %v without an error", w.exit)
		}
		if !errors.Is(w.err, conformance.ErrStopped) {
			return fmt.Errorf("ctx is done because of %q, which errors.Is does not find in the error of Wait: %w", conformance.ErrStopped, w.err)
		}
	}
	return nil
}

// ended starts a process and kills it.
func (s *starting) ended() (*running, launcher.Exit, error) {
	r, err := s.start(forever, nil)
	if err != nil {
		return nil, launcher.Exit{}, err
	}
	if err := r.Signal(context.Background(), syscall.SIGKILL); err != nil {
		return nil, launcher.Exit{}, fmt.Errorf("SIGKILL: %w", err)
	}
	exit, err := r.wait()
	return r, exit, err
}

func waitLooks(s *starting) error {
	r, _, err := s.ended()
	if err != nil {
		return err
	}
	if _, err := r.Wait(conformance.Stopped()); err != nil {
		return fmt.Errorf("the process has ended, and Wait with a ctx that is done returned: %w", err)
	}
	return nil
}

func waitSame(s *starting) error {
	r, exit, err := s.ended()
	if err != nil {
		return err
	}
	var all []<-chan waited
	for range often() {
		all = append(all, r.waiting(context.Background()))
	}
	for _, done := range all {
		if w := <-done; w.err != nil || w.exit != exit {
			return fmt.Errorf("Wait returned %v, then %v and the error %v", exit, w.exit, w.err)
		}
	}
	return nil
}

func signalGone(s *starting) error {
	r, _, err := s.ended()
	if err != nil {
		return err
	}
	if err := r.reap(); err != nil {
		return err
	}
	if err := r.Signal(context.Background(), syscall.SIGTERM); !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("the process is gone, and Signal returned: %v", err)
	}
	return nil
}

func startContext(s *starting) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	r, err := s.startRequest(ctx, s.request(forever, nil))
	if err != nil {
		return err
	}
	cancel()
	time.Sleep(moment)
	if exit, err := r.Wait(conformance.Stopped()); err == nil {
		return fmt.Errorf("the ctx of Start is done, and the process has ended: %v", exit)
	}
	return nil
}

func startDone(s *starting) error {
	r, err := s.startRequest(conformance.Stopped(), s.request(forever, nil))
	switch {
	case err != nil && !errors.Is(err, conformance.ErrStopped):
		return fmt.Errorf("ctx is done because of %q, which errors.Is does not find in: %w", conformance.ErrStopped, err)
	case err != nil:
		return nil
	}
	if err := r.Signal(context.Background(), syscall.SIGKILL); err != nil {
		return fmt.Errorf("Start returned a process, which cannot be killed: %w", err)
	}
	return nil
}

func startKeepsRequest(s *starting) error {
	req := s.request(forever, func(req *launcher.StartRequest) {
		req.Command.Args = roomy(req.Command.Args...)
		req.Command.Env = roomy(append(os.Environ(), "Z=1", "A=1", "A=2")...)
		req.PIDEnv = roomy()
	})
	before := copyOf(req)
	if _, err := s.startRequest(context.Background(), req); err != nil {
		return err
	}
	if after := copyOf(req); !slices.Equal(before, after) {
		return fmt.Errorf("the lists of the request were\n%q, and are\n%q", before, after)
	}
	return nil
}

func startKeepsFiles(s *starting) error {
	req := s.request(forever, nil)
	if err := s.someFiles(&req); err != nil {
		return err
	}
	if _, err := s.startRequest(context.Background(), req); err != nil {
		return err
	}
	return stillOpen(req)
}

func startLeavesNothing(s *starting) error {
	return leavesNoDescriptor(func() error {
		r, _, err := s.ended()
		if err != nil {
			return err
		}
		return r.reap()
	})
}

func findsAgain(s *starting) error {
	finder, ok := s.Starter.(launcher.Finder)
	if !ok {
		return conformance.Inapplicable("the Starter is no Finder")
	}
	req := s.request(forever, nil)
	if p, err := finder.Find(context.Background(), req.Name, req.ID); !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("nothing was started, and Find returned %v, %v", p, err)
	}
	r, err := s.startRequest(context.Background(), req)
	if err != nil {
		return err
	}
	p, err := finder.Find(context.Background(), req.Name, req.ID)
	if err != nil || p == nil {
		return fmt.Errorf("the process runs, and Find returned %v, %v", p, err)
	}
	err = p.Signal(context.Background(), syscall.SIGKILL)
	if releaser, ok := p.(launcher.Releaser); ok {
		releaser.Release()
	}
	if err != nil {
		return fmt.Errorf("SIGKILL for the process that was found: %w", err)
	}
	if _, err := r.wait(); err != nil {
		return err
	}
	if err := r.reap(); err != nil {
		return err
	}
	if p, err := finder.Find(context.Background(), req.Name, req.ID); !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("the process has ended, and Find returned %v, %v", p, err)
	}
	return nil
}

func findsInSnapshot(s *starting) error {
	snapshotter, ok := s.Starter.(launcher.Snapshotter)
	if !ok {
		return conformance.Inapplicable("the Starter is no Snapshotter")
	}
	req, snapshot := s.request(forever, nil), snapshotter.Snapshot()
	if p, err := snapshot.Find(context.Background(), req.Name, req.ID); !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("nothing was started, and the snapshot's Find returned %v, %v", p, err)
	}
	r, err := s.startRequest(context.Background(), req)
	if err != nil {
		return err
	}
	for when, finder := range map[string]launcher.Finder{"before": snapshot, "after": snapshotter.Snapshot()} {
		p, err := finder.Find(context.Background(), req.Name, req.ID)
		if err != nil || p == nil {
			return fmt.Errorf("the process runs, and Find of a snapshot from %s its start returned %v, %v", when, p, err)
		}
		if releaser, ok := p.(launcher.Releaser); ok {
			releaser.Release()
		}
	}
	if err := r.Signal(context.Background(), syscall.SIGKILL); err != nil {
		return fmt.Errorf("SIGKILL for the process: %w", err)
	}
	if _, err := r.wait(); err != nil {
		return err
	}
	if err := r.reap(); err != nil {
		return err
	}
	if p, err := snapshotter.Snapshot().Find(context.Background(), req.Name, req.ID); !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("the process has ended, and the snapshot's Find returned %v, %v", p, err)
	}
	return nil
}

func killed(s *starting) error {
	_, exit, err := s.ended()
	if err == nil && (exit.Signal != syscall.SIGKILL || !exit.Known) {
		err = fmt.Errorf("it was killed, and Wait says %+v", exit)
	}
	return err
}

func exitCode(s *starting) error {
	for _, code := range []int{0, 3, 255} {
		r, err := s.start(fmt.Sprintf("exit %d", code), nil)
		if err != nil {
			return err
		}
		exit, err := r.wait()
		if err != nil {
			return err
		}
		if exit != (launcher.Exit{Code: code, Known: true}) {
			return fmt.Errorf("the exit status is %d, and Wait says %+v", code, exit)
		}
	}
	return nil
}

func exitSignal(s *starting) error {
	r, err := s.start("kill -TERM $$", nil)
	if err != nil {
		return err
	}
	exit, err := r.wait()
	if err == nil && (exit.Signal != syscall.SIGTERM || !exit.Known) {
		err = fmt.Errorf("SIGTERM has ended it, and Wait says %+v", exit)
	}
	return err
}

// said starts a script that writes lines, and reads the first.
func (s *starting) said(script string, change func(req *launcher.StartRequest)) (*running, *os.File, error) {
	out, in, err := s.pipe()
	if err != nil {
		return nil, nil, err
	}
	r, err := s.start(script, func(req *launcher.StartRequest) {
		req.Stdout = in
		if change != nil {
			change(req)
		}
	})
	if err != nil {
		return nil, nil, err
	}
	in.Close()
	if first, err := line(out); err != nil {
		return nil, nil, fmt.Errorf("the script %q said %q, then: %w", script, first, err)
	}
	return r, out, nil
}

// withChild starts a shell that does something and then waits for a child. That
// ends with the rule, if no signal has reached it before. As long as it lives
// the file, the stdout of both, has no end.
func (s *starting) withChild(do string) (*running, *os.File, error) {
	theirs, _, err := s.pipe()
	if err != nil {
		return nil, nil, err
	}
	return s.said(do+"; cat <&3 & echo ready; wait", func(req *launcher.StartRequest) {
		req.Files = []*os.File{theirs}
	})
}

func signalKind(s *starting) error {
	r, _, err := s.withChild("trap 'exit 7' TERM")
	if err != nil {
		return err
	}
	if err := r.Signal(context.Background(), syscall.SIGTERM); err != nil {
		return fmt.Errorf("SIGTERM: %w", err)
	}
	exit, err := r.wait()
	if err == nil && exit.Code != 7 {
		err = fmt.Errorf("it was sent SIGTERM, which it catches to exit with 7, and has ended with %v", exit)
	}
	return err
}

func signalGroup(s *starting) error {
	r, out, err := s.withChild(":")
	if err != nil {
		return err
	}
	if err := r.Signal(context.Background(), syscall.SIGKILL); err != nil {
		return fmt.Errorf("SIGKILL: %w", err)
	}
	ended := make(chan struct{})
	go func() {
		line(out)
		close(ended)
	}()
	select {
	case <-ended:
		return nil
	case <-time.After(soon):
		return errors.New("SIGKILL was sent, and the process's child still runs")
	}
}

func reap(s *starting) error {
	r, _, err := s.ended()
	if err != nil {
		return err
	}
	pid := r.PID()
	if err := r.reap(); err != nil {
		return err
	}
	if pid != 0 && isThere(pid) {
		return fmt.Errorf("process %d is still there, a zombie perhaps", pid)
	}
	return nil
}

func release(s *starting) error {
	theirs, ours, err := s.pipe()
	if err != nil {
		return err
	}
	r, out, err := s.said("echo ready; read line <&3; echo $line", func(req *launcher.StartRequest) {
		req.Files = []*os.File{theirs}
	})
	if err != nil {
		return err
	}
	releaser, ok := r.Process.(launcher.Releaser)
	if !ok {
		return conformance.Inapplicable("the Process is no Releaser")
	}
	releaser.Release()
	r.reaped = true // no other method is called
	theirs.Close()
	if _, err := ours.WriteString("on and on\n"); err != nil {
		return err
	}
	if got, err := line(out); got != "on and on" {
		return fmt.Errorf("it was released, then told something to say, and said %q: %v", got, err)
	}
	return nil
}
