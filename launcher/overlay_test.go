//go:build linux

package launcher_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/hashicorp/go-hclog"

	"github.com/google/uuid"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/launcher/internal/fakepod"
	"github.com/podlaunch/podlaunch/launcher/internal/leaktest"
	"github.com/podlaunch/podlaunch/launcher/internal/podrig"
)

// secretOverlay is what nobody else may see. It is this process's alone, for the
// list of processes shows those of other tests, too.
var secretOverlay = "[db]\npassword = \"" + uuid.NewString() + "\"\n"

// overlayRig returns a rig whose pods, called alice, get a pod's arguments.
func overlayRig(t *testing.T, transport launcher.OverlayTransport, steps ...string) *rig {
	t.Helper()
	r := newRig(t)
	r.L.OverlayTransport = transport
	r.follow(steps...)
	return r
}

// follow has the pods of the rig take steps.
func (r *rig) follow(steps ...string) {
	r.L.Command = launcher.PodCommand{Env: "PODLAUNCH_TEST_UNSET", Program: podrig.Pod, Args: fakepod.Args("alice", r.Dir("alice"), steps, nil)}
}

// overlayFile is where the overlay of alice is, if it is a file.
func (r *rig) overlayFile() string { return filepath.Join(r.Base, ".alice.overlay") }

// processList is what every user can read of every process.
func processList(t *testing.T) string {
	t.Helper()
	all, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil || len(all) == 0 {
		t.Fatalf("there are no processes: %v", err)
	}
	var list strings.Builder
	for _, path := range all {
		if data, err := os.ReadFile(path); err == nil { // else it has just gone
			list.Write(data)
		}
	}
	return list.String()
}

// filesWith returns which files below dir hold text.
func filesWith(t *testing.T, dir, text string) (found []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(path)
		if strings.Contains(string(data), text) {
			found = append(found, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// The overlay arrives whole, however it travels. As an argument it is in the
// list of processes, as anything else it never is, neither before the pod is
// ready nor after that; and a file is its user's alone, and gone once the pod is
// ready. The umask has no say in that.
func TestOverlayTransport(t *testing.T) {
	for _, c := range []struct {
		transport launcher.OverlayTransport
		file      bool
	}{
		{launcher.OverlayAsArgument, false},
		{launcher.OverlayAsFile, true},
		{launcher.OverlayAsDescriptor, false},
	} {
		for _, umask := range []int{0o000, 0o077} {
			t.Run(fmt.Sprintf("%v, umask %03o", c.transport, umask), func(t *testing.T) {
				r := overlayRig(t, c.transport)
				up, goOn, seen := r.Fifo("up"), r.Fifo("go"), filepath.Join(t.TempDir(), "seen")
				r.follow("notify "+up, "await "+goOn, "overlay "+seen, "listen", "ready", "hang")
				mustShow := func(when string, file bool) {
					t.Helper()
					if shown := strings.Contains(processList(t), secretOverlay); shown != (c.transport == launcher.OverlayAsArgument) {
						t.Errorf("%s: that the list of processes shows the overlay is %v", when, shown)
					}
					var want []string
					if file {
						want = []string{r.overlayFile()}
						if fi, err := os.Lstat(r.overlayFile()); err != nil || fi.Mode() != 0o600 {
							t.Errorf("the overlay's file: %v, %v", fi, err)
						}
					}
					if found := filesWith(t, r.Base, secretOverlay); !slices.Equal(found, want) {
						t.Errorf("%s the overlay is in the files %q, want %q", when, found, want)
					}
				}
				looked := make(chan struct{}) // closed by the goroutine
				go func() {
					defer close(looked)
					podrig.Await(t, up)
					mustShow("before the pod is ready", c.file)
					podrig.Wake(t, goOn)
				}()
				old := syscall.Umask(umask)
				t.Cleanup(func() { syscall.Umask(old) })
				r.Launch(launcher.Spec{Name: "alice", Overlay: secretOverlay})
				<-looked
				mustShow("when the pod is ready", false)
				if got := readFile(t, seen); got != secretOverlay {
					t.Errorf("the pod got %q", got)
				}
			})
		}
	}
}

// A10: an overlay that is longer than an argument can be goes as a file or a
// descriptor, and the error says so.
func TestLongOverlay(t *testing.T) {
	leaktest.Parallel(t)
	long := strings.Repeat("# a long configuration\n", 200_000)
	for _, transport := range []launcher.OverlayTransport{launcher.OverlayAsFile, launcher.OverlayAsDescriptor} {
		t.Run(transport.String(), func(t *testing.T) {
			r := overlayRig(t, transport)
			seen := filepath.Join(t.TempDir(), "seen")
			r.follow("overlay "+seen, "listen", "ready", "hang")
			r.Launch(launcher.Spec{Name: "alice", Overlay: long})
			if got := readFile(t, seen); got != long {
				t.Errorf("the pod got %d bytes, want %d", len(got), len(long))
			}
		})
	}
	r := newRefuser(t)
	e := r.refuse(t.Context(), launcher.Spec{Name: "alice", Overlay: long}, "set Launcher.OverlayTransport to OverlayAsFile or OverlayAsDescriptor")
	podrig.MustBe(t, e, launcher.ErrInvalidSpec, syscall.E2BIG)
	r.L.OverlayTransport = launcher.OverlayAsDescriptor + 1
	e = r.refuse(t.Context(), launcher.Spec{Name: "alice"}, "OverlayTransport(3)")
	podrig.MustBe(t, e, launcher.ErrInvalidSpec, syscall.EINVAL)
}

// An overlay that is empty is an argument, as ever, and needs no file.
func TestEmptyOverlay(t *testing.T) {
	for _, transport := range []launcher.OverlayTransport{launcher.OverlayAsFile, launcher.OverlayAsDescriptor} {
		r := overlayRig(t, transport)
		seen := filepath.Join(t.TempDir(), "args")
		r.follow("args "+seen, "listen", "ready", "hang")
		mustStop(t, r.Launch(launcher.Spec{Name: "alice"}))
		if got := readFile(t, seen); got != "--overlay\x00" {
			t.Errorf("%v: the arguments are %q", transport, got)
		}
	}
}

// A launch that fails takes the overlay's file with it, in whichever way it
// fails; and no error, log or record has the overlay's text.
func TestOverlayOfAFailedLaunch(t *testing.T) {
	leaktest.Parallel(t)
	transports := []launcher.OverlayTransport{launcher.OverlayAsArgument, launcher.OverlayAsFile, launcher.OverlayAsDescriptor}
	for _, transport := range transports {
		for name, fail := range map[string]func(r *rig, spec launcher.Spec) *launcher.Error{
			"exits": func(r *rig, spec launcher.Spec) *launcher.Error {
				r.follow("say one", "exit 3")
				return r.Fail(r.T.Context(), spec)
			},
			"cannot be started": func(r *rig, spec launcher.Spec) *launcher.Error {
				r.L.Command = launcher.Path(r.file("empty", "", 0o700))
				return r.Fail(r.T.Context(), spec)
			},
			"is cancelled": func(r *rig, spec launcher.Spec) *launcher.Error {
				ctx, cancel := context.WithCancel(r.T.Context())
				defer cancel()
				r.follow("say one", "hang")
				spec.Progress = func(string) { cancel() }
				return r.Fail(ctx, spec)
			},
			"has a stranger on its socket": func(r *rig, spec launcher.Spec) *launcher.Error {
				r.follow("ready "+r.squat(), "hang")
				return r.Fail(r.T.Context(), spec)
			},
		} {
			t.Run(fmt.Sprintf("%v/%s", transport, name), func(t *testing.T) {
				r := overlayRig(t, transport)
				var said bytes.Buffer
				r.L.Logger = hclog.New(&hclog.LoggerOptions{Level: hclog.Trace, Output: &said})
				e := fail(r, launcher.Spec{Name: "alice", Overlay: secretOverlay})
				if found := filesWith(t, r.Base, "s3cret"); found != nil {
					t.Errorf("the overlay is still in %q", found)
				}
				for what, text := range map[string]string{"error": fmt.Sprintf("%v %+v %#v", e, *e, *e), "log": said.String()} {
					if strings.Contains(text, "s3cret") {
						t.Errorf("the %s tells the overlay: %s", what, text)
					}
				}
			})
		}
	}
}

// A launcher that was killed may have left its file where the overlay's file should be.
// The next launch removes what is there and writes nothing through it, also if its own
// overlay goes another way.
func TestOverlayInTheWay(t *testing.T) {
	leaktest.Parallel(t)
	for _, transport := range []launcher.OverlayTransport{launcher.OverlayAsArgument, launcher.OverlayAsFile} {
		for what, plant := range map[string]func(path, victim string) error{
			"an earlier one": func(path, _ string) error { return os.WriteFile(path, []byte("earlier"), 0o600) },
			"symbolic link":  func(path, victim string) error { return os.Symlink(victim, path) },
			"hard link":      func(path, victim string) error { return os.Link(victim, path) },
			"FIFO":           func(path, _ string) error { return syscall.Mkfifo(path, 0o666) },
		} {
			t.Run(fmt.Sprintf("%v/%s", transport, what), func(t *testing.T) {
				r := overlayRig(t, transport, "overlay {dir}/seen", "listen", "ready", "hang")
				victim := r.file("victim", "precious", 0o644)
				if err := plant(r.overlayFile(), victim); err != nil {
					t.Fatal(err)
				}
				r.Launch(launcher.Spec{Name: "alice", Overlay: secretOverlay})
				if got := readFile(t, filepath.Join(r.Dir("alice"), "seen")); got != secretOverlay {
					t.Errorf("the pod got %q", got)
				}
				if _, err := os.Lstat(r.overlayFile()); !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("it is still there: %v", err)
				}
				if fi, err := os.Stat(victim); err != nil || fi.Mode() != 0o644 || readFile(t, victim) != "precious" {
					t.Errorf("the victim has changed: %v, %v, %q", fi, err, readFile(t, victim))
				}
			})
		}
	}
}

// What a pod has as a descriptor nobody can change, not even a process that may
// look into it.
func TestOverlayCannotBeChanged(t *testing.T) {
	r := overlayRig(t, launcher.OverlayAsDescriptor, "listen", "ready", "hang")
	pod := r.Launch(launcher.Spec{Name: "alice", Overlay: secretOverlay})
	path := fmt.Sprintf("/proc/%d/fd/21", pod.PID())
	if f, err := os.OpenFile(path, os.O_RDWR, 0); err == nil {
		for what, change := range map[string]func() error{
			"write":    func() error { _, err := f.WriteString("x"); return err },
			"grow":     func() error { return f.Truncate(1 << 20) },
			"truncate": func() error { return f.Truncate(0) },
		} {
			if err := change(); !errors.Is(err, syscall.EPERM) {
				t.Errorf("%s: %v, want %v", what, err, syscall.EPERM)
			}
		}
		f.Close()
	}
	if got := readFile(t, path); got != secretOverlay {
		t.Errorf("it holds %q", got)
	}
}

// A resolver that knows nothing of files does not start a pod without its overlay, nor
// with the overlay for all to see. A resolver that takes no overlay says so.
func TestOverlayIsNotDropped(t *testing.T) {
	for _, transport := range []launcher.OverlayTransport{launcher.OverlayAsFile, launcher.OverlayAsDescriptor} {
		r := newRefuser(t)
		r.L.OverlayTransport = transport
		var got launcher.Request
		r.L.Command = launcher.CommandResolverFunc(func(_ context.Context, req launcher.Request) (launcher.Command, error) {
			got = req
			return launcher.Command{Path: podrig.Pod, Args: []string{"--overlay", req.Spec.Overlay}}, nil
		})
		spec := launcher.Spec{Name: "alice", Overlay: secretOverlay}
		podrig.MustBe(t, r.refuse(t.Context(), spec, "the resolver has put Request.OverlayPath"), launcher.ErrInvalidSpec)
		if got.Spec.Overlay != "" || got.OverlayPath == "" {
			t.Errorf("%v: the resolver was told the overlay %q and the path %q", transport, got.Spec.Overlay, got.OverlayPath)
		}
		r.L.Command = launcher.Exec(podrig.Pod)
		podrig.MustBe(t, r.refuse(t.Context(), spec, "takes none"), launcher.ErrInvalidSpec)
	}
	// A variable does as well as an argument.
	r := newRig(t)
	r.L.OverlayTransport = launcher.OverlayAsFile
	r.L.Command = launcher.CommandResolverFunc(func(_ context.Context, req launcher.Request) (launcher.Command, error) {
		return launcher.Command{
			Path: podrig.Pod,
			Args: fakepod.Args("alice", req.RuntimeDir, []string{"env {dir}/env", "listen", "ready", "hang"}, nil),
			Env:  []string{"OVERLAY=" + req.OverlayPath},
		}, nil
	})
	r.Launch(launcher.Spec{Name: "alice", Overlay: secretOverlay})
	if env := readFile(t, filepath.Join(r.Dir("alice"), "env")); !strings.Contains(env, "OVERLAY="+r.overlayFile()) {
		t.Errorf("the environment is %q", env)
	}
}

// The launcher warns of an overlay that is an argument and looks as if it held a secret,
// once and without its text. It does not warn of an overlay that is hidden or holds
// nothing of the kind.
func TestWarningOfASecret(t *testing.T) {
	leaktest.Parallel(t)
	for _, c := range []struct {
		transport launcher.OverlayTransport
		overlay   string
		line      any // nil: no warning
	}{
		{launcher.OverlayAsArgument, secretOverlay, 2.0},
		{launcher.OverlayAsArgument, "name = \"alice\"\nmax_tokens = 4096\n", nil},
		{launcher.OverlayAsArgument, "", nil},
		{launcher.OverlayAsFile, secretOverlay, nil},
		{launcher.OverlayAsDescriptor, secretOverlay, nil},
	} {
		r := overlayRig(t, c.transport, podrig.Serve...)
		var warnings []record
		for _, rec := range r.records(hclog.Trace, func() {
			mustStop(t, r.Launch(launcher.Spec{Name: "alice", Overlay: c.overlay}))
		}) {
			if rec["@level"] == "warn" {
				warnings = append(warnings, rec)
			}
			if c.overlay != "" && strings.Contains(fmt.Sprint(rec), "s3cret") {
				t.Errorf("the log tells the overlay: %v", rec)
			}
		}
		switch {
		case c.line == nil && warnings != nil, c.line != nil && (len(warnings) != 1 || warnings[0]["line"] != c.line):
			t.Errorf("%v, %q: warned with %v, want one of line %v", c.transport, c.overlay, warnings, c.line)
		}
	}
}
