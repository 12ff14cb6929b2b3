// Command podctl starts, lists, talks to and stops pods. It is an example of
// what can be built on package launcher, and meant to be used.
//
//	podctl start alice --overlay alice.toml -- ./my-pod
//	podctl ls
//	echo hello | podctl dial alice
//	podctl stop alice
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), interrupts()...)
	context.AfterFunc(ctx, stop) // a second ^C ends us at once
	os.Exit(run(ctx, os.Args[1:], streams{os.Stdin, os.Stdout, os.Stderr}))
}

// interrupts are the signals that end what a command does. One that we were
// started to ignore, as by nohup, stays ignored.
func interrupts() []os.Signal {
	signals := []os.Signal{syscall.SIGTERM}
	for _, sig := range []os.Signal{os.Interrupt, syscall.SIGHUP} {
		if !signal.Ignored(sig) {
			signals = append(signals, sig)
		}
	}
	return signals
}
