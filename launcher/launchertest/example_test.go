//go:build unix

package launchertest_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log"
	"os"
	"syscall"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/launcher/launchertest"
	"github.com/podlaunch/podlaunch/readiness"
	"github.com/podlaunch/podlaunch/runtimedir"
)

// A launch without a process: the function plays the program, and the probe
// says that it is ready.
func ExampleStarter() {
	dir, err := os.MkdirTemp("", "run")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	starter := &launchertest.Starter{Run: func(p *launchertest.Process) launcher.Exit {
		<-p.Done() // it serves until it is stopped
		return launcher.Exit{Known: true}
	}}
	l := launcher.Launcher{
		Command: launcher.Exec("/bin/sh", "serve"),
		Dir:     runtimedir.Dir(dir),
		Starter: starter,
		Ready: readiness.ProbeFunc(func(context.Context, readiness.Target) (readiness.Endpoint, error) {
			return readiness.Endpoint{Network: "tcp", Address: "127.0.0.1:80"}, nil
		}),
	}
	pod, err := l.Launch(context.Background(), launcher.Spec{Name: "web"})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(pod.Endpoint())
	if err := pod.Stop(context.Background()); err != nil {
		log.Fatal(err)
	}
	exit, err := pod.Wait(context.Background())
	fmt.Println(exit, err)

	p := starter.Processes()[0]
	fmt.Println(p.Request.Name, p.Request.Command.Args, p.Reaped())
	// Output:
	// tcp:127.0.0.1:80
	// signal: terminated <nil>
	// web [serve] 1
}

// A process ends when the test calls Exit, or by a signal that it does not ignore.
func ExampleProcess() {
	p := &launchertest.Process{Ignores: []os.Signal{syscall.SIGTERM}}
	fmt.Println(p.Signal(context.Background(), syscall.SIGTERM), len(p.Signals()))
	p.Exit(launcher.Exit{Code: 3, Known: true})
	fmt.Println(p.Wait(context.Background()))
	fmt.Println(errors.Is(p.Signal(context.Background(), syscall.SIGTERM), os.ErrProcessDone))
	// Output:
	// <nil> 1
	// exit status 3 <nil>
	// true
}

// What the kit asks of a resolver, in words.
func ExampleCommandRules() {
	for name, says := range launchertest.CommandRules() {
		if name == "absolute" {
			fmt.Println(says)
		}
	}
	// Output: Command.Path is absolute.
}

// What a Start fails with is what the test says.
func ExampleStarter_fails() {
	dir, err := os.MkdirTemp("", "run")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	l := launcher.Launcher{
		Command: launcher.Exec("/bin/sh"),
		Dir:     runtimedir.Dir(dir),
		Starter: &launchertest.Starter{Err: fs.ErrPermission},
	}
	_, err = l.Launch(context.Background(), launcher.Spec{Name: "web"})
	var e *launcher.Error
	fmt.Println(errors.As(err, &e), e.Stage, errors.Is(err, fs.ErrPermission))
	// Output: true start true
}
