package launcher_test

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/launcher/internal/fakepod"
	"github.com/podlaunch/podlaunch/launcher/internal/podrig"
	"github.com/podlaunch/podlaunch/readiness"
)

// A shell that stays what it was started as: Go's runtime would change the
// signals' fields, and raise the limit on descriptors.
const stillPod = `printf 'INSOMNIA-READY\talice\t/nowhere\n' >&2; read line < "$0"`

// stillRig returns a rig whose pod is that shell, as it was started.
func stillRig(t *testing.T) *rig {
	t.Helper()
	r := newRig(t)
	r.L.Ready = readiness.ReadyLine{}
	r.L.Command = launcher.Exec("/bin/sh", "-c", stillPod, r.Fifo("never"))
	return r
}

// procFile returns a file about a process, as the kernel tells it.
func procFile(t *testing.T, pid int, name string) string {
	t.Helper()
	return readFile(t, fmt.Sprintf("/proc/%d/%s", pid, name))
}

// procLink returns what a link about a process leads to.
func procLink(t *testing.T, pid int, name string) string {
	t.Helper()
	target, err := os.Readlink(fmt.Sprintf("/proc/%d/%s", pid, name))
	if err != nil {
		t.Fatal(err)
	}
	return target
}

// status returns the fields of /proc/PID/status that are called names.
func status(t *testing.T, pid int, names ...string) map[string]string {
	t.Helper()
	fields := map[string]string{}
	for line := range strings.Lines(procFile(t, pid, "status")) {
		name, value, _ := strings.Cut(line, ":")
		if slices.Contains(names, name) {
			fields[name] = strings.TrimSpace(value)
		}
	}
	if len(fields) != len(names) {
		t.Fatalf("of %q there are only %q", names, fields)
	}
	return fields
}

// environ returns the environment that a process was started with.
func environ(t *testing.T, pid int) []string {
	t.Helper()
	list := strings.Split(procFile(t, pid, "environ"), "\x00")
	return list[:len(list)-1]
}

// What a pod gets of its launcher, told by the kernel and not by the pod. Run in
// a process of its own, whose settings differ from the usual ones.
func TestChild(t *testing.T) {
	const role = "PODLAUNCH_TEST_CHILD"
	if os.Getenv(role) == "" {
		secret, err := os.Create(filepath.Join(t.TempDir(), "secret"))
		if err != nil {
			t.Fatal(err)
		}
		defer secret.Close()
		// The shell's settings are this program's from the start, as those of
		// somebody's service manager would be.
		c := exec.Command("/bin/sh", "-c", `umask 037; ulimit -S -n 250; ulimit -c 0; exec "$0" -test.run='^TestChild$' -test.v`, os.Args[0])
		// The user may run the tests with some signals ignored (nohup(1)); the pod
		// ignores them too.
		c.Env = append(os.Environ(), role+"="+status(t, os.Getpid(), "SigIgn")["SigIgn"], "LD_LIBRARY_PATH=/nowhere", "NOTIFY_SOCKET=/nowhere")
		c.ExtraFiles = []*os.File{secret}
		if out, err := c.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS: TestChild/limits") {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	dir := t.TempDir()
	r := stillRig(t)
	pod := r.Launch(launcher.Spec{Name: "alice", Dir: dir})
	self, pid := os.Getpid(), pod.PID()

	t.Run("environment", func(t *testing.T) {
		want := slices.DeleteFunc(os.Environ(), func(e string) bool {
			return strings.HasPrefix(e, "NOTIFY_SOCKET=") || strings.HasPrefix(e, "PWD=")
		})
		want = append(want, "PWD="+dir, "POD_NAME=alice", "POD_RUNTIME_DIR="+r.Dir("alice"))
		got := slices.DeleteFunc(environ(t, pid), isLaunchID)
		slices.Sort(want)
		slices.Sort(got)
		if diff := difference(want, got); diff != "" {
			t.Errorf("the caller's, without what its service manager told it (-want +got):\n%s", diff)
		}
	})
	t.Run("environment that is given", func(t *testing.T) {
		given := []string{"ONLY=this", "LD_PRELOAD="}
		r := stillRig(t)
		pod := r.Launch(launcher.Spec{Name: "alice", Env: given})
		want := append(given, "POD_NAME=alice", "POD_RUNTIME_DIR="+r.Dir("alice"))
		if diff := difference(want, slices.DeleteFunc(environ(t, pod.PID()), isLaunchID)); diff != "" {
			t.Errorf("B35: nothing of the caller's (-want +got):\n%s", diff)
		}
	})
	t.Run("descriptors", func(t *testing.T) {
		want := map[string]string{"0": os.DevNull, "1": os.DevNull, "2": pod.LogPath(), "20": filepath.Join(r.Base, ".alice.pod")}
		// When the shell has said that it is ready it puts its descriptors back as
		// they were for printf, and opens the FIFO.
		for end := time.Now().Add(podrig.Late); ; time.Sleep(time.Millisecond) {
			got := map[string]string{}
			entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range entries {
				// A descriptor that has been closed since leads nowhere.
				target, _ := os.Readlink(fmt.Sprintf("/proc/%d/fd/%s", pid, e.Name()))
				got[e.Name()] = target
			}
			maps.DeleteFunc(got, func(_, target string) bool { return target == filepath.Join(r.Base, "never") })
			diff := difference(want, got)
			if diff == "" {
				break
			}
			if time.Now().After(end) {
				t.Errorf("(-want +got):\n%s", diff)
				break
			}
		}
		for fd, flag := range map[string]int{"0": os.O_RDWR, "1": os.O_RDWR, "2": os.O_WRONLY | os.O_APPEND} {
			var flags int
			for line := range strings.Lines(procFile(t, pid, "fdinfo/"+fd)) {
				fmt.Sscanf(line, "flags: %o", &flags)
			}
			if got := flags & (syscall.O_ACCMODE | os.O_APPEND); got != flag {
				t.Errorf("descriptor %s is open with flags %#o, want %#o", fd, got, flag)
			}
		}
	})
	t.Run("session", func(t *testing.T) {
		stat := procFile(t, pid, "stat")
		fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
		want := fmt.Sprintf("[%d %d 0]", pid, pid) // it leads both, and has no terminal
		if got := fmt.Sprint(fields[2:5]); got != want {
			t.Errorf("group, session and terminal are %s, want %s", got, want)
		}
	})
	t.Run("directories", func(t *testing.T) {
		if got := procLink(t, pid, "cwd"); got != dir {
			t.Errorf("it works in %q, want %q", got, dir)
		}
		if got, want := procLink(t, pid, "root"), procLink(t, self, "root"); got != want {
			t.Errorf("its root is %q, want %q", got, want)
		}
	})
	t.Run("rights", func(t *testing.T) {
		names := []string{"Umask", "Uid", "Gid", "Groups", "NoNewPrivs", "Seccomp", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"}
		ours := status(t, self, names...)
		if ours["Umask"] != "0037" {
			t.Fatalf("our own umask is %s", ours["Umask"])
		}
		if diff := difference(ours, status(t, pid, names...)); diff != "" {
			t.Errorf("they are the caller's (-want +got):\n%s", diff)
		}
	})
	t.Run("signals", func(t *testing.T) {
		const none = "0000000000000000"
		want := map[string]string{"SigBlk": none, "SigIgn": os.Getenv(role), "ShdPnd": none}
		if diff := difference(want, status(t, pid, slices.Collect(maps.Keys(want))...)); diff != "" {
			t.Errorf("nothing is blocked, pending, or ignored but by us all (-want +got):\n%s", diff)
		}
	})
	t.Run("namespaces", func(t *testing.T) {
		for _, ns := range []string{"cgroup", "ipc", "mnt", "net", "pid", "user", "uts"} {
			if got, want := procLink(t, pid, "ns/"+ns), procLink(t, self, "ns/"+ns); got != want {
				t.Errorf("%s is %s, want %s", ns, got, want)
			}
		}
	})
	t.Run("limits", func(t *testing.T) {
		// Go raises its own limit on descriptors, and puts it back in what it
		// starts.
		got := procFile(t, pid, "limits")
		if !strings.Contains(strings.Join(strings.Fields(got), " "), "Max open files 250 ") {
			t.Errorf("the limit on descriptors is not the 250 that the caller was started with:\n%s", got)
		}
		without := func(limits string) (lines []string) {
			for line := range strings.Lines(limits) {
				if !strings.HasPrefix(line, "Max open files") {
					lines = append(lines, line)
				}
			}
			return lines
		}
		if diff := difference(without(procFile(t, self, "limits")), without(got)); diff != "" {
			t.Errorf("they are the caller's (-want +got):\n%s", diff)
		}
	})
	if t.Failed() {
		return
	}
	t.Run("overlay as a descriptor", func(t *testing.T) {
		r := newRig(t)
		r.L.OverlayTransport, r.L.Ready = launcher.OverlayAsDescriptor, readiness.ReadyLine{}
		r.L.Command = launcher.PodCommand{Env: "PODLAUNCH_TEST_UNSET", Program: podrig.Pod,
			Args: fakepod.Args("alice", r.Dir("alice"), []string{"ready /nowhere", "hang"}, nil)}
		pod := r.Launch(launcher.Spec{Name: "alice", Overlay: secretOverlay})
		if got := procFile(t, pod.PID(), "environ") + procFile(t, pod.PID(), "cmdline"); strings.Contains(got, "s3cret") {
			t.Errorf("its arguments and its environment hold the overlay: %q", got)
		}
		if got := procFile(t, pod.PID(), "fd/21"); got != secretOverlay {
			t.Errorf("descriptor 21 holds %q", got)
		}
	})
}
