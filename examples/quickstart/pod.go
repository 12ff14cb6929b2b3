package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/signal"
	"syscall"

	"github.com/podlaunch/podlaunch/runtimedir"
)

// podMain is what this program does as a pod. A pod knows nothing of package
// launcher: it gets its configuration in --overlay, writes what it does to
// stderr, says when it is ready, and stops at SIGTERM. On Windows that is CTRL_C.
func podMain(args []string) {
	if args[0] == "pod" {
		args = args[1:]
	}
	flags := flag.NewFlagSet("pod", flag.ExitOnError)
	overlay := flags.String("overlay", "", "TOML; only a line like name = \"alice\" is understood")
	flags.String("session", "", "ignored: there is nothing to resume")
	fail := flags.Bool("fail", false, "do not become ready")
	flags.Parse(args)

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := serve(ctx, *overlay, *fail); err != nil {
		fmt.Fprintln(os.Stderr, "fatal:", err)
		os.Exit(3)
	}
}

// serve answers where the pod listens until ctx is done.
func serve(ctx context.Context, overlay string, fail bool) error {
	var name string
	if _, err := fmt.Sscanf(overlay, "name = %q", &name); err != nil {
		return fmt.Errorf("the overlay does not begin with a name: %w", err)
	}
	fmt.Fprintf(os.Stderr, "my name is %s\n", name)
	if fail {
		fmt.Fprintln(os.Stderr, "opening the database")
		return errors.New("the database is locked")
	}

	dir, err := runtimedir.User{}.RuntimeDir(ctx, name)
	if err != nil {
		return err
	}
	l, err := listen(dir)
	if err != nil {
		return err
	}
	defer l.Close()                              // removes the socket, or waits until it has been
	context.AfterFunc(ctx, func() { l.Close() }) // ends Accept
	fmt.Fprintln(os.Stderr, "listening")
	if err := announce(os.Stderr, name, l); err != nil {
		return err
	}
	for {
		conn, err := l.Accept()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		go answer(conn, name)
	}
}

// answer answers each line.
func answer(conn net.Conn, name string) {
	defer conn.Close()
	for lines := bufio.NewScanner(conn); lines.Scan(); {
		fmt.Fprintf(conn, "I am %s, pid %d.\n", name, os.Getpid())
	}
}
