package readinesstest

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"runtime/pprof"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// labelKey names the label by which the goroutines of a rule are found: a
// goroutine inherits the labels of the one that started it.
const labelKey = "readinesstest"

var labels atomic.Int64

// nextLabel returns a label that no other rule has.
func nextLabel() string { return strconv.FormatInt(labels.Add(1), 10) }

func setLabel(label string) {
	pprof.SetGoroutineLabels(pprof.WithLabels(context.Background(), pprof.Labels(labelKey, label)))
}

// goroutinesOf returns the stacks of the goroutines with label. It gives them a
// while to end.
func goroutinesOf(label string) string {
	var found string
	eventually(func() bool {
		found = stacksOf(label)
		return found == ""
	})
	return found
}

// eventually tries ok until it is true, or patience is over: nothing tells of
// the end of a goroutine.
func eventually(ok func() bool) {
	end := time.Now().Add(patience)
	for delay := time.Millisecond; !ok() && time.Now().Before(end); delay = min(2*delay, 100*time.Millisecond) {
		time.Sleep(delay)
	}
}

func stacksOf(label string) string {
	var all bytes.Buffer
	pprof.Lookup("goroutine").WriteTo(&all, 1) // a Buffer takes everything
	var found []string
	for stack := range strings.SplitSeq(all.String(), "\n\n") {
		if strings.Contains(stack, fmt.Sprintf("%q:%q", labelKey, label)) {
			found = append(found, stack)
		}
	}
	return strings.Join(found, "\n")
}

// openDescriptors counts this process's, where the system can tell; else it
// returns 0.
func openDescriptors() int {
	entries, err := os.ReadDir("/dev/fd")
	if err != nil {
		return 0
	}
	return len(entries)
}

// moreDescriptors returns how many there are more than before. It gives what is
// being closed a while, unless they are few compared to how many times
// something was done: whatever else goes on in this process may open some too.
func moreDescriptors(before, times int) int {
	more := 0
	eventually(func() bool {
		more = openDescriptors() - before
		return more < times/2
	})
	if more < times/2 {
		return 0
	}
	return more
}
