//go:build unix

package readiness_test

import (
	"bufio"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/podlaunch/podlaunch/runtimedir/conformance"
)

// playEnv makes the test binary play a child: "serve" listens on the socket
// that is its argument; "wrap" starts a child that does, in its own session and
// group, "wrap-group" one in a new group, "wrap-session" one in a new session;
// "serve-tcp" listens on an address, and "blink-tcp" first listens for a moment to
// see whether that is free, and again once it gets a line;
// "notify" sends each line of its stdin to a socket, with \n for line breaks;
// "again" executes itself again and again, by another thread than its first.
// Any other child ends when its stdin does.
const playEnv = "READINESS_TEST_PLAY"

func TestMain(m *testing.M) {
	if role := os.Getenv(playEnv); role != "" {
		if err := play(role, os.Args[1]); err != nil {
			fmt.Fprintln(os.Stderr, role, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	flag.Set("test.parallel", "8") // unless the command line says otherwise: most wait for a moment to pass
	conformance.Main(m)
}

func play(role, socket string) error {
	switch role {
	case "notify":
		return playNotify(socket)
	case "again":
		runtime.LockOSThread() // which is the first
		failed := make(chan error)
		go func() { failed <- syscall.Exec("/proc/self/exe", os.Args, os.Environ()) }()
		return <-failed
	case "serve-tcp", "blink-tcp":
		return playTCP(socket, role == "blink-tcp")
	}
	if role == "serve" {
		l, err := net.Listen("unix", socket)
		if err != nil {
			return err
		}
		defer l.Close()
		if err := os.Chmod(socket, 0o777); err != nil {
			return err
		}
		fmt.Println(os.Getpid())
		_, err = io.Copy(io.Discard, os.Stdin)
		return err
	}
	c := self("serve", socket)
	c.Stdin, c.Stdout, c.Stderr = os.Stdin, os.Stdout, os.Stderr
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: role == "wrap-group", Setsid: role == "wrap-session"}
	return c.Run()
}

func playTCP(address string, blink bool) error {
	stdin := bufio.NewReader(os.Stdin)
	l, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	if blink {
		fmt.Println(os.Getpid())
		if _, err := l.Accept(); err != nil {
			return err
		}
		l.Close()
		stdin.ReadString('\n')
		if l, err = net.Listen("tcp", address); err != nil {
			return err
		}
	}
	defer l.Close()
	if !blink {
		fmt.Println(os.Getpid())
	}
	_, err = io.Copy(io.Discard, stdin)
	return err
}

// chrootEnv is where "notify" goes first, for ever.
const chrootEnv = "READINESS_TEST_CHROOT"

func playNotify(socket string) error {
	if root := os.Getenv(chrootEnv); root != "" {
		if err := syscall.Chroot(root); err != nil {
			return err
		}
	}
	conn, err := net.Dial("unixgram", socket)
	if err != nil {
		return err
	}
	defer conn.Close()
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		if _, err := conn.Write([]byte(strings.ReplaceAll(lines.Text(), `\n`, "\n"))); err != nil {
			return err
		}
		fmt.Println("sent")
	}
	return nil
}

// self is a command that plays a role.
func self(role, socket string) *exec.Cmd {
	// Not the binary's path, where that can be had: another user may not enter
	// the directory it is in.
	path := "/proc/self/exe"
	if _, err := os.Stat(path); err != nil {
		path = os.Args[0]
	}
	c := exec.Command(path, socket)
	// Under -race a process lingers for a second at its end otherwise.
	c.Env = append(os.Environ(), playEnv+"="+role, "GORACE=atexit_sleep_ms=0")
	return c
}

// startChild starts a child that plays role, waits until its socket is there,
// and ends it with the test. It returns the child's pid and that of the process
// that listens.
func startChild(t *testing.T, role, socket string, attr *syscall.SysProcAttr) (child, server int) {
	t.Helper()
	c := self(role, socket)
	c.SysProcAttr, c.Stderr = attr, os.Stderr
	_, line := startServing(t, c)
	if _, err := fmt.Sscan(line, &server); err != nil {
		t.Fatal(err)
	}
	return c.Process.Pid, server
}

// startServing starts c, which ends when its standard input does, and so with the test. It
// returns that, and the first line that c writes.
func startServing(t *testing.T, c *exec.Cmd) (stdin io.Writer, line string) {
	t.Helper()
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		if err := c.Wait(); err != nil {
			t.Errorf("the child: %v", err)
		}
	})
	if line, err = bufio.NewReader(stdout).ReadString('\n'); err != nil {
		t.Fatalf("the child does not serve: %v", err)
	}
	return in, line
}

// someoneElse is an ordinary user, but not the user that runs the tests.
const someoneElse = 65534

// ordinary reports whether the caller's test shall go on: it must run as a user
// whom permissions bind. Root runs the same test again in a child that is such
// a user, and takes its verdict.
func ordinary(t *testing.T) bool {
	t.Helper()
	if os.Geteuid() != 0 {
		return true
	}
	c := exec.Command("/proc/self/exe", "-test.run=^"+t.Name()+"$", "-test.v")
	if _, err := os.Stat(c.Path); err != nil {
		t.Skip("not run: as root this needs /proc; run it as an ordinary user")
	}
	c.Dir = "/"
	c.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0")
	c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: someoneElse, Gid: someoneElse}}
	out, err := c.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Errorf("as user %d: %v\n%s", someoneElse, err, out)
	}
	return false
}
