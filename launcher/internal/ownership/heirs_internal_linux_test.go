package ownership

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/podlaunch/podlaunch/launcher/internal/osproc"
)

// A holder that has gone since, or whose number is another's, is not ended, and that is
// no error.
func TestEndHeirsThatAreGone(t *testing.T) {
	child, in := lead(t)
	defer in.Close()
	id, err := osproc.Identify(child)
	if err != nil {
		t.Fatal(err)
	}
	gone, stranger := id, id
	gone.PID = 1 << 30
	stranger.Start++
	for name, id := range map[string]osproc.Identity{"gone": gone, "a stranger": stranger} {
		h := osproc.LockHolder{Identity: id, Taker: 410, Given: true}
		if ended, err := (Owner{}).endHeirs([]osproc.LockHolder{h}); len(ended) > 0 || err != nil {
			t.Errorf("%s: endHeirs returned %v, %v", name, ended, err)
		}
	}
}

// lead starts a process that leads a group, and ends with its standard input.
func lead(t *testing.T) (pid int, in io.Closer) {
	t.Helper()
	c := exec.Command("/bin/cat")
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Wait() })
	return c.Process.Pid, in
}

// Who leads our group or our session is ours, too, unless it is of another pid namespace:
// then its number here is 0.
func TestIsOurs(t *testing.T) {
	leader, in := lead(t)
	defer in.Close()
	before := groupOf()
	if err := syscall.Setpgid(0, leader); err != nil {
		t.Fatal(err)
	}
	defer syscall.Setpgid(0, before)
	parent, err := osproc.ReadStat(os.Getppid())
	if err != nil && os.Getppid() != 0 {
		t.Fatal(err)
	}
	for name, pid := range map[string]int{
		"this program": os.Getpid(), "its parent": os.Getppid(), "the parent of that": parent.Parent, "its group's leader": leader, "its session's leader": sessionOf(),
	} {
		if isOurs(pid) != (pid != 0) {
			t.Errorf("%s, pid %d: isOurs returned %t", name, pid, isOurs(pid))
		}
	}
	if isOurs(1<<30) || isOurs(0) {
		t.Error("another is ours")
	}
	if e := newHeldError([]osproc.LockHolder{{Identity: osproc.Identity{PID: os.Getpid()}}}, false, nil); !strings.Contains(e.Error(), ", which is this program or has started it)] hold it") {
		t.Errorf("that the holder has started us is not said: %v", e)
	}
}

// A look at the holders has a while more than its context.
func TestLookingTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		why := errors.New("enough")
		ctx, cancel := context.WithCancelCause(t.Context())
		looking, stop := lookingTime(ctx)
		defer stop()
		cancel(why)
		began := time.Now()
		<-looking.Done()
		if took := time.Since(began); took != while || context.Cause(looking) != why {
			t.Errorf("it has ended after %v because of %v", took, context.Cause(looking))
		}
	})
}
