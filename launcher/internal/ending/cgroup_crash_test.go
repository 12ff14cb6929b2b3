//go:build linux

package ending_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/launcher/internal/crashpoint"
	"github.com/podlaunch/podlaunch/launcher/internal/leaktest"
	"github.com/podlaunch/podlaunch/launcher/internal/podrig"
	"github.com/podlaunch/podlaunch/readiness"
	"github.com/podlaunch/podlaunch/runtimedir"
)

// A helper is a launcher that this test binary plays when it is executed again.
type helper struct {
	Cgroup, Base, Name, Pod string
	Steps                   []string // of the fake pod
	Script                  string   // what the pod is, in place of that; it does not become ready
	Lifetime                launcher.Lifetime
	Stops                   bool // it stops the pod, which says by descriptor 3 that it is ready, and stays
}

const helperVariable = "PODLAUNCH_TEST_CGROUP"

func init() {
	text := os.Getenv(helperVariable)
	if text == "" {
		return
	}
	os.Unsetenv(helperVariable)
	var h helper
	err := json.Unmarshal([]byte(text), &h)
	if err == nil {
		err = h.run()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func (h helper) run() error {
	podrig.Pod = h.Pod
	l := launcher.Launcher{
		Command: podrig.Script(h.Steps...),
		Dir:     runtimedir.Dir(h.Base),
		Starter: launcher.Local{Cgroup: h.Cgroup},
		Timeout: podrig.Ample,
	}
	if h.Script != "" {
		l.Command = launcher.Exec("/bin/sh", "-c", "OUT="+h.Base+"\n"+h.Script+"\nsleep 1000")
	}
	if h.Stops {
		l.Ready = readiness.NotifyFD{}
	}
	crashpoint.Begin()
	pod, err := l.Launch(context.Background(), launcher.Spec{Name: h.Name, Lifetime: h.Lifetime})
	crashpoint.End()
	if err == nil && h.Stops {
		if err := pod.Stop(context.Background()); err != nil {
			return err
		}
		fmt.Println("stopped")
		select {}
	}
	if err == nil && h.Cgroup == launcher.OwnCgroup {
		if got := pod.Containment(); got != launcher.ContainedByCgroup {
			return fmt.Errorf("it is held by %v", got)
		}
		return pod.Stop(context.Background())
	}
	return err
}

func (h helper) env(t *testing.T) []string {
	t.Helper()
	text, err := json.Marshal(h)
	if err != nil {
		t.Fatal(err)
	}
	return append(os.Environ(), helperVariable+"="+string(text), "GORACE=atexit_sleep_ms=0")
}

// A launcher is killed in the middle of a launch: the next one, or Stop by name, ends all
// that is in the cgroup, and removes it.
func TestCrashInACgroup(t *testing.T) {
	leaktest.Parallel(t)
	for _, next := range []string{"launch", "stop"} {
		t.Run(next, func(t *testing.T) {
			cgroup := newCgroup(t)
			r := newRig(t, podrig.Serve...)
			c := exec.Command(os.Args[0])
			c.Env = helper{Cgroup: cgroup, Base: r.Base, Name: "alice", Script: ways[len(ways)-1].script}.env(t)
			if err := c.Start(); err != nil {
				t.Fatal(err)
			}
			left := r.await(1)
			c.Process.Signal(syscall.SIGKILL)
			c.Wait()
			if !lives(left[0]) {
				t.Error("it has ended by itself")
			}
			var err error
			if next == "stop" {
				err = r.L.Stop(t.Context(), "alice")
			} else {
				err = r.Launch(podrig.Alice).Stop(t.Context())
			}
			if err != nil {
				t.Error(err)
			}
			r.mustBeGone(left)
		})
	}
}

// Without a cgroup, too, the next launch ends all that shows the launch's id, or descends from the
// process: a daemon that has closed the lock cannot be found any more once the record is gone.
func TestCrashWithADaemon(t *testing.T) {
	leaktest.Parallel(t)
	for _, way := range ways {
		if way.gets || way.n > 1 && testing.Short() {
			continue
		}
		t.Run(way.name, func(t *testing.T) {
			leaktest.Parallel(t)
			r := newRig(t, podrig.Serve...)
			c := exec.Command(os.Args[0])
			c.Env = append(helper{Base: r.Base, Name: "alice", Script: way.script}.env(t), "OUT="+r.Base)
			if err := c.Start(); err != nil {
				t.Fatal(err)
			}
			left := r.await(way.n)
			c.Process.Signal(syscall.SIGKILL)
			c.Wait()
			pod, started, err := r.L.Ensure(t.Context(), podrig.Alice)
			if err != nil || !started {
				t.Fatalf("Ensure returned %v, %v", started, err)
			}
			r.mustBeGone(left)
			podrig.Ping(t, pod)
			if err := pod.Stop(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

// A pod in a cgroup that is to end with its launcher does so, wherever it has got to, and
// its cgroup goes with it.
func TestCrashInACgroupWithParent(t *testing.T) {
	leaktest.Parallel(t)
	cgroup := newCgroup(t)
	r := newRig(t, podrig.Serve...)
	c := exec.Command(os.Args[0])
	c.Env = helper{Cgroup: cgroup, Base: r.Base, Name: "alice", Script: ways[len(ways)-1].script, Lifetime: launcher.WithParent}.env(t)
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	left := r.await(1)
	c.Process.Signal(syscall.SIGKILL)
	c.Wait()
	isGone := func() bool {
		inside, err := filepath.Glob(filepath.Join(cgroup, "pod-*"))
		return err == nil && len(inside) == 0 && !lives(left[0])
	}
	for end := time.Now().Add(podrig.Ample); !isGone(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it has not ended, or its cgroup is still there")
		}
	}
}

// Stop does not find who has left the cgroup. The end of the launcher does, by the launch's id, as if
// nobody had stopped the pod.
func TestLeavesTheCgroupWithParent(t *testing.T) {
	leaktest.Parallel(t)
	r := newRig(t)
	other := newCgroup(t)
	c := exec.Command(os.Args[0])
	c.Env = helper{Cgroup: newCgroup(t), Base: r.Base, Name: "alice", Lifetime: launcher.WithParent, Stops: true, Script: `
setsid sh -c 'echo $$ >'` + other + `'/cgroup.procs; echo $$ >"$OUT/pids"; echo >&3; exec perl -MPOSIX -e "POSIX::close(20); exec @ARGV" sleep 1000' &`}.env(t)
	c.Env = append(c.Env, "OUT="+r.Base)
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	left := r.await(1)
	word, err := bufio.NewReader(out).ReadString('\n')
	if word != "stopped\n" || !lives(left[0]) {
		t.Errorf("it has said %q, %v; pid %d lives: %v", word, err, left[0], lives(left[0]))
	}
	c.Process.Signal(syscall.SIGKILL)
	c.Wait()
	for end := time.Now().Add(podrig.Ample); lives(left[0]); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			syscall.Kill(left[0], syscall.SIGKILL)
			t.Fatal("it has not ended with the launcher")
		}
	}
}

// A launcher is killed at each call that makes its cgroup, or starts its process, and at
// the first and the last that the process makes before its program runs. What it leaves
// goes with the next launch of the name, with Stop, or with Remove: also a cgroup in which
// nobody ever was.
func TestCrashAroundACgroup(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped with -short: it kills a launcher at many points")
	}
	for _, sweep := range []struct {
		name  string
		count func(crashpoint.Point) bool
		empty bool // a point leaves an empty cgroup; the order of the others varies
	}{
		{"make", func(at crashpoint.Point) bool { return !at.Child && strings.HasPrefix(at.Call, "mkdir") }, true},
		{"start", func(at crashpoint.Point) bool {
			return at.Call == "clone3" || at.Child && (at.Call == "setsid" || at.Call == "execve")
		}, false},
	} {
		t.Run(sweep.name, func(t *testing.T) {
			cgroup := newCgroup(t)
			r := newRig(t, podrig.Serve...)
			empty, n := 0, 1
			for ; ; n++ {
				h := helper{Cgroup: cgroup, Base: r.Base, Name: fmt.Sprintf("pod%d", n), Pod: podrig.Pod, Steps: podrig.Serve}
				result, err := crashpoint.Run(crashpoint.Program{
					Path:   os.Args[0],
					Env:    h.env(t),
					Stderr: os.Stderr,
					Count:  sweep.count,
				}, n)
				if err != nil {
					t.Fatal(err)
				}
				for _, dir := range below(t, cgroup) {
					if procs, _ := os.ReadFile(filepath.Join(dir, "cgroup.procs")); len(procs) == 0 {
						empty++
					}
				}
				err = r.clear(h.Name, n)
				if left := below(t, cgroup); err != nil || len(left) > 0 {
					t.Fatalf("point %d, %v: %v; the cgroups %q are left", n, result.At, err, left)
				}
				if !result.Killed {
					break
				}
			}
			if n < 4 || sweep.empty && empty == 0 {
				t.Errorf("of %d points %d have left a cgroup that nobody is in", n, empty)
			}
		})
	}
}

// clear ends what has the name, in one of three ways.
func (r *rig) clear(name string, way int) error {
	switch way % 3 {
	case 0:
		return r.L.Stop(r.T.Context(), name)
	case 1:
		return r.L.Remove(r.T.Context(), name)
	}
	pod, _, err := r.L.Ensure(r.T.Context(), launcher.Spec{Name: name})
	if err != nil {
		return err
	}
	return pod.Stop(r.T.Context())
}

// A launcher of another user can have a cgroup below its own if that is delegated to the
// user. If not, the error says so.
func TestDelegatedCgroup(t *testing.T) {
	leaktest.Parallel(t)
	if os.Getuid() != 0 {
		t.Skip("only root can be another user")
	}
	const user = 65534
	for _, delegated := range []bool{true, false} {
		t.Run(fmt.Sprintf("delegated %v", delegated), func(t *testing.T) {
			cgroup := newCgroup(t)
			base, err := os.MkdirTemp("/tmp", "delegated")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { os.RemoveAll(base) })
			own := []string{base}
			if delegated {
				own = append(own, cgroup, filepath.Join(cgroup, "cgroup.procs"))
			}
			for _, path := range own {
				if err := os.Chown(path, user, user); err != nil {
					t.Fatal(err)
				}
			}
			at, err := unix.Open(cgroup, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer unix.Close(at)
			c := exec.Command(readable(t, base, os.Args[0]))
			c.Dir = base
			c.Env = helper{Cgroup: launcher.OwnCgroup, Base: filepath.Join(base, "pods"), Name: "alice", Pod: readable(t, base, podrig.Pod), Steps: podrig.Serve}.env(t)
			c.SysProcAttr = &syscall.SysProcAttr{
				Credential:  &syscall.Credential{Uid: user, Gid: user},
				UseCgroupFD: true,
				CgroupFD:    at,
			}
			out, err := c.CombinedOutput()
			if delegated {
				if err != nil {
					t.Errorf("%v: %s", err, out)
				}
				return
			}
			if !strings.Contains(string(out), "has to be delegated") || err == nil {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
}

// readable returns a copy of a program, in dir, that every user may execute.
func readable(t *testing.T, dir, program string) string {
	t.Helper()
	path := filepath.Join(dir, filepath.Base(program))
	podrig.CopyProgram(t, program, path, 0o755)
	return path
}
