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

// Follow reads the pod's log, from its first byte, or else from now on. Read blocks until
// there is more. When the process is gone, or the Pod was released, Read returns all that
// was written by then, and then [io.EOF]; [Pod.Done] tells which of the two it was. Once
// ctx is done Read returns all that was written by then, and then context.Cause(ctx). The
// caller closes the reader. Follow starts no goroutine.
//
// If the pod is already gone when Follow is called, or the Pod was released, the reader
// returns what the log holds now, and then io.EOF.
//
// The Log of the launcher reads the log, if it is a [logsource.Refollower]. After
// [Launcher.Attach] that is the Log of the launcher that attached. Otherwise the log is a
// file, and Follow opens it by its path. Follow fails with [fs.ErrNotExist] if the pod
// has deleted or moved that file, or a later pod of the name has displaced it. A reader
// that is open goes on with the file that it has. If a log has no path, and its source is
// no Refollower, Follow fails with [errors.ErrUnsupported].
//
// What counts as the log is the file to which the path led when the pod became ready, or
// when Attach was called. If somebody has moved the log before that and made another file
// in its place, as logrotate does without copytruncate, the reader gets that file, to which
// the pod writes nothing.
//
// The log of a private pod is removed with its directory, if it is in there. A reader
// that is open by then still gets all of it.
//
// The reader does not wait for other processes that outlive the pod's process and go on
// writing. It is a [logsource.Lossy]: it leaves out, and counts, what a bounded log
// ([logsource.File.Keep]) has freed.
func (p *Pod) Follow(ctx context.Context, fromStart bool) (io.ReadCloser, error) {
	l, err := p.follow(ctx, fromStart)
	if err != nil {
		return nil, fmt.Errorf("follow the log of pod %s: %w", printable(p.name, 256), err)
	}
	return l, nil
}

// FollowFrom is [Pod.Follow] from a place in the log, which is how many of its bytes lie
// before that: [Pod.Offset] tells one, and who has read the log from its first byte has
// counted another. The error wraps [fs.ErrInvalid] if the log is shorter than that: the
// pod has truncated it.
func (p *Pod) FollowFrom(ctx context.Context, offset int64) (io.ReadCloser, error) {
	if offset < 0 {
		return nil, fmt.Errorf("follow the log of pod %s: %w: the offset is %d, the least is 0", printable(p.name, 256), fs.ErrInvalid, offset)
	}
	l, err := p.follow(ctx, true)
	if err == nil {
		err = l.skip(offset)
	}
	if err != nil {
		return nil, fmt.Errorf("follow the log of pod %s from byte %d: %w", printable(p.name, 256), offset, err)
	}
	return l, nil
}

// Offset returns how far the launch has come in the log, for [Pod.FollowFrom]: what lies
// before it, each byte once, has been delivered, and nothing behind it. It counts
// for Spec.Stderr, if that is set, and moves on while the pod lives; it stays where a
// writer has failed. Without that it counts for Spec.Progress: it is the end of the last
// line that Progress got, or of the ready line. Without both it is the end of the last
// line that the probe has read: the ready line, if there is one. It is 0 for a pod that
// was attached to.
func (p *Pod) Offset() int64 {
	if p.streams != nil && p.streams.stderr != nil {
		return p.streams.stderr.place.Load()
	}
	return p.readTo
}

// follow is Follow.
func (p *Pod) follow(ctx context.Context, fromStart bool) (*podLog, error) {
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
	l.from, err = logsource.Refollow(ctx, p.source, past, fromStart)
	return l, err
}

// A podLog is a reader of a pod's log. Its context ends with the pod, by Release, by
// Close, and with the caller's.
type podLog struct {
	from   io.ReadCloser
	end    context.CancelCauseFunc
	stop   func() bool // the pod does not end the context any more
	closed atomic.Bool
}

// skip leaves out the first n bytes of the log. If that fails l is closed.
func (l *podLog) skip(n int64) (err error) {
	done := false
	defer func() {
		if !done { // also if the reader panics
			l.Close()
		}
	}()
	if seeker, ok := l.from.(io.Seeker); ok {
		_, err = seeker.Seek(n, io.SeekStart)
	} else if got, copyErr := io.CopyN(io.Discard, l.from, n); errors.Is(copyErr, io.EOF) {
		err = fmt.Errorf("%w: it has %d bytes", fs.ErrInvalid, got)
	} else {
		err = copyErr
	}
	done = err == nil
	return err
}

// Read implements [io.Reader].
func (l *podLog) Read(p []byte) (int, error) {
	n, err := l.from.Read(p)
	if errors.Is(err, errOver) {
		err = io.EOF
	}
	return n, err
}

// Lost implements [logsource.Lossy], if the source's reader does. Else nothing is lost.
func (l *podLog) Lost() int64 {
	if lossy, ok := l.from.(logsource.Lossy); ok {
		return lossy.Lost()
	}
	return 0
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
