package ownership_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/google/uuid"
	"golang.org/x/sys/windows"

	"github.com/podlaunch/podlaunch/launcher/internal/osproc"
	"github.com/podlaunch/podlaunch/launcher/internal/ownership"
)

// lockVariable is set, to the handle of the pod lock, for a process that inherits that.
const lockVariable = "PODLAUNCH_TEST_LOCK"

// nameVariable is set, to the name of a private pod, or to say that launchHalf records the
// process.
const nameVariable = "PODLAUNCH_TEST_NAME"

// program is this program.
var program = os.Args[0]

// removeOpen removes a file that is open. Its name is free at once, which os.Remove does not
// achieve on every file system.
func removeOpen(path string) error {
	return errors.Join(os.Rename(path, path+".away"), os.Remove(path+".away"))
}

func TestMain(m *testing.M) {
	role, arg, _ := strings.Cut(os.Getenv(roleVariable), " ")
	switch role {
	case "":
		os.Exit(m.Run())
	case "hold": // the lock, as a pod does
		echo()
	case "drop": // the lock, as a pod does that closes its handles
		must(windows.CloseHandle(windows.Handle(inheritedLock())))
		echo()
	case "leave": // a child behind, that holds the lock, and end
		c := exec.Command(program)
		c.Env = append(os.Environ(), roleVariable+"=hold")
		c.Stdin, c.Stdout = os.Stdin, os.Stdout
		c.SysProcAttr = &syscall.SysProcAttr{AdditionalInheritedHandles: []syscall.Handle{syscall.Handle(inheritedLock())}}
		must(c.Start())
	case "claim": // the name alice below arg, and launch
		p, err := ownership.Open(arg, "alice")
		must(err)
		_, err = p.Claim(context.Background())
		must(err)
		echo()
	case "private": // a private pod below arg, called as the variable says
		p, err := ownership.Open(arg, os.Getenv(nameVariable))
		must(err)
		_, err = p.Private(context.Background())
		must(err)
		echo()
	case "launch": // the pod alice below arg, up to where its process is started
		launchHalf(arg)
	case "race": // for the name alice below arg, once for each line
		race(arg)
	case "ask": // as often as can be who holds the name alice below arg
		ask(arg)
	case "read": // the file arg, as a backup does
		_, err := os.Open(arg)
		must(err)
		echo()
	default:
		must(fmt.Errorf("unknown role %q", role))
	}
}

func inheritedLock() uint64 {
	handle, err := strconv.ParseUint(os.Getenv(lockVariable), 10, 64)
	must(err)
	return handle
}

// launchHalf claims the name, and starts the pod. It says who that is.
func launchHalf(base string) {
	p, err := ownership.Open(base, "alice")
	must(err)
	c, err := p.Claim(context.Background())
	must(err)
	must(c.Intend(ownership.Intent{Launch: uuid.New()}))
	pod := exec.Command(program)
	pod.Env = append(os.Environ(), roleVariable+"=hold")
	pod.Stdin, pod.Stdout = os.Stdin, os.Stdout
	must(startWith(pod, true, c.File()))
	if os.Getenv(nameVariable) != "" {
		id, err := osproc.Identify(pod.Process.Pid)
		must(err)
		must(c.Start(id, nil))
	}
	select {} // until it is killed
}

// race claims the name each time that it reads a line, and says whether it got the name. It
// keeps it until it reads the next line.
func race(base string) {
	fmt.Println(os.Getpid())
	var claim *ownership.Claim
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		if lines.Text() == "free" {
			if claim != nil {
				_, err := claim.Abandon(context.Background(), true)
				must(err)
				claim = nil
			}
			fmt.Println("free")
			continue
		}
		p, err := ownership.Open(base, "alice")
		must(err)
		if claim, err = p.Claim(once()); claim != nil {
			fmt.Println("won")
			continue
		}
		p.Close()
		fmt.Println("lost: " + err.Error())
	}
}

// ask asks until there is no more input.
func ask(base string) {
	p, err := ownership.Open(base, "alice")
	must(err)
	go func() {
		for {
			_, err := p.HeldWithoutRecord(context.Background())
			must(err)
			_, err = p.Look()
			must(err)
		}
	}()
	echo()
}

// startWith starts cmd, which inherits the files. There are no sessions. The files are not
// open to inherit: a copy is, for the moment of the start.
func startWith(cmd *exec.Cmd, _ bool, files ...*os.File) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{}
	for _, f := range files {
		var inherit windows.Handle
		self := windows.CurrentProcess()
		if err := windows.DuplicateHandle(self, windows.Handle(f.Fd()), self, &inherit, 0, true, windows.DUPLICATE_SAME_ACCESS); err != nil {
			return err
		}
		defer windows.CloseHandle(inherit)
		cmd.SysProcAttr.AdditionalInheritedHandles = append(cmd.SysProcAttr.AdditionalInheritedHandles, syscall.Handle(inherit))
		cmd.Env = append(cmd.Env, fmt.Sprintf("%s=%d", lockVariable, inherit))
	}
	return cmd.Start()
}

// kill ends the process, and waits until it has ended.
func (c *child) kill() {
	c.t.Helper()
	if err := c.cmd.Process.Kill(); err != nil {
		c.t.Fatal(err)
	}
	c.cmd.Wait()
}

// mustBeKilled fails the test unless the process was ended. It ends with 0 by itself.
func (c *child) mustBeKilled() {
	c.t.Helper()
	c.cmd.Wait()
	if c.cmd.ProcessState.ExitCode() == 0 {
		c.t.Errorf("pid %d ended by itself: %v", c.cmd.Process.Pid, c.cmd.ProcessState)
	}
}

// say sends the child a line, and returns what it answers.
func (c *child) say(line string) string {
	c.t.Helper()
	fmt.Fprintln(c.in, line)
	answer, err := c.out.ReadString('\n')
	if err != nil {
		c.t.Fatalf("pid %d does not answer: %v", c.pid, err)
	}
	return strings.TrimSpace(answer)
}
