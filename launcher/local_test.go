//go:build linux

package launcher_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/launcher/internal/podrig"
)

// D22: a pod gets its three descriptors, its lock, and nothing else: not what the
// launcher has inherited from its own parent, and not what C code in it opens
// after other launches, however many are open. Run in a process of its own, which
// inherits two.
func TestDescriptorsAreNotInherited(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped with -short: it starts programs with thousands of descriptors")
	}
	const role = "PODLAUNCH_TEST_INHERIT"
	if os.Getenv(role) == "" {
		for _, open := range []string{"few", "many", "very many"} {
			t.Run(open, func(t *testing.T) {
				secret, err := os.Create(filepath.Join(t.TempDir(), "secret"))
				if err != nil {
					t.Fatal(err)
				}
				defer secret.Close()
				c := exec.Command(os.Args[0], "-test.run=^TestDescriptorsAreNotInherited$", "-test.v")
				c.Env = append(os.Environ(), role+"="+open)
				c.ExtraFiles = []*os.File{secret, nil, nil, nil, secret}
				if out, err := c.CombinedOutput(); err != nil {
					t.Errorf("%v\n%s", err, out)
				}
			})
		}
		return
	}
	r := newRig(t)
	getsNothingElse(t, r, "alice")
	secret, err := os.Create(filepath.Join(t.TempDir(), "late"))
	if err != nil {
		t.Fatal(err)
	}
	defer secret.Close()
	for range map[string]int{"few": 20, "many": 300, "very many": 1500}[os.Getenv(role)] {
		f, err := os.Open(os.DevNull)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
	}
	// As C code does it, without O_CLOEXEC.
	late, err := syscall.Dup(int(secret.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(late)
	getsNothingElse(t, r, "bob")
	if flags, err := unix.FcntlInt(uintptr(late), unix.F_GETFD, 0); err != nil || flags != 0 {
		t.Errorf("the flags of the launcher's own descriptor are %#x now (%v), and were 0", flags, err)
	}
}

// getsNothingElse launches a pod that tells which descriptors it has.
func getsNothingElse(t *testing.T, r *rig, name string) {
	t.Helper()
	list := filepath.Join(r.Base, "fds")
	r.L.Command = podrig.Script("fds "+list, "listen", "ready", "hang")
	pod := r.Launch(launcher.Spec{Name: name})
	data, err := os.ReadFile(list)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"0": os.DevNull, "1": os.DevNull, "2": pod.LogPath(), "20": filepath.Join(r.Base, "."+name+".pod")}
	for line := range strings.Lines(string(data)) {
		number, target, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		switch {
		case want[number] == target:
			delete(want, number)
		case strings.HasPrefix(target, "anon_inode:"), strings.HasPrefix(target, "/proc/"), strings.HasPrefix(target, "/sys/fs/cgroup/"):
			// the pod's own runtime, and its look at its descriptors
		default:
			t.Errorf("the pod has descriptor %s", line)
		}
	}
	if len(want) > 0 {
		t.Errorf("the pod lacks %v; it has:\n%s", want, data)
	}
}

// W41: a launch ends no thread, and so no child of this program that wants to be
// signalled when the thread ends that has started it (PR_SET_PDEATHSIG), however many
// descriptors are open. Run in a process of its own, which has more than 512.
func TestNoThreadEnds(t *testing.T) {
	if !podrig.Alone(t) {
		return
	}
	for range 600 {
		f, err := os.Open(os.DevNull)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
	}
	echoes := make([]func() error, 20)
	var all, started sync.WaitGroup
	started.Add(len(echoes))
	for i := range echoes {
		all.Go(func() {
			runtime.LockOSThread() // each in a thread of its own, which is idle afterwards
			defer runtime.UnlockOSThread()
			echoes[i] = startEcho(t)
			started.Done()
			started.Wait()
		})
	}
	all.Wait()
	r := newRig(t, "listen", "ready", "hang")
	for _, name := range []string{"alice", "bob", "carol"} {
		pod := r.Launch(launcher.Spec{Name: name})
		mustStop(t, pod)
	}
	for i, echo := range echoes {
		if err := echo(); err != nil {
			t.Errorf("child %d of %d: %v", i, len(echoes), err)
		}
	}
}

// startEcho starts a child that dies with this thread, and returns what asks whether it
// lives. The child ends with the test.
func startEcho(t *testing.T) (echo func() error) {
	c := exec.Command("cat")
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	in, err := c.StdinPipe()
	if err != nil {
		t.Error(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Error(err)
	}
	if err := c.Start(); err != nil {
		t.Error(err)
	}
	t.Cleanup(func() {
		in.Close()
		c.Wait()
	})
	return func() error {
		if _, err := in.Write([]byte("x")); err != nil {
			return err
		}
		_, err := out.Read(make([]byte, 1))
		return err
	}
}

// W13: a program with an inherited descriptor above its limit launches pods, which do
// not get it: bash -c 'exec 251>/dev/null; ulimit -n 100; exec program'.
func TestInheritedAboveLimit(t *testing.T) {
	if !podrig.Alone(t, func(c *exec.Cmd) {
		null, err := os.Open(os.DevNull)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { null.Close() })
		c.ExtraFiles = append(make([]*os.File, 251-3), null)
		c.Args = append([]string{"sh", "-c", `ulimit -n 100; exec "$0" "$@"`, c.Path}, c.Args[1:]...)
		c.Path = "/bin/sh"
	}) {
		return
	}
	if flags, err := unix.FcntlInt(251, unix.F_GETFD, 0); err != nil || flags != 0 {
		t.Fatalf("the flags of descriptor 251 are %#x (%v)", flags, err)
	}
	getsNothingElse(t, newRig(t), "alice")
	if flags, err := unix.FcntlInt(251, unix.F_GETFD, 0); err != nil || flags != 0 {
		t.Errorf("the flags of descriptor 251 are %#x now (%v)", flags, err)
	}
}
