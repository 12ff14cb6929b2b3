package launchertest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"syscall"

	"github.com/google/uuid"
	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/runtimedir/conformance"
)

// A starting is the subject of a rule, and what the rule has started.
type starting struct {
	StarterCase
	calls   conformance.Calls
	dir     string
	running []*running
	files   []*os.File
}

// close ends everything that the rule has left.
func (s *starting) close() error {
	for _, f := range s.files {
		f.Close()
	}
	for _, r := range s.running {
		r.end()
	}
	return nil
}

// A running is a process that was started.
type running struct {
	launcher.Process
	reaped bool
}

// forever is a script that does nothing until it is signalled.
const forever = "exec sleep 60"

// request is one for a script, after change.
func (s *starting) request(script string, change func(req *launcher.StartRequest)) launcher.StartRequest {
	req := launcher.StartRequest{
		Name:       "pod",
		ID:         uuid.New(),
		Command:    launcher.Command{Path: s.Shell, Args: []string{"-c", script}},
		WorkDir:    s.dir,
		RuntimeDir: s.dir,
	}
	if change != nil {
		change(&req)
	}
	return req
}

// start starts a script.
func (s *starting) start(script string, change func(req *launcher.StartRequest)) (*running, error) {
	return s.startRequest(context.Background(), s.request(script, change))
}

// withProcess is a rule about a process that does nothing.
func withProcess(rule func(s *starting, r *running) error) func(s *starting) error {
	return func(s *starting) error {
		r, err := s.start(forever, nil)
		if err != nil {
			return err
		}
		return rule(s, r)
	}
}

func (s *starting) startRequest(ctx context.Context, req launcher.StartRequest) (*running, error) {
	started := s.calls.Begin("Start")
	p, err := s.Starter.Start(ctx, req)
	started()
	var r *running
	if p != nil {
		r = &running{Process: p}
		s.running = append(s.running, r)
	}
	switch {
	case err != nil && p != nil:
		return nil, fmt.Errorf("Start returned a process and an error: %w", err)
	case err != nil:
		return nil, fmt.Errorf("Start fails: %w", err)
	case p == nil:
		return nil, errors.New("Start returned neither a process nor an error")
	}
	return r, nil
}

// wait waits for the end of the process.
func (r *running) wait() (launcher.Exit, error) {
	ctx, cancel := context.WithTimeout(context.Background(), conformance.Patience/2)
	defer cancel()
	exit, err := r.Wait(ctx)
	if err != nil {
		return exit, fmt.Errorf("Wait: %w", err)
	}
	return exit, nil
}

// end kills what is left of the process, and clears it.
func (r *running) end() {
	if r.reaped {
		return
	}
	r.Signal(context.Background(), syscall.SIGKILL)
	if _, err := r.wait(); err == nil {
		r.reap()
	}
}

// reap clears a process that has ended, once.
func (r *running) reap() error {
	reaper, ok := r.Process.(launcher.Reaper)
	if !ok || r.reaped {
		r.reaped = true
		return nil
	}
	r.reaped = true
	ctx, cancel := context.WithTimeout(context.Background(), conformance.Patience/2)
	defer cancel()
	if err := reaper.Reap(ctx); err != nil {
		return fmt.Errorf("Reap: %w", err)
	}
	return nil
}

// pipe returns one whose ends are closed when the rule is over.
func (s *starting) pipe() (r, w *os.File, err error) {
	r, w, err = os.Pipe()
	s.files = append(s.files, r, w)
	return r, w, err
}

// run runs a script to its end, and returns what it has said on its stdout.
func (s *starting) run(script string, change func(req *launcher.StartRequest)) (said string, exit launcher.Exit, err error) {
	out, in, err := s.pipe()
	if err != nil {
		return "", exit, err
	}
	r, err := s.start(script, func(req *launcher.StartRequest) {
		req.Stdout = in
		if change != nil {
			change(req)
		}
	})
	if err != nil {
		return "", exit, err
	}
	in.Close()
	all, err := io.ReadAll(out)
	if err != nil {
		return "", exit, err
	}
	if exit, err = r.wait(); err != nil {
		return "", exit, err
	}
	return string(all), exit, r.reap()
}

// says makes sure that a script says want, and nothing else.
func (s *starting) says(want, script string, change func(req *launcher.StartRequest)) error {
	said, exit, err := s.run(script, change)
	if err == nil && said != want {
		err = fmt.Errorf("the script %q said %q, want %q (%v)", script, said, want, exit)
	}
	return err
}

// someFiles are set in a request.
func (s *starting) someFiles(req *launcher.StartRequest) error {
	for _, at := range []**os.File{&req.Stdout, &req.Stderr} {
		f, err := os.CreateTemp(s.dir, "file")
		if err != nil {
			return err
		}
		s.files = append(s.files, f)
		*at = f
	}
	if s.Lacks&(Files|Programs) == 0 {
		f, err := os.CreateTemp(s.dir, "file")
		if err != nil {
			return err
		}
		s.files = append(s.files, f)
		req.Files = []*os.File{nil, f}
	}
	return nil
}

// stillOpen makes sure that the files of a request are.
func stillOpen(req launcher.StartRequest) error {
	for _, f := range append([]*os.File{req.Stdin, req.Stdout, req.Stderr}, req.Files...) {
		if f == nil {
			continue
		}
		if _, err := f.Stat(); err != nil {
			return fmt.Errorf("a file of the request was closed: %w", err)
		}
	}
	return nil
}

// leavesNoDescriptor does something often, and makes sure that no descriptor is
// left.
func leavesNoDescriptor(do func() error) error {
	times := often()
	return conformance.Descriptors(soon, times, "times", func() error {
		for range times {
			if err := do(); err != nil {
				return err
			}
		}
		return nil
	})
}

// line reads a line from f, byte by byte.
func line(f *os.File) (string, error) {
	var all bytes.Buffer
	for b := make([]byte, 1); ; {
		if _, err := io.ReadFull(f, b); err != nil {
			return all.String(), err
		}
		if b[0] == '\n' {
			return all.String(), nil
		}
		all.WriteByte(b[0])
	}
}

// copyOf returns the lists of a request, with what is behind their ends.
func copyOf(req launcher.StartRequest) []string {
	args, env, vars := req.Command.Args, req.Command.Env, req.PIDEnv
	return slices.Concat(args[:cap(args)], env[:cap(env)], vars[:cap(vars)])
}

// needs returns a rule that does not apply to a Starter without these features.
func needs(features Feature, run func(s *starting) error) func(s *starting) error {
	return func(s *starting) error {
		if lacks := s.Lacks & features; lacks != 0 {
			return conformance.Inapplicable(fmt.Sprintf("the Case says that the Starter lacks %v", lacks))
		}
		return run(s)
	}
}
