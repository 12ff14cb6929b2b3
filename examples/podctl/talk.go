package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/logsource"
	"github.com/podlaunch/podlaunch/runtimedir"
)

func newLogs(c *cli) *cobra.Command {
	var follow bool
	cmd := &cobra.Command{
		Use:   "logs [-f] NAME",
		Short: "Print a pod's log",
		Long: `Print a pod's log as it is, also of a pod that is gone or has never been ready.
What it writes is for the terminal to interpret.

With -f, wait for more, until the pod is gone or podctl is interrupted; neither
is an error. A pod that is being launched is waited for first.`,
		Example: `  podctl logs alice
  podctl logs -f alice | grep --line-buffered WARN`,
		DisableFlagsInUseLine: true,
		Args:                  oneName,
		ValidArgsFunction:     c.completeNames(),
		RunE: func(cmd *cobra.Command, args []string) error {
			if follow {
				return c.followLog(cmd.Context(), args[0])
			}
			return c.printLog(cmd.Context(), args[0])
		},
	}
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "wait for more")
	return cmd
}

func (c *cli) followLog(ctx context.Context, name string) error {
	l, err := c.launcher()
	if err != nil {
		return err
	}
	l.Timeout = -1 // whoever asks for more has time
	pod, err := l.Attach(ctx, name)
	if errors.Is(err, fs.ErrNotExist) {
		return c.printLog(ctx, name)
	}
	if err != nil {
		return err
	}
	defer pod.Release()
	log, err := pod.Follow(ctx, true)
	if err != nil {
		return err
	}
	defer log.Close()
	if _, err := io.Copy(c.out, log); err != nil && ctx.Err() == nil {
		return err
	}
	return nil // the pod is gone, or somebody has seen enough
}

// printLog prints the file that is there.
func (c *cli) printLog(ctx context.Context, name string) error {
	path, err := c.logPath(ctx, name)
	if err != nil {
		return err
	}
	log, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return &codedError{exitNotRunning, fmt.Errorf("%s has no log: %w", shown(name), err)}
	}
	if err != nil {
		return err
	}
	defer log.Close()
	_, err = io.Copy(c.out, log)
	return err
}

// logPath is where the record says the log is, or else, after a launch that
// failed, the usual place.
func (c *cli) logPath(ctx context.Context, name string) (string, error) {
	s, err := c.find(ctx, name)
	if err == nil && s.LogPath != "" {
		return s.LogPath, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	l, err := c.launcher()
	if err != nil {
		return "", err
	}
	var base runtimedir.Baser = runtimedir.User{}
	if b, ok := l.Dir.(runtimedir.Baser); ok {
		base = b
	}
	dir, err := base.Base(ctx)
	return filepath.Join(dir, name, logsource.DefaultName), err
}

func newDial(c *cli) *cobra.Command {
	return &cobra.Command{
		Use:   "dial NAME",
		Short: "Connect to a pod's socket",
		Long: `Connect standard input and standard output to a pod's socket. Where standard input
ends the pod is told so, and what it still has to say is waited for. Ends when
the pod closes the connection.`,
		Example: `  podctl dial alice
  echo hello | podctl dial alice`,
		Args:              oneName,
		ValidArgsFunction: c.completeNames(launcher.StateReady),
		RunE: func(cmd *cobra.Command, args []string) error {
			l, err := c.launcher()
			if err != nil {
				return err
			}
			pod, err := l.Attach(cmd.Context(), args[0])
			if errors.Is(err, fs.ErrNotExist) {
				return notRunning(args[0])
			}
			if err != nil {
				return err
			}
			defer pod.Release()
			conn, err := pod.Dial(cmd.Context())
			if err != nil {
				return &codedError{exitUnreachable, err}
			}
			return c.converse(cmd.Context(), conn)
		},
	}
}

// converse copies in both directions until the other side closes conn, or ctx
// is done. Nobody can interrupt a read of standard input: the goroutine that
// does it is left behind if it has not ended, and this program ends soon.
func (c *cli) converse(ctx context.Context, conn net.Conn) error {
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	defer conn.Close()
	sent := make(chan error, 1)
	go func() {
		_, err := io.Copy(conn, c.in)
		if half, ok := conn.(interface{ CloseWrite() error }); ok {
			half.CloseWrite() // if it fails, the other side knows already
		}
		sent <- err
	}()
	_, err := io.Copy(c.out, conn)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	select {
	case sendErr := <-sent:
		return errors.Join(err, sendErr)
	default:
		return err
	}
}
