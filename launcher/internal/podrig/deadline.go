//go:build linux

package podrig

import (
	"context"
	"os"
	"testing"
	"time"
)

// Ample is a deadline for what should happen long before it. It only ends a
// test that hangs.
const Ample = time.Minute

// Short is a deadline for launches that are meant to run into it.
const Short = 300 * time.Millisecond

// Late is how long after its deadline a launch may return. It is far more than what is
// promised, for a machine that is busy, and less than [Ample]: what takes no notice of its
// deadline is still found.
const Late = 30 * time.Second

// A Deadline is a context whose deadline passes when the test says so, so that
// no test depends on how fast a pod starts.
type Deadline struct {
	context.Context
	done chan struct{} // closed by Pass, after At is set
	At   time.Time     // when it passed
}

// NewDeadline returns a deadline that has not passed.
func NewDeadline() *Deadline {
	return &Deadline{Context: context.Background(), done: make(chan struct{})}
}

// Pass makes the deadline pass. It is called once.
func (d *Deadline) Pass() {
	d.At = time.Now()
	close(d.done)
}

// PassAt makes the deadline pass when a pod takes the step "notify fifo". The
// goroutine that waits for it ends then.
func (d *Deadline) PassAt(t *testing.T, fifo string) {
	go func() {
		f, err := os.Open(fifo) // returns once the pod has opened its end
		if err != nil {
			t.Error(err)
		} else {
			f.Close()
		}
		d.Pass()
	}()
}

// Done implements [context.Context].
func (d *Deadline) Done() <-chan struct{} { return d.done }

// Err implements [context.Context].
func (d *Deadline) Err() error {
	select {
	case <-d.done:
		return context.DeadlineExceeded
	default:
		return nil
	}
}
