package readinesstest

import (
	"fmt"
	"slices"

	"github.com/podlaunch/podlaunch/runtimedir/conformance"
)

func goroutines(s *subject) error {
	cancelled, err := s.launch()
	if err != nil {
		return err
	}
	failing, err := s.launch()
	if err != nil {
		return err
	}
	unreadable, err := s.launch()
	if err != nil {
		return err
	}
	unreadable.tap.fail = errRead
	l, err := s.launch()
	if err != nil {
		return err
	}
	s.label = conformance.NewLabel() // what Prepare has started may stay until Close
	all := []*wait{cancelled.wait(), unreadable.wait()}
	if failing.Fail != nil {
		all = append(all, failing.wait())
	}
	all[0].Within(moment)
	if failing.Fail != nil {
		failing.Fail(failing.setup)
		all[2].Within(conformance.Moment)
	}
	if !cancelled.prepared { // the same Probe again
		all = append(all, cancelled.wait())
	}
	if _, crash := all[len(all)-1].cut(); crash != nil {
		return crash
	}
	for _, w := range all {
		if _, crash := w.end(); crash != nil {
			return crash
		}
	}
	if err := l.becomesReady(1); err != nil {
		return err
	}
	if left := s.label.Left(patience); left != "" {
		return fmt.Errorf("of waits whose ctx was cancelled, for a pod that failed, without lines that can be read, and for a pod that became ready, there are left:\n%s", left)
	}
	return nil
}

func descriptors(l *launch) error {
	for _, ending := range []struct {
		name   string
		before func(l *launch)
		fail   func(l *launch)
	}{
		{"waits whose ctx was cancelled", func(*launch) {}, nil},
		{"waits for a pod that failed", func(*launch) {}, func(l *launch) { l.Fail(l.setup) }},
		{"waits whose lines could not be read", func(l *launch) { l.tap.fail = errRead }, nil},
	} {
		// Fail may open what stays open: of one launch that is little, and of many too much.
		if ending.fail != nil && (l.Fail == nil || l.prepared) {
			continue
		}
		all, err := l.s.launchOften()
		if err != nil {
			return err
		}
		for _, l := range all {
			ending.before(l)
		}
		err = conformance.Descriptors(patience, len(all), ending.name, func() error { return endAll(all, ending.fail) })
		if err != nil {
			return err
		}
	}
	if l.prepared {
		return nil // one wait for each
	}
	times := conformance.Often()
	return conformance.Descriptors(patience, times, "waits for a pod that became ready", func() error {
		return l.becomesReady(times)
	})
}

// fewer is how often something is done for which pods have to be prepared.
const fewer = 16

// launchOften returns what to wait for, many times: one launch again and again, or launches
// of their own for a Preparer, whose probes are for one wait each.
func (s *subject) launchOften() ([]*launch, error) {
	l, err := s.launch()
	if err != nil {
		return nil, err
	}
	if !l.prepared {
		return slices.Repeat([]*launch{l}, conformance.Often()), nil
	}
	all := []*launch{l}
	for len(all) < fewer {
		if l, err = s.launch(); err != nil {
			return nil, err
		}
		all = append(all, l)
	}
	return all, nil
}

// endAll waits for all these at once, and then ends the waits. If fail is not nil, it makes
// each launch fail before, and lets the waits end by that.
func endAll(all []*launch, fail func(l *launch)) error {
	waits := make([]*wait, len(all))
	for i, l := range all {
		waits[i] = l.wait()
	}
	waits[0].Within(moment)
	if fail != nil {
		for _, l := range slices.Compact(slices.Clone(all)) {
			fail(l)
		}
	}
	for _, w := range waits {
		if !w.Within(moment) {
			break // they do not end by themselves
		}
	}
	for _, w := range waits {
		if _, crash := w.end(); crash != nil {
			return crash
		}
	}
	return nil
}
