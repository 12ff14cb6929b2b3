package launcher

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/podlaunch/podlaunch/launcher/internal/ownership"
)

// keptLog returns path, of a log, unless it is in dir and goes with that when the launch
// of a private pod fails.
func keptLog(path, dir string) string {
	if strings.HasPrefix(path, dir+string(filepath.Separator)) {
		return ""
	}
	return path
}

// A privateDir is the directory of a private pod that is ready.
type privateDir struct{ base, name string }

// removePatience is how long removing the directory of a private pod may take. After that
// Pod.Done closes without it. It tries for half of that time if somebody puts files in: with
// hundreds of pods that end at once it takes seconds.
const removePatience = 10 * time.Second

// remove removes d. It does not wait for a filesystem that hangs.
func (d privateDir) remove() error {
	removing := spawn(func() (struct{}, error) {
		ctx, cancel := context.WithTimeout(context.Background(), removePatience/2)
		defer cancel()
		return struct{}{}, ownership.RemovePrivate(ctx, d.base, d.name)
	})
	o, ok := receive(removing, removePatience)
	switch {
	case !ok:
		return fmt.Errorf("removing its directory %q has not ended within %v", filepath.Join(d.base, d.name), removePatience)
	case o.crash != nil:
		o.crash.pass()
	}
	return o.err
}
