package readiness

import (
	"context"
	"errors"
	"runtime"
)

// A result is how one of several probes ended.
type result struct {
	index    int
	endpoint Endpoint
	err      error
	crash    *crash // it did not return
}

// A crash is a panic, or a runtime.Goexit, that has to go on in the goroutine that
// called Wait.
type crash struct{ value any } // nil for Goexit

func (c *crash) resume() {
	if c.value == nil {
		runtime.Goexit()
	}
	panic(c.value)
}

// errSettled is why the wait of a probe ends whose outcome matters no more.
var errSettled = errors.New("another probe has decided")

// waitAll waits for probes, each in a goroutine of its own, until the first result
// that settles it, and then ends the others. It joins them all. It returns their
// results, in order, and the index of the result that settled it, or -1. If a probe
// panics, waitAll panics.
func waitAll(ctx context.Context, probes []Probe, t Target, settles func(result) bool) (results []result, settled int) {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	done := make(chan result, len(probes)) // room for all: no goroutine waits for us
	for i, p := range probes {
		go func() { waitOne(ctx, i, p, t, done) }()
	}
	results, settled = make([]result, len(probes)), -1
	var crashed *crash
	for range probes {
		r := <-done
		results[r.index] = r
		switch {
		case r.crash != nil:
			crashed = r.crash
			stop(errSettled)
		case settled < 0 && settles(r):
			settled = r.index
			stop(errSettled)
		}
	}
	if crashed != nil {
		crashed.resume()
	}
	return results, settled
}

// waitOne sends exactly one result, also if p panics or calls runtime.Goexit.
func waitOne(ctx context.Context, index int, p Probe, t Target, done chan<- result) {
	r := result{index: index}
	returned := false
	defer func() {
		if !returned {
			r.crash = &crash{recover()}
		}
		done <- r
	}()
	r.endpoint, r.err = p.Wait(ctx, t)
	returned = true
}
