package launcher

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync/atomic"

	"github.com/podlaunch/podlaunch/logsource"
)

// Follow reads the pod's log, from its first byte, or else from now on. Read
// blocks until there is more. Once the process is gone, or the Pod was released, Read
// returns what was written by then, and then [io.EOF]; [Pod.Done] tells which of the
// two it was. Once ctx is done Read returns what was written by then, and then
// context.Cause(ctx). The caller closes the reader. Follow starts no goroutine.
//
// If the pod is gone, or the Pod was released, when Follow is called, its reader
// returns what is there now, and then io.EOF.
//
// The Log of the launcher reads the log, if it is a [logsource.Refollower]. After
// [Launcher.Attach] that is the Log of the launcher that attached. Otherwise the log
// is a file, and is opened by its path: one that the pod has deleted or moved, or
// that a later pod of the name has displaced, cannot be followed any more
// ([fs.ErrNotExist]). A reader that is open goes on with the file that it has. A log
// that has no path, and whose source is no Refollower, cannot be followed
// ([errors.ErrUnsupported]).
//
// What outlives the pod's process and goes on writing is not waited for.
func (p *Pod) Follow(ctx context.Context, fromStart bool) (io.ReadCloser, error) {
	ctx, end := context.WithCancelCause(ctx)
	if p.watching.Err() != nil {
		end(errOver)
	}
	l := &podLog{end: end, stop: context.AfterFunc(p.watching, func() { end(errOver) })}
	defer func() {
		if l.from == nil { // it has failed, or panics
			l.stop()
			end(nil)
		}
	}()
	var err error
	past := logsource.Past{Name: p.name, Dir: p.dir, ID: p.id, Path: p.logPath, File: p.logFile}
	if l.from, err = logsource.Refollow(ctx, p.source, past, fromStart); err != nil {
		return nil, fmt.Errorf("follow the log of pod %s: %w", printable(p.name, 256), err)
	}
	return l, nil
}

// errOver is why the context of a reader ends with the pod, or by Release. Read returns
// io.EOF for it. It is not io.EOF itself, which other errors wrap too: a stream that was
// cut is not the end of the log.
var errOver = fmt.Errorf("the pod is gone, or was released: %w", io.EOF)

// A podLog is a reader of a pod's log. Its context ends with the pod, by Release, by
// Close, and with the caller's.
type podLog struct {
	from   io.ReadCloser
	end    context.CancelCauseFunc
	stop   func() bool // the pod does not end the context any more
	closed atomic.Bool
}

// Read implements [io.Reader].
func (l *podLog) Read(p []byte) (int, error) {
	n, err := l.from.Read(p)
	if errors.Is(err, errOver) {
		err = io.EOF
	}
	return n, err
}

// Close implements [io.Closer]. It lets go of the pod before it closes the source's
// reader, which may hang. The source's reader is closed once; from the second call on
// the error is [fs.ErrClosed].
func (l *podLog) Close() error {
	if l.closed.Swap(true) {
		return fs.ErrClosed
	}
	l.stop()
	l.end(fs.ErrClosed)
	return l.from.Close()
}
