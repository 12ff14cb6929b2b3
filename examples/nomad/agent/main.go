// Command agent builds the Nomad agent that the tests of this module run, and
// prints where it is. It is built once, and kept in Go's build cache.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"

	"github.com/podlaunch/podlaunch/examples/nomad/internal/agent"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	path, err := agent.Build(ctx, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(path)
}
