package main

import (
	"context"
	"os"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/readiness"
	"github.com/podlaunch/podlaunch/runtimedir"
)

// withPodlaunch does the same with a private pod. A program that already has an exec.Cmd
// gets the Spec and the Command from launcher.FromCmd.
func withPodlaunch(ctx context.Context, situation string) (ended string, err error) {
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	l := launcher.Launcher{
		Command: launcher.Exec(self, "serve", situation, "{sock}"),
		Dir:     runtimedir.Temp{},
		Ready:   readiness.Unix{},
		Timeout: patience,
		Grace:   grace,
	}
	pod, err := l.Launch(ctx, launcher.Spec{LogStdout: true})
	if err != nil {
		return "", err
	}
	defer func() {
		stopErr := pod.Stop(ctx)
		if err == nil {
			err = stopErr
		}
		if exit, waitErr := pod.Wait(ctx); waitErr == nil {
			ended = exit.String()
		}
	}()

	conn, err := pod.Dial(ctx)
	if err != nil {
		return "", err
	}
	return "", ping(conn)
}
