package docs_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/launcher/launchertest"
	"github.com/podlaunch/podlaunch/readiness"
	"github.com/podlaunch/podlaunch/runtimedir"
)

// The server of docs/cookbook.md is this program, told where to listen.
var server, _ = os.Executable()

func init() {
	if len(os.Args) == 3 && os.Args[1] == "--listen" {
		serve(os.Args[2])
	}
}

// serve answers over HTTP at address, a path or a host and a port, until SIGTERM.
func serve(address string) {
	network := "unix"
	if !strings.HasPrefix(address, "/") {
		network = "tcp"
	}
	l, err := net.Listen(network, address)
	if err != nil {
		log.Fatal(err)
	}
	term := make(chan os.Signal, 1)
	signal.Notify(term, syscall.SIGTERM)
	if network == "unix" {
		fmt.Fprintln(os.Stderr, "listening")
	} else {
		fmt.Fprintf(os.Stderr, "listening on %s\n", l.Addr())
	}
	go http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "hello") }))
	<-term
	fmt.Fprintln(os.Stderr, "bye")
	l.Close()
	os.Exit(0)
}

// The code that docs/cookbook.md shows is the code of this file between the marks, in the
// same order, and go test runs all of it.
func TestCookbook(t *testing.T) {
	var marked []string
	for _, m := range regexp.MustCompile(`(?s)\t//cookbook\n(.*?)\t//end\n`).FindAllStringSubmatch(read(t, "cookbook_linux_test.go"), -1) {
		marked = append(marked, strings.ReplaceAll("\n"+m[1], "\n\t", "\n")[1:])
	}
	blocks := goBlocks(t, "cookbook.md")
	if len(blocks) != len(marked) || len(marked) == 0 {
		t.Fatalf("the page shows %d pieces of code, and %d are marked here", len(blocks), len(marked))
	}
	for i := range marked {
		if blocks[i] != marked[i] {
			t.Errorf("the page shows\n%s\nand what is tested is\n%s", blocks[i], marked[i])
		}
	}
}

// inTemp has runtime directories made below a directory of their own.
func inTemp() (remove func()) {
	base, err := os.MkdirTemp("", "cookbook")
	if err != nil {
		log.Fatal(err)
	}
	os.Setenv("INSOMNIA_RUNTIME_DIR", base)
	return func() {
		os.Unsetenv("INSOMNIA_RUNTIME_DIR")
		os.RemoveAll(base)
	}
}

func Example_healthCheck() {
	defer inTemp()()
	ctx := context.Background()
	//cookbook
	l := launcher.Launcher{
		Command: launcher.Exec(server, "--listen", "127.0.0.1:0"),
		Ready: readiness.Sequence{
			// The line says where it listens: port 0 lets the system choose.
			readiness.Pattern{Regexp: regexp.MustCompile(`listening on (?P<address>\S+)`)},
			readiness.HTTP{URL: "/healthz"}, // at that address, until it answers 200
		},
		Timeout: 30 * time.Second,
	}
	pod, err := l.Launch(ctx, launcher.Spec{Name: "web"})
	if err != nil {
		log.Fatal(err) // why, its last lines, its exit status, where its log is
	}
	resp, err := http.Get("http://" + pod.Endpoint().Address)
	//end
	if err != nil {
		log.Fatal(err)
	}
	io.Copy(os.Stdout, resp.Body)
	resp.Body.Close()
	http.DefaultClient.CloseIdleConnections()
	fmt.Println(pod.Stop(ctx))
	// Output:
	// hello
	// <nil>
}

func Example_manyClients() {
	defer inTemp()()
	ctx := context.Background()
	//cookbook
	l := launcher.Launcher{
		Command: launcher.Exec(server, "--listen", "{sock}"),
		Ready:   readiness.Unix{}, // {sock} answers
	}
	pod, launched, err := l.Ensure(ctx, launcher.Spec{Name: "cache"})
	if err != nil {
		log.Fatal(err)
	}
	conn, err := pod.Dial(ctx)
	//end
	if err != nil {
		log.Fatal(err)
	}
	conn.Close()
	again, _, err := l.Ensure(ctx, launcher.Spec{Name: "cache"})
	fmt.Println(launched, again.PID() == pod.PID(), err)
	fmt.Println(again.Stop(ctx))
	<-pod.Done()
	// Output:
	// true true <nil>
	// <nil>
}

func Example_upgrade() {
	defer inTemp()()
	ctx := context.Background()
	l := launcher.Launcher{Command: launcher.Exec(server, "--listen", "{sock}"), Ready: readiness.Unix{}}
	spec := launcher.Spec{Name: "worker"}
	old, err := l.Launch(ctx, spec)
	if err != nil {
		log.Fatal(err)
	}
	old.Release()
	spec.Env = append(os.Environ(), "LEVEL=debug")
	//cookbook
	pod, launched, err := l.Ensure(ctx, spec)
	if err != nil {
		log.Fatal(err)
	}
	if differs, err := pod.Differs(spec); !launched && err == nil && differs != nil {
		log.Printf("the pod is not as asked for: %v", differs)
		if err := pod.Stop(ctx); err != nil {
			log.Fatal(err)
		}
		pod, err = l.Launch(ctx, spec)
		if err != nil {
			log.Fatal(err)
		}
	}
	//end
	differs, err := pod.Differs(spec)
	fmt.Println(launched, differs, err)
	fmt.Println(pod.Stop(ctx))
	// Output:
	// false [] <nil>
	// <nil>
}

func Example_afterACrash() {
	defer inTemp()()
	ctx := context.Background()
	l := launcher.Launcher{
		Command: launcher.Exec(server, "--listen", "{sock}"),
		Ready:   readiness.Unix{},
	}
	names := []string{"a", "b"}
	for _, name := range []string{"a", "old"} { // those of the supervisor before
		pod, err := l.Launch(ctx, launcher.Spec{Name: name})
		if err != nil {
			log.Fatal(err)
		}
		pod.Release()
	}
	watch := func(pod *launcher.Pod) {}
	//cookbook
	for _, name := range names { // those that should run
		pod, _, err := l.Ensure(ctx, launcher.Spec{Name: name})
		if err != nil {
			log.Fatal(err) // ErrHeld: l.Stop ends what is left of a pod that is gone
		}
		go watch(pod)
	}
	for status, err := range l.List(ctx) { // and those that should not
		if err == nil && !slices.Contains(names, status.Name) {
			err = l.Stop(ctx, status.Name)
		}
		if err != nil {
			log.Fatal(err)
		}
	}
	//end
	for status, err := range l.List(ctx) {
		fmt.Println(status.Name, status.State, err)
		if err := l.Stop(ctx, status.Name); err != nil {
			log.Fatal(err)
		}
	}
	// Output:
	// a ready <nil>
	// b ready <nil>
	// old gone <nil>
}

func Example_streamTheLog() {
	defer inTemp()()
	ctx := context.Background()
	l := launcher.Launcher{Command: launcher.Exec(server, "--listen", "{sock}"), Ready: readiness.Unix{}}
	pod, err := l.Launch(ctx, launcher.Spec{Name: "worker"})
	if err != nil {
		log.Fatal(err)
	}
	//cookbook
	follow, err := pod.Follow(ctx, true) // true: from the pod's first line
	if err != nil {
		log.Fatal(err)
	}
	defer follow.Close()
	go pod.Stop(ctx)
	for lines := bufio.NewScanner(follow); lines.Scan(); { // ends with the pod, or with ctx
		fmt.Println("worker:", lines.Text())
	}
	//end
	<-pod.Done()
	// Output:
	// worker: listening
	// worker: bye
}

func Example_withoutProcesses() {
	defer inTemp()()
	ctx := context.Background()
	//cookbook
	starter := &launchertest.Starter{Run: func(p *launchertest.Process) launcher.Exit {
		return launcher.Exit{Code: 3, Known: true} // it fails at once
	}}
	l := launcher.Launcher{
		Command: launcher.Exec("/bin/sh"), // it is not started
		Starter: starter,
	}
	_, err := l.Launch(ctx, launcher.Spec{Name: "worker"})
	fmt.Println(errors.Is(err, launcher.ErrExitedEarly))
	//end
	var e *launcher.Error
	fmt.Println(errors.As(err, &e), e.Exit)
	// Output:
	// true
	// true exit status 3
}

// startServer gives a test a server of its own.
func Example_privateServer() {
	t := new(quietTB)
	defer t.end()
	//cookbook
	l := launcher.Launcher{
		Command: launcher.Exec(server, "--listen", "{sock}"),
		Dir:     runtimedir.Temp{}, // a directory that goes with the pod
		Ready:   readiness.Unix{},
	}
	pod, err := l.Launch(context.Background(), launcher.Spec{}) // no name: nobody else finds it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := pod.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	//end
	fmt.Println(pod.Endpoint().Network)
	// Output: unix
}

// A quietTB is what an Example has for a testing.T.
type quietTB struct{ cleanups []func() }

func (t *quietTB) Fatal(args ...any) { log.Fatal(args...) }
func (t *quietTB) Error(args ...any) { log.Print(args...) }
func (t *quietTB) Cleanup(f func())  { t.cleanups = append(t.cleanups, f) }
func (t *quietTB) end() {
	for _, f := range t.cleanups {
		f()
	}
}

func Example_dieWithMe() {
	defer inTemp()()
	ctx := context.Background()
	l := launcher.Launcher{Command: launcher.Exec(server, "--listen", "{sock}"), Ready: readiness.Unix{}}
	//cookbook
	pod, err := l.Launch(ctx, launcher.Spec{
		Name:     "helper",
		Lifetime: launcher.WithParent, // also when this program is killed with SIGKILL
	})
	//end
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(pod.Lifetime() == launcher.WithParent)
	fmt.Println(pod.Stop(ctx))
	// Output:
	// true
	// <nil>
}

func Example_fromExecCmd() {
	defer inTemp()()
	ctx := context.Background()
	//cookbook
	cmd := exec.Command(server, "--listen", "127.0.0.1:0")
	cmd.Dir = os.TempDir()
	cmd.Env = append(os.Environ(), "LEVEL=debug")

	spec, command, err := launcher.FromCmd(cmd) // an error names what has no meaning here
	if err != nil {
		log.Fatal(err)
	}
	spec.Name = "web"
	l := launcher.Launcher{
		Command: command,
		Ready:   readiness.Pattern{Regexp: regexp.MustCompile(`listening on (?P<address>\S+)`)},
	}
	pod, err := l.Launch(ctx, spec)
	//end
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(cmd.Process.Pid == pod.PID())
	fmt.Println(pod.Stop(ctx))
	// Output:
	// true
	// <nil>
}
