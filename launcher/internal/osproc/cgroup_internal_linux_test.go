package osproc

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// Where the program's own cgroup is, by what the kernel says.
func TestCgroupIn(t *testing.T) {
	const hybrid = "30 29 0:26 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n31 29 0:27 / /sys/fs/cgroup/uni\\040fied rw shared:1 - cgroup2 cgroup2 rw\n"
	for _, c := range []struct{ groups, table, want string }{
		{"5:cpu:/x\n0::/user/a\n", hybrid, "/sys/fs/cgroup/uni fied/user/a"},
		{"0::/\n", hybrid, "/sys/fs/cgroup/uni fied"},
		{"0::/pod/a\n", "31 29 0:27 /pod /cg rw - cgroup2 cgroup2 rw\n", "/cg/a"},
		{"0::/other\n", "31 29 0:27 /pod /cg rw - cgroup2 cgroup2 rw\n", ""},
		{"5:cpu:/x\n", hybrid, ""},
		{"0::/\n", "30 29 0:26 / /cg rw - cgroup cgroup rw,cpu\n", ""},
	} {
		if got, err := cgroupIn(c.groups, c.table); got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%q, %q: %q, %v", c.groups, c.table, got, err)
		}
	}
}

// Only a cgroup that has provably been removed is none.
func TestFindCgroup(t *testing.T) {
	own, err := ownCgroup()
	switch {
	case errors.Is(err, errors.ErrUnsupported):
		t.Skipf("there is no cgroup v2 here: %v", err)
	case err != nil:
		t.Fatal(err)
	}
	for _, c := range []struct {
		path, id string
		fails    bool
	}{
		{filepath.Join(own, "pod-1"), "1", false},
		{filepath.Join(own, "gone/too/pod-1"), "1", false},
		{own, "", false},
		{own, "1", false},
		{"pod-1", "1", false},
		{filepath.Join(t.TempDir(), "pod-1"), "1", true},
		{"/nowhere/pod-1", "1", true},
	} {
		if got, err := FindCgroup(c.path, c.id); got != nil || errors.Is(err, errors.ErrUnsupported) != c.fails || err != nil != c.fails {
			t.Errorf("%q, %q: %v, %v", c.path, c.id, got, err)
		}
	}
	if got, err := FindCgroup(own, own); got.Path() != own || err != nil {
		t.Errorf("%q: %v, %v", own, got, err)
	}
}

// The right to make one is asked for before anything is made.
func TestPlanCgroupWithoutTheRight(t *testing.T) {
	own, err := ownCgroup()
	switch {
	case errors.Is(err, errors.ErrUnsupported):
		t.Skipf("there is no cgroup v2 here: %v", err)
	case err != nil:
		t.Fatal(err)
	}
	if os.Getuid() != 0 {
		t.Skip("only root can be another user")
	}
	refused := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, 65534, 65534, 65534); errno != 0 {
			refused <- errno
			return
		}
		_, err := PlanCgroup(own, "pod")
		refused <- err
	}()
	if err := <-refused; !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), "has to be delegated") {
		t.Error(err)
	}
}

// What the files of a cgroup tell: why its processes do nothing, or have gone.
func TestCgroupNotes(t *testing.T) {
	c := &Cgroup{path: t.TempDir()}
	say := func(file, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(c.path, file), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	expect := func(want ...string) {
		t.Helper()
		got := c.Notes()
		for i := range want {
			if len(got) != len(want) || !strings.Contains(got[i], want[i]) {
				t.Fatalf("%q, want %q", got, want)
			}
		}
		if len(got) != len(want) {
			t.Errorf("%q, want %q", got, want)
		}
	}
	expect()
	say("cgroup.events", "populated 1\nfrozen 0\n")
	say("cgroup.freeze", "0\n")
	say("memory.events", "low 0\noom 5\noom_kill 0\noom_group_kill 7\n")
	expect()
	say("memory.events", "low 0\noom 5\noom_kill 3\noom_group_kill 0\n")
	expect("ended 3 of its processes for want of memory")
	say("cgroup.events", "populated 1\nfrozen 1\n")
	expect("is frozen, by a cgroup above it", "3 of its processes")
	say("cgroup.freeze", "1\n")
	expect("is frozen, by its own cgroup.freeze", "3 of its processes")
	say("cgroup.events", "populated 1\nfrozen 0\n")
	expect("is being frozen, by its own cgroup.freeze", "3 of its processes")
}

// inCgroup starts a process in a cgroup of its own. In CI root can make one.
func inCgroup(t *testing.T) (*Cgroup, *exec.Cmd) {
	t.Helper()
	c, err := PlanCgroup("", "podlaunch-"+t.Name()+"-"+strconv.Itoa(os.Getpid()))
	if err == nil {
		err = c.Make()
	}
	switch {
	case errors.Is(err, errors.ErrUnsupported), errors.Is(err, fs.ErrPermission), errors.Is(err, unix.EROFS):
		t.Skipf("no cgroup can be made here: %v", err)
	case err != nil:
		t.Fatal(err)
	}
	cmd := exec.Command("sleep", "1000")
	cmd.SysProcAttr = sysProcAttr(Command{}, nil)
	c.join(cmd.SysProcAttr)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if err := c.Remove(); err != nil {
			t.Error(err)
		}
		c.Close()
	})
	return c, cmd
}

// The cgroups that a process has made below its own are left to it, though nobody is in there yet.
func TestRemoveSparesWhatIsUsed(t *testing.T) {
	c, _ := inCgroup(t)
	inner := filepath.Join(c.path, "inner")
	if err := os.Mkdir(inner, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := c.Remove(); !errors.Is(err, unix.EBUSY) {
		t.Errorf("Remove returned %v", err)
	}
	if _, err := os.Stat(inner); err != nil {
		t.Error(err)
	}
}

// hiddenVariable names the cgroup in the process that looks into it.
const hiddenVariable = "OSPROC_HIDDEN_IN"

// Who may not be seen (mount option hidepid of proc(5)) is left in the cgroup all the same.
func TestHiddenInACgroup(t *testing.T) {
	if path := os.Getenv(hiddenVariable); path != "" {
		if left, err := (&Cgroup{path: path, fd: -1}).Left(); len(left) != 1 || left[0] != (Identity{}) || err != nil {
			t.Errorf("in it are %v, %v", left, err)
		}
		return
	}
	if os.Geteuid() != 0 {
		t.Skip("only root can mount /proc with hidepid")
	}
	c, _ := inCgroup(t)
	WithHidepid(t, "invisible", "TestHiddenInACgroup", hiddenVariable+"="+c.path)
}

// A kernel before 5.14 has no cgroup.kill: the processes are ended one by one.
func TestKillEach(t *testing.T) {
	c, cmd := inCgroup(t)
	if in, err := Holds(c.path, cmd.Process.Pid); !in || err != nil {
		t.Errorf("it is in its cgroup: %v, %v", in, err)
	}
	if in, err := Holds(c.path, os.Getpid()); in || err != nil {
		t.Errorf("this program is in there: %v, %v", in, err)
	}
	if left, err := c.Left(); len(left) != 1 || left[0].PID != cmd.Process.Pid || err != nil {
		t.Errorf("in it are %v, %v", left, err)
	}
	if err := c.Remove(); err == nil {
		t.Error("it was removed")
	}
	if err := c.killEach(true); err != nil {
		t.Error(err)
	}
	<-c.Emptied(t.Context())
	_ = cmd.Wait()
	if left, err := c.Left(); len(left) != 0 || err != nil {
		t.Errorf("in it are %v, %v", left, err)
	}
}
