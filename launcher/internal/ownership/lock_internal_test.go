//go:build unix || windows

package ownership

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"testing"
)

// D30: somebody deletes the lock's file between another's open and its lock.
// The other must not take the deleted one for the lock.
func TestLockOfADeletedFile(t *testing.T) {
	for _, name := range []string{".alice.launch", ".alice.pod"} {
		t.Run(name, func(t *testing.T) { lockOfADeletedFile(t, name) })
	}
}

func lockOfADeletedFile(t *testing.T, name string) {
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
				l, err := tryLock(base, name, true)
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
				// The last act under the lock: a worker that waits has the old file open.
				if err := base.remove(name); err != nil {
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

// A lock counts only if its file still has its name after it was locked. A file that was
// deleted meanwhile does not count. A file that was renamed does not count for a caller
// that asks for exactly this name.
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
		}, looseAfterRename, false},
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
		l := &lock{base: base.path, name: "lock", fd: fd}
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

// Two processes that only ask whether a lock is held do not see each other.
func TestTwoWhoAsk(t *testing.T) {
	base, _, err := openDirectory(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer base.close()
	const name = ".alice.launch"
	fd, err := openLock(base, name)
	if err != nil {
		t.Fatal(err)
	}
	defer closeFD(fd)
	for _, shared := range []bool{true, false} {
		if err := lockFD(fd, shared); err != nil {
			t.Fatal(err)
		}
		if locked, err := isLocked(base, name); locked == shared || err != nil {
			t.Errorf("beside a lock that is shared, %v, isLocked returned %v, %v", shared, locked, err)
		}
		unlockFD(fd)
	}
}
