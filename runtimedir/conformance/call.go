package conformance

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	// Patience ends a rule that hangs: no call of it begins or ends for so long.
	Patience = time.Minute

	// Soon is how long an event may take that a test cannot wait for: a goroutine
	// ends, another process writes a file.
	Soon = 5 * time.Second

	// Moment is how long a rule looks on where nothing must happen.
	Moment = 50 * time.Millisecond
)

// ErrHangs is wrapped by the error of a Guard whose function hangs.
var ErrHangs = errors.New("it hangs")

// Calls are the calls into the tested code that have not returned. The zero value is
// ready to use; do not copy it after the first use. Any number of goroutines may call
// its methods.
type Calls struct {
	mu      sync.Mutex
	running map[string]int
	changes int
}

// Guard runs f in a goroutine of its own and returns its error. If f panics or ends its
// goroutine, Guard returns an error that says so and blames what. If f hangs, Guard
// leaves the goroutine behind.
func (c *Calls) Guard(what string, f func() error) error {
	var err error
	call := Go(what, func() { err = f() })
	for before := c.total(); !call.Within(Patience); {
		now := c.total()
		if now != before {
			before = now
			continue
		}
		if pending := c.pending(); pending != "" {
			return fmt.Errorf("%w: for %v there was no end of %s", ErrHangs, Patience, pending)
		}
		return fmt.Errorf("%w: there is no end after %v", ErrHangs, Patience)
	}
	if call.crash != nil {
		return call.crash
	}
	return err
}

// Begin notes a call; the function notes its end.
func (c *Calls) Begin(what string) (end func()) {
	c.add(what, 1)
	return func() { c.add(what, -1) }
}

func (c *Calls) add(what string, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.running == nil {
		c.running = make(map[string]int)
	}
	c.running[what] += n
	c.changes++
}

// total changes with every call, and with its end.
func (c *Calls) total() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.changes
}

// pending names them.
func (c *Calls) pending() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var names []string
	for what, n := range c.running {
		if n > 0 {
			names = append(names, what)
		}
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

// A Call is a call of a function that may hang, in a goroutine of its own.
type Call struct {
	what  string
	began chan struct{} // closed before the function is called
	done  chan struct{} // closed when it has returned
	crash error         // it has not returned as it should
}

// Go calls f in a goroutine. what names it in errors.
func Go(what string, f func()) *Call {
	c := &Call{what: what, began: make(chan struct{}), done: make(chan struct{})}
	go func() {
		defer close(c.done)
		c.crash = fmt.Errorf("%s has ended the goroutine that called it (by t.FailNow?)", what)
		defer func() {
			if v := recover(); v != nil {
				c.crash = fmt.Errorf("%s panicked: %v\n%s", what, v, debug.Stack())
			}
		}()
		close(c.began)
		f()
		c.crash = nil
	}()
	return c
}

// Join waits for the call to return. The error says that it did not within d,
// that it panicked, or that it has ended its goroutine.
func (c *Call) Join(d time.Duration) error {
	if !c.Within(d) {
		return fmt.Errorf("%s has not returned after %v", c.what, d)
	}
	return c.crash
}

// Within reports whether the call has returned after d. The time d begins when the call
// is made.
func (c *Call) Within(d time.Duration) bool {
	<-c.began
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-c.done:
		return true
	case <-timer.C:
	}
	select {
	case <-c.done: // both, after a standstill
		return true
	default:
		return false
	}
}

// AtOnce calls f for each number below n, in n goroutines that begin together, and
// returns the first error. what is blamed for a panic, as Guard does.
func AtOnce(what string, n int, f func(i int) error) error {
	begin, errs := make(chan struct{}), make(chan error)
	for i := range n {
		go func() {
			<-begin
			errs <- new(Calls).Guard(what, func() error { return f(i) })
		}()
	}
	close(begin)
	var first error
	for range n {
		if err := <-errs; first == nil {
			first = err
		}
	}
	return first
}

// ErrStopped is the cause of contexts that a rule ends.
var ErrStopped = errors.New("the cause that the rule has given")

// Stopped returns a context that was cancelled with [ErrStopped].
func Stopped() context.Context {
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(ErrStopped)
	return ctx
}

// Eventually tries ok until it is true, or d is over, and returns what it was
// last. It is for what nothing tells of: the end of a goroutine.
func Eventually(d time.Duration, ok func() bool) bool {
	end := time.Now().Add(d)
	for delay := time.Millisecond; ; delay = min(2*delay, 100*time.Millisecond) {
		if ok() {
			return true
		}
		if !time.Now().Before(end) {
			return false
		}
		time.Sleep(delay)
	}
}
