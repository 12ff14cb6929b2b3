//go:build unix

package launchertest_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/google/uuid"
	"golang.org/x/sys/unix"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/launcher/launchertest"
	"github.com/podlaunch/podlaunch/runtimedir/conformance"
)

// A resolver is correct except for one thing.
type resolver struct {
	before func(req *launcher.Request)
	after  func(req launcher.Request, cmd *launcher.Command)
	fails  func(req launcher.Request, err error) error
}

func (r resolver) with(program string) launcher.CommandResolver {
	return launcher.CommandResolverFunc(func(ctx context.Context, req launcher.Request) (launcher.Command, error) {
		asked := req
		if r.before != nil {
			r.before(&asked)
		}
		cmd, err := launcher.PodCommand{Program: program}.ResolveCommand(ctx, asked)
		if err != nil && r.fails != nil {
			err = r.fails(req, err)
		}
		if err == nil && r.after != nil {
			r.after(req, &cmd)
		}
		return cmd, err
	})
}

// lastArgs is what the resolvers and Starters keep that are not made for goroutines.
var lastArgs struct {
	sync.Mutex
	kept, started []string
	calls         int
}

// unreaped are the processes that a wrong resolver has left.
var unreaped sync.Map

// reapLeft reaps them.
func reapLeft() {
	unreaped.Range(func(pid, _ any) bool {
		syscall.Wait4(pid.(int), nil, 0, nil)
		unreaped.Delete(pid)
		return true
	})
}

// shared are arguments that a wrong resolver returns time and again. A rule changes them.
var shared []string

// forgotten are the files that wrong resolvers have left open.
var forgotten sync.Map

// forget opens a file.
func forget() {
	if f, err := os.Open(os.DevNull); err == nil {
		forgotten.Store(f, nil)
	}
}

// closeForgotten closes them.
func closeForgotten() {
	forgotten.Range(func(f, _ any) bool {
		f.(*os.File).Close()
		forgotten.Delete(f)
		return true
	})
}

// keeping keeps each command that it has returned, for all Requests that are the same
// after change.
func keeping(change func(req *launcher.Request)) resolver {
	var commands sync.Map
	return resolver{after: func(req launcher.Request, cmd *launcher.Command) {
		cmd.Args = slices.Concat([]string{"--dir", req.RuntimeDir}, cmd.Args)
		change(&req)
		first, _ := commands.LoadOrStore(fmt.Sprintf("%#v", req), *cmd)
		*cmd = first.(launcher.Command)
		cmd.Args, cmd.Env = slices.Clone(cmd.Args), slices.Clone(cmd.Env)
	}}
}

// environ returns the variables that this process had at the first call.
var environ = sync.OnceValue(os.Environ)

// spoiltVariable is set by those that change the program that calls them.
const spoiltVariable = "LAUNCHERTEST_SPOILT"

// spoil changes the environment, each time to another one.
func spoil(*launcher.Request) { os.Setenv(spoiltVariable, uuid.NewString()) }

// The resolvers that are wrong. Every one is found by the rule that is there for
// it, and by no other.
var wrongResolvers = []struct {
	fault, rule string
	wrong       resolver
}{
	{"tells it to the program by a variable", "surroundings", resolver{before: spoil}},
	{"returns no path", "resolves", resolver{after: func(_ launcher.Request, cmd *launcher.Command) { cmd.Path = "" }}},
	{"returns a name", "absolute", resolver{after: func(_ launcher.Request, cmd *launcher.Command) { cmd.Path = "sh" }}},
	{"counts argv0 among the arguments", "argv0", resolver{after: func(_ launcher.Request, cmd *launcher.Command) {
		cmd.Args = append([]string{"sh"}, cmd.Args...)
	}}},
	{"splits the arguments", "args", resolver{before: func(req *launcher.Request) {
		req.Spec.Args = strings.Fields(strings.Join(req.Spec.Args, " "))
	}}},
	{"puts something behind the arguments", "args", resolver{after: func(req launcher.Request, cmd *launcher.Command) {
		if len(req.Spec.Args) > 2 {
			cmd.Args = append(cmd.Args, "--verbose")
		}
	}}},
	{"leaves out empty arguments", "args", resolver{before: func(req *launcher.Request) {
		req.Spec.Args = slices.DeleteFunc(slices.Clone(req.Spec.Args), func(arg string) bool { return arg == "" })
	}}},
	{"leaves out an empty argument in front", "args", resolver{before: func(req *launcher.Request) {
		if args := req.Spec.Args; len(args) > 0 && args[0] == "" {
			req.Spec.Args = args[1:]
		}
	}}},
	{"leaves out repeated arguments", "args", resolver{before: func(req *launcher.Request) {
		req.Spec.Args = slices.Compact(slices.Clone(req.Spec.Args))
	}}},
	{"trims the arguments", "args", resolver{before: func(req *launcher.Request) {
		req.Spec.Args = slices.Clone(req.Spec.Args)
		for i, arg := range req.Spec.Args {
			req.Spec.Args[i] = strings.TrimSpace(arg)
		}
	}}},
	{"puts the name into Spec.Args", "args", resolver{before: func(req *launcher.Request) {
		req.Spec.Args = slices.Clone(req.Spec.Args)
		for i, arg := range req.Spec.Args {
			req.Spec.Args[i] = strings.ReplaceAll(arg, "{name}", req.Spec.Name)
		}
	}}},
	{"keeps the first of several values", "env", resolver{after: func(_ launcher.Request, cmd *launcher.Command) {
		seen := make(map[string]bool)
		cmd.Env = slices.DeleteFunc(cmd.Env, func(e string) bool {
			name, _, _ := strings.Cut(e, "=")
			again := seen[name]
			seen[name] = true
			return again
		})
	}}},
	{"cuts a value at its second =", "env", resolver{after: func(_ launcher.Request, cmd *launcher.Command) {
		for i, e := range cmd.Env {
			if parts := strings.Split(e, "="); len(parts) > 2 {
				cmd.Env[i] = parts[0] + "=" + parts[1]
			}
		}
	}}},
	{"drops variables that are empty", "env", resolver{after: func(_ launcher.Request, cmd *launcher.Command) {
		if cmd.Env != nil {
			cmd.Env = slices.DeleteFunc(slices.Clone(cmd.Env), func(e string) bool { return strings.HasSuffix(e, "=") })
		}
	}}},
	{"adds the caller's variables to Env", "env-alone", resolver{after: func(_ launcher.Request, cmd *launcher.Command) {
		if cmd.Env != nil {
			cmd.Env = append(os.Environ(), cmd.Env...)
		}
	}}},
	{"adds the caller's variables to an Env that is empty", "env-alone", resolver{after: func(_ launcher.Request, cmd *launcher.Command) {
		if cmd.Env != nil && len(cmd.Env) == 0 {
			cmd.Env = os.Environ()
		}
	}}},
	{"has variables of its own only", "env-nil", resolver{after: func(_ launcher.Request, cmd *launcher.Command) {
		if cmd.Env == nil {
			cmd.Env = []string{"LANG=C"}
		}
	}}},
	{"reads the caller's variables once", "env-nil", resolver{after: func(_ launcher.Request, cmd *launcher.Command) {
		if cmd.Env == nil {
			cmd.Env = slices.Clone(environ())
		}
	}}},
	{"copies Env with append", "env-empty", resolver{after: func(_ launcher.Request, cmd *launcher.Command) {
		cmd.Env = append([]string(nil), cmd.Env...)
	}}},
	{"drops the overlay", "overlay", resolver{before: func(req *launcher.Request) { req.Spec.Overlay = "" }}},
	{"ignores OverlayPath", "overlay-path", resolver{before: func(req *launcher.Request) { req.OverlayPath = "" }}},
	{"drops the session", "session", resolver{before: func(req *launcher.Request) { req.Spec.Session = uuid.Nil }}},
	{"sorts Env where it is", "request", resolver{before: func(req *launcher.Request) { slices.Sort(req.Spec.Env) }}},
	{"sorts Args where they are", "request", resolver{before: func(req *launcher.Request) {
		given := req.Spec.Args
		req.Spec.Args = slices.Clone(given)
		slices.Sort(given)
	}}},
	{"expands the arguments where they are", "request", resolver{after: func(req launcher.Request, _ *launcher.Command) {
		for i, arg := range req.Spec.Args {
			req.Spec.Args[i] = os.ExpandEnv(arg)
		}
	}}},
	{"takes empty arguments out where they are", "request", resolver{after: func(req launcher.Request, _ *launcher.Command) {
		_ = slices.DeleteFunc(req.Spec.Args, func(arg string) bool { return arg == "" })
	}}},
	{"appends to Env where it is", "request", resolver{after: func(req launcher.Request, cmd *launcher.Command) {
		if cap(req.Spec.Env) > len(req.Spec.Env) {
			cmd.Env = append(req.Spec.Env, "MORE=1")
		}
	}}},
	{"returns Env where it is", "own", resolver{after: func(req launcher.Request, cmd *launcher.Command) {
		cmd.Env = req.Spec.Env
	}}},
	{"returns Args where they are", "own", resolver{after: func(req launcher.Request, cmd *launcher.Command) {
		if slices.Equal(req.Spec.Args, []string{"a", "b"}) {
			if shared == nil {
				shared = cmd.Args
			}
			cmd.Args = shared
		}
	}}},
	{"is another the next time", "again", resolver{after: func(req launcher.Request, cmd *launcher.Command) {
		if !slices.Equal(req.Spec.Args, []string{"a"}) {
			return
		}
		lastArgs.Lock()
		defer lastArgs.Unlock()
		lastArgs.calls++
		cmd.Args = append([]string{fmt.Sprintf("--call=%d", lastArgs.calls)}, cmd.Args...)
	}}},
	{"keeps the arguments in a variable", "concurrent", resolver{after: func(req launcher.Request, cmd *launcher.Command) {
		if len(req.Spec.Args) != 1 || !strings.HasPrefix(req.Spec.Args[0], "--number") {
			return
		}
		lastArgs.Lock()
		defer lastArgs.Unlock()
		if lastArgs.kept == nil {
			lastArgs.kept = cmd.Args
		}
		cmd.Args = lastArgs.kept
	}}},
	{"keeps the command for any runtime directory", "next", keeping(func(req *launcher.Request) { req.RuntimeDir = filepath.Dir(req.RuntimeDir) })},
	{"keeps the command for any environment", "next", keeping(func(req *launcher.Request) { req.Spec.Env = nil })},
	{"leaves a descriptor", "leaves-nothing", resolver{after: func(launcher.Request, *launcher.Command) { forget() }}},
	{"leaves a descriptor where there is no program", "leaves-nothing", resolver{fails: func(_ launcher.Request, err error) error {
		forget()
		return err
	}}},
	{"makes the runtime directory", "creates-nothing", resolver{after: func(req launcher.Request, _ *launcher.Command) {
		os.MkdirAll(req.RuntimeDir, 0o700)
	}}},
	{"writes a file beside the runtime directory", "creates-nothing", resolver{after: func(req launcher.Request, _ *launcher.Command) {
		os.WriteFile(req.RuntimeDir+".toml", nil, 0o600)
	}}},
	{"writes the overlay into a temporary file", "creates-nothing", resolver{after: func(req launcher.Request, _ *launcher.Command) {
		if f, err := os.CreateTemp("", "overlay"); err == nil {
			f.WriteString(req.Spec.Overlay)
			f.Close()
		}
	}}},
	{"writes the same temporary file again", "creates-nothing", resolver{after: func(launcher.Request, *launcher.Command) {
		os.WriteFile(filepath.Join(os.TempDir(), "launchertest-overlay"), nil, 0o600)
	}}},
	{"asks a program", "creates-nothing", resolver{after: func(launcher.Request, *launcher.Command) {
		exec.Command("/bin/sh", "-c", ":").Run()
	}}},
	{"leaves a process", "creates-nothing", resolver{after: func(launcher.Request, *launcher.Command) {
		if pid, err := syscall.ForkExec("/bin/sh", []string{"sh", "-c", ":"}, nil); err == nil {
			unreaped.Store(pid, nil)
		}
	}}},
	{"hides what was not found", "not-found", resolver{fails: func(_ launcher.Request, err error) error {
		return errors.New(err.Error())
	}}},
	{"does not say where it looked", "not-found-where", resolver{fails: func(launcher.Request, error) error { return exec.ErrNotFound }}},
	{"quotes the overlay", "secrets", resolver{fails: func(req launcher.Request, err error) error {
		return fmt.Errorf("%w (overlay %s)", err, req.Spec.Overlay)
	}}},
}

// Every wrong resolver is found by the rule that is there for it, and by no
// other; and there is one for each rule.
func TestWrongResolvers(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir()) // some leave files there
	defer reapLeft()
	defer closeForgotten()
	defer func() { shared = nil }()
	defer os.Unsetenv(spoiltVariable)
	proof := conformance.NewProof(launchertest.CommandRules())
	for _, c := range wrongResolvers {
		t.Run(c.fault, func(t *testing.T) {
			proof.Finds(t, func(only ...string) map[string]error {
				return launchertest.BrokenCommand(t, func(*testing.T) launchertest.CommandCase {
					return launchertest.CommandCase{Resolver: c.wrong.with("/bin/sh"), Missing: c.wrong.with("no-such-program")}
				}, only...)
			}, c.rule)
		})
	}
	t.Run("ends otherwise when ctx is done", func(t *testing.T) {
		wrong := launcher.CommandResolverFunc(func(ctx context.Context, req launcher.Request) (launcher.Command, error) {
			if ctx.Err() != nil {
				return launcher.Command{}, errors.New("no time")
			}
			return launcher.Path("/bin/sh").ResolveCommand(ctx, req)
		})
		proof.Finds(t, func(only ...string) map[string]error {
			return launchertest.BrokenCommand(t, func(*testing.T) launchertest.CommandCase {
				return launchertest.CommandCase{Resolver: wrong}
			}, only...)
		}, "done")
	})
	t.Run("leaves a goroutine", func(t *testing.T) {
		over := t.Context()
		wrong := resolver{after: func(launcher.Request, *launcher.Command) { go func() { <-over.Done() }() }}
		proof.Finds(t, func(only ...string) map[string]error {
			return launchertest.BrokenCommand(t, func(*testing.T) launchertest.CommandCase {
				return launchertest.CommandCase{Resolver: wrong.with("/bin/sh")}
			}, only...)
		}, "leaves-nothing")
	})
	t.Run("writes a file beside the program", func(t *testing.T) {
		program := filepath.Join(t.TempDir(), "pod")
		if err := os.WriteFile(program, nil, 0o700); err != nil {
			t.Fatal(err)
		}
		wrong := resolver{after: func(req launcher.Request, _ *launcher.Command) {
			if req.Spec.Session != uuid.Nil {
				os.WriteFile(program+".session", nil, 0o600)
			}
		}}
		proof.Finds(t, func(only ...string) map[string]error {
			return launchertest.BrokenCommand(t, func(*testing.T) launchertest.CommandCase {
				return launchertest.CommandCase{Resolver: wrong.with(program)}
			}, only...)
		}, "creates-nothing")
	})
	proof.Complete(t)
}

// What others create meanwhile is not blamed on a resolver that creates nothing.
func TestOthersLeaveTraces(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	over, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for i := 0; ; i++ {
			select {
			case <-over:
				return
			default:
				os.WriteFile(filepath.Join(dir, fmt.Sprint("others-", i%100)), nil, 0o600)
				exec.Command("/bin/sh", "-c", ":").Run()
			}
		}
	}()
	if err := launchertest.BrokenCommand(t, func(*testing.T) launchertest.CommandCase {
		return launchertest.CommandCase{Resolver: launcher.Path("/bin/sh")}
	}, "creates-nothing")["creates-nothing"]; err != nil {
		t.Error(err)
	}
	close(over)
	<-ended
}

// A starter is correct except for one thing.
type starter struct {
	launcher.Starter
	before  func(req *launcher.StartRequest)
	start   func(ctx context.Context, s launcher.Starter, req launcher.StartRequest) (launcher.Process, error)
	process func(p launcher.Process) launcher.Process
}

func (s starter) Start(ctx context.Context, req launcher.StartRequest) (launcher.Process, error) {
	if s.before != nil {
		s.before(&req)
	}
	start := s.start
	if start == nil {
		start = func(ctx context.Context, s launcher.Starter, req launcher.StartRequest) (launcher.Process, error) {
			return s.Start(ctx, req)
		}
	}
	p, err := start(ctx, s.Starter, req)
	if err == nil && p != nil && s.process != nil {
		p = s.process(p)
	}
	return p, err
}

// A process is correct except for one thing.
type process struct {
	launcher.Process
	wait    func(p launcher.Process, ctx context.Context) (launcher.Exit, error)
	signal  func(p launcher.Process, ctx context.Context, sig os.Signal) error
	reap    func(p launcher.Reaper, ctx context.Context) error
	release func(p launcher.Releaser)
	pid     func(p launcher.Process) int
}

func (p process) Wait(ctx context.Context) (launcher.Exit, error) {
	if p.wait != nil {
		return p.wait(p.Process, ctx)
	}
	return p.Process.Wait(ctx)
}

func (p process) Signal(ctx context.Context, sig os.Signal) error {
	if p.signal != nil {
		return p.signal(p.Process, ctx, sig)
	}
	return p.Process.Signal(ctx, sig)
}

func (p process) PID() int {
	if p.pid != nil {
		return p.pid(p.Process)
	}
	return p.Process.PID()
}

func (p process) Reap(ctx context.Context) error {
	if p.reap != nil {
		return p.reap(p.Process.(launcher.Reaper), ctx)
	}
	return p.Process.(launcher.Reaper).Reap(ctx)
}

func (p process) Release() {
	if p.release != nil {
		p.release(p.Process.(launcher.Releaser))
		return
	}
	p.Process.(launcher.Releaser).Release()
}

func processes(p process) starter {
	return starter{process: func(right launcher.Process) launcher.Process {
		p := p
		p.Process = right
		return p
	}}
}

// exits changes what Wait tells.
func exits(change func(exit launcher.Exit) launcher.Exit) starter {
	return processes(process{wait: func(p launcher.Process, ctx context.Context) (launcher.Exit, error) {
		exit, err := p.Wait(ctx)
		if err == nil {
			exit = change(exit)
		}
		return exit, err
	}})
}

// unreaping does not reap: it closes its descriptor, and no more.
var unreaping = processes(process{
	reap: func(p launcher.Reaper, _ context.Context) error {
		p.(launcher.Releaser).Release()
		return nil
	},
	signal: func(p launcher.Process, ctx context.Context, sig os.Signal) error {
		if _, err := p.Wait(over()); err == nil {
			return os.ErrProcessDone
		}
		return p.Signal(ctx, sig)
	},
})

// signalsAfter believes after Reap, or after Release, that the number of the group is
// still its own.
func signalsAfter(reaped, released bool) starter {
	return starter{process: func(right launcher.Process) launcher.Process {
		var over atomic.Bool
		return process{
			Process: right,
			reap: func(p launcher.Reaper, ctx context.Context) error {
				over.Store(reaped)
				return p.Reap(ctx)
			},
			release: func(p launcher.Releaser) {
				over.Store(released)
				p.Release()
			},
			signal: func(p launcher.Process, ctx context.Context, sig os.Signal) error {
				if over.Load() {
					syscall.Kill(-p.PID(), sig.(syscall.Signal))
					return os.ErrProcessDone
				}
				return p.Signal(ctx, sig)
			},
		}
	}}
}

// wrapped has a shell do something before it becomes the program.
func wrapped(script string) starter {
	return starter{before: func(req *launcher.StartRequest) {
		if _, err := os.Stat(req.Command.Path); err != nil {
			return
		}
		req.Command.Args = append([]string{"-c", script + `; exec "$0" "$@"`, req.Command.Path}, req.Command.Args...)
		req.Command.Path = "/bin/sh"
	}}
}

// withoutStdin is wrong where the request has no Stdin, and right otherwise.
func withoutStdin(wrong starter) starter {
	return starter{before: func(req *launcher.StartRequest) {
		if req.Stdin == nil {
			wrong.before(req)
		}
	}}
}

// kept are files that wrong starters leave open.
var kept []*os.File

// The Starters that are wrong with every kind of process, tried with processes in memory.
// For each there is one rule that finds it; no other rule does.
var wrongInMemory = []struct {
	fault, rule string
	wrong       starter
}{
	{"returns nothing", "starts", starter{start: func(context.Context, launcher.Starter, launcher.StartRequest) (launcher.Process, error) {
		return nil, nil
	}}},
	{"does not wait", "wait-runs", processes(process{wait: func(p launcher.Process, ctx context.Context) (launcher.Exit, error) {
		if _, err := p.Wait(over()); err != nil && ctx.Done() == nil {
			return launcher.Exit{}, errors.New("busy")
		}
		return p.Wait(ctx)
	}})},
	{"returns ctx.Err", "wait-ctx", processes(process{wait: func(p launcher.Process, ctx context.Context) (launcher.Exit, error) {
		exit, err := p.Wait(ctx)
		if err != nil {
			err = ctx.Err()
		}
		return exit, err
	}})},
	{"looks at ctx first", "wait-looks", processes(process{wait: func(p launcher.Process, ctx context.Context) (launcher.Exit, error) {
		if ctx.Err() != nil {
			return launcher.Exit{}, context.Cause(ctx)
		}
		return p.Wait(ctx)
	}})},
	{"ends the process when ctx is done", "wait-spares", processes(process{wait: func(p launcher.Process, ctx context.Context) (launcher.Exit, error) {
		exit, err := p.Wait(ctx)
		if err != nil && ctx.Err() != nil {
			p.Signal(context.Background(), syscall.SIGKILL)
		}
		return exit, err
	}})},
	{"waits in Signal for the end", "signal-ctx", processes(process{signal: func(p launcher.Process, ctx context.Context, sig os.Signal) error {
		err := p.Signal(ctx, sig)
		if err == nil {
			p.Wait(context.Background())
		}
		return err
	}})},
	{"has one Signal wait for the other", "signal-ctx", starter{process: func(right launcher.Process) launcher.Process {
		turn := make(chan struct{}, 1)
		return process{Process: right, signal: func(p launcher.Process, ctx context.Context, sig os.Signal) error {
			turn <- struct{}{}
			defer func() { <-turn }()
			err := p.Signal(ctx, sig)
			if err == nil {
				p.Wait(ctx)
			}
			return err
		}}
	}}},
	{"tells the end once", "wait-same", starter{process: func(right launcher.Process) launcher.Process {
		var once sync.Once
		return process{Process: right, wait: func(p launcher.Process, ctx context.Context) (exit launcher.Exit, err error) {
			if exit, err = p.Wait(ctx); err != nil || ctx.Err() != nil {
				return exit, err
			}
			err = errors.New("Wait was already called")
			once.Do(func() { err = nil })
			return exit, err
		}}
	}}},
	{"does not know that it is gone", "signal-gone", processes(process{signal: func(p launcher.Process, ctx context.Context, sig os.Signal) error {
		if err := p.Signal(ctx, sig); !errors.Is(err, os.ErrProcessDone) {
			return err
		}
		return nil
	}})},
	{"ends the process with the ctx of Start", "start-ctx", starter{start: func(ctx context.Context, s launcher.Starter, req launcher.StartRequest) (launcher.Process, error) {
		p, err := s.Start(ctx, req)
		if err == nil {
			context.AfterFunc(ctx, func() { p.Signal(context.Background(), syscall.SIGKILL) })
		}
		return p, err
	}}},
	{"says something else when ctx is done", "start-done", starter{start: func(ctx context.Context, s launcher.Starter, req launcher.StartRequest) (launcher.Process, error) {
		if ctx.Err() != nil {
			return nil, errors.New("no time")
		}
		return s.Start(ctx, req)
	}}},
	{"sorts the environment where it is", "request", starter{before: func(req *launcher.StartRequest) { slices.Sort(req.Command.Env) }}},
	{"tells it to the program by a variable", "surroundings", starter{before: func(*launcher.StartRequest) { spoil(nil) }}},
	{"closes the log", "files-open", starter{before: func(req *launcher.StartRequest) {
		if req.Stderr != nil {
			req.Stderr.Close()
		}
	}}},
	{"leaves a descriptor", "leaves-nothing", starter{before: func(*launcher.StartRequest) {
		if f, err := os.Open(os.DevNull); err == nil {
			kept = append(kept, f)
		}
	}}},
	{"says that killed ones have exited", "killed", exits(func(exit launcher.Exit) launcher.Exit {
		if exit.Signal == syscall.SIGKILL {
			return launcher.Exit{Code: 137, Known: true}
		}
		return exit
	})},
}

// The Starters that do wrong by a program, tried with real ones.
var wrongWithPrograms = []struct {
	fault, rule string
	wrong       starter
}{
	{"knows no status but 0 and 1", "exit-code", exits(func(exit launcher.Exit) launcher.Exit {
		if exit.Code != 4 && exit.Code != 7 { // for the sake of other rules
			exit.Code = min(exit.Code, 1)
		}
		return exit
	})},
	{"tells a signal as a shell does", "exit-signal", exits(func(exit launcher.Exit) launcher.Exit {
		if exit.Signal == syscall.SIGTERM {
			return launcher.Exit{Code: 128 + int(exit.Signal), Known: true}
		}
		return exit
	})},
	{"always kills", "signal-kind", processes(process{signal: func(p launcher.Process, ctx context.Context, _ os.Signal) error {
		return p.Signal(ctx, syscall.SIGKILL)
	}})},
	{"signals the leader alone", "signal-group", processes(process{signal: func(p launcher.Process, ctx context.Context, sig os.Signal) error {
		if err := p.Signal(ctx, syscall.Signal(0)); err != nil {
			return err
		}
		return syscall.Kill(p.PID(), sig.(syscall.Signal))
	}})},
	{"does not reap", "reap", starter{start: func(ctx context.Context, s launcher.Starter, req launcher.StartRequest) (launcher.Process, error) {
		if !slices.Contains(req.Command.Args, "exec sleep 60") {
			return s.Start(ctx, req)
		}
		return unreaping.with(s).Start(ctx, req)
	}}},
	{"waits for the end after SIGTERM", "signal-ctx", processes(process{signal: func(p launcher.Process, ctx context.Context, sig os.Signal) error {
		err := p.Signal(ctx, sig)
		if err == nil && sig == syscall.SIGTERM {
			p.Wait(context.Background())
		}
		return err
	}})},
	{"signals whoever has the number after Reap", "signal-over", signalsAfter(true, false)},
	{"signals whoever has the number after Release", "signal-over", signalsAfter(false, true)},
	{"does not wait for the group", "reap-group", processes(process{reap: func(p launcher.Reaper, _ context.Context) error {
		syscall.Wait4(p.(launcher.Process).PID(), nil, 0, nil)
		p.(launcher.Releaser).Release() // its descriptor is closed
		return nil
	}})},
	{"kills what it releases", "release", processes(process{release: func(p launcher.Releaser) {
		p.(launcher.Process).Signal(context.Background(), syscall.SIGKILL)
	}})},
	{"expands the arguments", "args", starter{before: func(req *launcher.StartRequest) {
		req.Command.Args = slices.Clone(req.Command.Args)
		for i, arg := range req.Command.Args[2:] {
			req.Command.Args[2+i] = os.ExpandEnv(arg)
		}
	}}},
	{"takes the first of several values", "env", starter{before: func(req *launcher.StartRequest) {
		var once []string
		for _, e := range req.Command.Env {
			name, _, _ := strings.Cut(e, "=")
			if !slices.ContainsFunc(once, func(other string) bool { return strings.HasPrefix(other, name+"=") }) {
				once = append(once, e)
			}
		}
		req.Command.Env = once
	}}},
	{"adds to the environment", "env-alone", starter{before: func(req *launcher.StartRequest) {
		if req.Command.Env != nil {
			req.Command.Env = append(slices.Clone(req.Command.Env), "MORE=1")
		}
	}}},
	{"takes nil for no environment", "env-nil", starter{before: func(req *launcher.StartRequest) {
		if req.Command.Env == nil {
			req.Command.Env = []string{"PATH=" + os.Getenv("PATH")}
		}
	}}},
	{"stays where it is", "workdir", starter{before: func(req *launcher.StartRequest) { req.WorkDir = "/" }}},
	{"leaves something on stdin", "stdin", withoutStdin(wrapped("exec 0<<END\nsomething\nEND\n:"))},
	{"closes stdin", "stdin", withoutStdin(wrapped("exec 0<&-"))},
	{"drops Stdin", "stdin-file", starter{before: func(req *launcher.StartRequest) { req.Stdin = nil }}},
	{"closes Stdin", "stdin-file", starter{start: func(ctx context.Context, s launcher.Starter, req launcher.StartRequest) (launcher.Process, error) {
		p, err := s.Start(ctx, req)
		req.Stdin.Close() // also of nil
		return p, err
	}}},
	{"has stderr in stdout's place", "output", starter{before: func(req *launcher.StartRequest) {
		if req.Stderr != nil && req.Stdout != nil {
			req.Stderr = req.Stdout
		}
	}}},
	{"closes an output that nobody wants", "output-nil", starter{start: func(ctx context.Context, s launcher.Starter, req launcher.StartRequest) (launcher.Process, error) {
		if req.Stdout == nil && req.Stderr == nil {
			return wrapped("exec 1>&- 2>&-").with(s).Start(ctx, req)
		}
		return s.Start(ctx, req)
	}}},
	{"closes up the files", "files", starter{before: func(req *launcher.StartRequest) {
		req.Files = slices.DeleteFunc(slices.Clone(req.Files), func(f *os.File) bool { return f == nil })
	}}},
	{"hands over what it has open", "files-only", starter{start: inherits}},
	{"tells another pid", "pid", starter{start: func(ctx context.Context, s launcher.Starter, req launcher.StartRequest) (launcher.Process, error) {
		if slices.Contains(req.Command.Args, "echo $$") {
			return processes(process{pid: func(p launcher.Process) int { return p.PID() + 1 }}).with(s).Start(ctx, req)
		}
		return s.Start(ctx, req)
	}}},
	{"drops PIDEnv", "pid-env", starter{before: func(req *launcher.StartRequest) { req.PIDEnv = nil }}},
	{"leads no session", "session", starter{start: func(ctx context.Context, s launcher.Starter, req launcher.StartRequest) (launcher.Process, error) {
		if !slices.Contains(req.Command.Args, "exec sleep 60") {
			return s.Start(ctx, req)
		}
		return processes(process{pid: func(p launcher.Process) int {
			if _, err := p.Wait(over()); err != nil {
				return os.Getpid() // of another session
			}
			return p.PID()
		}}).with(s).Start(ctx, req)
	}}},
	{"mixes up what comes at once", "concurrent", starter{start: mixed}},
	{"returns a process that never was", "fails", starter{start: func(ctx context.Context, s launcher.Starter, req launcher.StartRequest) (launcher.Process, error) {
		p, err := s.Start(ctx, req)
		if err != nil && ctx.Err() == nil {
			p = new(launchertest.Process)
		}
		return p, err
	}}},
	{"keeps the null device when it fails", "fails-clean", starter{start: func(ctx context.Context, s launcher.Starter, req launcher.StartRequest) (launcher.Process, error) {
		p, err := s.Start(ctx, req)
		if f, openErr := os.Open(os.DevNull); err != nil && openErr == nil {
			kept = append(kept, f)
		} else if openErr == nil {
			f.Close()
		}
		return p, err
	}}},
}

func (s starter) with(right launcher.Starter) starter {
	s.Starter = right
	return s
}

// over returns a ctx that is done.
func over() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

// inherits starts a process that gets all descriptors of this program that are not closed
// on exec, except the first few, which may be the test's.
func inherits(ctx context.Context, s launcher.Starter, req launcher.StartRequest) (launcher.Process, error) {
	const few = 6
	open, err := os.ReadDir("/dev/fd")
	if err != nil {
		return nil, err
	}
	req.Files = slices.Clone(req.Files)
	for _, e := range open {
		fd, err := strconv.Atoi(e.Name())
		if err != nil || fd < few {
			continue
		}
		flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
		if err != nil || flags&unix.FD_CLOEXEC != 0 {
			continue
		}
		twin, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			continue
		}
		f := os.NewFile(uintptr(twin), "inherited")
		defer f.Close()
		for len(req.Files) <= fd-3 {
			req.Files = append(req.Files, nil)
		}
		req.Files[fd-3] = f
	}
	return s.Start(ctx, req)
}

// mixed always starts the program of its first request, even for later requests.
func mixed(ctx context.Context, s launcher.Starter, req launcher.StartRequest) (launcher.Process, error) {
	if slices.Contains(req.Command.Args, "echo number $1") {
		lastArgs.Lock()
		if lastArgs.started == nil {
			lastArgs.started = req.Command.Args
		}
		req.Command.Args = lastArgs.started
		lastArgs.Unlock()
	}
	return s.Start(ctx, req)
}

// findsNobody is a Finder that has forgotten what it has started.
type findsNobody struct{ launcher.Starter }

func (findsNobody) Find(context.Context, string, uuid.UUID) (launcher.Process, error) {
	return nil, os.ErrProcessDone
}

// snapshotsLack is a Snapshotter whose snapshots lack all that it starts.
type snapshotsLack struct {
	launchertest.Starter
	started sync.Map // the processes, by the id of their launch
}

func (s *snapshotsLack) Start(ctx context.Context, req launcher.StartRequest) (launcher.Process, error) {
	p, err := s.Starter.Start(ctx, req)
	if err == nil {
		s.started.Store(req.ID, p)
	}
	return p, err
}

func (s *snapshotsLack) Find(_ context.Context, _ string, id uuid.UUID) (launcher.Process, error) {
	p, ok := s.started.Load(id)
	if !ok {
		return nil, os.ErrProcessDone
	}
	select {
	case <-p.(*launchertest.Process).Done():
		return nil, os.ErrProcessDone
	default:
		return p.(launcher.Process), nil
	}
}

func (s *snapshotsLack) Snapshot() launcher.Finder { return findsNobody{s} }

// Every wrong Starter is found by the rule that is there for it, and by no
// other; and there is one for each rule.
func TestWrongStarters(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped with -short: it takes the kit for each wrong Starter")
	}
	defer func() {
		for _, f := range kept {
			f.Close()
		}
		kept = nil
		os.Unsetenv(spoiltVariable)
	}()
	proof := conformance.NewProof(launchertest.StarterRules())
	inMemory := func(wrong launcher.Starter, rule string) func(t *testing.T) {
		return func(t *testing.T) {
			proof.Finds(t, func(only ...string) map[string]error {
				return launchertest.BrokenInMemory(t, func(*testing.T) launchertest.StarterCase {
					return launchertest.StarterCase{Starter: wrong, Lacks: launchertest.Programs}
				}, only...)
			}, rule)
		}
	}
	t.Run("finds nobody", inMemory(findsNobody{new(launchertest.Starter)}, "find"))
	t.Run("snapshots lack it", inMemory(new(snapshotsLack), "snapshot"))
	for _, c := range wrongInMemory {
		t.Run(c.fault, inMemory(c.wrong.with(new(launchertest.Starter)), c.rule))
	}
	for _, c := range wrongWithPrograms {
		t.Run(c.fault, func(t *testing.T) {
			proof.Finds(t, func(only ...string) map[string]error {
				return launchertest.BrokenStarter(t, func(*testing.T) launchertest.StarterCase {
					return launchertest.StarterCase{Starter: c.wrong.with(launcher.Local{})}
				}, only...)
			}, c.rule)
		})
	}
	proof.Complete(t)
}
