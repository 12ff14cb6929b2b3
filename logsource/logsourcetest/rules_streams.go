package logsourcetest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/podlaunch/podlaunch/logsource"
	"github.com/podlaunch/podlaunch/runtimedir/conformance"
)

// seeks is about a reader that is an io.Seeker.
func seeks(o *opened) error {
	const text = "0123456789"
	if err := o.write(text); err != nil {
		return err
	}
	f, stop, err := o.follower()
	if err != nil {
		return err
	}
	defer stop()
	seeker, ok := f.r.(io.Seeker)
	if !ok {
		return conformance.Inapplicable("a reader is no io.Seeker")
	}
	defer o.s.calls.Begin("Seek")()
	if err := f.expect(text[:4]); err != nil {
		return err
	}
	if place, err := seeker.Seek(0, io.SeekCurrent); place != 4 || err != nil {
		return fmt.Errorf("after 4 bytes Seek(0, io.SeekCurrent) returned %d, %v", place, err)
	}
	if place, err := seeker.Seek(7, io.SeekStart); place != 7 || err != nil {
		return fmt.Errorf("Seek(7, io.SeekStart) returned %d, %v", place, err)
	}
	if err := f.expect(text[7:]); err != nil {
		return fmt.Errorf("after Seek(7, io.SeekStart): %w", err)
	}
	for _, place := range []int64{-1, int64(len(text)) + 1} {
		if got, err := seeker.Seek(place, io.SeekStart); err == nil {
			return fmt.Errorf("Seek(%d, io.SeekStart) in a log of %d bytes returned %d, and no error", place, len(text), got)
		}
	}
	return nil
}

// tended is about Tend.
func tended(o *opened) error {
	if o.log.Tend == nil {
		return conformance.Inapplicable("the Log has no Tend")
	}
	ctx, cancel := context.WithCancel(o.s.ctx)
	defer cancel()
	end := o.s.calls.Begin("Tend")
	run, err := o.log.Tend(ctx)
	end()
	if err == nil && run == nil {
		err = errors.New("it returned neither a function nor an error")
	}
	if err != nil {
		return fmt.Errorf("calling Tend: %w", err)
	}
	done := make(chan error, 1)
	go func() {
		defer o.s.calls.Begin("what Tend returned")()
		done <- run()
	}()
	const text = "written while it is tended\n"
	if err := o.write(text); err != nil {
		return err
	}
	if err := o.holds(text); err != nil {
		return err
	}
	o.close() // another rule minds its error
	select {
	case err := <-done:
		return fmt.Errorf("what Tend returned has ended before the context was done: %v", err)
	case <-time.After(conformance.Moment):
	}
	cancel()
	if err := <-done; err != nil {
		return fmt.Errorf("what Tend returned ends with %w", err)
	}
	return nil
}

// stdoutApart is about a StdoutOpener.
func stdoutApart(o *opened) error {
	opener, ok := o.s.source.(logsource.StdoutOpener)
	if !ok {
		return conformance.Inapplicable("the Source is no logsource.StdoutOpener")
	}
	end := o.s.calls.Begin("OpenStdout")
	log, err := opener.OpenStdout(o.s.ctx, o.launch)
	end()
	switch {
	case errors.Is(err, errors.ErrUnsupported):
		return conformance.Inapplicable(fmt.Sprintf("OpenStdout: %v", err))
	case err != nil:
		return fmt.Errorf("OpenStdout: %w", err)
	case log == nil || log.Follow == nil:
		return errors.New("OpenStdout returned no error, and a Log that is nil or has no Follow")
	case log.Sink == nil:
		return conformance.Inapplicable("the standard output has no Sink")
	}
	stdout := &opened{s: o.s, launch: o.launch, log: log, out: log.Sink}
	o.s.later(func() { stdout.close() })
	o.s.later(func() { stdout.end() })
	if err := o.write("on stderr\n"); err != nil {
		return err
	}
	if err := stdout.write("on stdout\n"); err != nil {
		return err
	}
	if err := stdout.holds("on stdout\n"); err != nil {
		return fmt.Errorf("the standard output: %w", err)
	}
	if err := o.holds("on stderr\n"); err != nil {
		return fmt.Errorf("the log: %w", err)
	}
	return nil
}
