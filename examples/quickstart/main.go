// Command quickstart does the whole job once: it launches a pod, waits until
// it is ready, asks it something over its socket, and stops it. It needs only
// Go, because it is its own pod: it starts itself again, and pod.go is what it
// does then.
//
//	go run ./examples/quickstart          a pod that becomes ready
//	go run ./examples/quickstart -fail    a pod that does not, and its error
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"time"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/logsource"
	"github.com/podlaunch/podlaunch/runtimedir"
)

// name is the pod's.
const name = "alice"

func main() {
	// Self, below, starts this program with the word pod. The zero Launcher
	// starts the program that $INSOMNIA_POD_COMMAND names, with --overlay, and
	// that may be this program too.
	if len(os.Args) > 1 && (os.Args[1] == "pod" || os.Args[1] == "--overlay") {
		podMain(os.Args[1:])
		return
	}
	fail := flag.Bool("fail", false, "launch a pod that does not become ready")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *fail); err != nil {
		fmt.Fprintln(os.Stderr, "quickstart:", err)
		os.Exit(1)
	}
}

// run launches the pod in a directory that is gone afterwards.
func run(ctx context.Context, fail bool) error {
	base, err := tempDir()
	if err != nil {
		return err
	}
	defer os.RemoveAll(base)

	// The zero Launcher would do. This Launcher has the default in each slot,
	// except the command, and wraps each to print what it did. (On Windows it has
	// another probe, too: see place_windows.go.)
	t := newTable(os.Stdout)
	l := launcher.Launcher{
		Command: command{launcher.Self{Args: []string{"pod"}}, t},
		Dir:     dir{runtimedir.Dir(base), t},
		Log:     source{logsource.File{}, t},
		Starter: starter{launcher.Local{}, t},
		Ready:   ready,
	}
	spec := launcher.Spec{
		Name:     name,
		Overlay:  fmt.Sprintf("name = %q", name),
		Env:      append(os.Environ(), "INSOMNIA_RUNTIME_DIR="+base), // as the pod looks for it
		Progress: func(line string) { t.note("it says", line) },
	}
	if fail {
		spec.Args = []string{"--fail"}
		return failing(ctx, t, &l, spec)
	}
	return working(ctx, t, &l, spec)
}

// working shows the life of a pod.
func working(ctx context.Context, t *table, l *launcher.Launcher, spec launcher.Spec) error {
	began := time.Now()
	pod, err := l.Launch(ctx, spec)
	if err != nil {
		return err
	}
	// A pod outlives its launcher. This pod must end in any case.
	defer pod.Stop(context.WithoutCancel(ctx))
	took := time.Since(began)
	t.step("ready", pod.Endpoint().String())
	t.sum("launched", took, "all of the above: the call of Launch")

	conn, err := pod.Dial(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	t.step("dial", "connected")
	const question = "who are you?"
	fmt.Fprintln(conn, question)
	answer, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		return fmt.Errorf("ask the pod: %w", err)
	}
	t.step("ask", question+" "+strings.TrimSuffix(answer, "\n"))

	if err := pod.Stop(ctx); err != nil {
		return err
	}
	exit, err := pod.Wait(ctx)
	if err != nil {
		return err
	}
	t.step("stop", exit.String())
	fmt.Println("\nTo see a launch fail: go run ./examples/quickstart -fail")
	return nil
}

// failing shows what a failed launch tells.
func failing(ctx context.Context, t *table, l *launcher.Launcher, spec launcher.Spec) error {
	pod, err := l.Launch(ctx, spec)
	if err == nil {
		pod.Stop(context.WithoutCancel(ctx))
		return errors.New("the pod was meant to fail, and did not")
	}
	var e *launcher.Error
	if !errors.As(err, &e) || !errors.Is(err, launcher.ErrExitedEarly) {
		return err
	}
	t.step("failed", "errors.Is(err, launcher.ErrExitedEarly)")
	fmt.Printf("\nThe error in one line, for a person:\n\n  %v\n", err)
	fmt.Printf("\nAnd in the fields of *launcher.Error, for a program:\n\n")
	for _, field := range [][2]string{
		{"Stage", string(e.Stage)},
		{"Exit", e.Exit.String()},
		{"PID", fmt.Sprint(e.PID)},
		{"Tail", fmt.Sprintf("%q", e.Tail)},
		{"LogPath", e.LogPath},
	} {
		fmt.Printf("  %-8s  %s\n", field[0], field[1])
	}
	fmt.Println("\nTo see a launch succeed: go run ./examples/quickstart")
	return nil
}

// tempDir makes a directory whose path is short enough for a pod's socket below
// it: $TMPDIR may be too long for that, or missing.
func tempDir() (string, error) {
	var errs []error
	for _, parent := range []string{os.TempDir(), "/tmp"} {
		base, err := os.MkdirTemp(parent, "quickstart")
		if err != nil {
			errs = append(errs, err)
			continue
		}
		resolved, err := filepath.EvalSymlinks(base)
		if err == nil {
			err = checkPlace(filepath.Join(resolved, name))
		}
		if err == nil {
			return resolved, nil
		}
		errs = append(errs, err)
		os.RemoveAll(base)
	}
	return "", errors.Join(errs...)
}
