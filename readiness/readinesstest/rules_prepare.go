package readinesstest

import (
	"context"
	"fmt"
	"os"
	"slices"

	"github.com/podlaunch/podlaunch/readiness"
	"github.com/podlaunch/podlaunch/runtimedir/conformance"
)

// preparer returns another pod whose Probe is not prepared yet.
func (s *subject) preparer() (*launch, error) {
	p, err := s.pod()
	if err != nil {
		return nil, err
	}
	if _, ok := p.Probe.(readiness.Preparer); !ok {
		return nil, conformance.Inapplicable("it is no Preparer")
	}
	return s.unprepared(p.Probe, p), nil
}

// toPrepare is a rule about such a pod.
func toPrepare(rule func(l *launch) error) func(s *subject) error {
	return conformance.With((*subject).preparer, rule)
}

func unprepared(l *launch) error {
	w := l.wait()
	err, crash := w.cut()
	if crash == nil && err == nil {
		return fmt.Errorf("nothing was prepared and the pod is not ready, and Wait returned %v without an error", w.endpoint)
	}
	return crash
}

func prepareValue(l *launch) error {
	before := fmt.Sprintf("%#v", l.Probe)
	if err := l.prepare(context.Background()); err != nil {
		return err
	}
	if after := fmt.Sprintf("%#v", l.Probe); after != before {
		return fmt.Errorf("it was %s, and is %s", before, after)
	}
	return nil
}

func prepareTwice(l *launch) error {
	if l.OnePod {
		return conformance.Inapplicable("the Case says that the Probe is for one pod")
	}
	return apart(l.s, 2)
}

func prepareAdds(l *launch) error {
	theirs, err := os.Open(os.DevNull)
	if err != nil {
		return err
	}
	defer theirs.Close()
	env, pidEnv := []string{"ANOTHER=probe's"}, []string{"ANOTHERS_PID"}
	l.setup.Env, l.setup.PIDEnv, l.setup.Files = slices.Clone(env), slices.Clone(pidEnv), []*os.File{nil, theirs}
	if err := l.prepare(context.Background()); err != nil {
		return fmt.Errorf("another probe has added to the Setup: %w", err)
	}
	switch {
	case !hasPrefix(l.setup.Env, env):
		return fmt.Errorf("the Setup's Env was %q, and is %q", env, l.setup.Env)
	case !hasPrefix(l.setup.PIDEnv, pidEnv):
		return fmt.Errorf("the Setup's PIDEnv was %q, and is %q", pidEnv, l.setup.PIDEnv)
	case len(l.setup.Files) < 2 || l.setup.Files[1] != theirs:
		return fmt.Errorf("descriptor 4 of the pod was another probe'l.s, and Files is %v", l.setup.Files)
	}
	if _, err := theirs.Stat(); err != nil {
		return fmt.Errorf("another probe's file was closed: %w", err)
	}
	return nil
}

func hasPrefix(list, prefix []string) bool {
	return len(list) >= len(prefix) && slices.Equal(list[:len(prefix)], prefix)
}

func prepareContext(l *launch) error {
	ctx, cancel := context.WithCancel(context.Background())
	err := l.prepare(ctx)
	cancel()
	if err != nil {
		return err
	}
	w := l.wait()
	if w.Within(moment) {
		return fmt.Errorf("the ctx of Prepare is done and the pod is not ready, and Wait returned %v, %w", w.endpoint, w.outcome())
	}
	l.Ready(l.setup)
	if err := l.expect(w); err != nil {
		return fmt.Errorf("the ctx of Prepare is done: %w", err)
	}
	return nil
}

func prepareDone(l *launch) error {
	var err error
	c := l.s.begin("Prepare", func() { err = l.prepare(conformance.Stopped()) })
	if crash := c.Join(patience); crash != nil {
		return fmt.Errorf("ctx is done: %w", crash)
	}
	if err != nil {
		return nil
	}
	return l.becomesReady(1)
}

func prepareBare(l *launch) error {
	l.setup.Extend, l.setup.Status = nil, nil
	if err := l.prepare(context.Background()); err != nil {
		return err
	}
	return l.becomesReady(1)
}

func prepareClose(l *launch) error {
	before, err := entries(l.Target.RuntimeDir)
	if err != nil {
		return err
	}
	err = conformance.Descriptors(patience, fewer, "times", func() error {
		for range fewer {
			again := l.s.unprepared(l.Probe, l.pod)
			if err := again.prepare(context.Background()); err != nil {
				return fmt.Errorf("after what was prepared before was closed: %w", err)
			}
			again.over()
		}
		return nil
	})
	if err == nil {
		err = prepareFails(l)
	}
	if err != nil {
		return err
	}
	if left := l.s.label.Left(patience); left != "" {
		return fmt.Errorf("of %d times there are left:\n%s", fewer, left)
	}
	after, err := entries(l.Target.RuntimeDir)
	if err != nil {
		return err
	}
	if !slices.Equal(before, after) {
		return fmt.Errorf("the runtime directory held %q, and holds %q", before, after)
	}
	return nil
}

// prepareFails makes sure that a Prepare that fails leaves no descriptor, where its ctx is
// done or no descriptor of the pod is free.
func prepareFails(l *launch) error {
	return conformance.Descriptors(patience, fewer, "times, with a ctx that is done and without a free descriptor of the pod,", func() error {
		for range fewer {
			late := l.s.unprepared(l.Probe, l.pod)
			late.prepare(conformance.Stopped()) // whether it fails is for another rule
			late.over()
			full := l.s.unprepared(l.Probe, l.pod)
			for range readiness.MaxFiles {
				file, err := os.Open(os.DevNull)
				if err != nil {
					return err
				}
				full.setup.Files = append(full.setup.Files, file)
			}
			full.prepare(context.Background()) // it may need no descriptor
			full.over()
		}
		return nil
	})
}

// entries lists dir.
func entries(dir string) (names []string, err error) {
	list, err := os.ReadDir(dir)
	for _, e := range list {
		names = append(names, e.Name())
	}
	return names, err
}
