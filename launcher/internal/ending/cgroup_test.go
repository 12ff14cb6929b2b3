//go:build linux

package ending_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/launcher/internal/leaktest"
	"github.com/podlaunch/podlaunch/launcher/internal/osproc"
	"github.com/podlaunch/podlaunch/launcher/internal/podrig"
	"github.com/podlaunch/podlaunch/launcher/launchertest"
)

// newCgroup returns a cgroup for the pods of a test. When the test ends it must be empty.
func newCgroup(t *testing.T) string {
	t.Helper()
	c, err := osproc.PlanCgroup("", "podlaunch-test-"+strconv.Itoa(os.Getpid())+"-"+strconv.FormatInt(time.Now().UnixNano(), 36))
	if err == nil {
		err = c.Make()
		c.Close()
	}
	switch {
	case errors.Is(err, errors.ErrUnsupported), errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		t.Skipf("no cgroup can be made here: %v", err)
	case err != nil:
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if left := below(t, c.Path()); len(left) > 0 {
			t.Errorf("the cgroups %q are left", left)
			c.Kill()
			<-c.Emptied(context.Background())
		}
		if err := c.Remove(); err != nil {
			t.Error(err)
		}
	})
	return c.Path()
}

// below returns the cgroups below one.
func below(t *testing.T, cgroup string) []string {
	t.Helper()
	left, err := filepath.Glob(filepath.Join(cgroup, "pod-*"))
	if err != nil {
		t.Fatal(err)
	}
	return left
}

// Nobody gets away from a cgroup, whether the pod is stopped by who has launched it or by
// who has attached to it.
func TestGetAwayFromACgroup(t *testing.T) {
	leaktest.Parallel(t)
	if testing.Short() {
		t.Skip("skipped with -short: it waits for the grace of many pods")
	}
	for i, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			cgroup := newCgroup(t)
			r := newRig(t)
			r.L.Grace = 300 * time.Millisecond
			r.L.Starter = launcher.Local{Cgroup: cgroup}
			r.shell(way.script+"\n"+`exec "$0" "$@"`, podrig.Serve...)
			pod := r.Launch(podrig.Alice)
			if got := pod.Containment(); got != launcher.ContainedByCgroup || len(below(t, cgroup)) != 1 {
				t.Errorf("it is held by %v, and there are the cgroups %q", got, below(t, cgroup))
			}
			pids := r.await(way.n)
			handle := pod
			if i%2 == 1 || way.gets {
				handle = r.MustAttach(pod)
			}
			if err := handle.Stop(t.Context()); err != nil {
				t.Error(err)
			}
			r.mustBeGone(pids)
			<-pod.Done()
		})
	}
}

// A launch that fails ends all that is in the cgroup, and removes it.
func TestFailedLaunchInACgroup(t *testing.T) {
	leaktest.Parallel(t)
	r := newRig(t)
	r.failWith(1)
	r.L.Starter = &launcher.Local{Cgroup: newCgroup(t)}
	r.shell(ways[len(ways)-1].script + "\nsleep 1000")
	e := r.Fail(t.Context(), podrig.Alice)
	r.mustBeGone(r.await(1))
	if e.Leftover != nil {
		t.Error(e.Leftover)
	}
	r.L.Command = launcher.Exec("/nowhere/program")
	r.Fail(t.Context(), podrig.Alice)
}

// What cannot be had is an error before anything starts.
func TestNoCgroup(t *testing.T) {
	leaktest.Parallel(t)
	r := newRig(t, podrig.Serve...)
	r.L.Starter = launcher.Local{Cgroup: "relative"}
	podrig.MustBe(t, r.Fail(t.Context(), podrig.Alice), launcher.ErrInvalidSpec)
	r.L.Starter = launcher.Local{Cgroup: "/a\x00b"}
	podrig.MustBe(t, r.Fail(t.Context(), podrig.Alice), launcher.ErrInvalidSpec)
	r.L.Starter = launcher.Local{Cgroup: "/a", Attr: &syscall.SysProcAttr{UseCgroupFD: true}}
	podrig.MustSay(t, r.Fail(t.Context(), podrig.Alice), "both name a cgroup")
	r.L.Starter = launcher.Local{Cgroup: "/nowhere/at/all"}
	podrig.MustBe(t, r.Fail(t.Context(), podrig.Alice), fs.ErrNotExist)
	r.L.Starter = launcher.Local{Cgroup: r.Base}
	podrig.MustSay(t, r.Fail(t.Context(), podrig.Alice), "is not a directory of cgroup v2")
}

// What outlives the first process in a cgroup holds the name until it is ended.
func TestLeftInACgroup(t *testing.T) {
	leaktest.Parallel(t)
	for _, by := range []string{"handle", "name", "reclaim"} {
		t.Run(by, func(t *testing.T) {
			r := newRig(t)
			r.L.Grace = 50 * time.Millisecond
			r.L.Starter = launcher.Local{Cgroup: newCgroup(t)}
			r.shell(ways[len(ways)-1].script+"\n"+`exec "$0" "$@"`, podrig.Serve...)
			pod := r.Launch(podrig.Alice)
			left := r.await(1)
			podrig.Kill(t, pod)
			r.MustRefuse(t.Context(), &r.L, launcher.ErrHeld)
			var err error
			switch by {
			case "handle":
				err = pod.Stop(t.Context())
			case "name":
				err = r.L.Stop(t.Context(), "alice")
			case "reclaim":
				r.L.Reclaim = true
				r.L.Command = podrig.Script(podrig.Serve...)
				err = r.Launch(podrig.Alice).Stop(t.Context())
			}
			if err != nil {
				t.Error(err)
			}
			r.mustBeGone(left)
		})
	}
}

// A pod of another pid namespace holds its name as well, if its cgroup is seen from here.
func TestLeftInACgroupElsewhere(t *testing.T) {
	leaktest.Parallel(t)
	r := newRig(t)
	r.L.Starter = launcher.Local{Cgroup: newCgroup(t)}
	r.shell(ways[len(ways)-1].script+"\n"+`exec "$0" "$@"`, podrig.Serve...)
	pod := r.Launch(podrig.Alice)
	left := r.await(1)
	podrig.Kill(t, pod)
	own := ""
	r.EditRecord(func(m map[string]any) { own, m["pidNamespace"] = m["pidNamespace"].(string), "pid:[1]" })
	r.MustRefuse(t.Context(), &r.L, launcher.ErrHeld)
	for what, err := range map[string]error{"Stop": r.L.Stop(t.Context(), "alice"), "Remove": r.L.Remove(t.Context(), "alice")} {
		if !errors.Is(err, launcher.ErrHeld) || strings.Contains(err.Error(), "Launcher.Stop") {
			t.Errorf("%s returned %v", what, err)
		}
	}
	r.EditRecord(func(m map[string]any) { m["pidNamespace"] = own })
	if err := r.L.Stop(t.Context(), "alice"); err != nil {
		t.Error(err)
	}
	r.mustBeGone(left)
}

// What cannot start in its cgroup leaves none.
func TestNoProgramForACgroup(t *testing.T) {
	leaktest.Parallel(t)
	r := newRig(t)
	r.L.Starter = launcher.Local{Cgroup: newCgroup(t)}
	program := r.path("program")
	if err := os.WriteFile(program, []byte("#!/nowhere/interpreter\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	r.L.Command = launcher.Exec(program)
	podrig.MustSay(t, r.Fail(t.Context(), podrig.Alice), "/nowhere/interpreter")
}

// freeze has a shell freeze its own cgroup.
const freeze = `dir=$(sed -n 's,^0::,,p' /proc/self/cgroup); echo 1 >"$CGROUP/${dir##*/}/cgroup.freeze"`

// A pod that is frozen does not become ready, and the error says why.
func TestFailedLaunchOfAFrozenPod(t *testing.T) {
	leaktest.Parallel(t)
	r := newRig(t)
	cgroup := newCgroup(t)
	r.L.Starter = launcher.Local{Cgroup: cgroup}
	r.shell("CGROUP="+cgroup+"; "+freeze+`; exec "$0" "$@"`, podrig.Serve...)
	var e *launcher.Error
	for r.L.Timeout = podrig.Short; r.L.Timeout < podrig.Ample; r.L.Timeout *= 2 { // until it comes to that
		if e = r.Fail(t.Context(), podrig.Alice); strings.Contains(e.Error(), "frozen") {
			break
		}
	}
	podrig.MustSay(t, e, "frozen, by its own cgroup.freeze")
	if e.Leftover != nil {
		t.Error(e.Leftover)
	}
}

// A pod that is frozen takes no notice of its stop signal. The error of Stop says why, and
// SIGKILL ends the pod all the same.
func TestStopOfAFrozenPod(t *testing.T) {
	leaktest.Parallel(t)
	for _, own := range []bool{true, false} { // whose cgroup it is
		t.Run(fmt.Sprint(own), func(t *testing.T) {
			r := newRig(t, podrig.Serve...)
			cgroup := newCgroup(t)
			if own {
				r.L.Starter = launcher.Local{Cgroup: cgroup}
			}
			pod := r.Launch(podrig.Alice)
			if own {
				cgroup = below(t, cgroup)[0]
			} else {
				cgroup = filepath.Join(cgroup, "frozen")
				if err := errors.Join(os.Mkdir(cgroup, 0o700), os.WriteFile(filepath.Join(cgroup, "cgroup.procs"), []byte(strconv.Itoa(pod.PID())), 0)); err != nil {
					t.Fatal(err)
				}
				defer os.Remove(cgroup)
			}
			if err := os.WriteFile(filepath.Join(cgroup, "cgroup.freeze"), []byte("1"), 0); err != nil {
				t.Fatal(err)
			}
			d := podrig.NewDeadline()
			go func() { // until the signal is pending
				const none = "ShdPnd:\t0000000000000000\n"
				for text := none; strings.Contains(text, none); time.Sleep(time.Millisecond) {
					status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pod.PID()))
					text = string(status)
				}
				d.Pass()
			}()
			err := pod.Stop(d)
			podrig.MustBe(t, err, context.DeadlineExceeded)
			podrig.MustSay(t, err, "SIGTERM", "frozen, by its own cgroup.freeze")
			if err := pod.Kill(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

// Pod and Status say which means holds the tree, also to who attaches.
func TestContainment(t *testing.T) {
	leaktest.Parallel(t)
	cgroup := newCgroup(t)
	r := newRig(t, podrig.Serve...)
	for _, want := range []launcher.Containment{launcher.ContainedByGroup, launcher.ContainedByCgroup} {
		name := want.String()
		if want == launcher.ContainedByCgroup {
			r.L.Starter = launcher.Local{Cgroup: cgroup}
		}
		pod := r.Launch(launcher.Spec{Name: name})
		r.L.Starter = nil
		other, err := r.L.Attach(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		if got := []launcher.Containment{pod.Containment(), other.Containment()}; got[0] != want || got[1] != want {
			t.Errorf("%v, want %v", got, want)
		}
		for status, err := range r.L.List(t.Context()) {
			if err != nil || status.Name == name && status.Containment != want {
				t.Errorf("List tells %v, %v; want %v", status.Containment, err, want)
			}
		}
		if err := other.Stop(t.Context()); err != nil {
			t.Error(err)
		}
		<-pod.Done()
	}
}

// A launcher in the cgroup of a pod that is gone does not end itself with what is left in
// there: the error names who holds the name.
func TestLaunchFromWithinACgroup(t *testing.T) {
	leaktest.Parallel(t)
	cgroup := newCgroup(t)
	r := newRig(t)
	r.L.Starter = launcher.Local{Cgroup: cgroup}
	r.shell(ways[len(ways)-1].script+"\n"+`exec "$0" "$@"`, podrig.Serve...)
	pod := r.Launch(podrig.Alice)
	left := r.await(1)
	podrig.Kill(t, pod)
	at, err := os.Open(below(t, cgroup)[0])
	if err != nil {
		t.Fatal(err)
	}
	defer at.Close()
	c := exec.Command(os.Args[0])
	c.Env = helper{Cgroup: cgroup, Base: r.Base, Name: "alice", Pod: podrig.Pod, Steps: podrig.Serve}.env(t)
	c.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(at.Fd())}
	out, err := c.CombinedOutput()
	if c.ProcessState.ExitCode() != 1 || !strings.Contains(string(out), fmt.Sprintf("processes [%d (", c.Process.Pid)) {
		t.Errorf("%v: %s", err, out)
	}
	if !lives(left[0]) {
		t.Error("what is left has been ended")
	}
	if err := r.L.Stop(t.Context(), "alice"); err != nil {
		t.Error(err)
	}
	r.mustBeGone(left)
}

// A cgroup that the record names, and that cannot be found from here although the pod is in
// it, is an error: who belongs to the pod could not be told.
func TestAttachToACgroupOutOfReach(t *testing.T) {
	leaktest.Parallel(t)
	cgroup := newCgroup(t)
	r := newRig(t, podrig.Serve...)
	r.L.Starter = launcher.Local{Cgroup: cgroup}
	pod := r.Launch(podrig.Alice)
	name := filepath.Base(below(t, cgroup)[0])
	for path, why := range map[string]string{
		filepath.Join(cgroup, "elsewhere", name): "cannot be reached from here",
		filepath.Join(r.Base, name):              "no cgroup v2 is mounted there",
	} {
		r.EditRecord(func(record map[string]any) { record["cgroupPath"] = path })
		_, err := r.L.Attach(t.Context(), "alice")
		podrig.MustBe(t, err, errors.ErrUnsupported)
		podrig.MustSay(t, err, why)
	}
	r.EditRecord(func(record map[string]any) { record["cgroupPath"] = filepath.Join(cgroup, name) })
	if err := r.L.Stop(t.Context(), "alice"); err != nil {
		t.Error(err)
	}
	<-pod.Done()
}

// Local keeps the contract of a Starter also with a cgroup. A process that was released
// leaves its cgroup, which is the next launch's to remove.
func TestKitInACgroup(t *testing.T) {
	leaktest.Parallel(t)
	cgroup := newCgroup(t)
	launchertest.TestStarter(t, func(*testing.T) launchertest.StarterCase {
		return launchertest.StarterCase{Starter: launcher.Local{Cgroup: cgroup}}
	})
	for _, dir := range below(t, cgroup) {
		c, err := osproc.FindCgroup(dir, filepath.Base(dir))
		if err != nil {
			t.Fatal(err)
		}
		<-c.Emptied(t.Context())
		if err := c.Remove(); err != nil {
			t.Error(err)
		}
	}
}

// The cgroup of a pod that ends by itself goes with it.
func TestCgroupGoesWithThePod(t *testing.T) {
	leaktest.Parallel(t)
	cgroup := newCgroup(t)
	r := newRig(t, podrig.Serve...)
	r.L.Starter = launcher.Local{Cgroup: cgroup}
	pod := r.Launch(podrig.Alice)
	podrig.Kill(t, pod)
	<-pod.Done()
	if left := below(t, cgroup); len(left) > 0 {
		t.Errorf("the cgroups %q are left", left)
	}
}
