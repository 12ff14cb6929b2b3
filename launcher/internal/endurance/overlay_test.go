//go:build linux

package endurance_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/launcher/internal/crashpoint"
	"github.com/podlaunch/podlaunch/launcher/internal/fakepod"
	"github.com/podlaunch/podlaunch/launcher/internal/podrig"
	"github.com/podlaunch/podlaunch/runtimedir"
)

// overlay is what a pod is to read before it is ready.
const overlay = "password = \"s3cret\"\n"

// readOverlay are the steps of a pod that reads its overlay.
var readOverlay = []string{"overlay {dir}/seen", "listen", "ready", "hang"}

// launchHiding launches such a pod, whose overlay is no argument. The pod that it
// returns has read the overlay, and there is nothing left of that.
func launchHiding(transport launcher.OverlayTransport) func(context.Context, *launcher.Launcher, *launcher.Pod) (*launcher.Pod, error) {
	return func(ctx context.Context, l *launcher.Launcher, _ *launcher.Pod) (*launcher.Pod, error) {
		base := string(l.Dir.(runtimedir.Dir))
		hiding := *l
		hiding.OverlayTransport = transport
		hiding.Command = launcher.PodCommand{Env: "PODLAUNCH_TEST_UNSET", Program: podrig.Pod,
			Args: fakepod.Args(name, filepath.Join(base, name), readOverlay, nil)}
		pod, err := hiding.Launch(ctx, launcher.Spec{Name: name, Overlay: overlay})
		if err != nil {
			return pod, err
		}
		seen := filepath.Join(pod.RuntimeDir(), "seen")
		got, err := os.ReadFile(seen)
		if err != nil { // the call that failed may have been this one
			got, err = os.ReadFile(seen)
		}
		if err != nil || string(got) != overlay {
			return pod, fmt.Errorf("the pod has read %q, %v", got, err)
		}
		if _, err := os.Lstat(filepath.Join(base, "."+name+".overlay")); err == nil {
			return pod, fmt.Errorf("the overlay is still there")
		}
		return pod, nil
	}
}

// If anything keeps the launcher from handing an overlay over, either the launch fails
// and the overlay is gone, or the launcher hands it over in another way. A system without
// files in memory uses the other way. With -soak the test tries all errors, otherwise the
// first of each call.
func TestErrnoOverlay(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped with -short: each of many calls fails in a program of its own")
	}
	file, descriptor := "launch, overlay as a file", "launch, overlay as a descriptor"
	for _, c := range []struct {
		act  string
		call crashpoint.Call
	}{
		{descriptor, crashpoint.Call{Name: "memfd_create"}},
		{descriptor, crashpoint.Call{Name: "pwrite64", On: "file"}},
		{file, crashpoint.Call{Name: "pwrite64", On: "file"}},
		{file, crashpoint.Call{Name: "fchmod", On: "file"}},
		{file, crashpoint.Call{Name: "unlinkat"}},
	} {
		t.Run(fmt.Sprintf("%s, %v", c.act, c.call), func(t *testing.T) {
			t.Parallel() // in programs of its own
			j := newInjector(t)
			list, known := errnosOf(c.call)
			if !known || list == nil {
				t.Fatalf("there is nothing to inject into %v", c.call)
			}
			if !*podrig.Soak && c.call.Name != "memfd_create" {
				list = list[:1]
			}
			for _, errno := range list {
				j.missed = 0
				for i := (injection{act: c.act, call: c.call, n: 1, errno: errno}); j.missed == 0 && (*podrig.Soak || i.n == 1); i.n++ {
					j.try(i)
				}
			}
			if len(j.outcomes) == 0 {
				t.Error("there is no such call")
			}
			for o := range j.outcomes {
				fallback := c.call.Name == "memfd_create" && strings.Contains("ENOSYS EPERM EACCES EINVAL", o.errno)
				if succeeded := o.what == "success"; fallback && !succeeded {
					t.Errorf("%+v: there is another way", o)
				}
			}
			for kind := range j.unknown {
				t.Errorf("nothing is said of %s", kind)
			}
		})
	}
}
