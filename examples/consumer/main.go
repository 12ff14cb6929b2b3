// Command consumer is a program of somebody else's: a module of its own, which
// sees of podlaunch what everybody sees. It uses every name of the four
// packages that docs/design.md promises, with its type written out, and then
// launches a pod. If it does not compile any more, neither do other people's
// programs.
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"os"
	"path/filepath"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/readiness"
	"github.com/podlaunch/podlaunch/runtimedir"
)

func main() {
	run := launch
	if len(os.Args) > 1 && os.Args[1] == "pod" {
		run = pod
	}
	if err := run(); err != nil {
		log.Fatal(err)
	}
}

// launch launches this program as a pod, and stops it.
func launch() error {
	base, err := os.MkdirTemp("", "consumer")
	if err != nil {
		return err
	}
	defer os.RemoveAll(base)
	l := launcher.Launcher{Command: launcher.PodCommand{Program: os.Args[0], Args: []string{"pod"}}, Dir: runtimedir.Dir(base)}
	ctx := context.Background()
	pod, err := l.Launch(ctx, launcher.Spec{Name: "contract", Args: []string{filepath.Join(base, "contract", "sock")}})
	if err != nil {
		return err
	}
	defer pod.Stop(ctx)
	conn, err := pod.Dial(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	answer, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		return err
	}
	fmt.Printf("%s says %s", pod.Name(), answer)

	// A failure is a *launcher.Error, which holds the reason.
	_, err = l.Launch(ctx, launcher.Spec{Name: "../escape"})
	var e *launcher.Error
	if !errors.As(err, &e) || !errors.Is(err, runtimedir.ErrInvalidName) || e.Stage != "dir" {
		return fmt.Errorf("a launch that must fail returned %v", err)
	}
	return pod.Stop(ctx)
}

// pod is the other side.
func pod() error {
	socket := os.Args[len(os.Args)-1]
	l, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	if err := readiness.Announce(os.Stderr, "contract", socket); err != nil {
		return err
	}
	for {
		conn, err := l.Accept()
		if err != nil {
			return err
		}
		fmt.Fprintln(conn, "hello")
		conn.Close()
	}
}
