package logsource

import (
	"context"
	"math"
	"time"
)

// tend is the Log's Tend.
func (f *followed) tend(ctx context.Context) (run func() error, err error) {
	r, err := f.newReader(ctx, false)
	if err != nil {
		return nil, err
	}
	r.read.Store(math.MaxInt64) // it has no need of anything
	return func() error {
		defer r.Close()
		for ctx.Err() == nil {
			if err := f.free(); err != nil {
				return err
			}
			r.waitLong()
		}
		return nil
	}, nil
}

// waitLong returns when the file has changed, or ctx is done. It polls only if there is
// no watcher.
func (r *reader) waitLong() {
	var look <-chan time.Time
	if r.from.interval(0) < safetyPoll {
		timer := time.NewTimer(safetyPoll)
		defer timer.Stop()
		look = timer.C
	}
	select {
	case <-r.wake:
	case <-look:
	case <-r.ctx.Done():
	}
}
