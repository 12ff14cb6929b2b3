//go:build linux

package ownership_test

import (
	"errors"
	"os"
	"os/exec"
	"runtime/debug"
	"testing"

	"github.com/podlaunch/podlaunch/launcher/internal/osproc"
	"github.com/podlaunch/podlaunch/launcher/internal/ownership"
)

// No call about a name leaves a descriptor open: not a question, a claim that fails, a
// claim that is settled, or a claim that has written its record again.
func TestDescriptorsAreClosed(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // which would close an os.File
	held, free := newScene(t), newScene(t)
	held.hold(".launch")
	for name, call := range map[string]func() error{
		"Launching": func() error {
			p := held.open()
			defer p.Close()
			_, err := p.Launching()
			return err
		},
		"a claim of what is held": func() error {
			if _, err := held.claim(once()); !errors.Is(err, errEnough) {
				return err
			}
			return nil
		},
		"a claim that is settled": func() error {
			c := free.mustClaim()
			settle(c)
			return nil
		},
		"a record that was deleted": func() error {
			c := free.mustClaim()
			err := errors.Join(c.Intend(intent()), os.Remove(free.path(".json")),
				c.Start(osproc.Identity{PID: 2, Boot: "before"}, nil), c.Ready(ownership.Answer{Ready: true}))
			settle(c)
			return err
		},
	} {
		before := openDescriptors(t)
		if err := call(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if after := openDescriptors(t); after > before {
			t.Errorf("%s has left %d descriptors open", name, after-before)
		}
	}
}

// All who work in the same directory have one descriptor for it, until the last of them is done;
// a directory that takes its place has its own.
func TestDirectoryIsShared(t *testing.T) {
	s := newScene(t)
	first := s.open()
	before := openDescriptors(t)
	second := s.open()
	if after := openDescriptors(t); after != before {
		t.Errorf("the second use takes %d descriptors more", after-before)
	}
	first.Close()
	if _, err := second.Launching(); err != nil {
		t.Errorf("after the first use has ended: %v", err)
	}
	base := second.Base()
	if err := errors.Join(os.Rename(base, base+".old"), os.Mkdir(base, 0o700)); err != nil {
		t.Fatal(err)
	}
	third := s.open()
	if after := openDescriptors(t); after != before+1 {
		t.Errorf("the use of another directory takes %d descriptors, want 1", after-before)
	}
	third.Close()
	second.Close()
	if after := openDescriptors(t); after != before-1 {
		t.Errorf("%d descriptors are still open", after-before+1)
	}
}

// Who opens the base where it is mounted for writing does not work where it is not.
func TestDirectoryOfAnotherMount(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can mount")
	}
	s := newScene(t)
	base := s.open().Base()
	if out, err := exec.Command("sh", "-c", `mount --bind "$0" "$0" && mount -o remount,ro,bind "$0"`, base).CombinedOutput(); err != nil {
		t.Skipf("it cannot be mounted here: %v: %s", err, out)
	}
	reading := s.open()
	if out, err := exec.Command("umount", "-l", base).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	c, err := s.claim(once())
	if err != nil {
		t.Fatal(err)
	}
	settle(c)
	reading.Close()
}

// openDescriptors returns how many descriptors are open.
func openDescriptors(t *testing.T) int {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(fds)
}
