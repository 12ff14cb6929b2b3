package osproc

import (
	"io"
	"os/exec"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// lead starts a process that leads a group, and ends with its standard input.
func lead(t *testing.T) (id Identity, pidfd int, in io.Closer) {
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
	t.Cleanup(func() {
		c.Process.Kill()
		c.Wait()
	})
	if id, err = Identify(c.Process.Pid); err != nil {
		t.Fatal(err)
	}
	if pidfd, err = unix.PidfdOpen(id.PID, 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(pidfd) })
	return id, pidfd, in
}

// Who has left the group meanwhile is no member, and of a leader that is another
// process by now nobody is.
func TestKillMemberOfAnotherGroup(t *testing.T) {
	member, pidfd, _ := lead(t)
	leader, _, _ := lead(t)
	was := member
	was.Start++
	for what, leader := range map[string]Identity{"another group": leader, "its leader was reaped": was} {
		if err := killMember(member, leader); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := unix.PidfdSendSignal(pidfd, unix.SIGTERM, nil, 0); err != nil {
		t.Fatal(err)
	}
	info, err := waitid(unix.P_PIDFD, pidfd, unix.WNOWAIT)
	if exit := info.exit(); err != nil || exit.Signal != unix.SIGTERM {
		t.Errorf("it has ended with %+v, %v; want SIGTERM, which came last", exit, err)
	}
}

// While the members of a group are ended its leader is stopped, so that it starts no
// others in their place.
func TestKillMembersStopsTheLeader(t *testing.T) {
	leader, pidfd, in := lead(t)
	if err := killMembers(leader, target{leader, pidfd}); err != nil {
		t.Fatal(err)
	}
	in.Close()        // which ends it, unless it is stopped
	const stopped = 5 // CLD_STOPPED
	info, err := waitid(unix.P_PIDFD, pidfd, unix.WSTOPPED|unix.WNOWAIT)
	if info.code[0]+info.code[1] != stopped || err != nil {
		t.Errorf("it was not stopped: %+v, %v", info, err)
	}
}
