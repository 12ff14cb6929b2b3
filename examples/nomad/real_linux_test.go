package nomad_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/podlaunch/podlaunch/examples/nomad"
	"github.com/podlaunch/podlaunch/examples/nomad/internal/agenttest"
	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/launcher/launchertest"
	"github.com/podlaunch/podlaunch/logsource"
	"github.com/podlaunch/podlaunch/readiness"
)

// worker resolves to a fake pod in whose steps {nomad} is the address that the
// engine has given it. Only on the node is that known, so a shell puts it in.
func worker(steps ...string) launcher.CommandResolver {
	return launcher.CommandResolverFunc(func(ctx context.Context, req launcher.Request) (launcher.Command, error) {
		c, err := launchertest.FakePod(steps...).ResolveCommand(ctx, req)
		script := "exec " + quoted(c.Path)
		for _, arg := range c.Args {
			script += " " + strings.ReplaceAll(quoted(arg), "{nomad}", `'"$NOMAD_ADDR_pod"'`)
		}
		return launcher.Command{Path: "/bin/sh", Args: []string{"-c", script}, Env: c.Env}, err
	})
}

// quoted is a word for a shell.
func quoted(word string) string { return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'" }

// ready are the steps of a pod that serves, and says so.
var ready = []string{"say getting ready", "tcp {nomad}", `write "INSOMNIA-READY\t{name}\t{addr}\n"`, "hang"}

func realLauncher(t *testing.T, a *agenttest.Agent, steps ...string) *launcher.Launcher {
	l := newLauncher(t, engine(t, a.URL))
	l.Command = worker(steps...)
	return l
}

// TestRealStarter: the kit on a real agent. What the program gets as stdout and
// stderr the engine keeps, so the rules that read it there do not apply.
func TestRealStarter(t *testing.T) {
	a := agenttest.New(t, false)
	launchertest.TestStarter(t, func(t *testing.T) launchertest.StarterCase {
		return launchertest.StarterCase{
			Starter: nomad.Starter{Engine: engine(t, a.URL)},
			Lacks:   launchertest.Output | launchertest.Files | launchertest.Sessions,
		}
	})
}

func TestReal(t *testing.T) {
	a := agenttest.New(t, false)

	t.Run("ready line", func(t *testing.T) {
		l := realLauncher(t, a, ready...)
		l.Ready = onlyLine
		var lines []string
		pod := mustLaunch(t, l, launcher.Spec{Name: "web", Progress: func(line string) { lines = append(lines, line) }})
		place, err := nomad.ReadPlacement(pod.RuntimeDir())
		if err != nil || place.Addresses["pod"] != pod.Endpoint().Address {
			t.Errorf("it is at %v, and the placement is %+v, %v", pod.Endpoint(), place, err)
		}
		if !slices.Equal(lines, []string{"getting ready"}) {
			t.Errorf("it said %q", lines)
		}
		ask(t, pod)
		mustStop(t, pod)
		if exit, err := pod.Wait(t.Context()); exit.Signal != syscall.SIGTERM || err != nil {
			t.Errorf("SIGTERM has ended it, and Wait says %v, %v", exit, err)
		}
	})

	t.Run("address", func(t *testing.T) { // a pod that says nothing
		l := realLauncher(t, a, "tcp {nomad}", "hang")
		pod := mustLaunch(t, l, launcher.Spec{Name: "web"})
		ask(t, pod)
		mustStop(t, pod)
	})

	t.Run("killed", func(t *testing.T) {
		pod := mustLaunch(t, realLauncher(t, a, append([]string{"spawn hang"}, ready...)...), launcher.Spec{Name: "web"})
		for pid, command := range a.Left() {
			if strings.Contains(command, "podlaunch-fake-pod") && strings.Contains(command, ready[0]) { // not its child
				syscall.Kill(pid, syscall.SIGKILL)
			}
		}
		select {
		case <-pod.Done():
		case <-time.After(time.Minute):
			t.Fatalf("it was not killed; there are %q", a.Left())
		}
		if exit, err := pod.Wait(t.Context()); err != nil || !exit.Known {
			t.Errorf("it was killed, and Wait says %v, %v", exit, err)
		}
	})

	// E6: it ignores SIGTERM, and the engine kills it before the launcher does. Its
	// executor may not tell how it ended, and then that is unknown.
	t.Run("killed by the engine", func(t *testing.T) {
		l := realLauncher(t, a, append([]string{"ignore TERM"}, ready...)...)
		l.Starter = nomad.Starter{Engine: engine(t, a.URL), KillTimeout: time.Second}
		l.Grace = time.Minute
		pod := mustLaunch(t, l, launcher.Spec{Name: "web"})
		mustStop(t, pod)
		exit, err := pod.Wait(t.Context())
		if err != nil || exit.Known && exit.Signal != syscall.SIGKILL {
			t.Errorf("it was killed, and Wait says %v, %v", exit, err)
		}
		t.Log(exit)
	})

	t.Run("arguments arrive as they are", func(t *testing.T) {
		args := []string{"${NOMAD_JOB_ID}", "$${x}", "%{if true}", "%%{x}", "$HOME", "a b", "", `"\'`, "é ☃", "-x", "${attr.kernel.name}"}
		l := newLauncher(t, engine(t, a.URL))
		l.Command = launcher.Exec("/bin/sh", "-c", `printf '%s\n' "$@" >&2; exit 7`, "sh")
		err := mustFail(t, t.Context(), l, launcher.Spec{Name: "web", Args: args[:7]})
		if !slices.Equal(err.Tail, args[:7]) {
			t.Errorf("the arguments were %q, and it got %q", args[:7], err.Tail)
		}
		err = mustFail(t, t.Context(), l, launcher.Spec{Name: "web", Args: args[7:]})
		if !slices.Equal(err.Tail, args[7:]) {
			t.Errorf("the arguments were %q, and it got %q", args[7:], err.Tail)
		}
		if err.Exit == nil || *err.Exit != (launcher.Exit{Code: 7, Known: true}) {
			t.Errorf("it ended with %v", err.Exit)
		}
	})

	t.Run("the last byte of a log", func(t *testing.T) {
		l := realLauncher(t, a, "repeat 20000 this is line %d", "say the end", "exit 3")
		n := 0
		err := mustFail(t, t.Context(), l, launcher.Spec{Name: "web", Progress: func(string) { n++ }})
		if last := err.Tail[len(err.Tail)-1]; last != "the end" || n+err.Dropped != 20001 {
			t.Errorf("%d lines came, %d were dropped, the last is %q", n, err.Dropped, last)
		}
	})

	t.Run("a long log's end", func(t *testing.T) { // more than a file of the engine's holds
		l := realLauncher(t, a, fmt.Sprintf("flood %d", 12<<20), "say", "say the end", "tcp {nomad}", "hang")
		l.Ready = nomad.Address{} // it need not read all that
		launch := logsource.Launch{Name: "web"}
		l.Observer = &launcher.Observer{Start: func(ctx context.Context, info launcher.LaunchInfo) context.Context {
			launch.ID = info.ID
			return ctx
		}}
		pod := mustLaunch(t, l, launcher.Spec{Name: "web"})
		defer mustStop(t, pod)
		log, err := nomad.Log{Engine: engine(t, a.URL)}.Open(t.Context(), launch)
		if err != nil {
			t.Fatal(err)
		}
		// The engine hands on what a program writes a moment later.
		whole, err := log.Follow(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer whole.Close()
		for line, err := range logsource.Lines(whole) {
			if err != nil {
				t.Fatal(err)
			}
			if string(line) == "the end" {
				break
			}
		}
		r, err := log.Follow(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		const last = 64 << 10
		if err := r.(logsource.Skipper).SkipToLast(last); err != nil {
			t.Fatal(err)
		}
		read := 0
		for line, err := range logsource.Lines(r) {
			if err != nil {
				t.Fatal(err)
			}
			if read += len(line) + 1; string(line) == "the end" {
				break
			}
		}
		if read != last {
			t.Errorf("%d bytes were read, want %d", read, last)
		}
	})

	t.Run("a log in several files", func(t *testing.T) { // the engine begins a new one every 10 MiB
		steps := append([]string{fmt.Sprintf("flood %d", 25<<20), "say"}, ready...)
		l := realLauncher(t, a, steps...)
		l.Ready = onlyLine
		mustStop(t, mustLaunch(t, l, launcher.Spec{Name: "web"}))
	})

	t.Run("a log that was thrown away in part", func(t *testing.T) {
		steps := append([]string{fmt.Sprintf("flood %d", 75<<20), "say"}, ready...)
		l := realLauncher(t, a, steps...)
		l.Ready = readiness.Sequence{nomad.Address{}, onlyLine} // by then the beginning is gone
		err := mustFail(t, t.Context(), l, launcher.Spec{Name: "web"})
		mustBe(t, err, launcher.StageReady, nomad.ErrLogGap)
	})

	t.Run("missing binary", func(t *testing.T) {
		l := newLauncher(t, engine(t, a.URL))
		l.Command = launcher.CommandResolverFunc(func(context.Context, launcher.Request) (launcher.Command, error) {
			return launcher.Command{Path: "/no/such/program"}, nil
		})
		err := mustFail(t, t.Context(), l, launcher.Spec{Name: "web"})
		mustBe(t, err, launcher.StageStart, nomad.ErrNotStarted)
		mustSay(t, err, `binary "/no/such/program" could not be found`)
	})

	t.Run("wrong driver", func(t *testing.T) {
		l := realLauncher(t, a, ready...)
		l.Starter = nomad.Starter{Engine: engine(t, a.URL), Driver: "punched_cards"}
		err := mustFail(t, t.Context(), l, launcher.Spec{Name: "web"})
		mustBe(t, err, launcher.StageStart, nomad.ErrNoRoom)
		mustSay(t, err, `constraint "missing drivers" filtered 1 of 1 nodes`)
	})

	t.Run("no node fits", func(t *testing.T) {
		l := realLauncher(t, a, ready...)
		l.Starter = nomad.Starter{Engine: engine(t, a.URL), MemoryMB: 100 << 20}
		err := mustFail(t, t.Context(), l, launcher.Spec{Name: "web"})
		mustBe(t, err, launcher.StageStart, nomad.ErrNoRoom)
		mustSay(t, err, `dimension "memory" exhausted on 1 of 1 nodes`)
	})

	t.Run("a name that the engine does not allow", func(t *testing.T) {
		err := mustFail(t, t.Context(), realLauncher(t, a, ready...), launcher.Spec{Name: "my web"})
		mustBe(t, err, launcher.StageStart, nomad.ErrRefused)
		mustSay(t, err, "Job ID contains a space")
	})

	t.Run("port label missing", func(t *testing.T) {
		l := realLauncher(t, a, ready...)
		l.Ready = nomad.Address{Port: "http"}
		mustBe(t, mustFail(t, t.Context(), l, launcher.Spec{Name: "web"}), launcher.StageReady, nomad.ErrNoPort)
	})

	t.Run("one pod per name", func(t *testing.T) {
		l := realLauncher(t, a, ready...)
		pod := mustLaunch(t, l, launcher.Spec{Name: "web"})
		pod.Release() // as if its launcher had died
		mustBe(t, mustFail(t, t.Context(), l, launcher.Spec{Name: "web"}), launcher.StageOwn, launcher.ErrRunning)
		again, err := l.Attach(t.Context(), "web")
		if err != nil {
			t.Fatal(err)
		}
		ask(t, again)
		mustStop(t, again)
		if _, err := l.Attach(t.Context(), "web"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("it was stopped, and Attach says %v", err)
		}
	})

	t.Run("cancelled", func(t *testing.T) {
		gone := errors.New("the caller has gone")
		ctx, cancel := context.WithCancelCause(t.Context())
		l := realLauncher(t, a, "ignore TERM", "say waiting", "hang")
		err := mustFail(t, ctx, l, launcher.Spec{Name: "web", Progress: func(string) { cancel(gone) }})
		mustBe(t, err, launcher.StageReady, gone)
	})

	for pid, command := range a.Left() {
		if strings.Contains(command, "podlaunch-fake-pod") {
			t.Errorf("process %d is left: %s", pid, command)
		}
	}
}

// The agent is killed in the middle of a launch, and comes back with what it
// knew: the launch goes on, and the pod was never touched.
func TestRealAgentComesBack(t *testing.T) {
	a := agenttest.New(t, true)
	l := realLauncher(t, a, "say waiting", "sleep 1s", "tcp {nomad}", `write "INSOMNIA-READY\t{name}\t{addr}\n"`, "hang")
	l.Ready = onlyLine
	var pod *launcher.Pod
	err := restartIn(t, a, l, func(p *launcher.Pod) { pod = p })
	if err != nil {
		t.Fatal(err)
	}
	ask(t, pod)
	mustStop(t, pod)
}

// One in dev mode comes back and knows of nothing: the pod is lost, and the
// error says so. What the dead agent has left is not the launcher's to find.
func TestRealAgentForgets(t *testing.T) {
	a := agenttest.New(t, false)
	l := realLauncher(t, a, "say waiting", "hang")
	l.Ready = onlyLine
	err := restartIn(t, a, l, func(*launcher.Pod) {})
	var failure *launcher.Error
	if !errors.As(err, &failure) || !errors.Is(err, nomad.ErrLost) || failure.Leftover != nil {
		t.Errorf("%v", err)
	}
	left := a.Left()
	if len(left) == 0 {
		t.Error("the agent that was killed has left nothing behind; docs/engines.md says that it does")
	}
	for pid := range left {
		syscall.Kill(pid, syscall.SIGKILL)
	}
}

// restartIn launches a pod, and kills the agent and launches another as soon as
// the pod has said something.
func restartIn(t *testing.T, a *agenttest.Agent, l *launcher.Launcher, ready func(*launcher.Pod)) error {
	said, restarted := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(restarted)
		<-said
		a.Kill()
		a.Restart()
	}()
	pod, err := l.Launch(t.Context(), launcher.Spec{Name: "web", Progress: func(string) { close(said) }})
	if err == nil {
		ready(pod)
	}
	<-restarted
	return err
}

func mustLaunch(t *testing.T, l *launcher.Launcher, spec launcher.Spec) *launcher.Pod {
	t.Helper()
	pod, err := l.Launch(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	return pod
}

func mustStop(t *testing.T, pod *launcher.Pod) {
	t.Helper()
	if err := pod.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}

// mustFail launches a pod that must not become ready.
func mustFail(t *testing.T, ctx context.Context, l *launcher.Launcher, spec launcher.Spec) *launcher.Error {
	t.Helper()
	pod, err := l.Launch(ctx, spec)
	if err == nil {
		mustStop(t, pod)
		t.Fatalf("it was launched, at %v", pod.Endpoint())
	}
	t.Log(err)
	var failure *launcher.Error
	if !errors.As(err, &failure) {
		t.Fatalf("it is a %T: %v", err, err)
	}
	if failure.Leftover != nil {
		t.Errorf("left over: %v", failure.Leftover)
	}
	return failure
}

// ask makes sure that the pod answers.
func ask(t *testing.T, pod *launcher.Pod) {
	t.Helper()
	conn, err := pod.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	var answer string
	fmt.Fprintln(conn, "hello")
	if _, err := fmt.Fscan(conn, &answer); err != nil || answer != "pong" {
		t.Errorf("it answered %q, %v", answer, err)
	}
}
