package launcher

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/podlaunch/podlaunch/logsource"
)

// Follow reads the pod's log, from its first byte, or else from now on. Read
// blocks until there is more. When the process is gone and all that it wrote was
// read, it returns [io.EOF]; once ctx is done, context.Cause(ctx), after what
// was written by then. The caller closes the reader.
//
// The log is opened by its path, so one that the pod has deleted or moved, or
// that a later pod of the name has displaced, cannot be followed any more
// ([fs.ErrNotExist]); a reader that is open goes on with the file that it has.
// What outlives the pod's process and goes on writing is not waited for.
func (p *Pod) Follow(ctx context.Context, fromStart bool) (io.ReadCloser, error) {
	if p.logPath == "" {
		return nil, fmt.Errorf("follow the log of pod %s: it has none here: %w", printable(p.name, 256), errors.ErrUnsupported)
	}
	ctx, end := context.WithCancelCause(ctx)
	r, err := p.follower(ctx, fromStart)
	if err != nil {
		end(nil)
		return nil, fmt.Errorf("follow the log of pod %s: %w", printable(p.name, 256), err)
	}
	go func() {
		// Ends with the process, or when the reader is closed or its ctx done.
		select {
		case <-p.done:
			end(io.EOF)
		case <-ctx.Done():
		}
	}()
	return &podLog{r, end}, nil
}

// follower opens the log, and makes sure that it is this pod's: a later pod of
// the name has another one at the same path.
func (p *Pod) follower(ctx context.Context, fromStart bool) (io.ReadCloser, error) {
	fi, err := os.Stat(p.logPath)
	if err == nil && p.logFile != nil && !os.SameFile(fi, p.logFile) {
		err = &fs.PathError{Op: "follow", Path: p.logPath, Err: fmt.Errorf("it is another pod's log by now: %w", fs.ErrNotExist)}
	}
	if err != nil {
		return nil, err
	}
	return logsource.Follow(ctx, p.logPath, fromStart)
}

// A podLog is a reader that ends its context when it is closed.
type podLog struct {
	io.ReadCloser
	end context.CancelCauseFunc
}

func (l *podLog) Close() error {
	defer l.end(fs.ErrClosed)
	return l.ReadCloser.Close()
}
