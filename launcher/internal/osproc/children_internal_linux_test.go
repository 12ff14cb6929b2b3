package osproc

import (
	"os"
	"os/exec"
	"testing"

	"golang.org/x/sys/unix"
)

// Released children are reaped, and forgotten, also beside a zombie that is somebody
// else's to reap and older than they are; and those that somebody else has reaped are
// forgotten.
func TestSweep(t *testing.T) {
	zombie := exec.Command("true")
	if err := zombie.Start(); err != nil {
		t.Fatal(err)
	}
	defer zombie.Wait()
	if _, err := waitid(unix.P_PID, zombie.Process.Pid, unix.WNOWAIT); err != nil {
		t.Fatal(err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	const n = 40
	var pids []int
	for range n {
		p, err := Start(t.Context(), Command{Path: "/bin/cat", Files: []*os.File{r}})
		if err != nil {
			t.Fatal(err)
		}
		p.Release()
		pids = append(pids, p.PID())
	}
	if len(ours.released) != n {
		t.Errorf("%d children are released, want %d", len(ours.released), n)
	}
	w.Close()
	for i, pid := range pids {
		flags := unix.WNOWAIT
		if i%2 == 0 {
			flags = 0 // somebody else reaps it
		}
		if _, err := waitid(unix.P_PID, pid, flags); err != nil {
			t.Fatal(err)
		}
	}
	for range n {
		sweep()
	}
	if len(ours.released) != 0 {
		t.Errorf("%d children are still in the table: %v", len(ours.released), ours.released)
	}
	for _, pid := range pids {
		if _, err := peek(unix.P_PID, pid); err != unix.ECHILD {
			t.Errorf("pid %d: %v", pid, err)
		}
	}
	if _, err := peek(unix.P_PID, zombie.Process.Pid); err != nil {
		t.Errorf("somebody else's child was reaped: %v", err)
	}
}

// A child is reaped only if it is the right one.
func TestReapIf(t *testing.T) {
	c := exec.Command("true")
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	defer c.Wait()
	pid := c.Process.Pid
	if _, err := waitid(unix.P_PID, pid, unix.WNOWAIT); err != nil {
		t.Fatal(err)
	}
	if !reapIf(pid, func(Stat) bool { return false }) {
		t.Error("another is not gone")
	}
	if got, err := peek(unix.P_PID, pid); got != pid {
		t.Errorf("another was reaped: %v", err)
	}
	if !reapIf(pid, func(st Stat) bool { return st.Dead() && st.Parent == os.Getpid() }) {
		t.Error("it was not reaped")
	}
	if _, err := peek(unix.P_PID, pid); err != unix.ECHILD {
		t.Errorf("after it was reaped: %v", err)
	}
}

// Where there are no children any more none is released.
func TestSweepWithoutChildren(t *testing.T) {
	c := children{released: []released{{pid: 1 << 30}}}
	c.sweep()
	if len(c.released) != 0 {
		t.Errorf("it is still in the table: %v", c.released)
	}
}

// Beside somebody else's zombie, and released children that run, sweep comes to each
// one in turn.
func TestSweepTakesTurns(t *testing.T) {
	_, other := zombie(t)
	defer unix.Close(other)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	runs := exec.Command("/bin/cat")
	runs.Stdin = r
	if err := runs.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { runs.Wait() })
	ended, pidfd := zombie(t)
	unix.Close(pidfd)
	start, _, err := lifeOf(ended)
	if err != nil {
		t.Fatal(err)
	}
	c := children{released: []released{{pid: runs.Process.Pid}, {pid: ended, start: start}}}
	c.sweep()
	if len(c.released) != 1 || c.released[0].pid != runs.Process.Pid {
		t.Errorf("there are left %v, want the one that runs, %d", c.released, runs.Process.Pid)
	}
}

// A released child whose number is another child's by now is forgotten, and the other
// one is not reaped.
func TestSweepSparesALaterChild(t *testing.T) {
	later := exec.Command("true")
	if err := later.Start(); err != nil {
		t.Fatal(err)
	}
	defer later.Wait()
	pid := later.Process.Pid
	if _, err := waitid(unix.P_PID, pid, unix.WNOWAIT); err != nil {
		t.Fatal(err)
	}
	c := children{released: []released{{pid: pid, start: 1}}}
	c.sweep()
	if len(c.released) != 0 {
		t.Errorf("it is still in the table: %v", c.released)
	}
	if _, err := peek(unix.P_PID, pid); err != nil {
		t.Errorf("another child was reaped: %v", err)
	}
}

// A number that was reaped by somebody else may be another child's by now. The one who
// had it before takes nothing from the one who has it now, and does not enter it.
func TestNumberOfAnother(t *testing.T) {
	pid := os.Getpid() // any that can be read
	for name, end := range map[string]func(c *children, p holder){
		"drop":    func(c *children, p holder) { c.drop(pid, p) },
		"release": func(c *children, p holder) { c.release(pid, p) },
	} {
		var c children
		before, now := &holding{reaped: true}, &holding{}
		c.hold(pid, before)
		c.hold(pid, now)
		end(&c, before)
		if kin := c.take(pid, &holding{}, 0); kin != shared {
			t.Errorf("%s: the child has no Process any more, its kinship is %v", name, kin)
		}
		if len(c.released) > 0 {
			t.Errorf("%s: another's child was entered: %v", name, c.released)
		}
	}
}

// A holding is a holder of a child that was reaped, or not.
type holding struct{ reaped bool }

func (h *holding) unreaped() bool { return !h.reaped }
