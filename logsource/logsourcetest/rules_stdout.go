package logsourcetest

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/podlaunch/podlaunch/logsource"
	"github.com/podlaunch/podlaunch/runtimedir/conformance"
)

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

// alone are the rules that count what the whole process has, so nothing may run beside
// them.
var alone = []string{"open-fails-clean", "reader-close-frees", "memory", "close-frees"}

// stdout tries the rules of each log on the standard output, most of them at once: they
// take their time by looking on.
func stdout(s *subject) error {
	opener, ok := s.source.(logsource.StdoutOpener)
	if !ok {
		return conformance.Inapplicable("the Source is no logsource.StdoutOpener")
	}
	var atOnce []conformance.Rule[*subject]
	for i, r := range ofEachLog {
		if i >= foundation && !slices.Contains(alone, r.Name) {
			atOnce = append(atOnce, r)
			continue
		}
		err := s.triesStdout(opener, r)
		if applies := !errors.As(err, new(conformance.Inapplicable)); err != nil && (applies || i == 0) {
			return err
		}
	}
	return conformance.AtOnce(blamed, len(atOnce), func(i int) error {
		err := s.triesStdout(opener, atOnce[i])
		if errors.As(err, new(conformance.Inapplicable)) {
			return nil
		}
		return err
	})
}

// triesStdout tries a rule on the standard output, and clears up after it.
func (s *subject) triesStdout(opener logsource.StdoutOpener, r conformance.Rule[*subject]) error {
	sub := newSubject(stdoutSource{s.source, opener}, filepath.Join(s.dir, r.Name), s.stalls)
	sub.calls = s.calls
	if err := errors.Join(r.Run(sub), sub.close()); err != nil {
		return fmt.Errorf("the standard output, by the rule %q: %w", r.Name, err)
	}
	return nil
}

// A stdoutSource is a Source of standard outputs. It opens the log beside each, as a
// launcher does.
type stdoutSource struct {
	log    logsource.Source
	stdout logsource.StdoutOpener
}

func (s stdoutSource) Open(ctx context.Context, launch logsource.Launch) (*logsource.Log, error) {
	log, err := s.log.Open(context.WithoutCancel(ctx), launch)
	if err != nil {
		return nil, err
	}
	closeLog := func() error { return nil }
	if log.Close != nil {
		closeLog = log.Close
	}
	if log.Sink != nil {
		defer log.Sink.Close()
	}
	stdout, err := s.stdout.OpenStdout(ctx, launch)
	switch {
	case errors.Is(err, errors.ErrUnsupported):
		err = conformance.Inapplicable(fmt.Sprintf("OpenStdout: %v", err))
	case err == nil && stdout != nil && stdout.Sink == nil:
		err = conformance.Inapplicable("the standard output has no Sink")
	}
	if err != nil || stdout == nil {
		return nil, errors.Join(err, closeLog())
	}
	both, closeStdout := *stdout, stdout.Close
	both.Close = func() error {
		if closeStdout == nil {
			return closeLog()
		}
		return errors.Join(closeStdout(), closeLog())
	}
	return &both, nil
}
