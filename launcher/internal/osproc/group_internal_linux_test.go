package osproc

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/podlaunch/podlaunch/launcher/internal/limits"
)

// A context that ends after the first look at a group does not keep awaitGroup from
// seeing that nobody lives in it: a zombie does not count.
func TestAwaitGroupLooksAtTheEnd(t *testing.T) {
	zombie := exec.Command("true")
	zombie.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := zombie.Start(); err != nil {
		t.Fatal(err)
	}
	defer zombie.Wait()
	if _, err := waitid(unix.P_PID, zombie.Process.Pid, unix.WNOWAIT); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := awaitGroup(&endsSoon{Context: ctx}, zombie.Process.Pid); err != nil {
		t.Error(err)
	}
}

// An endsSoon is a context that is done, and says so from the second time on that it is
// asked for its error.
type endsSoon struct {
	context.Context
	asked bool
}

func (c *endsSoon) Err() error {
	if !c.asked {
		c.asked = true
		return nil
	}
	return c.Context.Err()
}

// Those who look at process groups at the same time read the processes together.
func TestGroupsAreReadTogether(t *testing.T) {
	const groups = 64
	const nobody = 1 << 22 // no pid is as high: PID_MAX_LIMIT
	look := func() {
		if !reapGroupOnce(t.Context(), nobody) {
			t.Error("somebody is in a group that is not there")
		}
	}
	alone := limits.ProcessorTime(t, func() {
		for range groups {
			look()
		}
	})
	together := limits.ProcessorTime(t, func() {
		var all sync.WaitGroup
		for range groups {
			all.Go(look)
		}
		all.Wait()
	})
	if together > alone/2 {
		t.Errorf("%d groups one by one take %v of processor time, and together %v", groups, alone, together)
	}
}

// Without a descriptor nobody can tell whether a process has another pod's lock. If it counted as one
// of ours it would be ended with them.
func TestAnothersWithoutDescriptors(t *testing.T) {
	dir := t.TempDir()
	f, err := os.Create(filepath.Join(dir, ".bob"+PodLock))
	if err == nil {
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	c := exec.Command("sleep", "1000")
	c.ExtraFiles = []*os.File{f} // descriptor 3
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	defer c.Wait()
	defer c.Process.Kill()
	own := lockPlace{LockFile{Path: filepath.Join(dir, ".alice"+PodLock)}, 3}
	if is, err := own.isAnothers(c.Process.Pid); !is || err != nil {
		t.Errorf("it has another's lock: %v, %v", is, err)
	}
	limits.WithDescriptors(t, 0, func() {
		if is, err := own.isAnothers(c.Process.Pid); !errors.Is(err, unix.EMFILE) {
			t.Errorf("without a descriptor: %v, %v", is, err)
		}
	})
}
