// Command redis launches a program that was not written to be a pod. It starts
// redis-server on a unix socket, waits until it answers, pings it, and stops it.
//
//	go run ./examples/redis
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"time"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/readiness"
	"github.com/podlaunch/podlaunch/runtimedir"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	err := run(ctx)
	switch {
	case errors.Is(err, exec.ErrNotFound):
		fmt.Fprintln(os.Stderr, "redis-server is not on PATH; install it with: apt-get install redis-server, dnf install redis, or brew install redis")
		os.Exit(1)
	case err != nil:
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "redis")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)

	l := launcher.Launcher{
		Command: launcher.CommandResolverFunc(redis),
		Dir:     runtimedir.Dir(dir),
		// Redis says that it is ready, and Unix makes sure of it. The wording
		// depends on its version: 7.0 writes "The server is now ready to accept
		// connections at …", later ones "Ready to accept connections unix".
		Ready: readiness.Sequence{
			readiness.Pattern{Regexp: regexp.MustCompile("eady to accept connections")},
			readiness.Unix{},
		},
	}
	began := time.Now()
	pod, err := l.Launch(ctx, launcher.Spec{
		Name:      "redis",
		Dir:       dir,
		LogStdout: true, // where Redis writes its log
	})
	if err != nil {
		return err
	}
	defer pod.Stop(context.WithoutCancel(ctx))
	fmt.Printf("ready    %s, pid %d, after %v\n", pod.Endpoint(), pod.PID(), time.Since(began).Round(100*time.Microsecond))

	conn, err := pod.Dial(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	fmt.Fprint(conn, "PING\r\n")
	answer, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		return fmt.Errorf("ping redis: %w", err)
	}
	fmt.Printf("PING     %q\n", answer)

	if err := pod.Stop(ctx); err != nil {
		return err
	}
	exit, err := pod.Wait(ctx)
	if err != nil {
		return err
	}
	fmt.Printf("stopped  %v\n", exit)
	return nil
}

// redis resolves to a Redis that listens on a unix socket in the pod's
// directory, and nowhere else, and keeps nothing.
func redis(ctx context.Context, req launcher.Request) (launcher.Command, error) {
	return launcher.Exec("redis-server",
		"--unixsocket", filepath.Join(req.RuntimeDir, "sock"), "--port", "0",
		"--save", "", "--appendonly", "no",
	).ResolveCommand(ctx, req)
}
