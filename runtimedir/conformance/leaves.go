package conformance

import (
	"bytes"
	"context"
	"fmt"
	"runtime/debug"
	"runtime/pprof"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Often returns how many times a rule does something that must leave nothing
// behind: 64, or 16 with -short and in Kit.Broken. Other code in the test's process may
// open things too, but hardly half as many.
func Often() int {
	if testing.Short() || trying.Load() > 0 {
		return 16
	}
	return 64
}

// trying is how many calls of Kit.Broken there are.
var trying atomic.Int64

// Leaves calls do so many times, and makes sure that it leaves no descriptor and no
// goroutine behind: fewer than half as many. It waits up to patience for them to end.
func Leaves(patience time.Duration, times int, do func() error) error {
	defer holdCollector()()
	before, label := openDescriptors(), NewLabel()
	label.Set()
	defer Label("").Set()
	for range times {
		if err := do(); err != nil {
			return err
		}
	}
	Label("").Set() // or this goroutine is one of them
	var descriptors, goroutines int
	if Eventually(patience, func() bool {
		descriptors, goroutines = openDescriptors()-before, label.count()
		return descriptors < times/2 && goroutines < times/2
	}) {
		return nil
	}
	return fmt.Errorf("after %d times there are %d descriptors and %d goroutines more", times, descriptors, goroutines)
}

// Descriptors calls all once, which does something so many times, and makes sure
// that it leaves no descriptor behind, as Leaves does. The error speaks of times
// by that name: "waits", or just "times".
func Descriptors(patience time.Duration, times int, name string, all func() error) error {
	defer holdCollector()()
	before := openDescriptors()
	if err := all(); err != nil {
		return err
	}
	var more int
	if Eventually(patience, func() bool {
		more = openDescriptors() - before
		return more < times/2
	}) {
		return nil
	}
	return fmt.Errorf("after %d %s there are %d descriptors more", times, name, more)
}

// collector is the garbage collector. It closes files that no code of this process has
// closed, which must not happen between two counts.
var collector struct {
	sync.Mutex
	holds   int
	percent int
}

// holdCollector keeps the collector from running until the function is called.
// Tests that run in parallel may all do so.
func holdCollector() (release func()) {
	collector.Lock()
	defer collector.Unlock()
	if collector.holds == 0 {
		collector.percent = debug.SetGCPercent(-1)
	}
	collector.holds++
	return func() {
		collector.Lock()
		defer collector.Unlock()
		collector.holds--
		if collector.holds == 0 {
			debug.SetGCPercent(collector.percent)
		}
	}
}

// A Label marks goroutines. A goroutine inherits the label of the goroutine that started
// it, unless it gets other labels from package pprof. So the kit can tell a rule's
// goroutines from those of other tests.
type Label string

const labelKey = "conformance"

var labels atomic.Int64

// NewLabel returns a label that no goroutine has.
func NewLabel() Label { return Label(strconv.FormatInt(labels.Add(1), 10)) }

// Set gives the label to the goroutine that calls it, for those that it starts.
// The empty one takes every label away.
func (l Label) Set() {
	ctx := context.Background()
	if l != "" {
		ctx = pprof.WithLabels(ctx, pprof.Labels(labelKey, string(l)))
	}
	pprof.SetGoroutineLabels(ctx)
}

// Left returns the stacks of the goroutines with the label that have not ended
// after patience; empty: there are none.
func (l Label) Left(patience time.Duration) (stacks string) {
	Eventually(patience, func() bool {
		stacks = strings.Join(l.stacks(), "\n")
		return stacks == ""
	})
	return stacks
}

// count counts the goroutines with the label.
func (l Label) count() (n int) {
	for _, stack := range l.stacks() {
		same, _, _ := strings.Cut(stack, " ") // how many have this stack
		count, _ := strconv.Atoi(same)
		n += count
	}
	return n
}

func (l Label) stacks() (found []string) {
	var all bytes.Buffer
	pprof.Lookup("goroutine").WriteTo(&all, 1)       // a Buffer takes everything
	_, profile, _ := strings.Cut(all.String(), "\n") // the first line is a headline
	for stack := range strings.SplitSeq(profile, "\n\n") {
		if strings.Contains(stack, fmt.Sprintf("%q:%q", labelKey, string(l))) {
			found = append(found, stack)
		}
	}
	return found
}
