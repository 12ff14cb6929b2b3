// Command podctl starts programs and keeps hold of them: it waits until they can
// be used, and lists, signals, restarts and stops them. It is an example of what
// can be built on package launcher, and meant to be used.
//
//	podctl run redis --ready tcp=127.0.0.1:6379 -- redis-server --dir {dir}
//	podctl ls
//	podctl logs -f redis
//	podctl stop redis
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, interrupts()...)
	go func() {
		sig := <-signals
		signal.Stop(signals) // a second one ends us at once
		cancel(&interruptError{sig})
	}()
	os.Exit(run(ctx, os.Args[1:], streams{os.Stdin, os.Stdout, os.Stderr}))
}

// interrupts are the signals that end what a command does. A signal that
// podctl was started to ignore, as by nohup, stays ignored.
func interrupts() []os.Signal {
	signals := []os.Signal{syscall.SIGTERM}
	for _, sig := range []os.Signal{os.Interrupt, syscall.SIGHUP} {
		if !signal.Ignored(sig) {
			signals = append(signals, sig)
		}
	}
	return signals
}

// An interruptError is the cause with which the context of a command ends.
type interruptError struct{ signal os.Signal }

func (e *interruptError) Error() string {
	if sig, ok := e.signal.(syscall.Signal); ok {
		return "interrupted by " + signalName(sig)
	}
	return "interrupted by " + e.signal.String()
}

// Unwrap has errors.Is find [context.Canceled].
func (e *interruptError) Unwrap() error { return context.Canceled }

// exitCode is what a shell would report of a program that the signal ended.
func (e *interruptError) exitCode() int {
	if number, ok := e.signal.(syscall.Signal); ok {
		return exitSignal + int(number)
	}
	return exitFailure
}
