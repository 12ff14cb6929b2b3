package runtimedir_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/podlaunch/podlaunch/runtimedir"
)

// The base of Temp goes with the last pod, while others make theirs: a directory that cannot
// be made then says that the base is missing, and nothing else.
func TestTempWhileTheBaseGoes(t *testing.T) {
	t.Setenv("XDG_RUNTIME_DIR", tempDir(t))
	const pods = 4
	rounds := 2000
	if testing.Short() {
		rounds = 200
	}
	var wg sync.WaitGroup
	for i := range pods {
		wg.Go(func() {
			for range rounds {
				dir, err := runtimedir.Temp{}.RuntimeDir(t.Context(), string(rune('a'+i)))
				if errors.Is(err, fs.ErrNotExist) {
					continue
				}
				if err != nil {
					t.Error(err)
					return
				}
				if err := os.Remove(dir); err != nil {
					t.Error(err)
					return
				}
				_ = os.Remove(filepath.Dir(dir)) // another one may be in there
			}
		})
	}
	wg.Wait()
}
