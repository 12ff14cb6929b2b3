package osproc

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// A process is a holder only if it holds the lock after it was identified. Otherwise the
// caller could end a process that has let go meanwhile, or another with the same number.
func TestHolderIsLookedAtTwice(t *testing.T) {
	for name, c := range map[string]struct {
		looks []bool
		want  bool
	}{
		"it holds the lock":       {[]bool{true, true}, true},
		"it has let go meanwhile": {[]bool{true, false}, false},
		"it does not hold it":     {[]bool{false}, false},
	} {
		looks := 0
		file := LockFile{Path: "/base/.a.pod"}
		held, err := identified(os.Getpid(), func() (holds, error) {
			looks++
			if !c.looks[looks-1] {
				return nil, nil
			}
			return holds{file: {Taker: looks}}, nil
		})
		h, ok := held[file]
		if err != nil || ok != c.want || looks != len(c.looks) {
			t.Errorf("%s: identified returned %v, %v after %d looks", name, held, err, looks)
		}
		if ok && (h.PID != os.Getpid() || h.Taker != 2) {
			t.Errorf("%s: it is %+v, want what the second look has shown", name, h)
		}
	}
}

// A holder has the lock from a start if any of its descriptors stays open on exec.
func TestGivenByAnyDescriptor(t *testing.T) {
	var fds [3]int
	path := filepath.Join(t.TempDir(), "lock")
	for i := range fds {
		fd, err := unix.Open(path, unix.O_RDWR|unix.O_CREAT|unix.O_CLOEXEC, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		fds[i] = fd
	}
	var st unix.Stat_t
	if err := unix.Fstat(fds[1], &st); err != nil {
		t.Fatal(err)
	}
	if err := unix.Flock(fds[1], unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	look := func(given bool) {
		t.Helper()
		holders, err := LockHolders(t.Context(), LockFile{path, uint64(st.Dev), st.Ino})
		if err != nil || len(holders) != 1 || holders[0].Given != given {
			t.Errorf("LockHolders returned %+v, %v; want one, given: %v", holders, err, given)
		}
	}
	look(false)
	for _, copied := range []int{fds[0], fds[2]} { // below it, and above it
		if err := unix.Dup3(fds[1], copied, 0); err != nil {
			t.Fatal(err)
		}
		look(true)
		if err := unix.Dup3(fds[1], copied, unix.O_CLOEXEC); err != nil {
			t.Fatal(err)
		}
		look(false)
	}
}

// A lock is known by the number of its file, and not by a part of that.
func TestParseLock(t *testing.T) {
	const info = "pos:\t0\nflags:\t02100002\nmnt_id:\t30\nlock:\t1: FLOCK  ADVISORY  WRITE 4711 fe:00:131074 0 EOF\n"
	for inode, want := range map[uint64]bool{131074: true, 31074: false, 4: false, 1131074: false} {
		taker, given, ok := parseLock([]byte(info), inode)
		if ok != want || given || ok && taker != 4711 {
			t.Errorf("of inode %d parseLock returned %d, %v, %v", inode, taker, given, ok)
		}
	}
}
