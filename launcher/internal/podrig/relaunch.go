//go:build linux

package podrig

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/logsource"
	"github.com/podlaunch/podlaunch/runtimedir"
)

// names are the names whose last launch has failed, each with the base of that launch.
type names struct {
	failed  map[string]string
	spoiled bool
}

// relaunch launches and stops a pod of each name that failed last, when the test t is
// over. It passes over names that cannot be a pod's, and names that are blocked by
// something that is not ours to remove.
func (n *names) relaunch(t *testing.T) {
	t.Helper()
	if n.spoiled || t.Failed() {
		return
	}
	for name, base := range n.failed {
		l := launcher.Launcher{Command: Script(Serve...), Dir: runtimedir.Dir(base), Timeout: Ample}
		pod, err := l.Launch(context.Background(), launcher.Spec{Name: name})
		if err == nil {
			err = pod.Stop(context.Background())
		}
		if err != nil && !slices.ContainsFunc(inTheWay, func(target error) bool { return errors.Is(err, target) }) {
			t.Errorf("%s cannot be launched after it has failed: %v", name, err)
		}
	}
}

// inTheWay are the reasons why a name cannot be launched that are no fault of an earlier
// launch.
var inTheWay = []error{runtimedir.ErrInvalidName, runtimedir.ErrSocketPathTooLong, runtimedir.ErrInsecure, logsource.ErrNotRegular}
