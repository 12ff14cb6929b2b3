// Command walk takes a pod through its life, and prints a line for each step. It is its
// own pod, and needs nothing but a directory for temporary files: .ci/kernels runs it
// under kernels and processors that have no Go.
//
// With EMULATOR in the environment that program executes the pod, as qemu-user does for
// a program of another processor.
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/readiness"
	"github.com/podlaunch/podlaunch/runtimedir"
)

const name = "alice"

// socket says in the environment of a pod where it serves.
const socket = "WALK_SOCKET"

func main() {
	do := walk
	if len(os.Args) > 1 && os.Args[1] == "pod" {
		do = serve
	}
	if err := do(); err != nil {
		fmt.Fprintln(os.Stderr, "walk:", err)
		os.Exit(1)
	}
}

// serve is the pod: it answers each line of each connection until it is ended.
func serve() error {
	path := os.Getenv(socket)
	l, err := net.Listen("unix", path)
	if err != nil {
		return err
	}
	fmt.Fprintln(os.Stderr, "it listens")
	if err := readiness.Announce(os.Stderr, name, path); err != nil {
		return err
	}
	for {
		conn, err := l.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer conn.Close()
			for lines := bufio.NewScanner(conn); lines.Scan(); {
				fmt.Fprintln(conn, "pong", lines.Text())
				fmt.Fprintln(os.Stderr, "it was asked", lines.Text())
			}
		}()
	}
}

// A command is this program, as a pod.
type command struct{}

func (command) ResolveCommand(_ context.Context, req launcher.Request) (launcher.Command, error) {
	self, err := os.Executable()
	c := launcher.Command{Path: self, Args: []string{"pod"}, Env: append(os.Environ(), socket+"="+filepath.Join(req.RuntimeDir, "sock"))}
	if emulator := os.Getenv("EMULATOR"); emulator != "" {
		c.Path, c.Args = emulator, append([]string{self}, c.Args...)
	}
	return c, err
}

// walk goes through the life of a pod.
func walk() (err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	base, err := os.MkdirTemp("", "walk")
	if err != nil {
		return err
	}
	defer os.RemoveAll(base)
	l := &launcher.Launcher{Command: command{}, Dir: runtimedir.Dir(base), Timeout: time.Minute}
	spec := launcher.Spec{Name: name}
	var pod *launcher.Pod
	defer func() {
		if pod != nil {
			err = errors.Join(err, pod.Stop(context.WithoutCancel(ctx)))
		}
	}()
	for _, step := range []struct {
		name string
		do   func() error
	}{
		{"launch", func() (err error) { pod, err = l.Launch(ctx, spec); return }},
		{"ask", func() error { return ask(ctx, pod) }},
		{"second launch", func() error { return refused(ctx, l, spec) }},
		{"ensure", func() error { return ensure(ctx, l, spec, pod) }},
		{"attach", func() error { return attach(ctx, l, pod) }},
		{"follow", func() error { return follow(ctx, pod) }},
		{"stop", func() error { return stop(ctx, l, pod) }},
		{"relaunch", func() (err error) { pod, err = l.Launch(ctx, spec); return }},
		{"ask again", func() error { return ask(ctx, pod) }},
		{"stop by name", func() error { return stopByName(ctx, l, pod) }},
	} {
		if err := step.do(); err != nil {
			return fmt.Errorf("%s: %w", step.name, err)
		}
		fmt.Printf("--- PASS: %s (%s)\n", step.name, runtime.GOARCH)
	}
	return nil
}

// ask has the pod answer.
func ask(ctx context.Context, pod *launcher.Pod) error {
	conn, err := pod.Dial(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	fmt.Fprintln(conn, "hello")
	answer, err := bufio.NewReader(conn).ReadString('\n')
	if err == nil && answer != "pong hello\n" {
		err = fmt.Errorf("it answered %q", answer)
	}
	return err
}

// refused launches a name that has a pod.
func refused(ctx context.Context, l *launcher.Launcher, spec launcher.Spec) error {
	second, err := l.Launch(ctx, spec)
	if errors.Is(err, launcher.ErrRunning) {
		return nil
	}
	if err == nil {
		err = errors.Join(errors.New("there is a second pod"), second.Stop(ctx))
	}
	return err
}

// ensure gives the pod that runs.
func ensure(ctx context.Context, l *launcher.Launcher, spec launcher.Spec, pod *launcher.Pod) error {
	same, started, err := l.Ensure(ctx, spec)
	if err != nil {
		return err
	}
	defer same.Release()
	if started || same.PID() != pod.PID() {
		return fmt.Errorf("it gave pid %d (started: %v), not %d", same.PID(), started, pod.PID())
	}
	return nil
}

// attach finds the pod, asks it, and lets it go.
func attach(ctx context.Context, l *launcher.Launcher, pod *launcher.Pod) error {
	attached, err := l.Attach(ctx, name)
	if err != nil {
		return err
	}
	defer attached.Release()
	if attached.PID() != pod.PID() {
		return fmt.Errorf("it gave pid %d, not %d", attached.PID(), pod.PID())
	}
	return ask(ctx, attached)
}

// follow reads the log until the pod has said what it was asked.
func follow(ctx context.Context, pod *launcher.Pod) error {
	log, err := pod.Follow(ctx, true)
	if err != nil {
		return err
	}
	defer log.Close()
	lines := bufio.NewScanner(log)
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), "it was asked") {
			return nil
		}
	}
	return errors.Join(errors.New("the log ended"), lines.Err())
}

// stop stops the pod, and looks that it is gone.
func stop(ctx context.Context, l *launcher.Launcher, pod *launcher.Pod) error {
	if err := pod.Stop(ctx); err != nil {
		return err
	}
	exit, err := pod.Wait(ctx)
	if err != nil {
		return err
	}
	if !exit.Known {
		return fmt.Errorf("its end is not known: %+v", exit)
	}
	return gone(ctx, l)
}

// stopByName stops the pod as a program does that has not launched it.
func stopByName(ctx context.Context, l *launcher.Launcher, pod *launcher.Pod) error {
	if err := l.Stop(ctx, name); err != nil {
		return err
	}
	<-pod.Done()
	return gone(ctx, l)
}

// gone looks that the name has no pod.
func gone(ctx context.Context, l *launcher.Launcher) error {
	attached, err := l.Attach(ctx, name)
	if err == nil {
		attached.Release()
		return errors.New("the pod is still there")
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
