//go:build linux

package ownership_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/podlaunch/podlaunch/launcher/internal/osproc"
	"github.com/podlaunch/podlaunch/launcher/internal/ownership"
	"github.com/podlaunch/podlaunch/runtimedir"
)

// TestWitnesses has a test for each row of the table in the package's
// documentation, in its order.
func TestWitnesses(t *testing.T) {
	for _, row := range []struct {
		name string
		test func(t *testing.T)
	}{
		{"held, any, ready and alive", runs},
		{"any, held by another, any", beingLaunched},
		{"held, free, not ready", leftBehind},
		{"held, free, none", noRecord},
		{"held, free, its process is gone", descendants},
		{"free, free, proven alive", droppedItsLock},
		{"free, free, stale or none", nobody},
	} {
		t.Run(row.name, row.test)
	}
}

// Row 1: a pod that runs is found, no matter which process holds the launch lock.
func runs(t *testing.T) {
	s := newScene(t)
	pod, r := s.pod("hold", true)
	s.mustRun(r)
	s.hold(".launch")
	s.mustRun(r)
	pod.mustLive()
	pod.end()
}

// mustRun fails the test unless Claim says that the pod of r runs.
func (s *scene) mustRun(r ownership.Record) {
	s.t.Helper()
	_, err := s.claim(s.t.Context())
	var running *ownership.RunningError
	if !errors.As(err, &running) {
		s.t.Fatalf("Claim returned %v, want a *RunningError", err)
	}
	if got := running.Record; got.Identity != r.Identity || got.Network != r.Network || got.Address != r.Address || !got.Ready {
		s.t.Errorf("the record is %+v, want %+v", got, r)
	}
}

// Row 2: who finds the launch lock held waits, however long, and signals
// nobody; it gets the pod that has come of the launch, or the name.
func beingLaunched(t *testing.T) {
	s := newScene(t)
	first := s.mustClaim()
	s.mustBeHeld(awhile(t), true)
	pod := start(t, "hold", first.File())
	id, err := osproc.Identify(pod.pid)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(first.Intend(intent()), first.Start(id, nil)); err != nil {
		t.Fatal(err)
	}
	s.mustBeHeld(awhile(t), true)
	pod.mustLive()

	t.Run("and is ready", func(t *testing.T) {
		waiting := s.claimSoon()
		if err := first.Ready(ownership.Answer{Ready: true}); err != nil {
			t.Fatal(err)
		}
		settle(first)
		var running *ownership.RunningError
		if err := (<-waiting).err; !errors.As(err, &running) || running.Record.PID != pod.pid {
			t.Errorf("who waited got %v", err)
		}
		pod.mustLive()
		pod.end()
	})
	t.Run("and fails", func(t *testing.T) {
		second := s.mustClaim()
		waiting := s.claimSoon()
		if _, err := second.Abandon(t.Context(), true); err != nil {
			t.Fatal(err)
		}
		got := <-waiting
		if got.err != nil {
			t.Fatal(got.err)
		}
		settle(got.claim)
	})
}

// mustBeHeld fails the test unless Claim waits until ctx is done.
func (s *scene) mustBeHeld(ctx context.Context, launching bool, holders ...int) {
	s.t.Helper()
	_, err := s.claim(ctx)
	var held *ownership.HeldError
	if !errors.As(err, &held) || !errors.Is(err, errEnough) {
		s.t.Fatalf("Claim returned %v, want a *HeldError because of %v", err, errEnough)
	}
	if held.Launching != launching || !slices.Equal(held.Holders, holders) {
		s.t.Errorf("Claim says launching %v, holders %v; want %v, %v", held.Launching, held.Holders, launching, holders)
	}
	p := s.open()
	defer p.Close()
	if got, err := p.Launching(); err != nil || got != launching {
		s.t.Errorf("Launching returned %v, %v; want %v", got, err, launching)
	}
}

type claimed struct {
	claim *ownership.Claim
	err   error
}

// claimSoon claims the name in a goroutine of its own.
func (s *scene) claimSoon() <-chan claimed {
	done := make(chan claimed, 1)
	ctx, cancel := context.WithTimeout(s.t.Context(), ample)
	go func() {
		defer cancel()
		c, err := s.claim(ctx)
		done <- claimed{c, err}
	}()
	return done
}

// Row 3: what a launcher left that died is ended, by whichever witness it is
// found; and nobody else is.
func leftBehind(t *testing.T) {
	t.Run("recorded and holds", func(t *testing.T) {
		s := newScene(t)
		pod, _ := s.pod("hold", false)
		s.mustBeFree()
		pod.mustBeKilled()
	})
	t.Run("recorded and has dropped its lock", func(t *testing.T) {
		s := newScene(t)
		pod, r := s.pod("drop", false)
		s.mustBeFree()
		// Not only on its way: the name is free once it is gone.
		if err := r.Check(); !errors.Is(err, osproc.ErrGone) {
			t.Errorf("the name was free, and the process is not gone: %v", err)
		}
		pod.mustBeKilled()
	})
	t.Run("intended", func(t *testing.T) {
		s := newScene(t)
		c := s.mustClaim()
		pod := start(t, "hold", c.File())
		if err := c.Intend(intent()); err != nil {
			t.Fatal(err)
		}
		settle(c)
		s.mustBeFree()
		pod.mustBeKilled()
	})
	t.Run("a descendant of one that never was ready", func(t *testing.T) {
		s := newScene(t)
		pod, _ := s.pod("leave", false)
		s.mustBeFree()
		if _, err := pod.out.ReadByte(); err == nil {
			t.Error("the descendant answers")
		}
	})
	t.Run("its group", leftGroup)
	t.Run("not who reads the lock's file", notTheReader)
	t.Run("not a child of the launcher's", notTheWorker)
	t.Run("not ourselves", notOurselves)
}

// A process that a pod has started, and that holds nothing any more, goes with
// the pod that was never ready.
func leftGroup(t *testing.T) {
	s := newScene(t)
	fifo := filepath.Join(s.base, "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	pod, _ := s.pod("family "+fifo, false)
	f, err := os.Open(fifo) // returns once the other is there
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	s.mustBeFree()
	pod.mustBeKilled()
	if err := f.SetReadDeadline(time.Now().Add(ample)); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the other has not ended: %v", err)
		syscall.Kill(-pod.pid, syscall.SIGKILL)
	}
}

// To have the file open is not to hold the lock: a backup is not signalled.
func notTheReader(t *testing.T) {
	s := newScene(t)
	pod, _ := s.pod("leave", false)
	pod.cmd.Wait()
	reader := start(t, "read "+s.path(".pod"))
	s.mustBeFree()
	if _, err := pod.out.ReadByte(); err == nil {
		t.Error("the descendant answers")
	}
	reader.mustLive()
}

// A child that the launcher's program has forked while it launched the pod has a
// copy of the lock, for as long as it does not come to an exec. It is no pod, however
// long that takes, and also if the launch fails. It is in the launcher's
// session, or its copy is closed on exec.
func notTheWorker(t *testing.T) {
	for name, make := range map[string]func(t *testing.T, c *ownership.Claim) *child{
		"in its session":    func(t *testing.T, c *ownership.Claim) *child { return startIn(t, false, "hold", c.File()) },
		"with its own copy": func(t *testing.T, c *ownership.Claim) *child { return start(t, "copy", c.File()) },
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t)
			c := s.mustClaim()
			worker := make(t, c)
			left := start(t, "hold", c.File())
			if err := c.Intend(intent()); err != nil {
				t.Fatal(err)
			}
			settle(c) // its launcher has died
			if _, err := s.claim(left.untilItEnds()); !errors.As(err, new(*ownership.HeldError)) {
				t.Errorf("Claim returned %v, want a *HeldError", err)
			}
			left.mustBeKilled()
			if _, err := s.claim(once()); !isHeldBy(err, worker.pid) {
				t.Errorf("Claim returned %v, want a *HeldError that names %d", err, worker.pid)
			}
			worker.mustLive()
			worker.end()

			c = s.mustClaim()
			worker = make(t, c)
			if err := c.Intend(intent()); err != nil {
				t.Fatal(err)
			}
			if ended, err := c.Abandon(t.Context(), true); len(ended) > 0 || err != nil {
				t.Errorf("Abandon returned %v, %v", ended, err)
			}
			s.mustBeFree() // although the worker has its copy
			worker.mustLive()
			worker.end()
		})
	}
}

// A record that says of the program which reads it that it is a pod that was left
// behind is not believed. The same goes for its parent.
func notOurselves(t *testing.T) {
	for _, pid := range []int{os.Getpid(), os.Getppid()} {
		s := newScene(t)
		id, err := osproc.Identify(pid)
		if err != nil {
			t.Fatal(err)
		}
		s.record(ownership.Record{Intent: intent(), Identity: id})
		if _, err := s.claim(t.Context()); !errors.Is(err, ownership.ErrUnclear) {
			t.Errorf("pid %d: Claim returned %v, want %v", pid, err, ownership.ErrUnclear)
		}
	}
}

// Row 4: where there is no record, or only the beginning of one, nobody is ended:
// the pod may run, and somebody have deleted its record. Claim does not wait long.
func noRecord(t *testing.T) {
	for what, spoil := range map[string]func(path string) error{
		"none": os.Remove,
		"torn": func(path string) error { return os.WriteFile(path, []byte(`{"version":3,"na`), 0o600) },
	} {
		for _, ready := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, ready %v", what, ready), func(t *testing.T) {
				s := newScene(t)
				pod, _ := s.pod("hold", ready)
				if err := spoil(s.path(".json")); err != nil {
					t.Fatal(err)
				}
				s.mustStay(pod.pid)
				pod.mustLive()
				pod.end()
				s.mustBeFree()
			})
		}
	}
}

// mustStay fails the test unless Claim gives up by itself, because of the holders.
func (s *scene) mustStay(holders ...int) {
	s.t.Helper()
	if _, err := s.claim(s.t.Context()); !isHeldBy(err, holders...) {
		s.t.Errorf("Claim returned %v, want a *HeldError that names %v", err, holders)
	}
}

// isHeldBy reports whether err is a HeldError that names the holders.
func isHeldBy(err error, holders ...int) bool {
	var held *ownership.HeldError
	return errors.As(err, &held) && !held.Launching && slices.Equal(held.Holders, holders) && len(held.Commands) == len(holders)
}

// Row 5: descendants of a pod that was ready are named at once, and not signalled; the
// launch lock is free.
func descendants(t *testing.T) {
	s := newScene(t)
	pod, _ := s.pod("leave", true)
	pod.cmd.Wait()
	s.mustStay(pod.pid)
	pod.mustLive()
	p := s.open()
	defer p.Close()
	if launching, err := p.Launching(); launching || err != nil {
		t.Errorf("Launching returned %v, %v", launching, err)
	}
	pod.end()
	s.mustBeFree()
}

// Row 6: a pod that has closed its descriptors runs, by its record.
func droppedItsLock(t *testing.T) {
	s := newScene(t)
	pod, r := s.pod("drop", true)
	s.hold(".pod").Close() // it is free
	s.mustRun(r)
	pod.mustLive()
	pod.end()
	s.mustBeFree()
}

// Row 7: nobody has the name. E2, E14: another process of the recorded pid is
// not signalled, nor one of before the machine was restarted.
func nobody(t *testing.T) {
	t.Run("none", func(t *testing.T) { newScene(t).mustBeFree() })
	t.Run("gone", func(t *testing.T) {
		s := newScene(t)
		pod, _ := s.pod("hold", true)
		pod.end()
		s.mustBeFree()
	})
	for _, ready := range []bool{true, false} {
		for what, change := range map[string]func(*ownership.Record){
			"stranger":      func(r *ownership.Record) { r.Start++ },
			"boot":          func(r *ownership.Record) { r.Boot = "00000000-0000-0000-0000-000000000000" },
			"pid namespace": func(r *ownership.Record) { r.PIDNamespace = "pid:[1]" },
		} {
			t.Run(fmt.Sprintf("%s, ready %v", what, ready), func(t *testing.T) {
				s := newScene(t)
				stranger, r := s.pod("drop", true)
				if err := os.Remove(s.path(".json")); err != nil {
					t.Fatal(err)
				}
				r.Ready = ready
				change(&r)
				s.record(r)
				s.mustBeFree()
				stranger.mustLive()
				stranger.end()
			})
		}
	}
}

// What cannot be told is no reason to start another pod, or to end one: an
// unreadable record, somebody else's, one of a version that cannot be read.
func TestClaimFailsClosed(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(path string) error
		want  error
	}{
		"others may write to it": {func(path string) error { return os.Chmod(path, 0o622) }, runtimedir.ErrInsecure},
		"version to come": {func(path string) error {
			return os.WriteFile(path, []byte(`{"version": 99, "name": {"first": "alice"}}`), 0o600)
		}, errors.ErrUnsupported},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t)
			pod, _ := s.pod("drop", true)
			if err := c.spoil(s.path(".json")); err != nil {
				t.Fatal(err)
			}
			if claim, err := s.claim(t.Context()); !errors.Is(err, c.want) {
				t.Fatalf("Claim returned %v, %v, want %v", claim, err, c.want)
			}
			pod.mustLive()
			pod.end()
		})
	}
	t.Run("unreadable", unreadable)
	t.Run("of another user", foreignRecord)
}

// unreadable is about a record that cannot be read just now.
func unreadable(t *testing.T) {
	s := newScene(t)
	pod, _ := s.pod("drop", true)
	if err := os.Chmod(s.path(".json"), 0); err != nil {
		t.Fatal(err)
	}
	var err error
	s.asNobody(func() { _, err = s.claim(t.Context()) })
	if !errors.Is(err, os.ErrPermission) {
		t.Errorf("Claim returned %v, want %v", err, os.ErrPermission)
	}
	pod.mustLive()
	pod.end()
}

// asNobody calls f, which does not change goroutines, as a user for whom the
// modes of files count, and whose the base, the locks and the record are.
func (s *scene) asNobody(f func()) {
	s.t.Helper()
	if os.Geteuid() != 0 {
		f() // they count for us
		return
	}
	const nobody = 65534
	if err := errors.Join(
		os.Chown(s.path(".launch"), nobody, nobody),
		os.Chown(s.path(".pod"), nobody, nobody),
		os.Chown(s.path(".json"), nobody, nobody),
		os.Chown(s.base, nobody, nobody),
		os.Chmod(filepath.Dir(s.base), 0o755),
	); err != nil {
		s.t.Fatal(err)
	}
	// Of this thread alone, and with root's go the capabilities about files
	// (capabilities(7)).
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	become := func(uid int) {
		const keep = ^uintptr(0)
		// Not syscall.Setresuid, which changes every thread.
		if _, _, errno := syscall.RawSyscall(syscall.SYS_SETRESUID, keep, uintptr(uid), keep); errno != 0 {
			s.t.Fatalf("setresuid to %d: %v", uid, errno)
		}
	}
	become(nobody)
	defer become(0)
	f()
}

// foreignRecord is about a record that another user has put where it stands.
func foreignRecord(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give a file away")
	}
	s := newScene(t)
	pod, _ := s.pod("hold", true)
	if err := os.Chown(s.path(".json"), 65534, -1); err != nil {
		t.Fatal(err)
	}
	if _, err := s.claim(t.Context()); !errors.Is(err, runtimedir.ErrInsecure) {
		t.Errorf("Claim returned %v, want %v", err, runtimedir.ErrInsecure)
	}
	pod.mustLive()
	pod.end()
}

// If a lock is not a regular file, Claim does not wait for it, and returns an error.
func TestClaimOfWhatIsNoLock(t *testing.T) {
	for _, suffix := range []string{".launch", ".pod"} {
		s := newScene(t)
		if err := unix.Mkfifo(s.path(suffix), 0o600); err != nil {
			t.Fatal(err)
		}
		var held *ownership.HeldError
		if _, err := s.claim(t.Context()); err == nil || errors.As(err, &held) {
			t.Errorf("with a FIFO at %s Claim returned %v", s.path(suffix), err)
		}
	}
}

// A process that holds a lock that another process has taken does not count as launching.
func TestHeldByOurselves(t *testing.T) {
	s := newScene(t)
	f, err := os.Create(s.path(".pod"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	start(t, "take", f).end()
	s.mustBeHeld(once(), false, os.Getpid())
}

// A child of a launcher that has died may keep the launch lock. Claim does not take the
// child for a launcher, and names it in the error.
func TestHeldByAChildOfALauncher(t *testing.T) {
	s := newScene(t)
	f := s.hold(".launch")
	worker := startIn(t, false, "copy", f)
	s.mustBeHeld(once(), true) // as long as its parent is there
	f.Close()
	_, err := s.claim(once())
	var held *ownership.HeldError
	if !errors.As(err, &held) || held.Launching || !slices.Equal(held.Holders, []int{worker.pid}) {
		t.Errorf("Claim returned %v, want a *HeldError that names %d", err, worker.pid)
	}
	worker.mustLive()
	worker.end()
	s.mustBeFree()
}

// C18: Abandon ends and returns the processes that still hold the name of a launch that
// failed. Then the name is free.
func TestAbandon(t *testing.T) {
	t.Run("nothing was started", func(t *testing.T) {
		s := newScene(t)
		ended, err := s.mustClaim().Abandon(once(), false)
		if ended != nil || err != nil {
			t.Errorf("Abandon returned %v, %v", ended, err)
		}
		s.mustBeFree()
	})
	t.Run("it is gone", func(t *testing.T) {
		s := newScene(t)
		c := s.mustClaim()
		s.intend(c)
		start(t, "hold", c.File()).end()
		ended, err := c.Abandon(once(), true)
		if ended != nil || err != nil {
			t.Errorf("Abandon returned %v, %v", ended, err)
		}
		s.mustBeFree()
	})
	t.Run("somebody is left", func(t *testing.T) {
		s := newScene(t)
		c := s.mustClaim()
		s.intend(c)
		left := start(t, "hold", c.File())
		ended, err := c.Abandon(t.Context(), true)
		if !slices.Equal(pids(ended), []int{left.pid}) || err != nil {
			t.Errorf("Abandon returned %v, %v, want %d", ended, err, left.pid)
		}
		left.mustBeKilled()
		s.mustBeFree()
	})
	t.Run("no time", func(t *testing.T) {
		s := newScene(t)
		c := s.mustClaim()
		s.intend(c)
		left := start(t, "hold", c.File())
		_, err := c.Abandon(once(), true)
		var held *ownership.HeldError
		if !errors.As(err, &held) || !slices.Equal(held.Holders, []int{left.pid}) || !errors.Is(err, errEnough) {
			t.Errorf("Abandon returned %v", err)
		}
		s.mustBeFree() // the next one ends it
		left.mustBeKilled()
	})
}

// D30: the file of the launch lock is deleted while a launch fails, and another
// launcher takes the name in the middle of its clearing up. That launcher holds the
// pod lock, and is left alone.
func TestAbandonSparesTheNextLauncher(t *testing.T) {
	for range 4 {
		s := newScene(t)
		c := s.mustClaim()
		s.intend(c)
		left := start(t, "hold", c.File())
		if err := os.Remove(s.path(".launch")); err != nil {
			t.Fatal(err)
		}
		next := make(chan *child, 1)
		go func() {
			defer close(next)
			next <- start(t, "claim "+s.base) // returns once it has the name
		}()
		for _, err := os.Lstat(s.path(".launch")); err != nil; _, err = os.Lstat(s.path(".launch")) {
			runtime.Gosched() // until it has the other lock
		}
		if ended, err := c.Abandon(t.Context(), true); !slices.Equal(pids(ended), []int{left.pid}) || err != nil {
			t.Errorf("Abandon returned %v, %v, want %d", ended, err, left.pid)
		}
		left.mustBeKilled()
		other := <-next
		if other == nil {
			t.Fatal("the next launcher does not have the name")
		}
		other.mustLive()
		other.end()
	}
}

// An engine is what runs processes elsewhere. Each is alive.
type engine struct {
	asked func(n int) // is called with the number of each question
	n     int
	ended bool
}

func (e *engine) Check(ownership.Record) error {
	e.n++
	e.asked(e.n)
	return nil
}

func (e *engine) End(ownership.Record) error {
	e.ended = true
	return nil
}

// D30: the file of the launch lock is deleted, and the pod becomes ready after
// another launcher has read that it is not. What that launcher has read is out of date,
// and it does not end the pod for it.
func TestReadyMeanwhile(t *testing.T) {
	s := newScene(t)
	c := s.mustClaim()
	elsewhere := intent()
	elsewhere.Elsewhere = true
	if err := errors.Join(c.Intend(elsewhere), os.Remove(s.path(".launch"))); err != nil {
		t.Fatal(err)
	}
	p := s.open()
	defer p.Close()
	cloud := &engine{asked: func(n int) {
		if n == 1 {
			if err := c.Ready(ownership.Answer{Ready: true}); err != nil {
				t.Error(err)
			}
			settle(c)
		}
	}}
	p.Elsewhere = cloud
	_, err := p.Claim(t.Context())
	var running *ownership.RunningError
	if !errors.As(err, &running) || running.Record.Launch != elsewhere.Launch {
		t.Errorf("Claim returned %v, want a *RunningError", err)
	}
	if cloud.ended {
		t.Error("the pod was ended")
	}
}

// intend writes down that a pod is about to be started.
func (s *scene) intend(c *ownership.Claim) {
	s.t.Helper()
	if err := c.Intend(intent()); err != nil {
		s.t.Fatal(err)
	}
}

// D23: a LOCK_UN through any copy would free the name of a live pod, so the pod lock is
// only ever closed. The launch lock is free at once, even if other processes have copies.
func TestSettle(t *testing.T) {
	s := newScene(t)
	pod, _ := s.pod("hold", true)
	f, err := os.OpenFile(s.path(".pod"), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); !errors.Is(err, syscall.EWOULDBLOCK) {
		t.Errorf("the pod's lock can be taken: %v", err)
	}
	p := s.open()
	defer p.Close()
	if launching, err := p.Launching(); launching || err != nil {
		t.Errorf("Launching returned %v, %v", launching, err)
	}
	pod.end()
}

// D30: if somebody deletes the file of one of the locks, the other still keeps
// everybody else from the name.
func TestLockFileDeleted(t *testing.T) {
	for _, suffix := range []string{".launch", ".pod"} {
		s := newScene(t)
		c := s.mustClaim()
		if err := os.Remove(s.path(suffix)); err != nil {
			t.Fatal(err)
		}
		var held *ownership.HeldError
		if claim, err := s.claim(once()); !errors.As(err, &held) || !held.Launching {
			t.Fatalf("without %s Claim returned %v, %v", suffix, claim, err)
		}
		if err := c.Intend(intent()); err != nil {
			t.Errorf("without %s: %v", suffix, err)
		}
		settle(c)
		s.mustBeFree()
	}
}

// D30: who had both locks when somebody deleted both does not believe to have
// the name any more: it writes no record, and removes nobody's.
func TestLockFilesDeleted(t *testing.T) {
	s := newScene(t)
	c := s.mustClaim()
	if err := errors.Join(os.Remove(s.path(".launch")), os.Remove(s.path(".pod"))); err != nil {
		t.Fatal(err)
	}
	next := s.mustClaim()
	s.intend(next)
	if err := c.Intend(intent()); err == nil {
		t.Error("the record was written")
	}
	if err := c.Start(osproc.Identity{PID: 2}, nil); err == nil {
		t.Error("it was written afterwards")
	}
	const others = "another's record"
	if err := os.WriteFile(s.path(".json"), []byte(others), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Abandon(t.Context(), false); err != nil {
		t.Error(err)
	}
	if data, err := os.ReadFile(s.path(".json")); err != nil || string(data) != others {
		t.Errorf("the other's record is %q, %v", data, err)
	}
	settle(next)
}

// D30: of two who have claimed the name, because somebody deleted both locks, one
// goes on, whichever it is.
func TestTwoClaims(t *testing.T) {
	s := newScene(t)
	c := s.mustClaim()
	if err := errors.Join(os.Remove(s.path(".launch")), os.Remove(s.path(".pod"))); err != nil {
		t.Fatal(err)
	}
	next := s.mustClaim()
	s.intend(c)
	if err := next.Intend(intent()); !errors.Is(err, os.ErrExist) {
		t.Errorf("the other's record was replaced: %v", err)
	}
	if _, err := next.Abandon(t.Context(), false); err != nil {
		t.Error(err)
	}
	if err := errors.Join(c.Start(osproc.Identity{PID: 2, Boot: "before"}, nil), c.Ready(ownership.Answer{Ready: true})); err != nil {
		t.Error(err)
	}
	settle(c)
}

// To ask whether a pod is being launched makes no file, and disturbs nobody who
// asks at the same time.
func TestLaunchingIsOnlyAQuestion(t *testing.T) {
	s := newScene(t)
	p := s.open()
	defer p.Close()
	if launching, err := p.Launching(); launching || err != nil {
		t.Errorf("of a name that nobody knows Launching returned %v, %v", launching, err)
	}
	if entries, err := os.ReadDir(s.base); err != nil || len(entries) > 0 {
		t.Errorf("there are %v, %v", entries, err)
	}
	s.mustBeFree()
	done := make(chan int)
	for range 8 {
		go func() {
			p := s.open()
			defer p.Close()
			seen := 0
			for range 200 {
				if launching, err := p.Launching(); launching || err != nil {
					seen++
				}
			}
			done <- seen
		}()
	}
	for range 8 {
		if seen := <-done; seen > 0 {
			t.Errorf("%d of 200 questions were taken for a launch", seen)
		}
	}
}

// Names lists who was ever claimed, in order, and nothing else that lies about.
func TestNames(t *testing.T) {
	base := t.TempDir()
	for _, name := range []string{"carol", "alice", "bob.launch", "ünder"} {
		p, err := ownership.Open(base, name)
		if err != nil {
			t.Fatal(err)
		}
		c, err := p.Claim(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		settle(c)
	}
	for _, junk := range []string{".launch", "..launch", "dave.launch", ".frank.json", ".\xff.launch", ".-g.launch", ".gina.launch~"} {
		if err := os.WriteFile(filepath.Join(base, junk), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(os.Mkdir(filepath.Join(base, ".henry.launch"), 0o700), os.Symlink("nowhere", filepath.Join(base, ".irene.launch"))); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(base, ".eve.pod"), nil, 0o600); err != nil { // somebody may hold her name
		t.Fatal(err)
	}
	names, err := ownership.Names(base)
	if want := []string{"alice", "bob.launch", "carol", "eve", "ünder"}; err != nil || !slices.Equal(names, want) {
		t.Errorf("Names returned %q, %v; want %q", names, err, want)
	}
}

// The mode of the locks and the record does not depend on the umask, so that the user's
// next launcher can open them.
func TestUmask(t *testing.T) {
	s := newScene(t)
	pod := start(t, "drop")
	id, err := osproc.Identify(pod.pid)
	if err != nil {
		t.Fatal(err)
	}
	old := syscall.Umask(0o777)
	c, err := s.claim(t.Context())
	if err == nil {
		err = errors.Join(c.Intend(intent()), c.Start(id, nil))
	}
	syscall.Umask(old)
	if err != nil {
		t.Fatal(err)
	}
	for _, suffix := range []string{".launch", ".pod", ".json"} {
		if fi, err := os.Lstat(s.path(suffix)); err != nil || fi.Mode() != 0o600 {
			t.Errorf("%s: %v, %v", suffix, fi, err)
		}
	}
	if _, err := c.Abandon(t.Context(), false); err != nil {
		t.Error(err)
	}
}

// A record that somebody has deleted, or replaced, while the pod was not ready yet is
// written again once it is: as a whole.
func TestRecordReadyAgain(t *testing.T) {
	for what, change := range map[string]func(path string) error{
		"deleted": os.Remove,
		// The new file may well have the inode of the old one.
		"replaced": func(path string) error { return errors.Join(os.Remove(path), os.WriteFile(path, []byte("{}"), 0o600)) },
	} {
		t.Run(what, func(t *testing.T) {
			s := newScene(t)
			pod := start(t, "drop")
			id, err := osproc.Identify(pod.pid)
			if err != nil {
				t.Fatal(err)
			}
			c, r := s.mustClaim(), ownership.Record{Intent: intent(), Identity: id}
			if err := errors.Join(c.Intend(r.Intent), c.Start(id, nil), change(s.path(".json"))); err != nil {
				t.Fatal(err)
			}
			r.Answer = ownership.Answer{Ready: true, Network: "unix", Address: "/alice/sock"}
			if err := c.Ready(r.Answer); err != nil {
				t.Fatal(err)
			}
			settle(c)
			r.Version, r.Name = ownership.Version, "alice"
			s.mustRun(r)
		})
	}
}
