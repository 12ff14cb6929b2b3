//go:build unix

package ownership

import (
	"errors"
	"runtime"
	"sync/atomic"
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
