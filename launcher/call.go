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
// goroutine: the one that called us.
type crash struct {
	value  any // of the panic; nil for Goexit
	goexit bool
	stack  []byte // where it came from
}

// resume lets it go on here.
func (c *crash) resume() {
	if c.goexit {
		runtime.Goexit()
	}
	panic(c.value)
}

// spawn runs f in a goroutine of its own. Exactly one outcome is sent on the
// channel, which has room for it, whatever f does; so the goroutine ends with
// f, whether or not anybody receives.
func spawn[T any](f func() (T, error)) <-chan outcome[T] {
	done := make(chan outcome[T], 1)
	go func() {
		var o outcome[T]
		returned := false
		defer func() {
			if !returned {
				v := recover()
				o.crash = &crash{value: v, goexit: v == nil, stack: debug.Stack()}
			}
			done <- o
		}()
		o.value, o.err = f()
		returned = true
	}()
	return done
}

// within receives from done, but not later than patience after ctx is done; ok
// is false if nothing came by then.
func within[T any](ctx context.Context, patience time.Duration, done <-chan T) (v T, ok bool) {
	select {
	case v = <-done:
		return v, true
	case <-ctx.Done():
		return receive(done, patience)
	}
}

// receive receives from done, which may be closed instead, but not later than
// patience from now.
func receive[T any](done <-chan T, patience time.Duration) (v T, ok bool) {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case v = <-done:
		return v, true
	case <-timer.C:
		return v, false
	}
}
