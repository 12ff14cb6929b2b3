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

// A crash is a panic, or a runtime.Goexit, that has to go on in another
// goroutine: in the end in the one that called us.
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

// spawn runs f in a goroutine of its own. Exactly one outcome is sent on the
// channel, which has room for it, whatever f does. The goroutine ends with f,
// and waits for nobody to receive.
func spawn[T any](f func() (T, error)) <-chan outcome[T] {
	done := make(chan outcome[T], 1)
	go func() {
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
	}()
	return done
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
