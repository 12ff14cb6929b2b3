package launcher_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/launcher/internal/leaktest"
	"github.com/podlaunch/podlaunch/launcher/internal/podrig"
	"github.com/podlaunch/podlaunch/readiness"
)

// facts is a script that writes into $OUT what a process finds when it starts, and is
// ready then. exec.Cmd is to run it as well as a launch.
const facts = `exec >"$OUT"
tr '\0' '\n' </proc/$$/cmdline
tr '\0' '\n' </proc/$$/environ | grep -v -e ^POD_ -e ^_= -e ^OUT= | sort
pwd; id -u; id -g
echo stdin; cat
for fd in 3 4 5; do readlink /proc/$$/fd/$fd || echo none; done
read -r pid name state parent group rest </proc/$$/stat && [ "$group" = $$ ] && echo leads
printf 'INSOMNIA-READY\talice\t/nowhere\n' >&2
exec >/dev/null
`

// cmdRig returns a rig whose probe is content with the ready line.
func cmdRig(t *testing.T) *rig {
	t.Helper()
	r := newRig(t)
	r.L.Ready = readiness.ReadyLine{}
	return r
}

// fromCmd has the rig launch cmd.
func (r *rig) fromCmd(cmd *exec.Cmd) (*launcher.Pod, error) {
	r.T.Helper()
	spec, command, err := launcher.FromCmd(cmd)
	if err != nil {
		return nil, err
	}
	spec.Name, r.L.Command = "alice", command
	pod, err := r.L.Launch(r.T.Context(), spec)
	if err == nil {
		r.T.Cleanup(func() {
			if err := pod.Kill(context.Background()); err != nil {
				r.T.Error(err)
			}
			if cmd.Process != nil {
				cmd.Process.Release()
			}
		})
	}
	return pod, err
}

// opened opens a file that holds text.
func opened(t *testing.T, text string) *os.File {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// A pod finds what os/exec gives the same Cmd: its arguments and its name, its
// environment and PWD, its directory, its user, its stdin and its files.
func TestFromCmdIsAsWithExec(t *testing.T) {
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	script := filepath.Join(t.TempDir(), "facts")
	if err := os.WriteFile(script, []byte("#!/bin/sh\n"+facts), 0o755); err != nil {
		t.Fatal(err)
	}
	relative, err := filepath.Rel(dir, script)
	if err != nil {
		t.Fatal(err)
	}
	extra, hello := opened(t, ""), opened(t, "hello\n")
	for fd := 3; fd <= 5; fd++ { // what this program may have inherited goes to a child of os/exec, and to no pod
		syscall.CloseOnExec(fd)
	}
	for _, c := range []struct {
		name   string
		change func(cmd *exec.Cmd)
	}{
		{"as it is", func(*exec.Cmd) {}},
		{"another argv[0]", func(cmd *exec.Cmd) { cmd.Args[0] = "other" }},
		{"no arguments", func(cmd *exec.Cmd) { cmd.Path, cmd.Args = script, nil }},
		{"a path from the directory", func(cmd *exec.Cmd) { cmd.Path, cmd.Args, cmd.Dir = relative, []string{script, "a"}, dir }},
		{"a directory", func(cmd *exec.Cmd) { cmd.Dir = dir }},
		{"an environment", func(cmd *exec.Cmd) { cmd.Env = append(cmd.Environ(), "A=1", "A=2", "B=") }},
		{"a file as stdin", func(cmd *exec.Cmd) {
			if _, err := hello.Seek(0, 0); err != nil {
				t.Error(err)
			}
			cmd.Stdin = hello
		}},
		{"files", func(cmd *exec.Cmd) { cmd.ExtraFiles = []*os.File{extra, nil, extra} }},
		{"its own group", func(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }},
		{"its own session", func(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} }},
		{"another group id", func(cmd *exec.Cmd) {
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(os.Getuid()), Gid: uint32(os.Getgid()), NoSetGroups: true}}
			if os.Getuid() == 0 {
				cmd.SysProcAttr.Credential.Gid = 65533
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var wrote [2]string
			for i := range wrote {
				r := cmdRig(t)
				out := filepath.Join(r.Base, "out")
				t.Setenv("OUT", out)
				cmd := exec.Command("sh", "-c", facts, "sh", "one", "", "three words here")
				if c.change(cmd); cmd.Env != nil {
					cmd.Env = append(cmd.Env, "OUT="+out)
				}
				if i == 0 {
					if cmd.SysProcAttr == nil { // a pod leads a group anyway
						cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
					} else {
						cmd.SysProcAttr.Setpgid = !cmd.SysProcAttr.Setsid
					}
					if err := cmd.Run(); err != nil {
						t.Fatal(err)
					}
				} else if _, err := r.fromCmd(cmd); err != nil && !errors.Is(err, launcher.ErrExitedEarly) {
					t.Fatal(err)
				}
				data, err := os.ReadFile(out)
				if err != nil {
					t.Fatal(err)
				}
				wrote[i] = string(data)
			}
			// os/exec leaves the path as it was given, and a pod finds where it is.
			wrote[0] = strings.Replace(wrote[0], "\n"+relative+"\n", "\n"+script+"\n", 1)
			if rest, ok := strings.CutPrefix(wrote[0], "sh\n"); ok {
				wrote[0] = sh + "\n" + rest
			}
			if wrote[0] != wrote[1] || wrote[0] == "" {
				t.Errorf("os/exec:\n%s\na launch:\n%s", wrote[0], wrote[1])
			}
		})
	}
}

// What has no meaning for a pod is refused by its name, before anything is started.
func TestFromCmdRefuses(t *testing.T) {
	started := exec.Command("/bin/true")
	if err := started.Run(); err != nil {
		t.Fatal(err)
	}
	piped := func(pipe func(cmd *exec.Cmd) error) *exec.Cmd {
		cmd := exec.Command("/bin/true")
		if err := pipe(cmd); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { cmd.Run() }) // it closes them
		return cmd
	}
	for _, c := range []struct {
		name string
		cmd  *exec.Cmd
		want error
		says string
	}{
		{"nil", nil, launcher.ErrInvalidSpec, "nil"},
		{"none", &exec.Cmd{}, launcher.ErrInvalidSpec, "Path"},
		{"started", started, launcher.ErrInvalidSpec, "Process"},
		{"a context", exec.CommandContext(t.Context(), "/bin/true"), launcher.ErrInvalidSpec, "Pod.StopWith"},
		{"Cancel", &exec.Cmd{Path: "/bin/true", Cancel: func() error { return nil }}, launcher.ErrInvalidSpec, "Cancel"},
		{"no program", exec.Command("no-such-program"), exec.ErrNotFound, "no-such-program"},
		{"a reader", &exec.Cmd{Path: "/bin/true", Stdin: strings.NewReader("x")}, launcher.ErrInvalidSpec, "Stdin is a *strings.Reader"},
		{"a nil file", &exec.Cmd{Path: "/bin/true", Stdin: (*os.File)(nil)}, launcher.ErrInvalidSpec, "Stdin"},
		{"Stdout", &exec.Cmd{Path: "/bin/true", Stdout: (*os.File)(nil)}, launcher.ErrInvalidSpec, "Stdout is an *os.File that is nil"},
		{"Stderr", &exec.Cmd{Path: "/bin/true", Stderr: (*os.File)(nil)}, launcher.ErrInvalidSpec, "Stderr is an *os.File that is nil"},
		{"Ptrace", &exec.Cmd{Path: "/bin/true", SysProcAttr: &syscall.SysProcAttr{Ptrace: true}}, launcher.ErrInvalidSpec, "SysProcAttr: Ptrace"},
		{"another's group", &exec.Cmd{Path: "/bin/true", SysProcAttr: &syscall.SysProcAttr{Setpgid: true, Pgid: 1}}, launcher.ErrInvalidSpec, "SysProcAttr: Setpgid"},
		{"StdinPipe", piped(func(cmd *exec.Cmd) error { _, err := cmd.StdinPipe(); return err }), launcher.ErrInvalidSpec, "StdinPipe"},
		{"StdoutPipe", piped(func(cmd *exec.Cmd) error { _, err := cmd.StdoutPipe(); return err }), launcher.ErrInvalidSpec, "StdoutPipe"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, command, err := launcher.FromCmd(c.cmd)
			if err == nil || command != nil {
				t.Fatalf("it is accepted: %v", err)
			}
			podrig.MustBe(t, err, c.want)
			podrig.MustSay(t, err, c.says)
		})
	}
}

// What the pod writes goes to the Cmd's writers, as with os/exec.
func TestFromCmdStreams(t *testing.T) {
	r := cmdRig(t)
	var stdout, stderr bytes.Buffer
	cmd := exec.Command("/bin/sh", "-c", `echo to stdout; printf 'INSOMNIA-READY\talice\t/nowhere\n' >&2; echo to stderr >&2; exec sleep 1000`)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	pod, err := r.fromCmd(cmd)
	if err != nil {
		t.Fatal(err)
	}
	if err := pod.Kill(t.Context()); err != nil {
		t.Error(err)
	}
	if err := pod.Drain(t.Context()); err != nil {
		t.Error(err)
	}
	if got := stdout.String(); got != "to stdout\n" {
		t.Errorf("stdout: %q", got)
	}
	if got := stderr.String(); !strings.HasSuffix(got, "\n") || !strings.HasPrefix(got, "INSOMNIA-READY\talice\t/nowhere\n") {
		t.Errorf("stderr: %q", got)
	}
}

// The launch refuses a Cmd whose attributes or argv[0] its Starter cannot give the
// process, in time.
func TestFromCmdNeedsLocal(t *testing.T) {
	attr := func(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} }
	name := func(cmd *exec.Cmd) { cmd.Args[0] = "other" }
	plain := func(*exec.Cmd) {}
	elsewhere := podrig.StarterFunc(func(ctx context.Context, req launcher.StartRequest) (launcher.Process, error) {
		return launcher.Local{}.Start(ctx, req)
	})
	for _, c := range []struct {
		name    string
		starter launcher.Starter
		change  func(*exec.Cmd)
		says    string // "": it is launched
	}{
		{"Attr, and a Starter", elsewhere, attr, "podrig.StarterFunc"},
		{"Arg0, and a Starter", elsewhere, name, "podrig.StarterFunc"},
		{"nothing, and a Starter", elsewhere, plain, ""},
		{"Attr, and Local.Attr", launcher.Local{Attr: &syscall.SysProcAttr{}}, attr, "both Local.Attr and Command.Attr"},
		{"Arg0, and Local.Attr", launcher.Local{Attr: &syscall.SysProcAttr{}}, name, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := cmdRig(t)
			r.L.Starter = c.starter
			cmd := exec.Command("/bin/sh", "-c", `printf 'INSOMNIA-READY\talice\t/nowhere\n' >&2; kill -STOP $$`)
			c.change(cmd)
			_, err := r.fromCmd(cmd)
			if c.says == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil {
				t.Fatal("it is launched")
			}
			podrig.MustBe(t, err, launcher.ErrInvalidSpec)
			podrig.MustSay(t, err, c.says)
			if _, err := os.Lstat(r.Dir("alice")); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("its directory: %v", err)
			}
		})
	}
}

// cmd.Process is the first process of the pod, and reaches it until it has gone. A launch
// that fails sets none.
func TestFromCmdSetsProcess(t *testing.T) {
	r := cmdRig(t)
	hup := r.Fifo("hup")
	cmd := exec.Command("/bin/sh", "-c", `trap ': >"$0"' HUP; printf 'INSOMNIA-READY\talice\t/nowhere\n' >&2; while :; do read x <"$0.none"; done`, hup)
	r.Fifo("hup.none")
	pod, err := r.fromCmd(cmd)
	if err != nil {
		t.Fatal(err)
	}
	if cmd.Process == nil || cmd.Process.Pid != pod.PID() {
		t.Fatalf("Process is %+v, want that of %d", cmd.Process, pod.PID())
	}
	if err := cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Error(err)
	}
	podrig.Await(t, hup)
	if _, _, err := launcher.FromCmd(cmd); !errors.Is(err, launcher.ErrInvalidSpec) {
		t.Errorf("it can be launched again: %v", err)
	}
	if err := pod.Kill(t.Context()); err != nil {
		t.Error(err)
	}
	if err := cmd.Process.Signal(syscall.SIGHUP); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("Signal to a pod that has gone: %v", err)
	}
	exit, err := pod.Wait(t.Context())
	if err != nil || exit.Err() == nil || exit.Err().Error() != "signal: killed" {
		t.Errorf("it ended with %v, %v", exit, err)
	}

	early := exec.Command("/bin/false")
	if _, err := r.fromCmd(early); !errors.Is(err, launcher.ErrExitedEarly) || early.Process != nil {
		t.Errorf("a launch that fails with %v sets %+v", err, early.Process)
	}
}

// WaitDelay is the grace of the pod, and not the Launcher's.
func TestFromCmdGrace(t *testing.T) {
	leaktest.Parallel(t)
	for _, delay := range []time.Duration{50 * time.Millisecond, -1} {
		r := cmdRig(t)
		r.L.Grace = time.Hour
		cmd := exec.Command("/bin/sh", "-c", `trap '' TERM; printf 'INSOMNIA-READY\talice\t/nowhere\n' >&2; sleep 1000`)
		cmd.WaitDelay = delay
		pod, err := r.fromCmd(cmd)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), podrig.Late)
		defer cancel()
		began := time.Now()
		if err := pod.Stop(ctx); err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took < delay {
			t.Errorf("it had only %v of %v", took, delay)
		}
	}
}
