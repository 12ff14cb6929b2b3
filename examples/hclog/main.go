// Command hclog passes all that a pod writes to the logger of the program that launched
// it, from the first line to the last, each with the level that the pod gave it. It needs
// only Go, because it is its own pod: it starts itself again, and pod.go is what it does
// then.
package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"

	"github.com/hashicorp/go-hclog"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/logsource"
	"github.com/podlaunch/podlaunch/readiness"
)

const name = "alice" // the pod's

func main() {
	do := run
	if len(os.Args) > 1 {
		do = pod
	}
	if err := do(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "fatal:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	logger := hclog.New(&hclog.LoggerOptions{Name: name, Level: hclog.Debug, Output: os.Stdout, DisableTime: true})
	tell := launcher.LogTo(logger, hclog.Info)
	l := launcher.Launcher{Command: launcher.Self{Args: []string{"pod"}}}
	pod, err := l.Launch(ctx, launcher.Spec{Name: name, Progress: tell})
	if err != nil {
		return err
	}
	defer os.RemoveAll(pod.RuntimeDir())
	defer pod.Stop(ctx)

	conn, err := pod.Dial(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintln(conn, "you may go")
	conn.Close()

	output, err := pod.Follow(ctx, true)
	if err != nil {
		return err
	}
	defer output.Close()
	told := true // Progress has had what comes before the ready line
	for line, err := range logsource.Lines(output) {
		switch {
		case err != nil && err != io.EOF: // EOF: the pod is gone
			return err
		case bytes.HasPrefix(line, []byte(readiness.DefaultPrefix)):
			told = false
		case !told && (err == nil || len(line) > 0):
			tell(string(line))
		}
	}
	return nil
}
