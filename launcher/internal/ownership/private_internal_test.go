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
		return err
	}
}
