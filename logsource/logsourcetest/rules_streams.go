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

// skips is about a reader that is a Skipper.
func skips(o *opened) error {
	const text = "0123456789"
	if err := o.write(text); err != nil {
		return err
	}
	if err := o.holds(text); err != nil { // it has arrived
		return err
	}
	for n, want := range map[int64]string{4: text[6:], 10: text, 100: text} {
		f, stop, err := o.follower()
		if err != nil {
			return err
		}
		defer stop()
		skipper, ok := f.r.(logsource.Skipper)
		if !ok {
			return conformance.Inapplicable("a reader is no logsource.Skipper")
		}
		if err := skipper.SkipToLast(n); err != nil {
			return fmt.Errorf("of a log of %d bytes SkipToLast(%d) fails: %w", len(text), n, err)
		}
		stop()
		if got, err := f.rest(bufferSize); got != want {
			return fmt.Errorf("of the log %q a reader after SkipToLast(%d) returned %q, %v", text, n, got, err)
		}
	}
	return nil
}

// losses is about a reader that is a Lossy.
func losses(o *opened) error {
	const text = "all of it"
	if err := o.write(text); err != nil {
		return err
	}
	if err := o.holds(text); err != nil { // it has arrived
		return err
	}
	f, stop, err := o.follower()
	if err != nil {
		return err
	}
	defer stop()
	lossy, ok := f.r.(logsource.Lossy)
	if !ok {
		return conformance.Inapplicable("a reader is no logsource.Lossy")
	}
	before := lossy.Lost()
	stop()
	got, err := f.rest(bufferSize)
	if lost := lossy.Lost(); before < 0 || lost < before || int64(len(got))+lost != int64(len(text)) {
		return fmt.Errorf("of %d bytes a reader returned %d, %v, and Lost returned %d, then %d", len(text), len(got), err, before, lost)
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
