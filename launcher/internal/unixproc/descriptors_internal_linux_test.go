package unixproc

import (
	"math"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// However many descriptors are open, the highest is found if it is asked for;
// else many are not looked at, nor is one that is far away.
func TestHighestDescriptor(t *testing.T) {
	var files []*os.File
	for range 300 {
		f, err := os.Open(os.DevNull)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		files = append(files, f)
	}
	last := int(files[len(files)-1].Fd())
	if highest, low, known := askDescriptors(); low && highest < last || known != sizeIsCount(t) || known && !low {
		t.Errorf("descriptor %d is open, and the highest is %d (%v, %v)", last, highest, low, known)
	}
	if highest, few := highestDescriptor(false); highest < last || !few {
		t.Errorf("descriptor %d is open, and the highest is %d (%v)", last, highest, few)
	}
	if highest, few := highestDescriptor(true); few {
		t.Errorf("300 are few, the highest is %d", highest)
	}
	for _, f := range files {
		f.Close()
	}
	far, err := unix.FcntlInt(0, unix.F_DUPFD_CLOEXEC, 2*fewDescriptors)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(far)
	if highest, low, known := askDescriptors(); low || known != sizeIsCount(t) {
		t.Errorf("the highest is %d (%v, %v)", highest, low, known)
	}
	if highest, few := highestDescriptor(true); few {
		t.Errorf("the highest is %d, and they are few", highest)
	}
	if highest, _ := highestDescriptor(false); highest < far {
		t.Errorf("descriptor %d is open, and the highest is %d", far, highest)
	}
}

// sizeIsCount reports whether this kernel tells how many descriptors are open.
func sizeIsCount(t *testing.T) bool {
	fi, err := os.Stat(descriptorDir)
	if err != nil {
		t.Fatal(err)
	}
	return fi.Size() > 0
}

// A thread of one's own is never the main one, which does not end; and what
// happens in it to its descriptors happens to no others. Run in a process whose
// goroutines mostly run in the main thread.
func TestInThread(t *testing.T) {
	const role = "PODLAUNCH_TEST_IN_THREAD"
	if os.Getenv(role) == "" {
		c := exec.Command(os.Args[0], "-test.run=^TestInThread$", "-test.v")
		c.Env = append(os.Environ(), role+"=1", "GOMAXPROCS=1")
		if out, err := c.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	if !canForkAlone() {
		t.Skip("this kernel has no close_range with CLOSE_RANGE_CLOEXEC, or a filter forbids it")
	}
	open, err := syscall.Dup(0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(open)
	for range 100 {
		inThread(func() {
			if unix.Gettid() == unix.Getpid() {
				t.Error("it runs in the main thread")
			}
			if err := leaveDescriptors(firstFile); err != nil {
				t.Error(err)
			}
			if flags, err := unix.FcntlInt(uintptr(open), unix.F_GETFD, 0); err != nil || flags != unix.FD_CLOEXEC {
				t.Errorf("in the thread the flags are %#x (%v)", flags, err)
			}
		})
		if flags, err := unix.FcntlInt(uintptr(open), unix.F_GETFD, 0); err != nil || flags != 0 {
			t.Errorf("outside of the thread the flags are %#x (%v)", flags, err)
		}
	}
}

// A process that a thread of its own starts can be waited for like any other, and
// a program that is not there is an error.
func TestForkExecAlone(t *testing.T) {
	if !canForkAlone() {
		t.Skip("this kernel has no close_range with CLOSE_RANGE_CLOEXEC, or a filter forbids it")
	}
	pidfd := -1
	attr := &syscall.ProcAttr{Files: []uintptr{0, 1, 2}, Sys: sysProcAttr(&pidfd)}
	if _, _, err := forkExecAlone("/nowhere/no-such-program", []string{"x"}, attr); err != syscall.ENOENT {
		t.Errorf("a program that is not there: %v", err)
	}
	pid, _, err := forkExecAlone("/bin/sh", []string{"sh", "-c", "exit 7"}, attr)
	if err != nil {
		t.Fatal(err)
	}
	if pidfd < 0 {
		t.Error("there is no pidfd")
	}
	p := newProcess(pid, pidfd)
	if exit, err := p.Wait(t.Context()); err != nil || exit != (Exit{Code: 7, Known: true}) {
		t.Errorf("it has ended with %v, %v", exit, err)
	}
	if err := p.Reap(t.Context()); err != nil {
		t.Error(err)
	}
}

// A process that a thread of its own starts has its pidfd from the fork on, also if it
// ends at once, and somebody reaps all children. Run in a process that reaps them.
func TestForkExecAloneWhereChildrenAreReaped(t *testing.T) {
	const role = "PODLAUNCH_TEST_REAPED"
	if os.Getenv(role) == "" {
		c := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
		c.Env = append(os.Environ(), role+"=1")
		if out, err := c.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	if !canForkAlone() {
		t.Skip("this kernel has no close_range with CLOSE_RANGE_CLOEXEC, or a filter forbids it")
	}
	signal.Ignore(syscall.SIGCHLD) // the kernel reaps them
	open := 0
	for i := range 200 {
		if i == 1 { // the poller has its own by now
			open = openDescriptors(t)
		}
		pidfd := -1
		pid, _, err := forkExecAlone("/bin/false", []string{"false"}, &syscall.ProcAttr{Files: []uintptr{0, 1, 2}, Sys: sysProcAttr(&pidfd)})
		if err != nil {
			t.Fatal(err)
		}
		if pidfd < 0 {
			t.Fatal("there is no pidfd")
		}
		p := newProcess(pid, pidfd)
		if exit, err := p.Wait(t.Context()); err != nil || exit != (Exit{Code: 1, Known: true}) && exit.Known {
			t.Errorf("it has ended with %v, %v", exit, err)
		}
		if err := p.Reap(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if now := openDescriptors(t); now > open {
		t.Errorf("%d descriptors are open, and %d were after the first", now, open)
	}
}

// openDescriptors returns how many descriptors are open.
func openDescriptors(t *testing.T) int {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(fds)
}

// B26: a descriptor whose number is near the limit or above it, since it was opened
// before the limit was set, does not keep a process from being started, and is not
// inherited. Run in a process of its own, which has one.
func TestDescriptorAboveLimit(t *testing.T) {
	const role = "PODLAUNCH_TEST_ABOVE_LIMIT"
	if os.Getenv(role) == "" {
		c := exec.Command(os.Args[0], "-test.run=^TestDescriptorAboveLimit$", "-test.v")
		c.Env = append(os.Environ(), role+"=1")
		if out, err := c.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	if !canForkAlone() {
		t.Skip("this kernel has no close_range with CLOSE_RANGE_CLOEXEC, or a filter forbids it")
	}
	// The shell that runs the tests may have left us a higher one.
	if err := unix.CloseRange(100, math.MaxInt32, 0); err != nil {
		t.Fatal(err)
	}
	const high = 251
	if err := unix.Dup3(0, high, 0); err != nil {
		t.Fatal(err)
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	files := make([]*os.File, 22)
	files[20], files[21] = null, null
	for _, limit := range []uint64{260, 257, 256, 255, 254, 253, 252, 251, 250, 100, 40} {
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: limit, Max: limit}); err != nil {
			t.Fatal(err)
		}
		p, err := Start(t.Context(), Command{
			Path:  "/bin/sh",
			Args:  []string{"-c", `test -e /proc/self/fd/20 && test -e /proc/self/fd/21 && ! test -e /proc/self/fd/251`},
			Files: files,
		})
		if err != nil {
			t.Errorf("with a limit of %d: %v", limit, err)
			continue
		}
		if exit, err := p.Wait(t.Context()); err != nil || exit != (Exit{Known: true}) {
			t.Errorf("with a limit of %d it has not the descriptors that it should have: %+v, %v", limit, exit, err)
		}
		if err := p.Reap(t.Context()); err != nil {
			t.Error(err)
		}
	}
}
