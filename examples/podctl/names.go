package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/spf13/cobra"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/runtimedir"
)

// oneName makes sure that a command has one argument, the name of a pod.
func oneName(cmd *cobra.Command, args []string) error {
	if len(args) != 1 {
		return usageError(cmd, fmt.Errorf("name one pod, not %d", len(args)))
	}
	return runtimedir.ValidateName(args[0])
}

// someNames makes sure that a command has arguments, and that each may be the
// name of a pod, before anything is done to one of them.
func someNames(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return usageError(cmd, errors.New("name at least one pod"))
	}
	for _, name := range args {
		if err := runtimedir.ValidateName(name); err != nil {
			return err
		}
	}
	return nil
}

// noArgs makes sure that a command has no arguments.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usageError(cmd, fmt.Errorf("unexpected argument %q", args[0]))
	}
	return nil
}

// maxAtOnce is how many pods a command deals with at the same time.
const maxAtOnce = 16

// each calls f for each name, once, for several at the same time. It returns what
// failed, in the order of names.
func each(ctx context.Context, names []string, f func(ctx context.Context, name string) error) error {
	var distinct []string
	for _, name := range names {
		if !slices.Contains(distinct, name) {
			distinct = append(distinct, name)
		}
	}
	errs := make([]error, len(distinct))
	var all sync.WaitGroup
	slots := make(chan struct{}, maxAtOnce)
	for i, name := range distinct {
		all.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			errs[i] = f(ctx, name)
		})
	}
	all.Wait()
	return together(errs)
}

// together is nil if all of errs are, and else the errors among them.
func together(errs []error) error {
	errs = slices.DeleteFunc(errs, func(err error) bool { return err == nil })
	switch len(errs) {
	case 0:
		return nil
	case 1:
		return errs[0]
	}
	return severalErrors(errs)
}

// severalErrors are those of a command for several pods. The exit code is that of
// the first.
type severalErrors []error

func (e severalErrors) Error() string   { return errors.Join(e...).Error() }
func (e severalErrors) Unwrap() []error { return e }

// running returns the names of all pods that run, or may run. It is an
// error if it cannot tell whether a pod runs.
func running(ctx context.Context, l *launcher.Launcher) (names []string, err error) {
	var errs []error
	for s, err := range allPods(ctx, l) {
		switch {
		case err != nil && s.Name == "":
			return nil, err
		case err != nil:
			errs = append(errs, fmt.Errorf("%s: %w", shown(s.Name), err))
		case s.State != launcher.StateGone:
			names = append(names, s.Name)
		}
	}
	return names, together(errs)
}
