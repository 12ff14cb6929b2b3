package osproc

import (
	"math"
	"os"
	"os/exec"
	"slices"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// However many descriptors are open, those are found that a child would inherit, in
// either way; and the highest of all where they are few.
func TestInheritable(t *testing.T) {
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
	near, err := syscall.Dup(0) // as C code does it
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(near)
	for _, f := range files {
		f.Close()
	}
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	for _, least := range []int{2 * fewDescriptors, 20 * fewDescriptors} {
		if uint64(least) >= uint64(limit.Cur) {
			t.Skipf("not run: it needs descriptor %d, and the limit (ulimit -n) is %d", least, limit.Cur)
		}
		far, err := unix.FcntlInt(0, unix.F_DUPFD, least)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(far)
		if highest, low, known := askDescriptors(); low || known != sizeIsCount(t) {
			t.Errorf("the highest is %d (%v, %v)", highest, low, known)
		}
		for _, counted := range []bool{false, sizeIsCount(t)} {
			found := inheritable(counted)
			if !slices.Contains(found, near) || !slices.Contains(found, far) {
				t.Errorf("a child would inherit %d and %d; found is %v", near, far, found)
			}
			for _, fd := range found {
				if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil || flags != 0 {
					t.Errorf("descriptor %d has the flags %#x (%v)", fd, flags, err)
				}
			}
		}
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

// A mark is taken away again, but not from a descriptor whose number has become
// another's.
func TestMarkClosed(t *testing.T) {
	var ends [2]int
	if err := unix.Pipe2(ends[:], 0); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(ends[0])
	defer unix.Close(ends[1])
	flags := func(fd int) int {
		flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
		if err != nil {
			t.Fatal(err)
		}
		return flags
	}
	restore := markClosed([]int{ends[0], ends[1]})
	if flags(ends[0]) != unix.FD_CLOEXEC || flags(ends[1]) != unix.FD_CLOEXEC {
		t.Error("they are not marked")
	}
	if err := unix.Dup3(0, ends[1], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	restore()
	if flags(ends[0]) != 0 || flags(ends[1]) != unix.FD_CLOEXEC {
		t.Errorf("the flags are %#x, and that of another file %#x", flags(ends[0]), flags(ends[1]))
	}
}

// B26, W13: a descriptor whose number is near the limit or above it, since it was opened
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
		if flags, err := unix.FcntlInt(high, unix.F_GETFD, 0); err != nil || flags != 0 {
			t.Errorf("with a limit of %d the flags of this program's own descriptor are %#x now (%v)", limit, flags, err)
		}
	}
}
