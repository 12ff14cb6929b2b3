//go:build linux || windows

package ownership_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/podlaunch/podlaunch/launcher/internal/osproc"
	"github.com/podlaunch/podlaunch/launcher/internal/ownership"
)

// roleVariable is set, to a role and its argument, for the processes that the
// tests start: they are this program.
const roleVariable = "PODLAUNCH_TEST_ROLE"

// errEnough is why the contexts of the tests end.
var errEnough = errors.New("enough")

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
	cmd := exec.Command(program)
	cmd.Env = append(os.Environ(), roleVariable+"="+role)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, stdout, os.Stderr
	if err := startWith(cmd, ownSession, lock...); err != nil {
		t.Fatal(err)
	}
	stdin.Close()
	stdout.Close()
	c := &child{t: t, cmd: cmd, in: in, out: bufio.NewReader(out)}
	t.Cleanup(func() {
		in.Close()
		io.Copy(io.Discard, out) // until no process has the other end open
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

// pod starts a child in a role as the pod, and leaves the name to it. If ready is false,
// it leaves the name as a launcher does that dies in the middle of a launch.
func (s *scene) pod(role string, ready bool) (*child, ownership.Record) {
	s.t.Helper()
	c := s.mustClaim()
	pod := start(s.t, role, c.File())
	id, err := osproc.Identify(pod.cmd.Process.Pid)
	if err != nil {
		s.t.Fatal(err)
	}
	r := ownership.Record{Intent: intent(), Identity: id}
	if err := errors.Join(c.Intend(r.Intent), c.Start(id, nil)); err != nil {
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
