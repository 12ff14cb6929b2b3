package launcher

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"testing/synctest"
	"time"
)

// Contexts that are derived from a launch's cost no goroutine, also where a value
// is between them.
func TestDeadlineNeedsNoGoroutines(t *testing.T) {
	d := newDeadline(t.Context(), time.Hour, time.Hour)
	defer d.release()
	type key struct{}
	before := runtime.NumGoroutine()
	for range 100 {
		ctx, cancel := context.WithCancel(context.WithValue(d, key{}, "span"))
		defer cancel()
		_, cancel = context.WithTimeout(ctx, time.Hour)
		defer cancel()
	}
	if n := runtime.NumGoroutine() - before; n > 10 {
		t.Errorf("100 derived contexts have %d goroutines", n)
	}
}

// Whichever of the two ends comes first, the context's error and its cause are of
// the same one.
func TestDeadlineAndItsCauseAgree(t *testing.T) {
	caller, cancel := context.WithCancelCause(t.Context())
	d := newDeadline(caller, time.Hour, time.Hour)
	defer d.release()
	d.deaf() // the clock is faster
	shutdown := errors.New("the host shuts down")
	cancel(shutdown)
	d.at = time.Now()
	d.expire()
	if err, cause := d.Err(), context.Cause(d); err != context.Canceled || cause != shutdown {
		t.Errorf("it ended with %v, because of: %v", err, cause)
	}
}

// A context derived from a launch's context ends with it, with the same error and the
// same cause, whether the time is over or the caller ends it.
func TestDeadlineOfDerivedContexts(t *testing.T) {
	shutdown := errors.New("the host shuts down")
	type key struct{}
	for name, derive := range map[string]func(context.Context) (context.Context, context.CancelFunc){
		"itself": func(ctx context.Context) (context.Context, context.CancelFunc) { return ctx, func() {} },
		"value": func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithValue(ctx, key{}, 1), func() {}
		},
		"cancel": context.WithCancel,
		"timeout": func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, time.Hour)
		},
		"cancel of value": func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithCancel(context.WithValue(ctx, key{}, 1))
		},
		"another launch": func(ctx context.Context) (context.Context, context.CancelFunc) {
			d := newDeadline(ctx, time.Hour, time.Hour)
			return d, d.release
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				caller, cancel := context.WithCancelCause(t.Context())
				d := newDeadline(caller, time.Second, time.Second)
				defer d.release()
				ctx, free := derive(d)
				defer free()
				<-ctx.Done()
				if err, cause := ctx.Err(), context.Cause(ctx); err != context.DeadlineExceeded || !errors.Is(cause, ErrTimeout) {
					t.Errorf("out of time: it ended with %v, because of: %v", err, cause)
				}
				cancel(nil)

				caller, cancel = context.WithCancelCause(t.Context())
				d = newDeadline(caller, time.Second, time.Second)
				defer d.release()
				ctx, free = derive(d)
				defer free()
				cancel(shutdown)
				<-ctx.Done()
				if err, cause := ctx.Err(), context.Cause(ctx); err != context.Canceled || cause != shutdown {
					t.Errorf("cancelled: it ended with %v, because of: %v", err, cause)
				}
			})
		})
	}
}
