package proc

import (
	"io"
	"os"
	"os/exec"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// threadless is set in the environment of a child whose first thread ends at
// once, while another one goes on until its stdin is closed.
const threadless = "PODLAUNCH_TEST_THREADLESS"

func init() {
	if os.Getenv(threadless) == "" {
		return
	}
	go func() {
		io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	unix.RawSyscall(unix.SYS_EXIT, 0, 0, 0) // of this thread, which is the first
}

// A killed group is only gone when its threads are. A process whose first
// thread has ended is a zombie by its state, and still serves its sockets.
func TestGroupMembersWithoutFirstThread(t *testing.T) {
	c := exec.Command(os.Args[0])
	c.Env = append(os.Environ(), threadless+"=1")
	c.SysProcAttr = &unix.SysProcAttr{Setpgid: true}
	stdin, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	defer c.Wait()
	defer stdin.Close()
	pid := c.Process.Pid
	for end := time.Now().Add(time.Minute); ; {
		st, err := ReadStat(pid)
		if err != nil || time.Now().After(end) {
			t.Fatalf("the first thread has not ended: %+v, %v", st, err)
		}
		if st.State == 'Z' {
			break
		}
	}
	if members, err := GroupMembers(pid); err != nil || !slices.Contains(members, pid) {
		t.Errorf("the group's members are %v (%v), want %d", members, err, pid)
	}
}
