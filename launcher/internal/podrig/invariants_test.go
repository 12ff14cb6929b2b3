//go:build linux

package podrig_test

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/launcher/internal/fakepod"
	"github.com/podlaunch/podlaunch/launcher/internal/podrig"
	"github.com/podlaunch/podlaunch/logsource"
	"github.com/podlaunch/podlaunch/readiness"
)

func TestMain(m *testing.M) { podrig.Main(m) }

// brokenVariable is set, to the name of one, for the process in which a broken
// launch must fail its test.
const brokenVariable = "PODLAUNCH_TEST_BROKEN"

var errBroken = errors.New("it is broken")

// spoiling is a probe that does something, and then fails.
func spoiling(do func() error) readiness.Probe {
	return readiness.ProbeFunc(func(context.Context, readiness.Target) (readiness.Endpoint, error) {
		return readiness.Endpoint{}, errors.Join(errBroken, do())
	})
}

// A check that cannot fail proves nothing: each invariant that is broken must be
// told.
func TestInvariantsAreChecked(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped with -short: it tests the tests")
	}
	for _, c := range []struct {
		name, want string
		launch     func(r *podrig.Rig)
	}{
		{"a file beside the directory", `there is a new file ".alice.notes"`, func(r *podrig.Rig) {
			r.L.Ready = spoiling(func() error { return os.WriteFile(filepath.Join(r.Base, ".alice.notes"), nil, 0o600) })
			r.Fail(context.Background(), launcher.Spec{Name: "alice"})
		}},
		{"a launch that succeeds", "want an error alone", func(r *podrig.Rig) {
			r.L.Command = podrig.Script(podrig.Serve...)
			r.Fail(context.Background(), launcher.Spec{Name: "alice"})
		}},
		{"a name that cannot be launched again", "alice cannot be launched after it has failed", func(r *podrig.Rig) {
			r.L.Ready = spoiling(func() error {
				lock := filepath.Join(r.Base, ".alice.launch")
				return errors.Join(os.Remove(lock), syscall.Mkfifo(lock, 0o600))
			})
			r.Fail(context.Background(), launcher.Spec{Name: "alice"})
		}},
		{"a tail that is not the log's", `the tail is ["made up"], and the log ends with ["said"]`, func(r *podrig.Rig) {
			r.L.Log = logsource.SourceFunc(func(ctx context.Context, l logsource.Launch) (*logsource.Log, error) {
				log, err := logsource.File{}.Open(ctx, l)
				if err == nil {
					log.Follow = func(context.Context) (io.ReadCloser, error) {
						return io.NopCloser(strings.NewReader("made up\n")), nil
					}
				}
				return log, err
			})
			r.L.Command = podrig.Script("say said", "exit 1")
			r.L.Ready = readiness.ProbeFunc(func(ctx context.Context, _ readiness.Target) (readiness.Endpoint, error) {
				<-ctx.Done() // it exits
				return readiness.Endpoint{}, context.Cause(ctx)
			})
			r.Fail(context.Background(), launcher.Spec{Name: "alice"})
		}},
		{"a second pod", "which is not of it", func(r *podrig.Rig) {
			var second launcher.Process
			r.L.Starter = podrig.StarterFunc(func(ctx context.Context, req launcher.StartRequest) (launcher.Process, error) {
				more := req
				more.Command.Args, more.Files = fakepod.Args(req.Name, req.RuntimeDir, []string{"hang"}, nil), nil
				var err error
				if second, err = (launcher.Local{}).Start(ctx, more); err != nil {
					return nil, err
				}
				return launcher.Local{}.Start(ctx, req)
			})
			r.Launch(launcher.Spec{Name: "alice"})
			err := second.Signal(context.Background(), syscall.SIGKILL)
			_, waitErr := second.Wait(context.Background())
			if err := errors.Join(err, waitErr, second.(launcher.Reaper).Reap(context.Background())); err != nil {
				r.T.Error(err)
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if os.Getenv(brokenVariable) == c.name {
				r := podrig.New(t, podrig.Serve...)
				c.launch(r)
				return
			}
			cmd := exec.Command("/proc/self/exe", "-test.run=^TestInvariantsAreChecked$/^"+strings.ReplaceAll(c.name, " ", "_")+"$")
			cmd.Env = append(os.Environ(), brokenVariable+"="+c.name)
			out, err := cmd.CombinedOutput()
			if err == nil || !strings.Contains(string(out), c.want) {
				t.Errorf("%v, want a failure that says %q:\n%s", err, c.want, out)
			}
		})
	}
}
