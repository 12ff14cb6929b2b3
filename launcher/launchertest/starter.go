package launchertest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"slices"
	"syscall"
	"testing"

	"github.com/google/uuid"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/runtimedir/conformance"
)

// A Feature is something that a Starter may not be able to do.
type Feature uint

const (
	// Programs: it runs programs of this machine. Without it the process that
	// it starts has to run until it is signalled, whatever the command is. The
	// other features, but for Status, do not matter then.
	Programs Feature = 1 << iota

	// Output: Stdout and Stderr of the request are the process's. Rules that
	// look at what a script says need it too.
	Output

	// Files: those of the request are the process's, from descriptor 3.
	Files

	// Status: Wait tells how the process ended, Exit.Known.
	Status

	// Groups: the process leads a group, and a signal reaches all of it.
	Groups

	// Sessions: the process leads a session.
	Sessions

	// StartErrors: a program that is not there makes Start fail. Without it such a
	// process ends by itself.
	StartErrors
)

// featureNames are those of the features, in order.
var featureNames = []string{"Programs", "Output", "Files", "Status", "Groups", "Sessions", "StartErrors"}

// String names the features in the set.
func (f Feature) String() string {
	var names []string
	for i, name := range featureNames {
		if f&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return fmt.Sprint(names)
}

// A StarterCase is a Starter to be tested.
type StarterCase struct {
	// Starter is what is tested. Required.
	Starter launcher.Starter

	// Lacks are the features that it does not have. The rules that need one of
	// them do not apply. 0: it has all.
	Lacks Feature

	// Shell is a POSIX shell that it can run. Empty: /bin/sh.
	Shell string
}

// TestStarter tests a Starter, and the Process that it starts. Each rule of the
// contract is a subtest with the rule's name, and calls newCase once, with its
// own t. A rule that does not apply is skipped, and says why. If not even the
// first one holds, that a process can be started and ended, the others are not
// tried.
func TestStarter(t *testing.T, newCase func(t *testing.T) StarterCase) {
	t.Helper()
	starterKit.Test(t, checkStarter(newCase))
}

// StarterRules yields the name of each rule for a Starter, and what it says.
func StarterRules() iter.Seq2[string, string] { return starterKit.Says() }

func checkStarter(newCase func(t *testing.T) StarterCase) conformance.Check[*starting] {
	return func(t *testing.T, r conformance.Rule[*starting]) error {
		s := &starting{StarterCase: newCase(t), dir: t.TempDir()}
		if s.Starter == nil {
			return errors.New("the Case is not complete: Starter is required")
		}
		if s.Shell == "" {
			s.Shell = shell
		}
		defer s.close()
		return s.calls.Guard("it", func() error { return r.Run(s) })
	}
}

// A starting is the subject of a rule, and what the rule has started.
type starting struct {
	StarterCase
	calls   conformance.Calls
	dir     string
	running []*running
	files   []*os.File
}

// close ends everything that the rule has left.
func (s *starting) close() {
	for _, f := range s.files {
		f.Close()
	}
	for _, r := range s.running {
		r.end()
	}
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
