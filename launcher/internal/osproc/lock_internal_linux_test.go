package osproc

import (
	"context"
	"errors"
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
		var h LockHolder
		held, err := identified(os.Getpid(), func() (holds, error) {
			looks++
			if !c.looks[looks-1] {
				return nil, nil
			}
			return holds{7: {{dev: 1, taker: looks}}}, nil
		})
		ok := held != nil
		if ok {
			h, ok, err = held.of(LockFile{Dev: 1, Inode: 7})
		}
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
	if inode, taker, given, ok := parseLock([]byte(info)); inode != 131074 || taker != 4711 || given || !ok {
		t.Errorf("parseLock returned %d, %d, %v, %v", inode, taker, given, ok)
	}
	if inode, _, given, ok := parseLock([]byte("flags:\t0100002\nlock:\t1: POSIX  ADVISORY  WRITE 4711 fe:00:131074 0 EOF\n")); !given || ok {
		t.Errorf("of a file without such a lock parseLock returned %d, %v, %v", inode, given, ok)
	}
}

// A look finds the holders of all locks that are asked for, each by its own file: also where
// files of the same name are in different directories, or have the same inode number.
func TestLockSearch(t *testing.T) {
	files := make(map[LockFile]bool)
	var mine, free LockFile
	for i := range 2 {
		path := filepath.Join(t.TempDir(), ".a.pod")
		fd, err := unix.Open(path, unix.O_RDWR|unix.O_CREAT|unix.O_CLOEXEC, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		var st unix.Stat_t
		if err := unix.Fstat(fd, &st); err != nil {
			t.Fatal(err)
		}
		file := LockFile{path, uint64(st.Dev), st.Ino}
		files[file] = true
		if free = file; i == 0 {
			mine = file
			if err := unix.Flock(fd, unix.LOCK_EX); err != nil {
				t.Fatal(err)
			}
		}
	}
	elsewhere := mine
	elsewhere.Dev++
	files[elsewhere] = true
	for name, search := range map[string]lockSearch{"of files": searchFor(t.Context(), files), "of all": {ctx: t.Context()}} {
		owner, err := search.owner(os.Getpid())
		if owner == nil || err != nil {
			t.Fatalf("%s: %v, %v", name, owner, err)
		}
		for file, want := range map[LockFile]bool{mine: true, free: false, elsewhere: false} {
			if h, ok, err := owner.of(file); ok != want || err != nil || want && (h.PID != os.Getpid() || !h.Took()) {
				t.Errorf("%s: of %+v: %+v, %v, %v; want %v", name, file, h, ok, err, want)
			}
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if owner, err := searchFor(ctx, files).owner(os.Getpid()); owner != nil || err != context.Canceled {
		t.Errorf("once the context is done: %v, %v", owner, err)
	}
}

// Where one file's filesystem does not answer, that is no error for who asks about another.
func TestLockOfTheSick(t *testing.T) {
	sick := errors.New("its server has gone")
	owner := lockOwner{holds: holds{7: {{err: sick}}, 8: {{dev: 1}}}}
	if _, ok, err := owner.of(LockFile{Dev: 1, Inode: 7}); ok || err != sick {
		t.Errorf("of the sick one: %v, %v", ok, err)
	}
	if _, ok, err := owner.of(LockFile{Dev: 1, Inode: 8}); !ok || err != nil {
		t.Errorf("of the other one: %v, %v", ok, err)
	}
}
