package keeper

import (
	"context"
	"errors"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/podlaunch/podlaunch/launcher/internal/leaktest"
	"github.com/podlaunch/podlaunch/launcher/internal/limits"
	"github.com/podlaunch/podlaunch/launcher/internal/osproc"
)

func TestMain(m *testing.M) {
	os.Setenv("GORACE", "atexit_sleep_ms=0") // the keeper is this binary
	os.Exit(m.Run())
}

// quiet is a Logger for what nobody reads.
type quiet struct{}

func (quiet) Warn(string, ...any)  {}
func (quiet) Error(string, ...any) {}

// nobody returns a pod that nobody belongs to.
func nobody(t *testing.T, n int) Pod {
	id := t.Name() + strconv.Itoa(n)
	return Pod{ID: id, Mark: "POD_LAUNCH_ID=" + id}
}

// set sets a variable of this package for the time of a test.
func set[T any](t *testing.T, variable *T, value T) {
	before := *variable
	*variable = value
	t.Cleanup(func() { *variable = before })
}

// A file that does not have this package's init ends, or does not answer. The error says
// so, and nothing is left.
func TestNoKeeper(t *testing.T) {
	for _, c := range []struct {
		file     string
		patience time.Duration
		is       error
		says     string
	}{
		{"/bin/true", patience, nil, "exit status 0"},
		{"/bin/false", patience, nil, "exit status 1"},
		{"/usr/bin/yes", 50 * time.Millisecond, os.ErrDeadlineExceeded, "has not answered within 50ms"},
		{"/nonexistent/keeper", patience, os.ErrNotExist, "/nonexistent/keeper"},
	} {
		t.Run(c.file, func(t *testing.T) {
			leaktest.Check(t, c.file)
			set(t, &self, c.file)
			set(t, &patience, c.patience)
			err := Keep(t.Context(), nobody(t, 0), quiet{})
			if err == nil || c.is != nil && !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("Keep returned %v", err)
			}
			if len(program.pods) != 0 || program.now != nil {
				t.Errorf("it is kept all the same: %v", program.pods)
			}
		})
	}
}

// If a keeper does not answer, a new keeper replaces it, and knows all pods.
func TestKeeperThatHangs(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped with -short: it waits for the two seconds that a keeper has")
	}
	leaktest.Check(t)
	a, b := nobody(t, 0), nobody(t, 1)
	if err := Keep(t.Context(), a, quiet{}); err != nil {
		t.Fatal(err)
	}
	first := program.now
	if err := syscall.Kill(first.pid(), syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	// The new keeper has the same patience, and this machine may be busy.
	set(t, &patience, 2*time.Second)
	if err := Keep(t.Context(), b, quiet{}); err != nil {
		t.Fatal(err)
	}
	<-first.over
	if program.now == first || len(program.pods) != 2 {
		t.Errorf("the keeper was not replaced, or knows %d pods", len(program.pods))
	}
	Gone(a.ID, false)
	if program.now == nil {
		t.Error("the keeper has gone before its last pod")
	}
	Gone(b.ID, false)
	if len(program.pods) != 0 || program.now != nil {
		t.Errorf("when nobody is left there are still %d pods", len(program.pods))
	}
}

// Pods whose end nobody tells, as of those that were released, are forgotten when others
// are kept.
func TestForgets(t *testing.T) {
	leaktest.Check(t)
	gone, err := osproc.Identify(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	gone.Start++ // there is no such process
	most := 0
	for n := range 100 {
		p := nobody(t, n)
		if err := Keep(t.Context(), p, quiet{}); err != nil {
			t.Fatal(err)
		}
		if n > 0 {
			if err := Know(t.Context(), p.ID, gone, nil); err != nil {
				t.Fatal(err)
			}
		}
		most = max(most, len(program.pods))
	}
	if most > 8 {
		t.Errorf("of pods that had ended up to %d were kept", most)
	}
	last := nobody(t, 0)
	if err := Know(context.Background(), last.ID, gone, nil); err != nil {
		t.Fatal(err)
	}
	Gone(last.ID, false)
}

// Who has the lock of a pod from its launcher is of the pod while that runs, or begins. Later it
// may be the next pod of the name, which the same launcher has launched.
func TestHeirsOfTheLiving(t *testing.T) {
	path := filepath.Join(t.TempDir(), ".alice.pod")
	lock, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	var st syscall.Stat_t
	if err := syscall.Fstat(int(lock.Fd()), &st); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/bin/cat")
	cmd.Env, cmd.ExtraFiles, cmd.SysProcAttr = []string{}, []*os.File{lock}, &syscall.SysProcAttr{Setsid: true}
	in, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		in.Close()
		cmd.Wait()
	}()
	heir, err := osproc.Identify(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	us, err := osproc.Identify(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	ended := us
	ended.Start++
	for name, c := range map[string]struct {
		first osproc.Identity
		gone  bool
		found bool
	}{
		"the first process runs":         {us, false, true},
		"it is not known yet":            {osproc.Identity{}, false, true},
		"it has ended":                   {ended, false, false},
		"it has ended, and nobody knows": {osproc.Identity{}, true, false},
	} {
		p := nobody(t, 0)
		p.First, p.Launcher, p.Lock = c.first, os.Getpid(), osproc.LockFile{Path: path, Dev: uint64(st.Dev), Inode: st.Ino}
		k := newKept(p)
		k.gone = c.gone
		k.addHeirs()
		left, err := k.family.Left(t.Context(), false)
		if found := slices.Contains(left, heir); found != c.found || err != nil {
			t.Errorf("%s: found is %t (%v, %v)", name, found, left, err)
		}
	}
}

// Who says that pods have ended says it of all whose end was not said yet, and the keeper
// answers once.
func TestEndsTogether(t *testing.T) {
	leaktest.Check(t)
	const pods = 50
	for n := range pods {
		if err := Keep(t.Context(), nobody(t, n), quiet{}); err != nil {
			t.Fatal(err)
		}
	}
	last := program.now
	program.turn <- struct{}{}
	var all sync.WaitGroup
	for n := range pods {
		all.Go(func() { Gone(nobody(t, n).ID, n%2 == 0) })
	}
	for waiting := 0; waiting < pods; {
		program.mu.Lock()
		waiting = len(program.ended.Gone) + len(program.ended.Empty)
		program.mu.Unlock()
		runtime.Gosched()
	}
	if err := program.tellEnded(); err != nil || len(program.pods) > 0 || program.now != nil {
		t.Errorf("after one request %d pods are kept: %v", len(program.pods), err)
	}
	<-program.turn
	all.Wait()
	<-last.over
}

// To find out of many pods whether anybody is left, or to end them, takes far less together than
// one by one.
func TestLooksTogether(t *testing.T) {
	pods := make(map[string]*kept)
	for n := range 64 {
		p := nobody(t, n)
		pods[p.ID] = newKept(p)
	}
	for what, look := range map[string]func(pods map[string]*kept){
		"look": func(pods map[string]*kept) {
			s := server{pods: maps.Clone(pods)}
			var a answer
			if s.forgetEmpty(slices.Collect(maps.Keys(pods)), &a); len(s.pods) > 0 || len(a.Forgot) != len(pods) {
				t.Errorf("%d of %d pods are kept, and %d forgotten", len(s.pods), len(pods), len(a.Forgot))
			}
		},
		"end": func(pods map[string]*kept) {
			if found, err := kill(pods, make(map[osproc.Identity]bool)); found || err != nil {
				t.Errorf("somebody was found (%t), %v", found, err)
			}
		},
	} {
		var alone time.Duration
		for id, p := range pods {
			alone += limits.ProcessorTime(t, func() { look(map[string]*kept{id: p}) })
		}
		if together := limits.ProcessorTime(t, func() { look(pods) }); together > alone/2 {
			t.Errorf("%s: %d pods one by one take %v of processor time, and together %v", what, len(pods), alone, together)
		}
	}
}
