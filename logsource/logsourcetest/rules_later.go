package logsourcetest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/google/uuid"

	"github.com/podlaunch/podlaunch/logsource"
	"github.com/podlaunch/podlaunch/runtimedir/conformance"
)

// past is what a launcher knows later of the log.
func (o *opened) past() logsource.Past {
	past := logsource.Past{Name: o.launch.Name, Dir: o.launch.Dir, ID: o.launch.ID, Path: o.log.Path}
	past.File, _ = logsource.IdentifyFile(past.Path)
	return past
}

// later returns a reader of the launch past, for the Source may have other readers of
// the log of o. The end of ctx ends it. The error is [conformance.Inapplicable] if the
// Source has none.
func (o *opened) later(ctx context.Context, past logsource.Past, fromStart bool) (*follower, error) {
	source, ok := o.s.source.(logsource.Refollower)
	if !ok {
		return nil, conformance.Inapplicable("the Source is no logsource.Refollower")
	}
	end := o.s.calls.Begin("Refollow")
	r, err := source.Refollow(ctx, past, fromStart)
	end()
	switch {
	case errors.Is(err, errors.ErrUnsupported):
		return nil, conformance.Inapplicable(fmt.Sprintf("Refollow: %v", err))
	case err != nil:
		return nil, fmt.Errorf("calling Refollow: %w", err)
	case r == nil:
		return nil, errors.New("what Refollow returned is neither a reader nor an error")
	}
	f := &follower{o: o, r: r}
	o.s.later(func() { f.close() })
	return f, nil
}

func later(o *opened) error {
	if err := o.write("the whole log\n"); err != nil {
		return err
	}
	past := o.past()
	o.close() // another rule minds its error
	for range 2 {
		f, err := o.later(o.s.ctx, past, true)
		if err != nil {
			return err
		}
		if err := f.expect("the whole log\n"); err != nil {
			return fmt.Errorf("after Log.Close: %w", err)
		}
	}
	return nil
}

func laterNow(o *opened) error {
	if err := o.write("old\n"); err != nil {
		return err
	}
	if err := o.holds("old\n"); err != nil { // it has arrived
		return err
	}
	past := o.past()
	f, err := o.later(o.s.ctx, past, false)
	if err != nil {
		return err
	}
	return f.waitsFor("new\n")
}

func laterOwn(s *subject) error {
	earlier, err := s.open("web")
	if err != nil {
		return err
	}
	if err := earlier.write("of the launch before\n"); err != nil {
		return err
	}
	past := earlier.past()
	o, err := s.open("web")
	if err != nil {
		return err
	}
	if err := o.write("of this launch\n"); err != nil {
		return err
	}
	f, err := earlier.later(s.ctx, past, true)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = f.expect("of the launch before\n")
	}
	return err
}

// unknown is a launch that never was.
func (o *opened) unknown() logsource.Past {
	past := o.past()
	past.Name, past.ID, past.File = "unknown", uuid.New(), logsource.FileID{}
	if past.Path != "" {
		past.Path += ".unknown"
	}
	return past
}

func laterUnknown(o *opened) error {
	_, err := o.later(o.s.ctx, o.unknown(), true)
	switch {
	case err == nil:
		return errors.New("the launch never was, and Refollow returned a reader")
	case errors.Is(err, fs.ErrNotExist):
		return nil
	}
	return fmt.Errorf("the launch never was: %w, which does not wrap fs.ErrNotExist", err)
}

func laterEnd(o *opened) error {
	const text = "written before"
	if err := o.write(text); err != nil {
		return err
	}
	past := o.past()
	ctx, cancel := context.WithCancelCause(o.s.ctx)
	defer cancel(nil)
	early, err := o.later(ctx, past, true)
	if err != nil {
		return err
	}
	if err := early.expect(text[:7]); err != nil {
		return err
	}
	cancel(conformance.ErrStopped)
	late, err := o.later(ctx, past, true)
	if err != nil {
		return fmt.Errorf("with a context that is done: %w", err)
	}
	for f, want := range map[*follower]string{early: text[7:], late: text} {
		rest, err := f.rest(bufferSize)
		if rest != want {
			return fmt.Errorf("after the end of the context: %s; the error is %v", differ(want, rest), err)
		}
		if !errors.Is(err, conformance.ErrStopped) {
			return fmt.Errorf("after the end of the context the error is %v, want its cause (%v)", err, conformance.ErrStopped)
		}
	}
	return nil
}

func laterFrees(o *opened) error {
	if err := o.write("x"); err != nil {
		return err
	}
	past, unknown := o.past(), o.unknown()
	err := conformance.Leaves(conformance.Soon, conformance.Often(), func() error {
		f, err := o.later(o.s.ctx, past, true)
		if err != nil {
			return err
		}
		if err := f.expect("x"); err != nil {
			return err
		}
		return f.close()
	})
	if err != nil {
		return err
	}
	err = conformance.Leaves(conformance.Soon, conformance.Often(), func() error {
		f, err := o.later(o.s.ctx, unknown, true)
		if err != nil {
			return nil // that is right
		}
		return f.close()
	})
	if err != nil {
		return fmt.Errorf("a Refollow that fails: %w", err)
	}
	return nil
}
