//go:build unix

package ownership

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"syscall"
	"testing"
)

// D30: somebody deletes the lock's file between another's open and its lock.
// The other must not take the deleted one for the lock.
func TestLockOfADeletedFile(t *testing.T) {
	base, _, err := openDirectory(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer base.close()
	var inside, entered atomic.Int32
	done := make(chan error)
	const workers, rounds = 4, 150
	for range workers {
		go func() {
			for n := 0; n < rounds; {
				l, err := tryLock(base, "lock", true)
				if err == errBusy {
					runtime.Gosched()
					continue
				}
				if err != nil {
					done <- err
					return
				}
				n++
				entered.Add(1)
				if inside.Add(1) != 1 {
					done <- errors.New("two have the lock")
					return
				}
				inside.Add(-1)
				// The last act under the lock: whoever waits has the old file open.
				if err := base.remove("lock"); err != nil {
					done <- err
					return
				}
				l.unlock()
			}
			done <- nil
		}()
	}
	for range workers {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	if entered.Load() != workers*rounds {
		t.Errorf("entered %d times", entered.Load())
	}
}

// A lock is the file that has its name after it was locked: one that was deleted
// meanwhile is not, and one that was renamed is not if that is asked.
func TestIdentifyLock(t *testing.T) {
	for what, c := range map[string]struct {
		change func(base *dir) error
		loose  bool // it is the lock if it is not asked for exactly
		exact  bool
	}{
		"nothing": {func(*dir) error { return nil }, true, true},
		"deleted": {func(base *dir) error { return base.remove("lock") }, false, false},
		"renamed": {func(base *dir) error {
			return os.Rename(filepath.Join(base.path, "lock"), filepath.Join(base.path, "other"))
		}, true, false},
	} {
		base, _, err := openDirectory(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		defer base.close()
		fd, err := openLock(base, "lock")
		if err != nil {
			t.Fatal(err)
		}
		l := &lock{path: filepath.Join(base.path, "lock"), fd: fd}
		defer l.drop()
		if err := c.change(base); err != nil {
			t.Fatal(err)
		}
		for exact, want := range map[bool]bool{false: c.loose, true: c.exact} {
			if same, err := l.identify(base, exact); same != want || err != nil {
				t.Errorf("%s, exact %v: identify returned %v, %v; want %v", what, exact, same, err, want)
			}
		}
	}
}

// Who only asks whether a lock is held does not see another who asks.
func TestTwoWhoAsk(t *testing.T) {
	base, _, err := openDirectory(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer base.close()
	fd, err := openLock(base, "lock")
	if err != nil {
		t.Fatal(err)
	}
	defer closeFD(fd)
	for how, want := range map[int]bool{syscall.LOCK_SH: false, syscall.LOCK_EX: true} {
		if err := flock(fd, how); err != nil {
			t.Fatal(err)
		}
		if locked, err := isLocked(base, "lock"); locked != want || err != nil {
			t.Errorf("beside a lock of kind %d isLocked returned %v, %v; want %v", how, locked, err, want)
		}
	}
}
