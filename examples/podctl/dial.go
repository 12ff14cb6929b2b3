package main

import (
	"context"
	"errors"
	"io"
	"net"

	"github.com/spf13/cobra"

	"github.com/podlaunch/podlaunch/launcher"
)

func newDial(c *cli) *cobra.Command {
	return &cobra.Command{
		Use:     "dial NAME",
		Aliases: []string{"connect"},
		Short:   "Connect to a pod's socket",
		Long: `Connect standard input and standard output to a pod's socket. At the end of
standard input podctl tells the pod so, and waits for what it still has to say.
podctl ends when the pod closes the connection.`,
		Example: `  podctl dial alice
  echo hello | podctl dial alice`,
		Args:              oneName,
		ValidArgsFunction: c.completeNames(launcher.StateReady),
		RunE: func(cmd *cobra.Command, args []string) error {
			pod, err := c.attach(cmd.Context(), args[0])
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
