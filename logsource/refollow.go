package logsource

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/google/uuid"
)

// A Past is what a program knows later of a launch whose log was opened. The program may
// be another one, which has attached to the pod.
type Past struct {
	Name string    // the pod's
	Dir  string    // the pod's runtime directory; it may be gone
	ID   uuid.UUID // of the launch
	Path string    // Log.Path; empty if the log has none

	// File is what Path led to when the pod became ready, or when the program
	// attached to it. A file that is not the same is not the log. Zero if nothing was
	// there: then any file at Path is taken for the log.
	File FileID
}

// A Refollower is a [Source] that can follow the log of a launch later, without the
// [Log] that Open returned, and in another program. It is optional; [Refollow] says
// what happens without it.
type Refollower interface {
	// Refollow reads the log that Open prepared for the launch past, under the
	// contract of [Log.Follow]: from its first byte, or else what is written after
	// Refollow was called. If ctx is done from the start, the reader returns what is
	// there, and then context.Cause(ctx).
	//
	// The error wraps [fs.ErrNotExist] if there is no such log, or not any more. The
	// log of another launch of the name does not count. The error wraps
	// [errors.ErrUnsupported] if this log cannot be followed later. Any number of
	// goroutines may call Refollow. When it fails it leaves nothing open.
	Refollow(ctx context.Context, past Past, fromStart bool) (io.ReadCloser, error)
}

// Refollow follows the log of the launch past, which s opened, under the contract of
// [Refollower]. If s is no Refollower, Refollow follows its logs as files, by their
// Path, as [File.Refollow] does.
func Refollow(ctx context.Context, s Source, past Past, fromStart bool) (io.ReadCloser, error) {
	refollower, ok := s.(Refollower)
	if !ok {
		refollower = File{}
	}
	r, err := refollower.Refollow(ctx, past, fromStart)
	switch {
	case err != nil:
		return nil, err
	case r == nil:
		return nil, errors.New("the log source returned neither a reader nor an error")
	}
	return r, nil
}

var _ Refollower = File{}

// Refollow implements [Refollower]. It opens past.Path, checks that the open file is
// past.File, and reads it; the Name of f does not matter. The error wraps
// [fs.ErrNotExist] if past.Path leads elsewhere by now, also to something that is no
// regular file ([ErrNotRegular]). It wraps [errors.ErrUnsupported] if past.Path is empty.
func (f File) Refollow(ctx context.Context, past Past, fromStart bool) (io.ReadCloser, error) {
	if err := checkKeep(f.Keep); err != nil {
		return nil, err
	}
	if past.Path == "" {
		return nil, fmt.Errorf("the log has no path here: %w", errors.ErrUnsupported)
	}
	file, err := openRegular(past.Path)
	switch {
	case err == nil:
	case errors.Is(err, ErrNotRegular) && past.File != FileID{}:
		return nil, fmt.Errorf("%w: %w", fs.ErrNotExist, err)
	default:
		return nil, err
	}
	if err := past.mustBe(file); err != nil {
		file.Close()
		return nil, err
	}
	var freer *freer
	if f.Keep > 0 {
		freer = reopenFreer(file, f.Keep)
	}
	return followOpen(ctx, file, f.Poll, freer, fromStart)
}

// mustBe makes sure that file is p.File.
func (p Past) mustBe(file *os.File) error {
	if p.File == (FileID{}) {
		return nil
	}
	now, err := identifyOpen(file)
	if err == nil && now != p.File {
		err = &fs.PathError{Op: "follow", Path: p.Path, Err: fmt.Errorf("another file has the place of the pod's log, which was moved or deleted: %w", fs.ErrNotExist)}
	}
	return err
}

// Follow follows the file at path under the contract of [Log.Follow]: from its first
// byte, or else from its present end. Any program may have written the file, at any
// time. It must be a regular file, and no symbolic link to one; otherwise the error is
// [ErrNotRegular]. The reader keeps the file open until the reader is closed.
func Follow(ctx context.Context, path string, fromStart bool) (io.ReadCloser, error) {
	file, err := openRegular(path)
	if err != nil {
		return nil, err
	}
	return followOpen(ctx, file, 0, nil, fromStart)
}

// openRegular opens the regular file at path for reading. It does not wait for the other
// end of a FIFO, and follows no symbolic link.
func openRegular(path string) (*os.File, error) {
	file, err := openNoFollow(path)
	if err != nil {
		if fi, lstatErr := os.Lstat(path); lstatErr == nil && fi.Mode()&(fs.ModeSymlink|fs.ModeSocket) != 0 {
			err = fmt.Errorf("%w: %q is a %s", ErrNotRegular, path, kind(fi.Mode()))
		}
		return nil, err
	}
	fi, err := file.Stat()
	if err == nil && !fi.Mode().IsRegular() {
		err = fmt.Errorf("%w: %q is a %s", ErrNotRegular, path, kind(fi.Mode()))
	}
	if err != nil {
		file.Close()
		return nil, err
	}
	return file, nil
}

// followOpen follows file, which is the reader's from now on, and so is freer.
func followOpen(ctx context.Context, file *os.File, poll time.Duration, freer *freer, fromStart bool) (io.ReadCloser, error) {
	f := newFollowed(file, poll)
	f.freer = freer
	defer f.release(nil) // the reader has its own share
	r, err := f.newReader(ctx, true)
	if err != nil {
		return nil, err
	}
	if !fromStart {
		if err := r.SkipToLast(0); err != nil {
			r.Close()
			return nil, err
		}
	}
	return r, nil
}
