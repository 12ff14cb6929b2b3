package readinesstest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/podlaunch/podlaunch/readiness"
	"github.com/podlaunch/podlaunch/runtimedir/conformance"
)

func describes(l *launch) error {
	for _, p := range []struct {
		what  string
		probe readiness.Probe
	}{{"the Probe", l.Probe}, {"the prepared probe", l.probe}} {
		stringer, ok := p.probe.(fmt.Stringer)
		if !ok {
			return fmt.Errorf("%s, a %T, has no method String", p.what, p.probe)
		}
		var text string
		if crash := l.s.call("String of "+p.what, func() { text = stringer.String() }); crash != nil {
			return crash
		}
		if err := inOneLine("String of "+p.what, text); err != nil {
			return err
		}
	}
	return nil
}

func pending(l *launch) error {
	w := l.wait()
	err, crash := w.cut()
	if crash != nil {
		return crash
	}
	var p *readiness.PendingError
	if !errors.As(err, &p) {
		return conformance.Inapplicable("the error of Wait is no *PendingError")
	}
	return tells(p)
}

// tells makes sure that a PendingError, and each of its parts, says what was
// missing.
func tells(p *readiness.PendingError) error {
	if p == nil {
		return errors.New("a part of the PendingError is nil")
	}
	if err := inOneLine("PendingError.Waiting", p.Waiting); err != nil {
		return err
	}
	if !errors.Is(p.Cause, conformance.ErrStopped) {
		return fmt.Errorf("PendingError.Cause is %v, want the cause of ctx's end", p.Cause)
	}
	if err := inOneLine("the PendingError", p.Error()); err != nil {
		return err
	}
	for _, part := range p.Parts {
		if err := tells(part); err != nil {
			return err
		}
	}
	return nil
}

func verify(l *launch) error {
	found := false
	for leaf := range readiness.Leaves(l.Probe) {
		_, ok := leaf.(readiness.Verifier)
		found = found || ok
	}
	if !found {
		return conformance.Inapplicable("it is no Verifier")
	}
	if err := l.becomesReady(1); err != nil {
		return err
	}
	t := l.Target
	t.Endpoint = l.Want
	var answer error
	if crash := l.s.call("Verify", func() { answer = readiness.Verify(context.Background(), l.Probe, t) }); crash != nil {
		return crash
	}
	if answer != nil {
		return fmt.Errorf("Wait has found the pod ready at %v, and Verify says: %w", l.Want, answer)
	}
	t.Endpoint = readiness.Endpoint{Network: "unix", Address: filepath.Join(t.RuntimeDir, "nobody")}
	if crash := l.s.call("Verify", func() { answer = readiness.Verify(context.Background(), l.Probe, t) }); crash != nil {
		return fmt.Errorf("there is nobody at %v: %w", t.Endpoint, crash)
	}
	if answer == nil {
		return fmt.Errorf("there is nobody at %v, and Verify returned no error", t.Endpoint)
	}
	return nil
}

func peer(l *launch) error {
	stranger := readiness.Peer{UID: os.Geteuid() + 1, GID: os.Getegid() + 1}
	found := false
	for leaf := range readiness.Leaves(l.Probe) {
		checker, ok := leaf.(readiness.PeerChecker)
		if !ok {
			continue
		}
		found = true
		var refused error
		if crash := l.s.call("CheckPeer", func() { refused = checker.CheckPeer(stranger, l.Target) }); crash != nil {
			return crash
		}
		if refused != nil && !errors.Is(refused, readiness.ErrForeignPeer) {
			return fmt.Errorf("user %d may not answer, and errors.Is does not find ErrForeignPeer in the error of CheckPeer: %w", stranger.UID, refused)
		}
	}
	if !found {
		return conformance.Inapplicable("it is no PeerChecker")
	}
	return nil
}

func adopts(l *launch) error {
	found := false
	for leaf := range readiness.Leaves(l.Probe) {
		adopter, ok := leaf.(readiness.Adopter)
		if !ok {
			continue
		}
		found = true
		var answers [3]bool
		ask := func() {
			for i := range answers {
				answers[i] = adopter.Adopts()
			}
		}
		if crash := l.s.call("Adopts", ask); crash != nil {
			return crash
		}
		if answers[0] != answers[1] || answers[1] != answers[2] {
			return fmt.Errorf("the answers of Adopts are %v", answers)
		}
	}
	if !found {
		return conformance.Inapplicable("it is no Adopter")
	}
	return nil
}

func parts(l *launch) error {
	c, ok := l.Probe.(readiness.Composite)
	if !ok {
		return conformance.Inapplicable("it is no Composite")
	}
	first := c.Probes()
	for i, p := range first {
		if p == nil {
			return fmt.Errorf("part %d of %d is nil", i, len(first))
		}
	}
	again := c.Probes()
	if len(first) != len(again) {
		return fmt.Errorf("its Probes returned %d parts, then %d", len(first), len(again))
	}
	for i := range first {
		if a, b := readiness.Describe(first[i]), readiness.Describe(again[i]); a != b {
			return fmt.Errorf("part %d of %d is %q, then %q", i, len(first), a, b)
		}
	}
	prepared, ok := l.probe.(readiness.Composite)
	if !ok {
		return fmt.Errorf("it is a Composite, and what was prepared of it, a %T, is none", l.probe)
	}
	if n := len(prepared.Probes()); n != len(first) {
		return fmt.Errorf("it has %d parts, and what was prepared of it has %d", len(first), n)
	}
	return nil
}
