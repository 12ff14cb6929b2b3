//go:build linux || windows

package ownership

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/podlaunch/podlaunch/runtimedir"
)

// A private pod goes while others sweep, remove the base and make it again. Any of them may
// remove its directory first, and none gets an error.
func TestRemovePrivateAtOnce(t *testing.T) {
	const pods = 4
	rounds := 150
	if testing.Short() {
		rounds = 50
	}
	base := filepath.Join(t.TempDir(), "base")
	var wg sync.WaitGroup
	for range pods {
		wg.Go(func() {
			for range rounds {
				name := RandomName()
				if err := privateGone(t.Context(), base, name); err != nil {
					t.Error(err)
					return
				}
				if err := RemovePrivate(t.Context(), base, name); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	if _, err := os.Lstat(base); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the base: %v", err)
	}
}

// privateGone leaves what a private pod has that has just gone: a directory, and a lock
// that nobody holds. It sweeps first, as a launch does.
func privateGone(ctx context.Context, base, name string) error {
	for {
		if _, err := Sweep(ctx, base, "PODLAUNCH_TEST_NAME"); err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, runtimedir.ErrInsecure) {
			return err
		}
		if err := os.Mkdir(base, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		p, err := Open(base, name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		c, err := p.Private(ctx)
		if err != nil {
			p.Close()
			if errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrNotOursAlone) {
				continue
			}
			return err
		}
		err = os.Mkdir(p.path(name), 0o700)
		c.pod.unlock()
		p.Close()
		LeavePrivate(name) // as if its launcher were another
		return err
	}
}

// A program removes the directories of its own private pods when they are gone, and does not
// look at them before: until it leaves them to a Sweep.
func TestSweepSparesOurs(t *testing.T) {
	base := filepath.Join(t.TempDir(), "base")
	name := RandomName()
	if err := privateGone(t.Context(), base, name); err != nil {
		t.Fatal(err)
	}
	private.Store(name, true)
	if swept, err := Sweep(t.Context(), base, "PODLAUNCH_TEST_NAME"); len(swept) > 0 || err != nil {
		t.Errorf("Sweep has removed %v, which is this program's: %v", swept, err)
	}
	LeavePrivate(name)
	if swept, err := Sweep(t.Context(), base, "PODLAUNCH_TEST_NAME"); len(swept) != 1 || err != nil {
		t.Errorf("then Sweep removed %v, %v", swept, err)
	}
}
