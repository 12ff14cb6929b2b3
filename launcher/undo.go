package launcher

import (
	"errors"
	"fmt"
	"math"
	"time"
)

const (
	// patience is how long a strategy has, once the launch is over, to return
	// what it is still doing. After that it is left to itself, and named in
	// the error.
	patience = 400 * time.Millisecond

	// killPatience is how long the processes of a launch that failed may take
	// to go after SIGKILL. A process does not notice SIGKILL while it is in an
	// uninterruptible system call; any other is gone in a few milliseconds,
	// also on a machine that is very busy.
	killPatience = 2 * time.Second
)

// withGrace returns how long a grace takes, and then more. A grace that is not positive is
// none, and the sum is a Duration, however long the grace is.
func withGrace(grace, more time.Duration) time.Duration {
	return min(max(grace, 0), math.MaxInt64-more) + more
}

// An undoStack is what a launch has made: the locks, the log, what the probe needs, the
// process. Each step adds what undoes it. If the launch fails, panics or is
// cancelled, undo runs all of that; once the pod is recorded as ready, keep
// drops it. The zero value has made nothing. One goroutine uses it at a time.
type undoStack struct {
	undos []undo
	late  func(*crash) // gets a panic of what was left to itself
}

// An undo takes back one thing that a launch has made.
type undo struct {
	what  string        // it was not done; for Error.Leftover
	bound time.Duration // how long it may take
	do    func() error  // the error says what is left
}

// add notes that do undoes what has just been made, within patience; what says
// what is left if do does not return.
func (m *undoStack) add(what string, do func() error) { m.addSlow(patience, what, do) }

// addSlow is add for a do that may take until bound.
func (m *undoStack) addSlow(bound time.Duration, what string, do func() error) {
	m.undos = append(m.undos, undo{what, bound, do})
}

// keep drops all of it: what was made stays.
func (m *undoStack) keep() { m.undos = nil }

// undo takes back what was made, the last thing first. What does not return is
// left to itself, and what panics does not keep the rest from being undone. It
// returns the first panic there was, and what is left. A second undo does
// nothing.
func (m *undoStack) undo() (first *crash, left error) {
	for len(m.undos) > 0 {
		last := m.undos[len(m.undos)-1]
		m.undos = m.undos[:len(m.undos)-1]
		undoing := spawn(func() (struct{}, error) { return struct{}{}, last.do() })
		o, ok := receive(undoing, last.bound)
		switch {
		case !ok:
			go func() { // ends with last.do
				if o := <-undoing; o.crash != nil {
					m.late(o.crash)
				}
			}()
			left = errors.Join(left, fmt.Errorf("%s: it has not returned", last.what))
		case o.crash == nil:
			left = errors.Join(left, o.err)
		case first == nil:
			first = o.crash
		}
	}
	return first, left
}
