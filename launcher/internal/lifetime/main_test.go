//go:build linux

package lifetime_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/launcher/internal/crashpoint"
	"github.com/podlaunch/podlaunch/launcher/internal/keeper"
	"github.com/podlaunch/podlaunch/launcher/internal/osproc"
	"github.com/podlaunch/podlaunch/launcher/internal/podrig"
	"github.com/podlaunch/podlaunch/readiness"
	"github.com/podlaunch/podlaunch/runtimedir"
)

func TestMain(m *testing.M) { podrig.Main(m) }

// A role is what this test binary plays when it is executed again: a program that
// launches a pod and then does what its standard input says. The role is in the
// environment, and so is in that of all who come of it: see all.
type role struct {
	Base     string
	Pod      string // the fake pod's binary
	Script   string // of a shell, in which "$0" "$@" is the fake pod; "": no shell
	Lifetime launcher.Lifetime
	Release  bool   // once the pod is ready
	Adopts   bool   // the pod says MAINPID=
	PIDFile  bool   // the pod goes to the background, and writes a pid file
	Traced   bool   // it is killed in the launch, or ends after it
	Again    bool   // it has executed itself again, and calls Ensure
	Chmod    string // its own file; the program takes away the right to execute it
}

const roleVariable = "PODLAUNCH_TEST_LIFETIME"

func init() {
	text := os.Getenv(roleVariable)
	if text == "" {
		return
	}
	os.Unsetenv(roleVariable) // a pod that is this binary is another
	var r role
	err := json.Unmarshal([]byte(text), &r)
	if err == nil {
		err = r.play()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// play is the program.
func (r role) play() error {
	podrig.Pod = r.Pod
	if r.Chmod != "" {
		if err := os.Chmod(r.Chmod, 0o600); err != nil {
			return err
		}
	}
	if r.Traced {
		crashpoint.Begin()
	}
	launch := r.launcher().Launch
	if r.Again {
		launch = func(ctx context.Context, spec launcher.Spec) (*launcher.Pod, error) {
			pod, _, err := r.launcher().Ensure(ctx, spec)
			return pod, err
		}
	}
	pod, err := launch(context.Background(), r.spec())
	if r.Traced {
		crashpoint.End()
	}
	if err != nil {
		return err
	}
	if r.Traced {
		return nil
	}
	if r.Release {
		pod.Release()
	}
	fmt.Println("ready", pod.PID())
	words := bufio.NewReader(os.Stdin)
	for pods := 1; ; pods++ {
		switch word, err := words.ReadString('\n'); {
		case word == "exit\n":
			os.Exit(3)
		case word == "panic\n":
			go panic("as its standard input says")
			select {}
		case word == "exec\n":
			return syscall.Exec("/bin/sleep", []string{"sleep", "1000"}, os.Environ())
		case word == "again\n":
			r.Again = true
			text, err := json.Marshal(r)
			if err != nil {
				return err
			}
			return syscall.Exec("/proc/self/exe", os.Args, append(os.Environ(), roleVariable+"="+string(text)))
		case word == "more\n":
			spec := r.spec()
			spec.Name += strconv.Itoa(pods)
			if _, err := r.launcher().Launch(context.Background(), spec); err != nil {
				return err
			}
			fmt.Println("ready")
		default:
			return err // at the end of the input
		}
	}
}

// launcher is the Launcher of the program, and spec its Spec.
func (r role) launcher() *launcher.Launcher {
	l := &launcher.Launcher{Dir: runtimedir.Dir(r.Base), Timeout: podrig.Ample, Command: podrig.Script(podrig.Serve...)}
	if r.Script != "" {
		fake := l.Command
		l.Command = launcher.CommandResolverFunc(func(ctx context.Context, req launcher.Request) (launcher.Command, error) {
			cmd, err := fake.ResolveCommand(ctx, req)
			cmd.Args = append([]string{"-c", r.Script, cmd.Path}, cmd.Args...)
			cmd.Path = "/bin/sh"
			return cmd, err
		})
		l.Ready = readiness.Sequence{readiness.ReadyLine{}, readiness.Socket{Peer: readiness.SameUser}}
	}
	if r.Adopts {
		l.Ready = readiness.Sequence{readiness.NotifySocket{MainPID: true}, readiness.Unix{}}
	}
	if r.PIDFile {
		l.Ready = readiness.Sequence{readiness.PIDFile{Path: "pid", Forks: true}, readiness.Unix{}}
	}
	return l
}

func (r role) spec() launcher.Spec {
	return launcher.Spec{Name: "alice", Lifetime: r.Lifetime, Env: append(os.Environ(), "OUT="+r.Base)}
}

// environ is the environment of the program.
func (r role) environ(t *testing.T) []string {
	t.Helper()
	text, err := json.Marshal(r)
	if err != nil {
		t.Error(err)
	}
	return append(os.Environ(), roleVariable+"="+string(text), "OUT="+r.Base, "GORACE=atexit_sleep_ms=0")
}

// newRole returns a program whose pod is script, in a directory of its own. When the test
// ends nobody who comes of it may be left.
func newRole(t *testing.T, lifetime launcher.Lifetime, script string) role {
	t.Helper()
	base, err := os.MkdirTemp("", "life")
	if err != nil {
		t.Error(err)
	}
	r := role{Base: base, Pod: podrig.Pod, Script: script, Lifetime: lifetime}
	t.Cleanup(func() {
		left := r.all(t)
		for _, pid := range left {
			t.Errorf("left behind: %d (%s)", pid, osproc.CommandName(pid))
			syscall.Kill(pid, syscall.SIGKILL)
		}
		os.RemoveAll(base)
	})
	return r
}

// all returns the processes that come of the program, itself and its keeper included:
// each has OUT=base in its environment.
func (r role) all(t *testing.T) (found []int) {
	t.Helper()
	pids, err := osproc.All()
	if err != nil {
		t.Error(err)
	}
	for _, pid := range pids {
		environ, _ := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid)) // it may have just gone
		if slices.ContainsFunc(bytes.Split(environ, []byte{0}), func(v []byte) bool { return string(v) == "OUT="+r.Base }) && lives(pid) {
			found = append(found, pid)
		}
	}
	return found
}

// lives reports whether a process has not ended.
func lives(pid int) bool {
	st, err := osproc.ReadStat(pid)
	return err == nil && !st.Dead()
}

// awaitGone waits until nobody is left of all, and returns how long that took, and who is
// left after all. One look is not enough: the kernel shows no environment in the middle of
// an exec.
func (r role) awaitGone(t *testing.T) (took time.Duration, left []string) {
	t.Helper()
	began := time.Now()
	for clear := 0; clear < 3; time.Sleep(time.Millisecond) {
		all := r.all(t)
		if len(all) == 0 {
			clear++
			continue
		}
		clear, took = 0, time.Since(began)
		if took > 10*time.Second {
			return took, describe(all)
		}
	}
	return took, nil
}

// mustBeGone fails the test if somebody is left of all.
func (r role) mustBeGone(t *testing.T) {
	t.Helper()
	took, left := r.awaitGone(t)
	if len(left) > 0 {
		t.Errorf("still there: %v", left)
	}
	t.Logf("nobody was left after %v", took)
}

// await waits until done.
func await(t *testing.T, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(podrig.Ample); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", podrig.Ample, what)
		}
	}
}

func describe(pids []int) (all []string) {
	for _, pid := range pids {
		all = append(all, fmt.Sprintf("%d (%s)", pid, osproc.CommandName(pid)))
	}
	return all
}

// A program is a role that is played.
type program struct {
	*exec.Cmd
	t     *testing.T
	role  role
	stdin io.WriteCloser
	words *bufio.Reader
	pod   int // its first process
}

// start starts the program and returns once its pod is ready.
func (r role) start(t *testing.T) *program {
	t.Helper()
	p := &program{Cmd: exec.Command(os.Args[0]), t: t, role: r}
	p.Env = r.environ(t)
	var err error
	if p.stdin, err = p.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := p.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	p.Stderr = &said
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	p.words = bufio.NewReader(out)
	if err := p.awaitReady(); err != nil {
		p.stdin.Close()
		t.Fatalf("%v, %v: %s", err, p.Wait(), &said)
	}
	return p
}

// awaitReady waits until the program says which its pod is.
func (p *program) awaitReady() error {
	word, err := p.words.ReadString('\n')
	if err == nil {
		p.pod, err = strconv.Atoi(strings.TrimSpace(strings.TrimPrefix(word, "ready ")))
	}
	if err != nil {
		return fmt.Errorf("the program said %q: %w", word, err)
	}
	return nil
}

// say tells the program what to do, and waits until it has ended.
func (p *program) say(word string) {
	p.t.Helper()
	fmt.Fprintln(p.stdin, word)
	p.end()
}

// more has the program launch one more pod.
func (p *program) more() {
	p.t.Helper()
	fmt.Fprintln(p.stdin, "more")
	if word, err := p.words.ReadString('\n'); word != "ready\n" {
		p.t.Errorf("the program said %q, %v", word, err)
	}
}

// kill kills the program, and waits until it has ended.
func (p *program) kill() {
	p.t.Helper()
	if err := p.Process.Kill(); err != nil {
		p.t.Error(err)
	}
	p.end()
}

func (p *program) end() {
	p.stdin.Close()
	var exit *exec.ExitError
	if err := p.Wait(); err != nil && !errors.As(err, &exit) {
		p.t.Error(err)
	}
}

// keepers returns the keepers among the children of a process.
func keepers(t *testing.T, parent int) (found []int) {
	t.Helper()
	pids, err := osproc.All()
	if err != nil {
		t.Fatal(err)
	}
	for _, pid := range pids {
		st, err := osproc.ReadStat(pid)
		line, _ := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "cmdline"))
		if err == nil && st.Parent == parent && !st.Dead() && string(line) == keeper.Name+"\x00" {
			found = append(found, pid)
		}
	}
	return found
}
