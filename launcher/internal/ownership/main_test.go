//go:build linux

package ownership_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/podlaunch/podlaunch/launcher/internal/crashpoint"
	"github.com/podlaunch/podlaunch/launcher/internal/osproc"
	"github.com/podlaunch/podlaunch/launcher/internal/ownership"
)

// program is this program.
const program = "/proc/self/exe"

// startWith starts cmd, which inherits the files, in a session of its own or in ours.
func startWith(cmd *exec.Cmd, ownSession bool, files ...*os.File) error {
	cmd.ExtraFiles, cmd.SysProcAttr = files, &syscall.SysProcAttr{Setsid: ownSession}
	return cmd.Start()
}

// removeOpen removes a file that is open.
func removeOpen(path string) error { return os.Remove(path) }

// inherited is the descriptor of the pod lock in a process that was given it.
const inherited = 3

func TestMain(m *testing.M) {
	// This binary, when it plays another process, need not linger for a second
	// under the race detector.
	os.Setenv("GORACE", "atexit_sleep_ms=0")
	role, arg, _ := strings.Cut(os.Getenv(roleVariable), " ")
	switch role {
	case "":
		os.Exit(m.Run())
	case "hold": // the lock, as a pod does
		echo()
	case "stubborn": // hold the lock, and take no notice of SIGTERM
		signal.Ignore(syscall.SIGTERM)
		echo()
	case "drop": // the lock, if there is one, as a pod does that closes its descriptors
		if err := syscall.Close(inherited); err != syscall.EBADF {
			must(err)
		}
		echo()
	case "leave": // a child behind, that holds the lock in the role arg, and end
		if arg == "" {
			arg = "hold"
		}
		c := exec.Command(os.Args[0])
		c.Env = append(os.Environ(), roleVariable+"="+arg)
		c.Stdin, c.Stdout = os.Stdin, os.Stdout
		must(c.Start()) // Go closes nothing that it did not open itself
	case "family": // with a child that has dropped the lock, and holds arg, a FIFO, open
		c := exec.Command(os.Args[0])
		c.Env = append(os.Environ(), roleVariable+"=open "+arg)
		must(c.Start())
		echo()
	case "open": // arg, and nothing else
		syscall.Close(inherited)
		_, err := os.OpenFile(arg, os.O_WRONLY, 0)
		must(err)
		time.Sleep(time.Hour) // unlike select {} no deadlock, without cgo
	case "copy": // the lock, as a child of the launcher's that does not come to its exec
		syscall.CloseOnExec(inherited)
		echo()
	case "take": // the lock, for who has the file open as well, and end
		must(unix.Flock(inherited, unix.LOCK_EX|unix.LOCK_NB))
		fmt.Println(os.Getpid())
	case "launch": // the pod alice below arg, without its process
		launch(arg, "bob") // what a program asks once
		crashpoint.Begin()
		launch(arg, "alice")
		crashpoint.End()
	case "ask": // whether the pod alice below arg is being launched
		p, err := ownership.Open(arg, "alice")
		must(err)
		crashpoint.Begin()
		_, err = p.Launching()
		crashpoint.End()
		must(err)
	case "claim": // the name alice below arg, and launch
		p, err := ownership.Open(arg, "alice")
		must(err)
		_, err = p.Claim(context.Background())
		must(err)
		echo()
	case "read": // the lock's file, without any lock
		_, err := os.Open(arg)
		must(err)
		echo()
	default:
		must(fmt.Errorf("unknown role %q", role))
	}
}

// launch is all that a launch does about its name. It changes to the
// directory where it is once the pod is ready, and once the launch returns.
func launch(base, name string) {
	p, err := ownership.Open(base, name)
	must(err)
	c, err := p.Claim(context.Background())
	must(err)
	must(c.CheckBase())
	c.File()
	must(c.Intend(intent()))
	id, err := osproc.Identify(os.Getpid())
	must(err)
	must(c.Start(id, nil))
	must(os.Chdir("."))
	must(c.Ready(ownership.Answer{Ready: true, Network: "unix", Address: "/alice/sock"}))
	c.Settle()
	must(os.Chdir("."))
	c.Close()
}

// mustBeKilled fails the test unless the process was sent SIGKILL. It must have
// ended, or be about to.
func (c *child) mustBeKilled() {
	c.t.Helper()
	c.cmd.Wait()
	if status := c.cmd.ProcessState.Sys().(syscall.WaitStatus); !status.Signaled() || status.Signal() != syscall.SIGKILL {
		c.t.Errorf("pid %d ended otherwise than by SIGKILL: %v", c.cmd.Process.Pid, c.cmd.ProcessState)
	}
}

// untilItEnds is a context that lets Claim wait until the child has ended. Then the child
// holds nothing any more, and mustBeKilled reaps it.
func (c *child) untilItEnds() context.Context {
	ctx, cancel := context.WithCancelCause(c.t.Context())
	go func() { // ends with the child
		err := error(unix.EINTR)
		for err == unix.EINTR {
			err = unix.Waitid(unix.P_PID, c.cmd.Process.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		}
		cancel(errEnough)
	}()
	return ctx
}

// hold takes one of the locks, past the package, until the test is over or the
// file is closed.
func (s *scene) hold(suffix string) *os.File {
	s.t.Helper()
	f, err := os.OpenFile(s.path(suffix), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { f.Close() })
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		s.t.Fatal(err)
	}
	return f
}

// record has a record written that says r, and gives the name back.
func (s *scene) record(r ownership.Record) {
	s.t.Helper()
	c := s.mustClaim()
	err := errors.Join(c.Intend(r.Intent), c.Start(r.Identity, r.Digests))
	if r.Ready {
		err = errors.Join(err, c.Ready(r.Answer))
	}
	if err != nil {
		s.t.Fatal(err)
	}
	settle(c)
}

// pids returns those of the processes.
func pids(ids []osproc.Identity) (pids []int) {
	for _, id := range ids {
		pids = append(pids, id.PID)
	}
	return pids
}
