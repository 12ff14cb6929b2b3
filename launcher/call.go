package launcher

import (
	"context"
	"runtime"
	"runtime/debug"
	"time"
)

// An outcome is how a function that ran in a goroutine of its own ended.
type outcome[T any] struct {
	value T
	err   error
	crash *crash // it did not return
}

// A crash is a panic or a runtime.Goexit that has to continue in another goroutine, and
// in the end in the goroutine of our caller.
type crash struct {
	value  any // of the panic; nil for Goexit
	goexit bool
	stack  []byte // where it came from
}

// pass lets c go on in this goroutine, which spawn has started: spawn hands on
// the same crash, with the stack that it had at first.
func (c *crash) pass() { panic(c) }

// resume lets c go on here, in the goroutine of our caller.
func (c *crash) resume() {
	if c.goexit {
		runtime.Goexit()
	}
	panic(c.value)
}

// spawn runs f in a goroutine of its own. It sends exactly one outcome on the channel,
// even if f panics or calls runtime.Goexit. The channel has room for the outcome, so the
// goroutine ends with f and does not wait for a receiver.
func spawn[T any](f func() (T, error)) <-chan outcome[T] {
	done := make(chan outcome[T], 1)
	go send(f, done)
	return done
}

// send calls f and sends the outcome on done, even if f panics or calls runtime.Goexit.
func send[T any](f func() (T, error), done chan<- outcome[T]) {
	var o outcome[T]
	returned := false
	defer func() {
		if !returned {
			o.crash = crashed(recover())
		}
		done <- o
	}()
	o.value, o.err = f()
	returned = true
}

// A worker is a goroutine that runs one function after the other: beginning a goroutine,
// and growing its stack, takes as long as several system calls. It belongs to one
// goroutine, which gives it work. The zero value is ready to use.
type worker struct {
	tasks chan func() // nil: there is no goroutine
}

// spawnOn is spawn in the goroutine of w, which has to be idle. Once the outcome was sent,
// the goroutine calls each of then; also after a panic or runtime.Goexit.
func spawnOn[T any](w *worker, f func() (T, error), then ...func()) <-chan outcome[T] {
	done := make(chan outcome[T], 1)
	if w.tasks == nil {
		w.tasks = make(chan func(), 1)
		go work(w.tasks)
	}
	w.tasks <- func() {
		for _, last := range then {
			defer last()
		}
		send(f, done)
	}
	return done
}

// work runs tasks until there can be no more.
func work(tasks <-chan func()) {
	for task := range tasks {
		task()
	}
}

// growStack gives a goroutine that has just begun a stack of 8 KiB, for frames of 1, or of 16
// KiB, for frames of 2. It would begin with 2 KiB, and the runtime double that several times,
// each time with all that is on it to be moved: that took a twentieth of a launch's processor
// time, and takes half of it now.
//
//go:noinline
func growStack(frames int) byte {
	var room [4 << 10]byte // with what the frame needs besides, two of them are more than 8 KiB
	if frames > 1 {
		room[frames] = growStack(frames - 1)
	}
	return room[frames]
}

// leave lets the goroutine of w end, with what it is doing. More work has another one.
func (w *worker) leave() {
	if w.tasks != nil {
		close(w.tasks)
		w.tasks = nil
	}
}

// crashed returns the crash that v, which recover has returned, stands for.
func crashed(v any) *crash {
	if c, ok := v.(*crash); ok {
		return c
	}
	return &crash{value: v, goexit: v == nil, stack: debug.Stack()}
}

// within receives from done, but not later than bound after ctx is done. It
// reports whether something came by then.
func within[T any](ctx context.Context, bound time.Duration, done <-chan T) (v T, ok bool) {
	select {
	case v = <-done:
		return v, true
	case <-ctx.Done():
		return receive(done, bound)
	}
}

// receive receives from done, which may be closed instead, but not later than
// bound from now. It reports whether something came by then.
func receive[T any](done <-chan T, bound time.Duration) (v T, ok bool) {
	timer := time.NewTimer(bound)
	defer timer.Stop()
	select {
	case v = <-done:
		return v, true
	case <-timer.C:
		return v, false
	}
}

// receiveOr waits until done is closed, and reports whether that was before ctx was done.
func receiveOr(ctx context.Context, done <-chan struct{}) bool {
	select {
	case <-done:
		return true
	case <-ctx.Done():
		return isDone(done)
	}
}

// isDone reports whether c, from which nobody ever receives a value, is closed.
func isDone(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
