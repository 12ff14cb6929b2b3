//go:build linux

package faults_test

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
	"time"

	"golang.org/x/sys/unix"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/launcher/internal/fakepod"
	"github.com/podlaunch/podlaunch/launcher/internal/osproc"
	"github.com/podlaunch/podlaunch/launcher/internal/ownership"
	"github.com/podlaunch/podlaunch/launcher/internal/podrig"
)

// TestFaultE injects the faults of part E of the catalogue: what may happen to
// a pod once it is ready. Each case is called by its number.
//
// E1 is TestExitIsTold, and E4, E5, E6 and E8 are TestStop… for who has launched
// the pod; here they are for who has attached to it. E13 is TestListMany. E15 is
// documented, and not built.
func TestFaultE(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped with -short: many a pod has to end")
	}
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
		pod, err := r.L.Launch(t.Context(), podrig.Alice)
		if err != nil {
			podrig.MustBe(t, err, launcher.ErrExitedEarly)
			continue
		}
		if exit, err := pod.Wait(t.Context()); err != nil || !exit.Known || exit.Code != 7 {
			t.Errorf("Wait returned %v, %v", exit, err)
		}
		<-pod.Done()
		if _, err := os.Stat(fmt.Sprintf("/proc/%d", pod.PID())); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("there is a zombie: %v", err)
		}
		_, err = r.L.Attach(t.Context(), "alice")
		podrig.MustBe(t, err, fs.ErrNotExist)
	}
}

// E2: the pid of a pod that died is another's by now, for real: a pid namespace
// of our own lets us say which pid comes next. Nobody signals the other.
func e02(t *testing.T) {
	if !asInit(t) {
		return
	}
	r := newRig(t, podrig.Serve...)
	var pod *launcher.Pod
	var stranger *stranger
	for stranger == nil {
		pod = r.Launch(podrig.Alice)
		before, err := osproc.ReadStat(pod.PID())
		if err != nil {
			t.Fatal(err)
		}
		if err := pod.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		stranger = r.startAs(pod.PID(), before.Start)
	}
	for range 2 {
		_, err := r.L.Attach(t.Context(), "alice")
		podrig.MustBe(t, err, launcher.ErrNotOurs, osproc.ErrStranger)
	}
	if got := r.State(); got != launcher.StateGone {
		t.Errorf("List says %q", got)
	}
	if err := pod.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	// A launcher that died would have left the record like this.
	r.EditRecord(func(m map[string]any) { m["ready"] = false })
	next, started, err := r.L.Ensure(t.Context(), podrig.Alice)
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
// ms, is left to the imagination. It returns nil if a thread of this process has
// taken the pid, which it keeps. It needs a pid namespace whose init we are.
func (r *rig) startAs(pid int, after uint64) *stranger {
	r.T.Helper()
	// A thread of this process that has the pid from the same tick could not be told from its
	// last owner.
	for bootTick(r.T) <= after {
		time.Sleep(time.Millisecond)
	}
	for range 1000 {
		if err := os.WriteFile("/proc/sys/kernel/ns_last_pid", []byte(strconv.Itoa(pid-1)), 0); err != nil {
			r.T.Fatal(err)
		}
		if _, err := os.Stat("/proc/self/task/" + strconv.Itoa(pid)); err == nil {
			return nil
		}
		// One may still be faster.
		s := r.startStranger()
		st, err := osproc.ReadStat(s.cmd.Process.Pid)
		if err != nil {
			r.T.Fatal(err)
		}
		if s.cmd.Process.Pid == pid && st.Start > after {
			return s
		}
		s.end()
	}
	r.T.Fatalf("nobody gets pid %d", pid)
	return nil
}

// bootTick returns the tick of the kernel's clock in which a process would start now.
func bootTick(t *testing.T) uint64 {
	t.Helper()
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &now); err != nil {
		t.Fatal(err)
	}
	return uint64(now.Nano() / int64(10*time.Millisecond))
}

// A stranger is a process that is nobody's pod.
type stranger struct {
	t    *testing.T
	cmd  *exec.Cmd
	wake string // a FIFO that it awaits
}

// startStranger starts a stranger, which is ended when the test is.
func (r *rig) startStranger() *stranger {
	r.T.Helper()
	dir, err := os.MkdirTemp(r.Base, "stranger")
	if err != nil {
		r.T.Fatal(err)
	}
	wake := filepath.Join(dir, "wake")
	if err := syscall.Mkfifo(wake, 0o600); err != nil {
		r.T.Fatal(err)
	}
	cmd := exec.Command(podrig.Pod, fakepod.Args("stranger", dir, []string{"await " + wake, "exit 5"}, nil)...)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		r.T.Fatal(err)
	}
	s := &stranger{r.T, cmd, wake}
	r.T.Cleanup(s.end)
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
	if st, err := osproc.ReadStat(s.cmd.Process.Pid); err != nil || st.Dead() {
		s.t.Errorf("the stranger is dead: %+v, %v", st, err)
		return
	}
	podrig.Wake(s.t, s.wake)
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
			pod, err := r.L.Attach(t.Context(), "alice")
			if err != nil {
				t.Fatal(err)
			}
			if pod.PID() != pid || pod.Name() != "alice" || pod.RuntimeDir() != r.Dir("alice") {
				t.Errorf("attached to %d, want %d", pod.PID(), pid)
			}
			podrig.Ping(t, pod)
			podrig.MustLive(t, pod)
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
			podrig.MustEndBy(t, pod, syscall.SIGTERM)
			podrig.MustBeGone(t, pid)
			r.Relaunch("alice")
		})
	}
}

// E4: who has attached stops the pod, and its launcher sees it.
func e04(t *testing.T) {
	r := newRig(t, podrig.Serve...)
	pod := r.Launch(podrig.Alice)
	attached := r.MustAttach(pod)
	if err := attached.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	select {
	case <-attached.Done():
	default:
		t.Error("Done is open after Stop")
	}
	podrig.MustEndBy(t, attached, syscall.SIGTERM)
	podrig.MustEndBy(t, pod, syscall.SIGTERM)
	podrig.MustBeGone(t, pod.PID())
}

// E5: who has attached waits for the grace as well.
func e05(t *testing.T) {
	r := newRig(t, append([]string{"ignore 15"}, podrig.Serve...)...)
	r.L.Grace = podrig.Short
	pod := r.Launch(podrig.Alice)
	attached := r.MustAttach(pod)
	if err := attached.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	podrig.MustEndBy(t, attached, syscall.SIGKILL)
}

// E6: it does not matter who stops it, and how many do.
func e06(t *testing.T) {
	r := newRig(t, append([]string{"ignore 15"}, podrig.Serve...)...)
	r.L.Grace = podrig.Short
	pods := []*launcher.Pod{r.Launch(podrig.Alice)}
	for range 3 {
		pods = append(pods, r.MustAttach(pods[0]))
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
		podrig.MustEndBy(t, pod, syscall.SIGKILL)
	}
}

// E7: a record that leads anywhere but to the pod is not believed, and nobody is
// signalled for it.
func e07(t *testing.T) {
	r := newRig(t, podrig.Serve...)
	if err := r.Launch(podrig.Alice).Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	other := r.startStranger()
	record := readFile(t, r.Beside("alice", ".json"))
	for _, ready := range []bool{true, false} {
		for what, c := range map[string]struct {
			pid  any
			want error // nil: it is no record, and so nothing can be told
		}{
			"zero":      {0, nil},
			"our group": {-1, nil},
			"init":      {1, nil},
			"text":      {"4711; rm -rf /", nil},
			"ourselves": {os.Getpid(), launcher.ErrNotOurs},
			"stranger":  {other.cmd.Process.Pid, launcher.ErrNotOurs},
		} {
			t.Run(fmt.Sprintf("%s, ready %v", what, ready), func(t *testing.T) {
				r.T = t
				if err := os.WriteFile(r.Beside("alice", ".json"), record, 0o600); err != nil {
					t.Fatal(err)
				}
				r.EditRecord(func(m map[string]any) {
					m["pid"], m["ready"], m["start"] = c.pid, ready, 1
					delete(m, "launcher") // or it is an intent
				})
				if c.want == nil {
					mustBeUnclear(r)
					return
				}
				pod, err := r.L.Attach(t.Context(), "alice")
				if pod != nil || err == nil {
					t.Fatalf("Attach returned %v, %v", pod, err)
				}
				podrig.MustBe(t, err, c.want)
				if got := r.State(); got == launcher.StateReady || got == launcher.StateUnreachable {
					t.Errorf("List says %q", got)
				}
				next, started, err := r.L.Ensure(t.Context(), podrig.Alice)
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

// mustBeUnclear fails the test unless every call about alice fails and names the
// record.
func mustBeUnclear(r *rig) {
	r.T.Helper()
	_, attachErr := r.L.Attach(r.T.Context(), "alice")
	_, _, ensureErr := r.L.Ensure(r.T.Context(), podrig.Alice)
	errs := []error{attachErr, ensureErr}
	for _, err := range r.L.List(r.T.Context()) {
		errs = append(errs, err)
	}
	for _, err := range errs {
		podrig.MustSay(r.T, err, "cannot be told", r.Beside("alice", ".json"), "remove the file")
	}
	if errors.Is(attachErr, fs.ErrNotExist) {
		r.T.Errorf("Attach returned %v", attachErr)
	}
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// E8: Stop ends a pod together with the processes that outlive it. If the pod ends by
// itself, those processes stay until somebody calls Stop.
func e08(t *testing.T) {
	t.Run("stopped", func(t *testing.T) {
		r := newRig(t, "spawn ignore 15 ; hang", "spawn hang", "listen", "ready", "hang")
		r.L.Grace = 100 * time.Millisecond // one of them ignores the signal
		pod := r.Launch(podrig.Alice)
		if err := r.MustAttach(pod).Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		podrig.MustEndBy(t, pod, syscall.SIGTERM) // it is ours to reap, not the other's
		podrig.MustBeGone(t, pod.PID())
	})
	t.Run("ended", func(t *testing.T) {
		r := newRig(t)
		up, wake, pid := r.Fifo("up"), r.Fifo("wake"), filepath.Join(r.Base, "pid")
		r.L.Command = podrig.Script("spawn pid "+pid+" ; notify "+up+" ; hang", "await "+up, "listen", "ready", "await "+wake, "exit 7")
		pod := r.Launch(podrig.Alice)
		attached := r.MustAttach(pod)
		podrig.Wake(t, wake)
		<-attached.Done()
		left, err := strconv.Atoi(string(readFile(t, pid)))
		if err != nil {
			t.Fatal(err)
		}
		if err := syscall.Kill(left, 0); err != nil {
			t.Errorf("it was ended before anybody called Stop: %v", err)
		}
		if err := attached.Stop(t.Context()); err != nil {
			t.Error(err)
		}
		if st, err := osproc.ReadStat(left); err == nil && !st.Dead() {
			t.Error("it is still there")
		}
	})
}

// E9: to stop what is dead already is no error, though its directory is gone;
// there is nothing to attach to.
func e09(t *testing.T) {
	r := newRig(t, podrig.Serve...)
	pod := r.Launch(podrig.Alice)
	attached := r.MustAttach(pod)
	if err := errors.Join(syscall.Kill(pod.PID(), syscall.SIGKILL), os.RemoveAll(r.Dir("alice"))); err != nil {
		t.Fatal(err)
	}
	podrig.MustEndBy(t, attached, syscall.SIGKILL)
	for range 2 {
		if err := attached.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	}
	_, err := r.L.Attach(t.Context(), "alice")
	podrig.MustBe(t, err, fs.ErrNotExist)
	r.Relaunch("alice")
}

// E10: a pod that removes its runtime directory some time after SIGTERM, or has
// it removed, is followed at once by another, which keeps its files.
func e10(t *testing.T) {
	t.Run("itself", func(t *testing.T) {
		r := newRig(t)
		up, goOn := r.Fifo("up"), r.Fifo("go")
		r.L.Command = podrig.Script("onterm notify "+up+" ; await "+goOn+" ; sleep 300ms ; rmdir", "listen", "ready", "hang")
		pod := r.Launch(podrig.Alice)
		if err := syscall.Kill(pod.PID(), syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		podrig.Await(t, up)
		r.L.Command = podrig.Script(podrig.Serve...)
		// It is still there, and may be for long.
		r.MustRefuse(t.Context(), &r.L, launcher.ErrRunning)
		podrig.Wake(t, goOn)
		r.keepsItsFiles(func() (*launcher.Pod, error) {
			for {
				next, err := r.L.Launch(t.Context(), podrig.Alice)
				if !errors.Is(err, launcher.ErrRunning) {
					return next, err
				}
			}
		})
	})
	t.Run("by a helper that outlives it", func(t *testing.T) {
		r := newRig(t)
		up, goOn := r.Fifo("up"), r.Fifo("go")
		r.L.Command = podrig.Script("setsid notify "+up+" ; await "+goOn+" ; sleep 300ms ; rmdir", "await "+up, "listen", "ready", "hang")
		podrig.Kill(t, r.Launch(podrig.Alice))
		r.MustRefuse(t.Context(), &r.L, launcher.ErrHeld)
		podrig.Wake(t, goOn)
		r.L.Command = podrig.Script(podrig.Serve...)
		r.keepsItsFiles(func() (*launcher.Pod, error) { return podrig.LaunchOnceFree(t.Context(), &r.L, podrig.Alice) })
	})
}

// keepsItsFiles fails the test unless launch returns a pod that has its files,
// once nobody is left who would remove them.
func (r *rig) keepsItsFiles(launch func() (*launcher.Pod, error)) {
	r.T.Helper()
	pod, err := launch()
	if err != nil {
		r.T.Fatal(err)
	}
	for _, path := range []string{pod.LogPath(), pod.Endpoint().Address} {
		if _, err := os.Lstat(path); err != nil {
			r.T.Error(err)
		}
	}
	podrig.Ping(r.T, pod)
	if err := pod.Stop(r.T.Context()); err != nil {
		r.T.Error(err)
	}
}

// E11: the log of the pod before is kept.
func e11(t *testing.T) {
	r := newRig(t)
	for _, word := range []string{"one", "two"} {
		r.L.Command = podrig.Script("say "+word, "listen", "ready", "hang")
		if err := r.Launch(podrig.Alice).Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	data, err := os.ReadFile(filepath.Join(r.Dir("alice"), "stderr.log.1"))
	if want := "one\n"; err != nil || len(data) < len(want) || string(data[:len(want)]) != want {
		t.Errorf("the log of the pod before is %q, %v", data, err)
	}
}

// E12: a pod whose socket was removed cannot be reached, and can be stopped.
func e12(t *testing.T) {
	r := newRig(t, podrig.Serve...)
	pod := r.Launch(podrig.Alice)
	if err := os.RemoveAll(r.Dir("alice")); err != nil {
		t.Fatal(err)
	}
	if got := r.State(); got != launcher.StateUnreachable {
		t.Errorf("List says %q", got)
	}
	r.MustRefuse(t.Context(), &r.L, launcher.ErrRunning)
	attached := r.MustAttach(pod)
	if _, err := attached.Dial(t.Context()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Dial returned %v", err)
	}
	if err := attached.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.Relaunch("alice")
}

// E14: what was recorded before the machine was restarted, or in another pid
// namespace, is nobody's, though there is a process which fits it.
func e14(t *testing.T) {
	for field, value := range map[string]string{"boot": "00000000-0000-0000-0000-000000000000", "pidNamespace": "pid:[1]"} {
		t.Run(field, func(t *testing.T) {
			r := newRig(t, "closefrom 3", "listen", "ready", "hang")
			stranger := r.Launch(launcher.Spec{Name: "stranger"})
			r.EditRecordOf("stranger", "alice", func(m map[string]any) { m["name"], m[field] = "alice", value })
			_, err := r.L.Attach(t.Context(), "alice")
			if err == nil {
				t.Fatal("attached")
			}
			if field == "boot" {
				podrig.MustBe(t, err, fs.ErrNotExist)
			}
			pod, started, err := r.L.Ensure(t.Context(), podrig.Alice)
			if err != nil || !started || pod.PID() == stranger.PID() {
				t.Fatalf("Ensure returned %v, %v, %v", pod, started, err)
			}
			if err := pod.Stop(t.Context()); err != nil {
				t.Error(err)
			}
			podrig.MustLive(t, stranger)
		})
	}
}

// E16: a record of a newer version, with fields that we do not know, is
// believed, and left as it is; so is nobody's pod ended that we cannot read of.
func e16(t *testing.T) {
	r := newRig(t, podrig.Serve...)
	pod := r.Launch(podrig.Alice)
	r.EditRecord(func(m map[string]any) {
		m["version"], m["cgroup"] = ownership.Version+1, map[string]any{"path": "/pods"}
	})
	before, err := os.ReadFile(r.Beside("alice", ".json"))
	if err != nil {
		t.Fatal(err)
	}
	r.MustRefuse(t.Context(), &r.L, launcher.ErrRunning)
	podrig.Ping(t, r.MustAttach(pod))
	if got := r.State(); got != launcher.StateReady {
		t.Errorf("List says %q", got)
	}
	if after, err := os.ReadFile(r.Beside("alice", ".json")); err != nil || string(after) != string(before) {
		t.Errorf("the record became %q, %v", after, err)
	}
	r.EditRecord(func(m map[string]any) { m["pid"] = map[string]any{"number": pod.PID()} })
	r.MustRefuse(t.Context(), &r.L, errors.ErrUnsupported)
	_, _, err = r.L.Ensure(context.Background(), podrig.Alice)
	podrig.MustBe(t, err, errors.ErrUnsupported)
	_, err = r.L.Attach(t.Context(), "alice")
	podrig.MustBe(t, err, errors.ErrUnsupported)
	podrig.MustLive(t, pod)
	if err := os.Remove(r.Beside("alice", ".json")); err != nil { // as the error says
		t.Fatal(err)
	}
}
