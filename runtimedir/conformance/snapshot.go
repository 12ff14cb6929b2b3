package conformance

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// Main runs the tests of a package, from its TestMain, and ends the process. Their
// directories are [InMemory]. It fails if they leave a goroutine or a descriptor behind:
//
//	func TestMain(m *testing.M) { conformance.Main(m) }
func Main(m *testing.M) {
	InMemory()
	before := Take()
	code := m.Run()
	// The fuzzer has descriptors and goroutines of its own.
	if fuzz := flag.Lookup("test.fuzz"); code == 0 && (fuzz == nil || fuzz.Value.String() == "") {
		if left := before.Left(patience); left != nil {
			fmt.Fprintf(os.Stderr, "left behind:\n%s\n", strings.Join(left, "\n"))
			code = 1
		}
	}
	os.Exit(code)
}

// patience is Main's. It is a variable for this package's own tests.
var patience = 2 * Soon

// A Snapshot is what there was at one time: goroutines and, where the system
// lists them, descriptors. Tests that use one must not run in parallel with
// others.
type Snapshot struct{ goroutines, descriptors []thing }

// Take takes a snapshot.
func Take() *Snapshot { return &Snapshot{goroutines(), descriptors()} }

// Left returns what is there now and was not when s was taken, an item each, except for
// items in which one of except occurs. Left waits up to patience for the items to go
// away.
func (s *Snapshot) Left(patience time.Duration, except ...string) []string {
	left := s.Descriptors(patience, except...)
	return append(left, s.Goroutines(patience, except...)...)
}

// Descriptors is Left for descriptors alone.
func (s *Snapshot) Descriptors(patience time.Duration, except ...string) []string {
	return left(patience, descriptors, s.descriptors, except)
}

// Goroutines is Left for goroutines alone, without the calling one. It waits at least
// half a second: a goroutine that was joined may have to take its last step.
func (s *Snapshot) Goroutines(patience time.Duration, except ...string) []string {
	return left(max(patience, Soon/10), goroutines, s.goroutines, except)
}

func left(patience time.Duration, things func() []thing, before []thing, except []string) (more []string) {
	Eventually(patience, func() bool {
		more = nil
		for _, now := range things() {
			excepted := func(part string) bool { return strings.Contains(now.says, part) }
			had := func(then thing) bool { return then.id == now.id }
			if !slices.ContainsFunc(except, excepted) && !slices.ContainsFunc(before, had) {
				more = append(more, now.says)
			}
		}
		return more == nil
	})
	return more
}

// kept are the parts of the stacks of goroutines that package testing or the
// runtime keeps: a test that waits for its subtests, and the reader of signals.
var kept = []string{"\ntesting.(*T).Run(", "\nos/signal.signal_recv("}

// goroutines returns a thing for each, whose text is its stack.
func goroutines() (found []thing) {
	buf := make([]byte, 64<<10)
	n := runtime.Stack(buf, true)
	for ; n == len(buf); n = runtime.Stack(buf, true) {
		buf = make([]byte, 2*len(buf))
	}
	stacks := bytes.Split(bytes.TrimSpace(buf[:n]), []byte("\n\n"))
	for _, stack := range stacks[1:] { // the first is this one
		text := string(stack)
		id, _, _ := strings.Cut(text, " [")
		if !slices.ContainsFunc(kept, func(part string) bool { return strings.Contains(text, part) }) {
			found = append(found, thing{id, text})
		}
	}
	return found
}
