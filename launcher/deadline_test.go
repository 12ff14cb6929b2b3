//go:build linux

package launcher_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/readiness"
)

// Once the time is over, a strategy's context behaves like a context of package context:
// it says DeadlineExceeded, as does every context that is derived from it. The cause is
// the launch's. If the caller cancels, the context says Canceled instead.
func TestContextOfAStrategy(t *testing.T) {
	shutdown := errors.New("the host shuts down")
	for name, c := range map[string]struct {
		timeout, caller time.Duration // caller: its deadline; 0: none
		cancel          error         // the caller's cause, after a second; nil: it does not cancel
		want            error
		is              error // what the cause is
	}{
		"the launcher's time":  {timeout: 3 * time.Second, want: context.DeadlineExceeded, is: launcher.ErrTimeout},
		"the caller's time":    {timeout: time.Hour, caller: 3 * time.Second, want: context.DeadlineExceeded, is: context.DeadlineExceeded},
		"the caller cancels":   {timeout: time.Hour, cancel: shutdown, want: context.Canceled, is: shutdown},
		"without a time-out":   {timeout: -1, cancel: shutdown, want: context.Canceled, is: shutdown},
		"only the caller's":    {timeout: -1, caller: 3 * time.Second, want: context.DeadlineExceeded, is: context.DeadlineExceeded},
		"the earlier of both":  {timeout: 3 * time.Second, caller: time.Hour, want: context.DeadlineExceeded, is: launcher.ErrTimeout},
		"cancelled before due": {timeout: 3 * time.Second, caller: time.Hour, cancel: shutdown, want: context.Canceled, is: shutdown},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake(t)
				f.l.Timeout = c.timeout
				f.l.Ready = readiness.ProbeFunc(func(ctx context.Context, _ readiness.Target) (readiness.Endpoint, error) {
					type key struct{}
					child, cancel := context.WithCancelCause(context.WithValue(ctx, key{}, 1))
					defer cancel(nil)
					timed, stop := context.WithTimeout(child, 2*time.Hour)
					defer stop()
					<-timed.Done()
					<-ctx.Done()
					for what, ctx := range map[string]context.Context{"ctx": ctx, "a child": child, "a grandchild": timed} {
						if err := ctx.Err(); err != c.want {
							t.Errorf("Err of %s is %v, want %v", what, err, c.want)
						}
						if cause := context.Cause(ctx); !errors.Is(cause, c.is) {
							t.Errorf("the cause of %s is %v, want %v", what, cause, c.is)
						}
					}
					return readiness.Endpoint{}, ctx.Err()
				})
				ctx := t.Context()
				if c.caller > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, c.caller)
					defer cancel()
				}
				if c.cancel != nil {
					var cancel context.CancelCauseFunc
					ctx, cancel = context.WithCancelCause(ctx)
					time.AfterFunc(time.Second, func() { cancel(c.cancel) })
				}
				e := f.mustFail(t, ctx)
				if !errors.Is(e, c.want) || e.Leftover != nil {
					t.Errorf("Launch returned %v", e)
				}
			})
		})
	}
}
