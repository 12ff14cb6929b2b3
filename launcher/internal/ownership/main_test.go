//go:build linux

package ownership_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sys/unix"

	"github.com/podlaunch/podlaunch/launcher/internal/crashpoint"
	"github.com/podlaunch/podlaunch/launcher/internal/ownership"
	"github.com/podlaunch/podlaunch/launcher/internal/unixproc"
)

// roleVariable is set, to a role and its argument, for the processes that the
// tests start: they are this program.
const roleVariable = "PODLAUNCH_TEST_ROLE"

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
	case "drop": // the lock, as a pod does that closes its descriptors
		must(syscall.Close(inherited))
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
	id, err := unixproc.Identify(os.Getpid())
	must(err)
	must(c.Start(id))
	must(os.Chdir("."))
	must(c.Ready(ownership.Answer{Ready: true, Network: "unix", Address: "/alice/sock"}))
	c.Settle()
	must(os.Chdir("."))
	c.Close()
}

// settle ends a claim, as a launch does.
func settle(c *ownership.Claim) {
	c.Settle()
	c.Close()
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// echo says who we are, and then sends back each line until there is no more.
func echo() {
	fmt.Println(os.Getpid())
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		fmt.Println(lines.Text())
	}
}

// ample is a deadline for what should happen long before it. It only ends a
// test that hangs.
const ample = time.Minute

// A child is a process of this program in a role.
type child struct {
	t   *testing.T
	cmd *exec.Cmd
	in  *os.File
	out *bufio.Reader
	pid int // who says so: of the one who answers, which need not be cmd's
}

// start starts a child that inherits lock.
func start(t *testing.T, role string, lock ...*os.File) *child {
	return startIn(t, true, role, lock...)
}

// startIn is start, in a session of its own or in ours.
func startIn(t *testing.T, ownSession bool, role string, lock ...*os.File) *child {
	t.Helper()
	stdin, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	out, stdout, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), roleVariable+"="+role)
	cmd.Stdin, cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = stdin, stdout, os.Stderr, lock
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: ownSession}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stdin.Close()
	stdout.Close()
	c := &child{t: t, cmd: cmd, in: in, out: bufio.NewReader(out)}
	t.Cleanup(func() {
		in.Close()
		io.Copy(io.Discard, out) // until whoever has its other end is gone
		out.Close()
		cmd.Process.Kill()
		cmd.Wait()
	})
	if _, err := fmt.Fscanln(c.out, &c.pid); err != nil {
		t.Fatalf("a child with the role %q does not come up: %v", role, err)
	}
	return c
}

// mustLive fails the test unless the child answers.
func (c *child) mustLive() {
	c.t.Helper()
	fmt.Fprintln(c.in, "hello")
	if answer, err := c.out.ReadString('\n'); err != nil || answer != "hello\n" {
		c.t.Errorf("pid %d does not live any more: %q, %v", c.pid, answer, err)
	}
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

// end ends the child and waits until nobody is left who answers for it.
func (c *child) end() {
	c.t.Helper()
	c.in.Close()
	if _, err := io.Copy(io.Discard, c.out); err != nil {
		c.t.Error(err)
	}
	c.cmd.Wait()
}

// A scene is a base directory with a pod called alice.
type scene struct {
	t    *testing.T
	base string
}

func newScene(t *testing.T) *scene { return &scene{t, t.TempDir()} }

func (s *scene) path(suffix string) string { return filepath.Join(s.base, ".alice"+suffix) }

func (s *scene) open() *ownership.Place {
	s.t.Helper()
	p, err := ownership.Open(s.base, "alice")
	if err != nil {
		s.t.Fatal(err)
	}
	return p
}

// claim claims the name.
func (s *scene) claim(ctx context.Context) (*ownership.Claim, error) {
	s.t.Helper()
	p := s.open()
	c, err := p.Claim(ctx)
	if err != nil {
		p.Close()
	}
	return c, err
}

// mustClaim claims the name, which somebody may have to be ended for.
func (s *scene) mustClaim() *ownership.Claim {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), ample)
	defer cancel()
	c, err := s.claim(ctx)
	if err != nil {
		s.t.Fatal(err)
	}
	return c
}

// mustBeFree fails the test unless the name can be claimed and given back.
func (s *scene) mustBeFree() {
	s.t.Helper()
	if _, err := s.mustClaim().Abandon(s.t.Context(), false); err != nil {
		s.t.Error(err)
	}
}

// pod starts a child in a role as the pod, and leaves the name to it: to one
// that was ready, or else as a launcher does that dies in the middle.
func (s *scene) pod(role string, ready bool) (*child, ownership.Record) {
	s.t.Helper()
	c := s.mustClaim()
	pod := start(s.t, role, c.File())
	id, err := unixproc.Identify(pod.cmd.Process.Pid)
	if err != nil {
		s.t.Fatal(err)
	}
	r := ownership.Record{Intent: intent(), Identity: id}
	if err := errors.Join(c.Intend(r.Intent), c.Start(id)); err != nil {
		s.t.Fatal(err)
	}
	if ready {
		r.Answer = ownership.Answer{Ready: true, Network: "unix", Address: "/alice/sock"}
		if err := c.Ready(r.Answer); err != nil {
			s.t.Fatal(err)
		}
	}
	settle(c)
	return pod, r
}

// intent is that of a launch.
func intent() ownership.Intent { return ownership.Intent{Launch: uuid.New(), Dir: "/run/alice"} }

// record has a record written that says r, and gives the name back.
func (s *scene) record(r ownership.Record) {
	s.t.Helper()
	c := s.mustClaim()
	err := errors.Join(c.Intend(r.Intent), c.Start(r.Identity))
	if r.Ready {
		err = errors.Join(err, c.Ready(r.Answer))
	}
	if err != nil {
		s.t.Fatal(err)
	}
	settle(c)
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

// once is a context that lets Claim look once, and not wait.
func once() context.Context {
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(errEnough)
	return ctx
}

// awhile is a context that lets Claim wait for longer than it takes to end
// somebody.
func awhile(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeoutCause(t.Context(), 300*time.Millisecond, errEnough)
	t.Cleanup(cancel)
	return ctx
}

// pids returns those of the processes.
func pids(ids []unixproc.Identity) (pids []int) {
	for _, id := range ids {
		pids = append(pids, id.PID)
	}
	return pids
}
