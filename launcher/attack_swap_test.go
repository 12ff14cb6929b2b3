//go:build linux

package launcher_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/launcher/internal/leaktest"
	"github.com/podlaunch/podlaunch/launcher/internal/podrig"
	"github.com/podlaunch/podlaunch/logsource"
	"github.com/podlaunch/podlaunch/readiness"
	"github.com/podlaunch/podlaunch/runtimedir"
)

// A swap is an attack on a directory of a launch: a symbolic link to a victim
// takes its place, at any time, and gives it back.
type swap struct {
	*rig
	dir    string // what the launcher believes to use
	decoy  string // the link, beside it
	victim string // the directory that the link leads to
	before []string
}

// swaps are the attacks there are. In each the attacker may write to the
// directory that dir is in; the victims are directories of the launcher's own
// user, for in another's it could do no harm.
var swaps = map[string]func(r *rig) *swap{
	"pod directory for one elsewhere": func(r *rig) *swap {
		return newSwap(r, r.Dir("alice"), r.T.TempDir())
	},
	"pod directory for another pod's": func(r *rig) *swap {
		return newSwap(r, r.Dir("alice"), r.Dir("bob"))
	},
	"base": func(r *rig) *swap {
		base, victim := filepath.Join(r.Base, "base"), r.T.TempDir()
		r.L.Dir = runtimedir.Dir(base)
		return newSwap(r, base, victim)
	},
}

// newSwap makes dir, and a victim that looks as if it were what is swapped:
// there are a log and what a launcher keeps beside a pod's directory, and none of
// it may change.
func newSwap(r *rig, dir, victim string) *swap {
	r.T.Helper()
	s := &swap{rig: r, dir: dir, decoy: dir + ".decoy", victim: victim}
	for _, d := range []string{dir, filepath.Join(victim, "alice")} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			r.T.Fatal(err)
		}
	}
	for _, name := range []string{"stderr.log", "alice/stderr.log", ".alice.json", ".alice.launch", ".alice.pod", ".alice.overlay"} {
		if err := os.WriteFile(filepath.Join(victim, name), []byte("precious"), 0o640); err != nil {
			r.T.Fatal(err)
		}
	}
	// A mode that somebody may want to put right, and that is none of his business.
	if err := errors.Join(os.Chmod(filepath.Join(victim, "alice"), 0o755), os.Chmod(victim, 0o755), os.Symlink(victim, s.decoy)); err != nil {
		r.T.Fatal(err)
	}
	s.before = listing(r.T, victim)
	// This pod does nothing in its directory, so what is done there we have done.
	r.L.Command = podrig.Script("ready /nowhere", "hang")
	r.L.Ready = readiness.ReadyLine{}
	r.L.Log = logsource.File{}
	return s
}

// exchange swaps the directory and the link, at once.
func (s *swap) exchange() error {
	return unix.Renameat2(unix.AT_FDCWD, s.dir, unix.AT_FDCWD, s.decoy, unix.RENAME_EXCHANGE)
}

// launch launches the pod, stops it, and returns how the launch has failed; nil
// if it has not. A failure is one of what stands where the directory should be.
func (s *swap) launch() error {
	s.T.Helper()
	pod, err := s.L.Launch(s.T.Context(), launcher.Spec{Name: "alice"})
	if err == nil {
		mustStop(s.T, pod)
		return nil
	}
	var e *launcher.Error
	if !errors.As(err, &e) || e.Leftover != nil {
		s.T.Errorf("the error is %#v", err)
	}
	if !errors.Is(err, runtimedir.ErrInsecure) && !errors.Is(err, runtimedir.ErrUnavailable) && !strings.Contains(err.Error(), "was moved while the launch had the name there") {
		s.T.Errorf("the launch failed otherwise: %v", err)
	}
	return err
}

// mustSpareVictim fails the test if anything has become of the victim.
func (s *swap) mustSpareVictim(when string) {
	s.T.Helper()
	if diff := difference(s.before, listing(s.T, s.victim)); diff != "" {
		s.T.Fatalf("%s: the victim has changed (-before +after):\n%s", when, diff)
	}
}

// B18: the directory is swapped for a link at the end of each step in turn. The
// launch fails, or goes on with the directory that it has opened; what the link
// leads to is never touched.
func TestSwapAtEachStep(t *testing.T) {
	leaktest.Parallel(t)
	for what, plan := range swaps {
		t.Run(what, func(t *testing.T) {
			s := plan(newRig(t))
			steps := []string{"workdir", "base", "command", "claim", "make", "open", "prepare", "process"}
			if what == "base" {
				steps = steps[2:] // until then a link is where the base is
			}
			refused := map[string]bool{}
			for _, at := range steps {
				swapped := false
				s.L.Observer = &launcher.Observer{Step: func(_ context.Context, step launcher.StepInfo) {
					if step.Name == at && !swapped {
						swapped = true
						if err := s.exchange(); err != nil {
							t.Error(err)
						}
					}
				}}
				refused[at] = s.launch() != nil
				if !swapped {
					t.Errorf("there was no step %q", at)
				}
				s.mustSpareVictim("swapped after " + at)
				if err := s.exchange(); err != nil {
					t.Fatal(err)
				}
				if refused[at] {
					s.L.Observer = nil
					if err := s.launch(); err != nil {
						t.Errorf("swapped back after %s: %v", at, err)
					}
				}
			}
			// Before it is open a link in its place, or above it, is seen. After that it does
			// not matter, unless it is the base: then another launch finds another name there.
			want := map[string]bool{}
			for i, at := range steps {
				want[at] = what == "base" || i < slices.Index(steps, "make")
			}
			if diff := difference(want, refused); diff != "" {
				t.Errorf("refused when swapped after (-want +got):\n%s", diff)
			}
		})
	}
}

// B18: the directory is swapped for a link and back in a loop, as fast as it
// goes, while a thousand pods are launched.
func TestSwapInALoop(t *testing.T) {
	leaktest.Parallel(t)
	launches := podrig.Size(t, 5, 20, 1000)
	for what, plan := range swaps {
		t.Run(what, func(t *testing.T) {
			s := plan(newRig(t))
			if what == "base" {
				// A link that is there when a launch begins is where its base is, if
				// that is ours. This attacker's leads to what is not.
				if os.Geteuid() != 0 {
					t.Skip("only root can give a directory to another user")
				}
				if err := os.Chown(s.victim, 65534, -1); err != nil {
					t.Fatal(err)
				}
			}
			var swapped atomic.Int64
			done, ended := make(chan struct{}), make(chan error)
			go func() { // until done is closed; it leaves the directory in its place
				for {
					select {
					case <-done:
						if swapped.Load()%2 == 1 {
							ended <- s.exchange()
						} else {
							ended <- nil
						}
						return
					default:
						if s.exchange() == nil {
							swapped.Add(1)
						}
						// A link that is always there would only be seen at once.
						for range (1 - swapped.Load()%2) * rand.Int64N(2000) {
							runtime.Gosched()
						}
					}
				}
			}()
			launched, failed := 0, 0
			for ; launched < launches || swapped.Load() < int64(launches); launched++ {
				if s.launch() != nil {
					failed++
				}
			}
			close(done)
			if err := <-ended; err != nil {
				t.Fatal(err)
			}
			t.Logf("swapped %d times in %d launches, of which %d failed", swapped.Load(), launched, failed)
			s.mustSpareVictim("in the end")
			if err := s.launch(); err != nil {
				t.Errorf("when the attack is over: %v", err)
			}
		})
	}
}
