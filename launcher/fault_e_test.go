//go:build linux

package launcher_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/launcher/internal/fakepod"
	"github.com/podlaunch/podlaunch/launcher/internal/proc"
)

// TestFaultE injects the faults of part E of the catalogue: what may happen to
// a pod once it is ready. Each case is called by its number.
//
// E1 is TestExitIsTold, and E4, E5, E6 and E8 are TestStop… for who has launched
// the pod; here they are for who has attached to it. E13 is TestListMany. E15 is
// documented, and not built.
func TestFaultE(t *testing.T) {
	for _, c := range []struct {
		name string
		test func(t *testing.T)
	}{
		{"E01 it dies at once", e01},
		{"E02 its pid is used again", e02},
		{"E03 its launcher is another process, and gone", e03},
		{"E04 stopped by who has attached", e04},
		{"E05 ignores SIGTERM", e05},
		{"E06 stopped by everybody at once", e06},
		{"E07 record of a stranger", e07},
		{"E08 grandchildren at stop", e08},
		{"E09 dead already", e09},
		{"E10 it removes its directory late", e10},
		{"E11 log of the one before", e11},
		{"E12 socket gone", e12},
		{"E14 machine restarted", e14},
		{"E16 record of a newer version", e16},
	} {
		t.Run(c.name, c.test)
	}
}

// E1: a pod that dies as soon as it is ready was ready, or it exited early; in
// either case it is gone, and the name is free.
func e01(t *testing.T) {
	for range 10 {
		r := newRig(t, "listen", "ready", "exit 7")
		pod, err := r.l.Launch(t.Context(), alice)
		if err != nil {
			mustBe(t, err, launcher.ErrExitedEarly)
			continue
		}
		if exit, err := pod.Wait(t.Context()); err != nil || !exit.Known || exit.Code != 7 {
			t.Errorf("Wait returned %v, %v", exit, err)
		}
		<-pod.Done()
		if _, err := os.Stat(fmt.Sprintf("/proc/%d", pod.PID())); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("there is a zombie: %v", err)
		}
		_, err = r.l.Attach(t.Context(), "alice")
		mustBe(t, err, fs.ErrNotExist)
	}
}

// E2: the pid of a pod that died is another's by now, for real: a pid namespace
// of our own lets us say which pid comes next. Nobody signals the other.
func e02(t *testing.T) {
	if !asInit(t) {
		return
	}
	r := newRig(t, serve...)
	pod := r.launch(alice)
	before, err := proc.ReadStat(pod.PID())
	if err != nil {
		t.Fatal(err)
	}
	if err := pod.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	stranger := r.startAs(pod.PID(), before.Start)
	for range 2 {
		_, err := r.l.Attach(t.Context(), "alice")
		mustBe(t, err, launcher.ErrNotOurs, proc.ErrStranger)
	}
	if got := r.state(); got != launcher.StateGone {
		t.Errorf("List says %q", got)
	}
	if err := pod.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	// A launcher that died would have left the record like this.
	r.editRecord(func(m map[string]any) { m["ready"] = false })
	next, started, err := r.l.Ensure(t.Context(), alice)
	if err != nil || !started {
		t.Fatalf("Ensure returned %v, %v, %v", next, started, err)
	}
	if err := next.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	stranger.mustLive()
}

// startAs starts a stranger that has the given pid, in a later tick of the
// kernel's clock than its last owner: that all pids are used within one, of 10
// ms, is left to the imagination. It needs a pid namespace whose init we are.
func (r *rig) startAs(pid int, after uint64) *stranger {
	r.t.Helper()
	for range 1000 {
		if err := os.WriteFile("/proc/sys/kernel/ns_last_pid", []byte(strconv.Itoa(pid-1)), 0); err != nil {
			r.t.Fatal(err)
		}
		// A thread of ours may have been faster.
		s := r.startStranger()
		st, err := proc.ReadStat(s.cmd.Process.Pid)
		if err != nil {
			r.t.Fatal(err)
		}
		if s.cmd.Process.Pid == pid && st.Start > after {
			return s
		}
		s.end()
	}
	r.t.Fatalf("nobody gets pid %d", pid)
	return nil
}

// A stranger is a process that is nobody's pod.
type stranger struct {
	t    *testing.T
	cmd  *exec.Cmd
	wake string // a FIFO that it awaits
}

// startStranger starts a stranger, which is ended when the test is.
func (r *rig) startStranger() *stranger {
	r.t.Helper()
	dir, err := os.MkdirTemp(r.base, "stranger")
	if err != nil {
		r.t.Fatal(err)
	}
	wake := filepath.Join(dir, "wake")
	if err := syscall.Mkfifo(wake, 0o600); err != nil {
		r.t.Fatal(err)
	}
	cmd := exec.Command(podBinary, fakepod.Args("stranger", dir, []string{"await " + wake, "exit 5"}, nil)...)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	s := &stranger{r.t, cmd, wake}
	r.t.Cleanup(s.end)
	return s
}

// end ends the stranger, unless it has ended.
func (s *stranger) end() {
	s.cmd.Process.Kill()
	s.cmd.Wait()
}

// mustLive ends the stranger, and fails the test if somebody else has done so
// before.
func (s *stranger) mustLive() {
	s.t.Helper()
	// Opening the FIFO would block for ever if its reader were dead.
	if st, err := proc.ReadStat(s.cmd.Process.Pid); err != nil || st.Dead() {
		s.t.Errorf("the stranger is dead: %+v, %v", st, err)
		return
	}
	open(s.t, s.wake)
	s.cmd.Wait()
	if code := s.cmd.ProcessState.ExitCode(); code != 5 {
		s.t.Errorf("the stranger ended with %v", s.cmd.ProcessState)
	}
}

// E3: a pod whose launcher is gone is found again, and can do all that it could
// for its launcher.
func e03(t *testing.T) {
	for name, end := range map[string]func(l *otherLauncher){
		"returned": func(l *otherLauncher) { l.exit() },
		"killed":   func(l *otherLauncher) { l.kill(syscall.SIGKILL) },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			l := r.startLauncher(launcherOrder{Steps: []string{"say one", "listen", "ready", "hang"}, Stay: true})
			pid := l.launched()
			end(l)
			pod, err := r.l.Attach(t.Context(), "alice")
			if err != nil {
				t.Fatal(err)
			}
			if pod.PID() != pid || pod.Name() != "alice" || pod.RuntimeDir() != r.dir("alice") {
				t.Errorf("attached to %d, want %d", pod.PID(), pid)
			}
			ping(t, pod)
			mustLive(t, pod)
			log, err := pod.Follow(t.Context(), true)
			if err != nil {
				t.Fatal(err)
			}
			defer log.Close()
			first := make([]byte, 4)
			if _, err := log.Read(first); err != nil || string(first) != "one\n" {
				t.Errorf("the log begins with %q, %v", first, err)
			}
			if err := pod.Stop(t.Context()); err != nil {
				t.Fatal(err)
			}
			mustEndBy(t, pod, syscall.SIGTERM)
			mustBeGone(t, pid)
			r.relaunch("alice")
		})
	}
}

// E4: who has attached stops the pod, and its launcher sees it.
func e04(t *testing.T) {
	r := newRig(t, serve...)
	pod := r.launch(alice)
	attached := r.mustAttach(pod)
	if err := attached.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	select {
	case <-attached.Done():
	default:
		t.Error("Done is open after Stop")
	}
	mustEndBy(t, attached, syscall.SIGTERM)
	mustEndBy(t, pod, syscall.SIGTERM)
	mustBeGone(t, pod.PID())
}

// E5: who has attached waits for the grace as well.
func e05(t *testing.T) {
	r := newRig(t, append([]string{"ignore 15"}, serve...)...)
	r.l.Grace = short
	pod := r.launch(alice)
	attached := r.mustAttach(pod)
	if err := attached.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	mustEndBy(t, attached, syscall.SIGKILL)
}

// E6: it does not matter who stops it, and how many do.
func e06(t *testing.T) {
	r := newRig(t, append([]string{"ignore 15"}, serve...)...)
	r.l.Grace = short
	pods := []*launcher.Pod{r.launch(alice)}
	for range 3 {
		pods = append(pods, r.mustAttach(pods[0]))
	}
	var wg sync.WaitGroup
	for _, pod := range pods {
		for range 3 {
			wg.Go(func() {
				if err := pod.Stop(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
	}
	wg.Wait()
	for _, pod := range pods {
		if err := pod.Stop(t.Context()); err != nil {
			t.Error(err)
		}
		mustEndBy(t, pod, syscall.SIGKILL)
	}
}

// E7: a record that leads anywhere but to the pod is not believed, and nobody is
// signalled for it.
func e07(t *testing.T) {
	r := newRig(t, serve...)
	if err := r.launch(alice).Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	other := r.startStranger()
	for _, ready := range []bool{true, false} {
		for what, c := range map[string]struct {
			pid  any
			want error
		}{
			"zero":      {0, fs.ErrNotExist},
			"our group": {-1, fs.ErrNotExist},
			"init":      {1, fs.ErrNotExist},
			"text":      {"4711; rm -rf /", fs.ErrNotExist},
			"ourselves": {os.Getpid(), launcher.ErrNotOurs},
			"stranger":  {other.cmd.Process.Pid, launcher.ErrNotOurs},
		} {
			t.Run(fmt.Sprintf("%s, ready %v", what, ready), func(t *testing.T) {
				r.t = t
				r.editRecord(func(m map[string]any) { m["pid"], m["ready"], m["start"] = c.pid, ready, 1 })
				pod, err := r.l.Attach(t.Context(), "alice")
				if pod != nil || err == nil {
					t.Fatalf("Attach returned %v, %v", pod, err)
				}
				mustBe(t, err, c.want)
				if got := r.state(); got == launcher.StateReady || got == launcher.StateUnreachable {
					t.Errorf("List says %q", got)
				}
				next, started, err := r.l.Ensure(t.Context(), alice)
				if err != nil || !started {
					t.Fatalf("Ensure returned %v, %v, %v", next, started, err)
				}
				if err := next.Stop(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
	}
	other.mustLive()
}

// E8: what outlives a pod that somebody stops goes with it; what outlives one
// that ended by itself is nobody's to signal, and Stop knows it.
func e08(t *testing.T) {
	t.Run("stopped", func(t *testing.T) {
		r := newRig(t, "spawn ignore 15 ; hang", "spawn hang", "listen", "ready", "hang")
		pod := r.launch(alice)
		if err := r.mustAttach(pod).Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		mustBeGone(t, pod.PID())
	})
	t.Run("ended", func(t *testing.T) {
		r := newRig(t)
		up, wake, alive := r.fifo("up"), r.fifo("wake"), r.fifo("alive")
		r.l.Command = script("spawn notify "+up+" ; await "+alive, "await "+up, "listen", "ready", "await "+wake, "exit 7")
		pod := r.launch(alice)
		attached := r.mustAttach(pod)
		open(t, wake)
		<-attached.Done()
		if err := attached.Stop(t.Context()); err != nil {
			t.Error(err)
		}
		open(t, alive) // it would block if its reader were dead
	})
}

// E9: to stop what is dead already is no error, though its directory is gone;
// there is nothing to attach to.
func e09(t *testing.T) {
	r := newRig(t, serve...)
	pod := r.launch(alice)
	attached := r.mustAttach(pod)
	if err := errors.Join(syscall.Kill(pod.PID(), syscall.SIGKILL), os.RemoveAll(r.dir("alice"))); err != nil {
		t.Fatal(err)
	}
	mustEndBy(t, attached, syscall.SIGKILL)
	for range 2 {
		if err := attached.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	}
	_, err := r.l.Attach(t.Context(), "alice")
	mustBe(t, err, fs.ErrNotExist)
	r.relaunch("alice")
}

// E10: a pod that removes its runtime directory some time after SIGTERM, or has
// it removed, is followed at once by another, which keeps its files.
func e10(t *testing.T) {
	t.Run("itself", func(t *testing.T) {
		r := newRig(t)
		up, goOn := r.fifo("up"), r.fifo("go")
		r.l.Command = script("onterm notify "+up+" ; await "+goOn+" ; sleep 300ms ; rmdir", "listen", "ready", "hang")
		pod := r.launch(alice)
		if err := syscall.Kill(pod.PID(), syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		await(t, up)
		r.l.Command = script(serve...)
		// It is still there, and may be for long.
		r.mustRefuse(t.Context(), &r.l, launcher.ErrRunning)
		open(t, goOn)
		r.keepsItsFiles(func() (*launcher.Pod, error) {
			for {
				next, err := r.l.Launch(t.Context(), alice)
				if !errors.Is(err, launcher.ErrRunning) {
					return next, err
				}
			}
		})
	})
	t.Run("by a helper that outlives it", func(t *testing.T) {
		r := newRig(t)
		up, goOn := r.fifo("up"), r.fifo("go")
		r.l.Command = script("setsid notify "+up+" ; await "+goOn+" ; sleep 300ms ; rmdir", "await "+up, "listen", "ready", "hang")
		if err := r.launch(alice).Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		r.mustRefuse(t.Context(), r.impatient(), launcher.ErrHeld)
		open(t, goOn)
		r.l.Command = script(serve...)
		r.keepsItsFiles(func() (*launcher.Pod, error) { return r.l.Launch(t.Context(), alice) })
	})
}

// keepsItsFiles fails the test unless launch returns a pod that has its files,
// once nobody is left who would remove them.
func (r *rig) keepsItsFiles(launch func() (*launcher.Pod, error)) {
	r.t.Helper()
	pod, err := launch()
	if err != nil {
		r.t.Fatal(err)
	}
	for _, path := range []string{pod.LogPath(), pod.Endpoint().Address} {
		if _, err := os.Lstat(path); err != nil {
			r.t.Error(err)
		}
	}
	ping(r.t, pod)
	if err := pod.Stop(r.t.Context()); err != nil {
		r.t.Error(err)
	}
}

// E11: the log of the pod before is kept.
func e11(t *testing.T) {
	r := newRig(t)
	for _, word := range []string{"one", "two"} {
		r.l.Command = script("say "+word, "listen", "ready", "hang")
		if err := r.launch(alice).Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	data, err := os.ReadFile(filepath.Join(r.dir("alice"), "stderr.log.1"))
	if want := "one\n"; err != nil || len(data) < len(want) || string(data[:len(want)]) != want {
		t.Errorf("the log of the pod before is %q, %v", data, err)
	}
}

// E12: a pod whose socket was removed cannot be reached, and can be stopped.
func e12(t *testing.T) {
	r := newRig(t, serve...)
	pod := r.launch(alice)
	if err := os.RemoveAll(r.dir("alice")); err != nil {
		t.Fatal(err)
	}
	if got := r.state(); got != launcher.StateUnreachable {
		t.Errorf("List says %q", got)
	}
	r.mustRefuse(t.Context(), &r.l, launcher.ErrRunning)
	attached := r.mustAttach(pod)
	if _, err := attached.Dial(t.Context()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Dial returned %v", err)
	}
	if err := attached.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.relaunch("alice")
}

// E14: what was recorded before the machine was restarted, or in another pid
// namespace, is nobody's, though there is a process which fits it.
func e14(t *testing.T) {
	for field, value := range map[string]string{"boot": "00000000-0000-0000-0000-000000000000", "pidNamespace": "pid:[1]"} {
		t.Run(field, func(t *testing.T) {
			r := newRig(t, "closefrom 3", "listen", "ready", "hang")
			stranger := r.launch(launcher.Spec{Name: "stranger"})
			r.editRecordOf("stranger", "alice", func(m map[string]any) { m["name"], m[field] = "alice", value })
			_, err := r.l.Attach(t.Context(), "alice")
			if err == nil {
				t.Fatal("attached")
			}
			if field == "boot" {
				mustBe(t, err, fs.ErrNotExist)
			}
			pod, started, err := r.l.Ensure(t.Context(), alice)
			if err != nil || !started || pod.PID() == stranger.PID() {
				t.Fatalf("Ensure returned %v, %v, %v", pod, started, err)
			}
			if err := pod.Stop(t.Context()); err != nil {
				t.Error(err)
			}
			mustLive(t, stranger)
		})
	}
}

// E16: a record of a newer version, with fields that we do not know, is
// believed, and left as it is; so is nobody's pod ended that we cannot read of.
func e16(t *testing.T) {
	r := newRig(t, serve...)
	pod := r.launch(alice)
	r.editRecord(func(m map[string]any) { m["version"], m["cgroup"] = 2, map[string]any{"path": "/pods"} })
	before, err := os.ReadFile(r.beside("alice", ".json"))
	if err != nil {
		t.Fatal(err)
	}
	r.mustRefuse(t.Context(), &r.l, launcher.ErrRunning)
	ping(t, r.mustAttach(pod))
	if got := r.state(); got != launcher.StateReady {
		t.Errorf("List says %q", got)
	}
	if after, err := os.ReadFile(r.beside("alice", ".json")); err != nil || string(after) != string(before) {
		t.Errorf("the record became %q, %v", after, err)
	}
	r.editRecord(func(m map[string]any) { m["pid"] = map[string]any{"number": pod.PID()} })
	r.mustRefuse(t.Context(), &r.l, errors.ErrUnsupported)
	_, _, err = r.l.Ensure(context.Background(), alice)
	mustBe(t, err, errors.ErrUnsupported)
	_, err = r.l.Attach(t.Context(), "alice")
	mustBe(t, err, errors.ErrUnsupported)
	mustLive(t, pod)
}
