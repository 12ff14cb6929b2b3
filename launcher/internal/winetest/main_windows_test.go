package winetest_test

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/windows"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/logsource"
	"github.com/podlaunch/podlaunch/readiness"
	"github.com/podlaunch/podlaunch/runtimedir"
)

// TestMain makes of this program a pod, or a launcher, if its first argument says so.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "pod":
			podMain(os.Args[2:])
			os.Exit(0)
		case "launch":
			launchMain(os.Args[2], os.Args[3:])
			os.Exit(0)
		}
	}
	os.Exit(m.Run())
}

// A pod's exit codes say what has ended it.
const (
	codeEvent     = 21
	codeInterrupt = 22
	codeFailed    = 3
)

// podMain is a pod: it listens on TCP, says so, and ends in the way of --stop.
func podMain(args []string) {
	flags := flag.NewFlagSet("pod", flag.ExitOnError)
	overlay := flags.String("overlay", "", "what it is to answer")
	overlayFile := flags.String("overlay-file", "", "where that is")
	stop := flags.String("stop", "interrupt", "what ends it: event, interrupt, or neither (ignore)")
	children := flags.Int("children", 0, "how many generations it has")
	mode := flags.String("mode", "", "fail: before it is ready; hang: never be ready; leave: end once ready")
	flags.Parse(args)

	if *overlayFile != "" {
		text, err := os.ReadFile(*overlayFile)
		if err != nil {
			fail(err)
		}
		*overlay = string(text)
	}
	over := ended(*stop) // before it is ready: it may be asked to end as soon as it is
	if *children > 0 {
		spawnChild(*children - 1)
	}
	fmt.Fprintln(os.Stderr, "my name is", os.Getenv("POD_NAME"))
	switch *mode {
	case "fail":
		fail(errors.New("the database is locked"))
	case "hang":
		time.Sleep(time.Hour)
	}
	name := os.Getenv("POD_NAME")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fail(err)
	}
	go answer(l, *overlay)
	if err := (readiness.ReadyLine{Network: "tcp"}).Announce(os.Stderr, name, l.Addr().String()); err != nil {
		fail(err)
	}
	if *mode == "leave" {
		time.Sleep(time.Second)
		return
	}
	code := <-over
	fmt.Fprintln(os.Stderr, "bye")
	os.Exit(code)
}

// ended returns a channel that gets the exit code once the pod is asked to end in that way.
func ended(stop string) <-chan int {
	over := make(chan int, 1)
	switch stop {
	case "event":
		event := createEvent()
		go func() {
			windows.WaitForSingleObject(event, windows.INFINITE)
			over <- codeEvent
		}()
		ignoreInterrupt()
	case "interrupt":
		c := make(chan os.Signal, 1)
		signal.Notify(c, os.Interrupt)
		go func() {
			<-c
			over <- codeInterrupt
		}()
	default:
		ignoreInterrupt()
	}
	return over
}

// ignoreInterrupt ignores CTRL_C. On Windows signal.Ignore does not.
func ignoreInterrupt() { signal.Notify(make(chan os.Signal, 1), os.Interrupt) }

func fail(err error) {
	fmt.Fprintln(os.Stderr, "fatal:", err)
	os.Exit(codeFailed)
}

// answer says to each client what the overlay is.
func answer(l net.Listener, overlay string) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		fmt.Fprintln(conn, overlay)
		conn.Close()
	}
}

// createEvent creates the event by which the pod is asked to end.
func createEvent() windows.Handle {
	name, err := windows.UTF16PtrFromString(os.Getenv("POD_STOP_EVENT"))
	if err != nil {
		fail(err)
	}
	event, err := windows.CreateEvent(nil, 1, 0, name)
	if event == 0 {
		fail(err)
	}
	return event
}

// spawnChild starts this program again, with so many more generations. It ignores CTRL_C.
func spawnChild(more int) {
	cmd := exec.Command(os.Args[0], "pod", "-stop=ignore", "-mode=hang", fmt.Sprintf("-children=%d", more))
	if err := cmd.Start(); err != nil {
		fail(err)
	}
}

// newLauncher returns a launcher of this program as a pod.
func newLauncher(base string) *launcher.Launcher {
	return &launcher.Launcher{
		Command: launcher.Self{Args: []string{"pod"}},
		Dir:     runtimedir.Dir(base),
		Log:     logsource.File{},
		Ready:   readiness.ReadyLine{Network: "tcp"},
		Grace:   10 * time.Second,
	}
}

// launchMain launches a pod, says so, and waits for a line on its stdin, or the end of that.
// A word "parent" ties the pod to it, and a word "trace" has it say each step.
func launchMain(base string, args []string) {
	l, spec := newLauncher(base), launcher.Spec{Name: "alice"}
	for _, arg := range args {
		switch arg {
		case "parent":
			spec.Lifetime = launcher.WithParent
		case "trace":
			l.Observer = &launcher.Observer{Step: func(_ context.Context, s launcher.StepInfo) { fmt.Println(s.Stage, s.Name) }}
			spec.Progress = func(line string) { fmt.Println(line) }
		default:
			spec.Args = append(spec.Args, arg)
		}
	}
	fmt.Println("begin")
	pod, err := l.Launch(context.Background(), spec)
	if err != nil {
		fmt.Println("failed:", err)
		os.Exit(1)
	}
	fmt.Println("pid", pod.PID())
	bufio.NewReader(os.Stdin).ReadString('\n')
}

// aLauncher is this program as a launcher.
type aLauncher struct {
	*exec.Cmd
	lines *bufio.Scanner
	end   func() // closes its stdin
}

// startLauncher starts this program as a launcher, and returns when it begins.
func startLauncher(t *testing.T, base string, args ...string) *aLauncher {
	t.Helper()
	cmd := exec.Command(os.Args[0], append([]string{"launch", base}, args...)...)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	l := &aLauncher{cmd, bufio.NewScanner(stdout), func() { stdin.Close() }}
	if line := l.line(); line != "begin" {
		t.Fatalf("it says %q", line)
	}
	return l
}

// line returns its next line; "" if there is none.
func (l *aLauncher) line() string {
	l.lines.Scan()
	return strings.TrimSpace(l.lines.Text())
}
