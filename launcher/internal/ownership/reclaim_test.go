//go:build linux

package ownership_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/podlaunch/podlaunch/launcher/internal/osproc"
	"github.com/podlaunch/podlaunch/launcher/internal/ownership"
)

// reclaim claims the name, and ends whom Reclaim says.
func (s *scene) reclaim(which ownership.Reclaim, grace time.Duration) (*ownership.Claim, error) {
	s.t.Helper()
	p := s.open()
	p.Reclaim, p.Grace = which, grace
	c, err := p.Claim(s.t.Context())
	if err != nil {
		p.Close()
	}
	return c, err
}

// mustReclaim fails the test unless the name is free once those were ended.
func (s *scene) mustReclaim(which ownership.Reclaim, grace time.Duration, left ...int) {
	s.t.Helper()
	c, err := s.reclaim(which, grace)
	if err != nil {
		s.t.Fatal(err)
	}
	if got := pids(c.Ended); !slices.Equal(got, left) {
		s.t.Errorf("it has ended %v, want %v", got, left)
	}
	c.Free()
}

// mustEndBy fails the test unless the last of those who answer for the child has ended by
// the signal: they have closed their output, and cmd, if that is who answers, tells how.
func (c *child) mustEndBy(sig syscall.Signal) {
	c.t.Helper()
	if _, err := c.out.ReadByte(); err == nil {
		c.t.Errorf("pid %d answers", c.pid)
	}
	c.cmd.Wait()
	status := c.cmd.ProcessState.Sys().(syscall.WaitStatus)
	if c.cmd.Process.Pid == c.pid && (!status.Signaled() || status.Signal() != sig) {
		c.t.Errorf("pid %d ended otherwise than by %v: %v", c.pid, sig, c.cmd.ProcessState)
	}
}

// A process that a gone pod has left behind gets SIGTERM, and SIGKILL after the grace. A
// stopped process notices SIGTERM, too.
func TestReclaim(t *testing.T) {
	t.Run("SIGTERM", func(t *testing.T) {
		s := newScene(t)
		pod, _ := s.pod("leave", true)
		pod.cmd.Wait()
		s.mustReclaim(ownership.ReclaimGone, ample, pod.pid)
		pod.mustEndBy(syscall.SIGTERM)
	})
	t.Run("stopped", func(t *testing.T) {
		s := newScene(t)
		pod, _ := s.pod("leave", true)
		pod.cmd.Wait()
		if err := syscall.Kill(pod.pid, syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		s.mustReclaim(ownership.ReclaimGone, ample, pod.pid)
		pod.mustEndBy(syscall.SIGTERM)
	})
	for name, grace := range map[string]time.Duration{"SIGKILL": time.Millisecond, "no grace": -1} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t)
			pod, _ := s.pod("leave stubborn", true)
			pod.cmd.Wait()
			s.mustReclaim(ownership.ReclaimGone, grace, pod.pid)
			pod.mustEndBy(syscall.SIGKILL)
		})
	}
	t.Run("no time", func(t *testing.T) {
		s := newScene(t)
		pod, _ := s.pod("leave stubborn", true)
		pod.cmd.Wait()
		p := s.open()
		defer p.Close()
		p.Reclaim, p.Grace = ownership.ReclaimGone, ample
		_, err := p.Claim(awhile(t))
		var held *ownership.HeldError
		if !errors.As(err, &held) || !held.Signalled || !errors.Is(err, errEnough) || !isHeldBy(err, pod.pid) {
			t.Errorf("Claim returned %v", err)
		}
		pod.mustLive()
		pod.end()
	})
}

// A Claim that nobody waits for any more, because its filesystem has not answered, signals nobody.
func TestReclaimGivenUp(t *testing.T) {
	s := newScene(t)
	pod, _ := s.pod("leave", true)
	pod.cmd.Wait()
	p := s.open()
	defer p.Close()
	givenUp := make(chan struct{})
	close(givenUp)
	p.Reclaim, p.Grace, p.GivenUp = ownership.ReclaimGone, ample, givenUp
	p.Signalled = func(id osproc.Identity, sig syscall.Signal, _ time.Time) { t.Errorf("pid %d got %v", id.PID, sig) }
	if _, err := p.Claim(t.Context()); err == nil {
		t.Error("Claim has the name")
	}
	pod.mustLive()
	s.mustReclaim(ownership.ReclaimGone, ample, pod.pid)
	pod.mustEndBy(syscall.SIGTERM)
}

// Where there is no record, one of the holders may be the pod. Only ReclaimAll ends it.
func TestReclaimWithoutRecord(t *testing.T) {
	s := newScene(t)
	pod, _ := s.pod("hold", true)
	if err := os.Remove(s.path(".json")); err != nil {
		t.Fatal(err)
	}
	_, err := s.reclaim(ownership.ReclaimGone, ample)
	var held *ownership.HeldError
	if !isHeldBy(err, pod.pid) || !errors.As(err, &held) || !held.NoRecord {
		t.Errorf("Claim returned %v", err)
	}
	pod.mustLive()
	s.mustReclaim(ownership.ReclaimAll, ample, pod.pid)
	pod.mustEndBy(syscall.SIGTERM)
}

// Claim never ends a pod that runs, neither with ReclaimGone nor with ReclaimAll. Nor does
// it end a process if it cannot tell whether that is the pod.
func TestReclaimSparesThePod(t *testing.T) {
	for _, which := range []ownership.Reclaim{ownership.ReclaimGone, ownership.ReclaimAll} {
		s := newScene(t)
		pod, _ := s.pod("hold", true)
		var running *ownership.RunningError
		if _, err := s.reclaim(which, -1); !errors.As(err, &running) || running.Record.PID != pod.pid {
			t.Errorf("Claim returned %v", err)
		}
		if err := os.WriteFile(s.path(".json"), []byte("[1, 2]"), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := s.reclaim(which, -1); !errors.Is(err, ownership.ErrUnclear) {
			t.Errorf("Claim returned %v", err)
		}
		pod.mustLive()
		pod.end()
	}
}

// A child of the launcher's program, whether it holds a copy of the lock or was given
// it, is no leftover of the pod.
func TestReclaimSparesTheWorker(t *testing.T) {
	for _, which := range []ownership.Reclaim{ownership.ReclaimGone, ownership.ReclaimAll} {
		s := newScene(t)
		c := s.mustClaim()
		worker := startIn(t, false, "hold", c.File())
		s.intend(c)
		pod := start(t, "leave", c.File())
		if err := c.Ready(ownership.Answer{Ready: true}); err != nil {
			t.Fatal(err)
		}
		settle(c)
		pod.cmd.Wait()
		if _, err := s.reclaim(which, -1); !isHeldBy(err, worker.pid) {
			t.Errorf("Claim returned %v, want a *HeldError that names %d", err, worker.pid)
		}
		pod.mustEndBy(syscall.SIGKILL)
		worker.mustLive()
		worker.end()
	}
}

// kept is what a launched pod leaves below the base.
func (s *scene) kept() (names []string) {
	s.t.Helper()
	entries, err := os.ReadDir(s.base)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// claimKept claims a name whose pod has ended, for its end.
func (s *scene) claimKept() *ownership.Claim {
	s.t.Helper()
	p := s.open()
	p.KeepRecord = true
	c, err := p.Claim(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	return c
}

// Remove removes the directory, the record and the locks, and nothing that a link leads
// to. Free leaves them all.
func TestRemove(t *testing.T) {
	s := newScene(t)
	pod, _ := s.pod("hold", true)
	pod.end()
	dir, other := filepath.Join(s.base, "alice"), filepath.Join(s.base, "other")
	if err := errors.Join(
		os.MkdirAll(filepath.Join(dir, "deep", "er"), 0o700), os.Mkdir(other, 0o700),
		os.WriteFile(filepath.Join(other, "precious"), nil, 0o600), os.Symlink(other, filepath.Join(dir, "deep", "link")),
	); err != nil {
		t.Fatal(err)
	}
	c := s.claimKept()
	if got := c.Dir(); got != "/run/alice" {
		t.Errorf("the record says %q", got)
	}
	c.Free()
	all := []string{".alice.json", ".alice.launch", ".alice.pod", "alice", "other"}
	if got := s.kept(); !slices.Equal(got, all) {
		t.Errorf("Free has left %q, want %q", got, all)
	}
	if err := s.claimKept().Remove(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	if got := s.kept(); !slices.Equal(got, []string{"other"}) {
		t.Errorf("Remove has left %q", got)
	}
	if _, err := os.Lstat(filepath.Join(other, "precious")); err != nil {
		t.Error(err)
	}
	s.mustBeFree()
}

// A directory that is not in the base, or that is none, is an error, and everything
// stays.
func TestRemoveOfAnotherDirectory(t *testing.T) {
	s := newScene(t)
	pod, _ := s.pod("hold", true)
	pod.end()
	elsewhere := t.TempDir()
	link := filepath.Join(s.base, "alice")
	if err := os.Symlink(elsewhere, link); err != nil {
		t.Fatal(err)
	}
	before := s.kept()
	for _, dir := range []string{elsewhere, link, s.base, "/", "."} {
		if err := s.claimKept().Remove(t.Context(), dir); err == nil {
			t.Errorf("Remove of %q returned no error", dir)
		}
	}
	if err := s.claimKept().Remove(once(), t.TempDir()); err == nil {
		t.Error("Remove returned no error although there was no more time")
	}
	if got := s.kept(); !slices.Equal(got, before) {
		t.Errorf("there are %q, and were %q", got, before)
	}
	if _, err := os.Lstat(elsewhere); err != nil {
		t.Error(err)
	}
	// A directory that is not there any more is no error.
	if err := s.claimKept().Remove(t.Context(), filepath.Join(s.base, "none")); err != nil {
		t.Error(err)
	}
}

// A claim that waits for the name while another removes it gets the next locks, and is the
// only one to have them.
func TestRemoveUnderWaiters(t *testing.T) {
	s := newScene(t)
	var inside atomic.Int32
	var waiters sync.WaitGroup
	for range 4 {
		waiters.Go(func() {
			for range 50 {
				c, err := s.claim(t.Context())
				if err != nil {
					t.Error(err)
					return
				}
				if inside.Add(1) != 1 {
					t.Error("two have the name")
				}
				if _, err := os.Lstat(s.path(".launch")); errors.Is(err, fs.ErrNotExist) {
					t.Error("the lock has no name")
				}
				inside.Add(-1)
				if err := c.Remove(t.Context(), ""); err != nil {
					t.Error(err)
				}
			}
		})
	}
	waiters.Wait()
	if got := s.kept(); len(got) > 0 {
		t.Errorf("there are left %q", got)
	}
}
