package ownership

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sys/unix"

	"github.com/podlaunch/podlaunch/launcher/internal/limits"
	"github.com/podlaunch/podlaunch/launcher/internal/osproc"
	"github.com/podlaunch/podlaunch/runtimedir"
)

// copied makes a copy of the locks' descriptors, as a child has that any goroutine of
// this program has just forked.
func copied(t *testing.T, locks ...*lock) {
	t.Helper()
	for _, l := range locks {
		fd, err := unix.FcntlInt(uintptr(l.fd), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { unix.Close(fd) })
	}
}

// mustBeUnlocked fails the test if anybody holds a lock of p.
func mustBeUnlocked(t *testing.T, p *Place) {
	t.Helper()
	for _, name := range []string{p.launchName(), p.podName()} {
		if locked, err := isLocked(p.base, name); locked || err != nil {
			t.Errorf("%s is locked: %v, %v", name, locked, err)
		}
	}
}

// D23: a child that was forked just now, by anybody, has a copy of each descriptor until
// its exec. It does not keep the name: the locks are released, and not only closed.
func TestCopiesDoNotKeepTheName(t *testing.T) {
	t.Run("a claim is abandoned", func(t *testing.T) {
		p, _ := openPlace(t)
		other, err := Open(p.base.path, p.name)
		if err != nil {
			t.Fatal(err)
		}
		c, err := other.Claim(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		copied(t, c.launch, c.pod)
		if _, err := c.Abandon(t.Context(), false); err != nil {
			t.Error(err)
		}
		mustBeUnlocked(t, p)
	})
	t.Run("a waiter gives up", func(t *testing.T) {
		p, _ := openPlace(t)
		l, err := tryLock(p.base, p.launchName(), false)
		if err != nil {
			t.Fatal(err)
		}
		copied(t, l)
		w := waiter{place: p, launch: l}
		w.release()
		mustBeUnlocked(t, p)
	})
	t.Run("the name cannot be taken", func(t *testing.T) {
		p, _ := openPlace(t)
		// An overlay's file that cannot be removed.
		path := p.path(OverlayName(p.name))
		if err := errors.Join(os.Mkdir(path, 0o700), os.WriteFile(filepath.Join(path, "file"), nil, 0o600)); err != nil {
			t.Fatal(err)
		}
		pod, err := tryLock(p.base, p.podName(), true)
		if err != nil {
			t.Fatal(err)
		}
		copied(t, pod)
		w := waiter{place: p}
		if claim, err := w.take(pod); claim != nil || !errors.Is(err, unix.ENOTEMPTY) {
			t.Errorf("take returned %v, %v", claim, err)
		}
		mustBeUnlocked(t, p)
	})
}

// D30: something that is no lock in the place of the one lock does not keep who has the
// other from its name.
func TestLockReplacedByADirectory(t *testing.T) {
	for _, suffix := range []string{".launch", ".pod"} {
		p, record := openPlace(t)
		c, err := p.Claim(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		lock := filepath.Join(filepath.Dir(record), ".alice"+suffix)
		err = errors.Join(c.Intend(Intent{Launch: uuid.New(), Dir: "/run/alice", Elsewhere: true}),
			os.Remove(lock), os.Mkdir(lock, 0o700), os.Remove(record))
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Ready(Answer{Ready: true}); err != nil {
			t.Errorf("with a directory as %s: %v", suffix, err)
		}
		if _, err := c.Abandon(context.Background(), false); err != nil {
			t.Error(err)
		}
	}
}

// leave reports holders that stay at once. It waits, but not for long, for holders that
// are about to end or that it cannot see. It waits for a child until the child has come to
// its exec. While it waits other processes may look.
func TestLeave(t *testing.T) {
	given, ends, copied := osproc.LockHolder{Given: true}, osproc.LockHolder{Given: true, Ending: true}, osproc.LockHolder{}
	for name, c := range map[string]struct {
		waited  time.Duration
		holders []osproc.LockHolder
		stays   bool
	}{
		"they stay":                       {0, []osproc.LockHolder{copied, ends, given}, true},
		"they are about to end":           {ending - 1, []osproc.LockHolder{ends, copied}, false},
		"they are about to end, for long": {ending, []osproc.LockHolder{ends, copied}, true},
		"who they are cannot be seen":     {ending - 1, nil, false},
		"nor for long":                    {ending, nil, true},
		"a child before its exec":         {ending, []osproc.LockHolder{copied}, false},
	} {
		p, _ := openPlace(t)
		l, err := tryLock(p.base, p.launchName(), false)
		if err != nil {
			t.Fatal(err)
		}
		w := waiter{place: p, launch: l, waited: c.waited, holders: c.holders}
		var held *HeldError
		if err := w.leave(Record{}, osproc.ErrGone); errors.As(err, &held) != c.stays || err != nil && !c.stays {
			t.Errorf("%s: leave returned %v", name, err)
		}
		if !c.stays {
			mustBeUnlocked(t, p)
		}
		w.release()
	}
}

// An engine is an Elsewhere in which everything is alive.
type engine struct {
	asked func()
	ended bool
}

func (e *engine) Check(Record) error {
	e.asked()
	return nil
}

func (e *engine) End(Record) error {
	e.ended = true
	return nil
}

// D30: what is recorded of one launch is no reason to end the process of the next one,
// which has been recorded meanwhile.
func TestAnotherLaunchMeanwhile(t *testing.T) {
	p, _ := openPlace(t)
	record := func() error {
		return put(p, Record{Intent: Intent{Launch: uuid.New(), Dir: "/run/alice", Elsewhere: true}})
	}
	cloud := &engine{asked: func() {
		if err := record(); err != nil {
			t.Error(err)
		}
	}}
	p.Elsewhere = cloud
	if err := record(); err != nil {
		t.Fatal(err)
	}
	w := waiter{place: p}
	if err := w.wait(t.Context()); err != nil || cloud.ended {
		t.Errorf("wait returned %v, and has ended the other: %v", err, cloud.ended)
	}
}

// A launcher that lives holds the pod lock, and somebody has deleted its launch lock:
// what it has started is not ended, although it is not ready yet.
func TestWaitForALauncherThatLives(t *testing.T) {
	p, _ := openPlace(t)
	pod, err := tryLock(p.base, p.podName(), true)
	if err != nil {
		t.Fatal(err)
	}
	defer pod.unlock()
	cloud := &engine{asked: func() {}}
	p.Elsewhere = cloud
	if err := put(p, Record{Intent: Intent{Launch: uuid.New(), Elsewhere: true}}); err != nil {
		t.Fatal(err)
	}
	w := waiter{place: p}
	if err := w.wait(t.Context()); err != nil || !w.launching || cloud.ended {
		t.Errorf("wait returned %v, launching %v, and has ended its process: %v", err, w.launching, cloud.ended)
	}
}

// heir starts a process that has the lock as a pod has it. It ends with the test, by
// itself if nobody has ended it before.
func heir(t *testing.T, l *lock) (ended func() error) {
	t.Helper()
	c := exec.Command("/bin/cat")
	c.ExtraFiles = []*os.File{l.asFile()}
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	ended = sync.OnceValue(func() error {
		in.Close()
		return c.Wait()
	})
	t.Cleanup(func() { ended() })
	return ended
}

// Who holds the name of a pod that was started in another pid namespace is not ended:
// whether the pod is there cannot be told from here.
func TestHolderOfAnotherNamespace(t *testing.T) {
	p, _ := openPlace(t)
	pod, err := tryLock(p.base, p.podName(), true)
	if err != nil {
		t.Fatal(err)
	}
	ended := heir(t, pod)
	pod.drop()
	id, err := osproc.Identify(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	id.PIDNamespace = "pid:[1]"
	if err := put(p, Record{Identity: id}); err != nil {
		t.Fatal(err)
	}
	w := waiter{place: p}
	var held *HeldError
	if err := w.wait(t.Context()); !errors.As(err, &held) || held.Left || held.NoRecord || len(w.holders) != 1 {
		t.Errorf("wait returned %v, with the holders %v", err, w.holders)
	}
	if err := ended(); err != nil {
		t.Errorf("it was ended: %v", err)
	}
}

// As long as somebody of a failed launch is left the name stays taken: the lock is not
// released for those who have a copy.
func TestAbandonKeepsTheNameOfWhoIsLeft(t *testing.T) {
	base := t.TempDir()
	p, err := Open(base, "alice")
	if err != nil {
		t.Fatal(err)
	}
	c, err := p.Claim(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	heir(t, c.pod)
	copied(t, c.pod) // which outlives the heir
	done, cancel := context.WithCancel(t.Context())
	cancel()
	var held *HeldError
	if _, err := c.Abandon(done, true); !errors.As(err, &held) {
		t.Errorf("Abandon returned %v, want a *HeldError", err)
	}
	after, err := Open(base, "alice")
	if err != nil {
		t.Fatal(err)
	}
	defer after.Close()
	if locked, err := isLocked(after.base, after.podName()); !locked || err != nil {
		t.Errorf("the name is taken: %v, %v", locked, err)
	}
}

// A record that was deleted is not written again either, if the launch was given up on.
func TestRewriteAsksBefore(t *testing.T) {
	p, record := openPlace(t)
	c, err := p.Claim(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	givenUp := errors.New("given up on")
	if err := errors.Join(c.Intend(Intent{Launch: uuid.New(), Elsewhere: true}), os.Remove(record)); err != nil {
		t.Fatal(err)
	}
	c.AskBefore(func() error { return givenUp })
	if err := c.Ready(Answer{Ready: true}); !errors.Is(err, givenUp) {
		t.Errorf("Ready returned %v, want %v", err, givenUp)
	}
	if _, err := os.Lstat(record); !isMissing(err) {
		t.Errorf("there is a record: %v", err)
	}
	if _, err := c.Abandon(t.Context(), false); err != nil {
		t.Error(err)
	}
}

// Who holds the name of a pod that is gone, and cannot be seen, is ended by the pod's cgroup if he is
// in there.
func TestLeaveEndsWhoIsInTheCgroup(t *testing.T) {
	id := uuid.New()
	cgroup, err := osproc.PlanCgroup("", "podlaunch-"+id.String())
	if err == nil {
		err = cgroup.Make()
	}
	switch {
	case errors.Is(err, errors.ErrUnsupported), errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		t.Skipf("no cgroup can be made here: %v", err)
	case err != nil:
		t.Fatal(err)
	}
	defer cgroup.Close()
	defer cgroup.Remove()
	dir, err := os.Open(cgroup.Path())
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	c := exec.Command("sleep", "1000")
	c.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(dir.Fd())}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	defer c.Wait()
	defer c.Process.Kill()
	us, err := osproc.Identify(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	p, _ := openPlace(t)
	p.Reclaim, p.Grace = ReclaimGone, time.Minute
	r := Record{Intent: Intent{Version: 3, Launch: id, Cgroup: cgroup.Path(), Launcher: Owner{Identity: us}}}
	r.Ready = true
	w := waiter{place: p, waited: ending} // and nobody is seen to hold the lock
	if err := w.leave(r, osproc.ErrGone); err != nil {
		t.Fatalf("leave returned %v", err)
	}
	c.Wait()
	if status := c.ProcessState.Sys().(syscall.WaitStatus); status.Signal() != syscall.SIGTERM {
		t.Errorf("it has ended by %v", c.ProcessState)
	}
}

// A launch whose base was moved has lost its name: another launch finds another base, or none,
// by the path.
func TestBaseIsMoved(t *testing.T) {
	for name, another := range map[string]bool{"away": false, "and another is in its place": true} {
		p, _ := openPlace(t)
		c, err := p.Claim(t.Context())
		if err == nil {
			err = c.Intend(Intent{Launch: uuid.New(), Dir: "/run/alice", Elsewhere: true})
		}
		if err == nil {
			err = os.Rename(p.base.path, p.base.path+".moved")
		}
		if err == nil && another {
			err = os.Mkdir(p.base.path, 0o700)
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Ready(Answer{Ready: true}); err == nil || !strings.Contains(err.Error(), "was moved") {
			t.Errorf("%s: Ready returned %v", name, err)
		}
		c.Settle()
		c.Close()
	}
}

// That this program has no descriptor left says nothing of a record: no error calls it damaged,
// or has somebody remove it. Nor does the name vanish from a list.
func TestRecordWithoutDescriptors(t *testing.T) {
	p, record := openPlace(t)
	c, err := p.Claim(t.Context())
	if err == nil {
		err = c.Intend(Intent{Launch: uuid.New(), Dir: "/run/alice", Elsewhere: true})
	}
	if err != nil {
		t.Fatal(err)
	}
	c.Settle()
	dir := filepath.Dir(record)
	if err := errors.Join(os.Remove(filepath.Join(dir, ".alice.launch")), os.Remove(filepath.Join(dir, ".alice.pod"))); err != nil {
		t.Fatal(err)
	}
	var readErr, namesErr error
	var names []string
	limits.WithDescriptors(t, 0, func() { _, readErr = p.read() })
	limits.WithDescriptors(t, 1, func() { names, namesErr = Names(dir) }) // which reads the directory by this one, and the record by none
	if !errors.Is(readErr, ErrUnclear) || !errors.Is(readErr, unix.EMFILE) || strings.Contains(readErr.Error(), "remove") {
		t.Errorf("without a descriptor the record is read as %v", readErr)
	}
	if namesErr != nil || !slices.Equal(names, []string{"alice"}) {
		t.Errorf("with one descriptor Names returned %q, %v", names, namesErr)
	}
	if err := os.Chmod(record, 0o666); err != nil {
		t.Fatal(err)
	}
	if names, err := Names(dir); err != nil || !slices.Equal(names, []string{"alice"}) {
		t.Errorf("of a record that others may write to Names returned %q, %v", names, err)
	}
	c.Close()
}

// The advice to remove a record comes with a damaged one only: a pod may run whose only record
// that is.
func TestRemedies(t *testing.T) {
	p, path := openPlace(t)
	record := func() string {
		if err := put(p, Record{Identity: osproc.Identity{PID: os.Getpid(), Boot: "boot"}}); err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}()
	for what, c := range map[string]struct {
		text, says string
		change     func() error
	}{
		"damaged":        {text: "{]", says: removeIt},
		"of a later":     {text: `{"version": 99, "name": "alice", "process": {"of": "a later version"}}`, says: askByNewer},
		"others write":   {text: record, change: func() error { return os.Chmod(path, 0o666) }, says: removeIt},
		"another user's": {text: record, change: func() error { return os.Chown(path, 4242, -1) }, says: askAsOwner},
	} {
		err := errors.Join(os.Remove(path), os.WriteFile(path, []byte(c.text), 0o600))
		if err == nil && c.change != nil {
			err = c.change()
		}
		if errors.Is(err, fs.ErrPermission) {
			t.Logf("%s: it takes root: %v", what, err)
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		_, err = p.Running()
		if !errors.Is(err, ErrUnclear) || !strings.HasSuffix(err.Error(), c.says) {
			t.Errorf("%s: %v; want the remedy %q", what, err, c.says)
		}
	}
}

// A record of another boot and of another pid namespace may be that of a container with a boot id
// of its own. Who holds the lock lives, so the machine was not restarted since.
func TestBootOfAContainer(t *testing.T) {
	p, _ := openPlace(t)
	record := Record{Identity: osproc.Identity{PID: 42, Boot: "another", PIDNamespace: "pid:[1]"}}
	record.Ready = true
	if err := put(p, record); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Running(); !errors.Is(err, osproc.ErrRestarted) {
		t.Errorf("nobody has the lock: %v", err)
	}
	held, err := tryLock(p.base, p.podName(), true)
	if err != nil {
		t.Fatal(err)
	}
	defer held.unlock()
	if _, err := p.Running(); !errors.Is(err, osproc.ErrElsewhere) || osproc.ProvesEnd(err) {
		t.Errorf("somebody has the lock: %v", err)
	}
	if s, err := p.Look(); err != nil || !errors.Is(s.Unclear, ErrUnclear) {
		t.Errorf("a look finds %v, %v", s.Unclear, err)
	}
	self, err := osproc.Identify(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	record.PIDNamespace = self.PIDNamespace
	if err := put(p, record); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Running(); !errors.Is(err, osproc.ErrRestarted) {
		t.Errorf("of this pid namespace: %v", err)
	}
}

// With too few descriptors to look whether a record is a copy nobody takes it for the original: who
// stopped the copy would end the original's pod.
func TestCopyWithoutDescriptors(t *testing.T) {
	p, err := Open(t.TempDir(), "alice")
	if err != nil {
		t.Fatal(err)
	}
	record := p.path(p.recordName())
	self, err := osproc.Identify(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	r := Record{Identity: self}
	r.Launch, r.Dir, r.Ready = uuid.New(), filepath.Join(p.base.path, "alice"), true
	base := filepath.Join(t.TempDir(), "copy")
	data, err := []byte(nil), errors.Join(put(p, r), os.Mkdir(base, 0o700))
	if err == nil {
		data, err = os.ReadFile(record)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(base, filepath.Base(record)), data, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	p.Close() // or its descriptor is shared
	other, err := Open(base, "alice")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	mustBeACopy := func(err error) {
		t.Helper()
		if !errors.Is(err, ErrUnclear) || !strings.Contains(err.Error(), "copy") {
			t.Errorf("Running returned %v", err)
		}
	}
	_, err = other.Running()
	mustBeACopy(err)
	limits.WithDescriptors(t, 1, func() { _, err = other.Running() }) // which reads the one record, and not the other
	mustBeACopy(err)
}

// With no descriptor left a name is neither another launch's, nor is its base unavailable.
func TestClaimWithoutDescriptors(t *testing.T) {
	p, _ := openPlace(t)
	r := Record{Identity: osproc.Identity{PID: 42, Boot: "another"}}
	r.Launch = uuid.New()
	if err := put(p, r); err != nil {
		t.Fatal(err)
	}
	for _, of := range []uuid.UUID{r.Launch, uuid.Nil} {
		p.Of = of
		var err error
		limits.WithDescriptors(t, 0, func() { _, err = p.Claim(t.Context()) })
		if !errors.Is(err, unix.EMFILE) || errors.Is(err, ErrAnother) || errors.Is(err, runtimedir.ErrUnavailable) {
			t.Errorf("with Of %v Claim returned %v", of, err)
		}
	}
}
