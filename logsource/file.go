package logsource

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"
)

const (
	kept    = ".1" // appended to the name of the log before
	nameMax = 255  // bytes in the name of a file
)

// DefaultName is the name of the log in a pod's runtime directory.
const DefaultName = "stderr.log"

// ErrNotRegular says that something other than an ordinary file stands where a
// log should be: a symbolic link, a FIFO, a directory, a device. It is left as
// it is, for writing to it, or through it, could harm somebody.
var ErrNotRegular = errors.New("not a regular file")

// File is a log that is a file in the pod's runtime directory. The zero value
// is ready to use. Use does not change a File, and any number of launches may
// share one.
//
// Every launch gets a file of its own: mode 0600, opened for appending, a new
// inode. So an earlier pod of the name that still writes does not write into it.
// The file of the launch before is kept with ".1" appended; older files are gone.
//
// Readers read through a descriptor that was opened with the log, so they read a
// log that the pod deletes, renames or replaces to its end. When the pod truncates
// the log, reading goes on at the new beginning, and output that no reader had read
// yet is lost. Truncation is detected by size: a file that is truncated and grows
// past the read offset between two reads is read on from that offset. After ctx is
// done, [Log.Follow]'s readers deliver what the file held at that moment.
type File struct {
	// Name of the file, without a directory. Empty means [DefaultName].
	Name string

	// Keep, if positive, bounds the log: the last Keep bytes stay, and older bytes are
	// freed in place while the pod goes on writing. The file's size and every offset stay.
	// The file may hold more than Keep bytes, for freeing comes late: an eighth of Keep,
	// at least 64 KiB, and what the pod writes meanwhile. Zero keeps all.
	//
	// Two programs free a log's bytes: the launcher's, from when the pod is ready until the
	// program ends or releases it ([Log.Tend]), and a program that reads the log by [File.Refollow] and may write to
	// it. Each keeps what its own readers of the same Log have not read yet, so a slow
	// reader delays the freeing. A reader that comes to freed bytes leaves them out, and
	// counts them ([Lossy]); it never returns NULs for them. It leaves out a hole that the
	// pod made itself, as by ftruncate(2), in the same way.
	//
	// Open fails where the filesystem cannot free bytes in place, and on systems other
	// than Linux. The error wraps [errors.ErrUnsupported].
	Keep int64

	// Poll, if positive, makes followers look at the file at this interval
	// instead of waiting for the system to tell of changes. For filesystems
	// that tell nothing, such as NFS when another machine writes. Zero is
	// right for everything else. On Windows zero polls too, at an interval that grows
	// with the silence of the log, up to 50 ms.
	Poll time.Duration
}

var _ Source = File{}

// Open implements [Source]. Its error wraps [ErrNotRegular], or the system's
// own.
func (f File) Open(ctx context.Context, launch Launch) (*Log, error) {
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	name := f.Name
	if name == "" {
		name = DefaultName
	}
	if name != filepath.Base(name) || name == "." || name == ".." {
		return nil, fmt.Errorf("log file name %q: it must be a name without a directory", name)
	}
	if limit := nameMax - len(kept); len(name) > limit {
		// The next launch could not keep it.
		return nil, fmt.Errorf("log file name %.32q…: it has %d bytes, the limit is %d", name, len(name), limit)
	}
	if err := checkKeep(f.Keep); err != nil {
		return nil, err
	}
	root := launch.Root
	if root == nil {
		var err error
		if root, err = openDir(launch.Dir); err != nil {
			return nil, fmt.Errorf("open the log's directory: %w", err)
		}
		defer root.Close()
	}
	path := filepath.Join(launch.Dir, name)
	sink, r, err := create(root, name)
	if err != nil {
		return nil, fmt.Errorf("open the log %q: %w", path, err)
	}
	file := newFollowed(r, f.Poll)
	release := sync.OnceValue(func() error { return file.release(nil) })
	log := &Log{Sink: sink, Path: path, Follow: file.follow, Close: release}
	if f.Keep > 0 {
		if file.freer, err = newFreer(sink, f.Keep); err != nil {
			sink.Close()
			release()
			return nil, fmt.Errorf("open the log %q: %w", path, err)
		}
		log.Tend = file.tend
	}
	return log, nil
}

// openDir opens the directory dir, and none that a symbolic link in its place
// leads to.
func openDir(dir string) (*os.Root, error) {
	there, err := os.Lstat(dir)
	if err == nil && there.Mode()&fs.ModeSymlink != 0 {
		err = fmt.Errorf("%q is a symbolic link; remove it", dir)
	}
	if err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	here, err := root.Stat(".")
	if err == nil && !os.SameFile(there, here) {
		err = fmt.Errorf("%q was replaced while it was being opened", dir)
	}
	if err != nil {
		root.Close()
		return nil, err
	}
	return root, nil
}

// errOutrun says that another launch of the name has moved our file before we
// had opened it twice.
var errOutrun = errors.New("other launches kept replacing it while it was being opened")

// create makes the file name below root and opens it twice, for writing and
// for reading. It keeps the file that was there first.
func create(root *os.Root, name string) (w, r *os.File, err error) {
	// Launches of one name may be here at the same time; each creates its own
	// file, and neither ever opens the other's. The launch that loses a round keeps
	// the winner's file and tries again.
	for range 1000 {
		if err := keep(root, name); err != nil {
			return nil, nil, err
		}
		// O_EXCL does not follow a symbolic link either (open(2)).
		w, err = root.OpenFile(name, os.O_WRONLY|os.O_APPEND|os.O_CREATE|os.O_EXCL|nonblock, 0o600)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return nil, nil, err
		}
		if err = block(w); err == nil {
			r, err = reopen(root, name, w)
		}
		if err == nil {
			return w, r, nil
		}
		w.Close()
		if !errors.Is(err, errOutrun) && !errors.Is(err, fs.ErrNotExist) {
			return nil, nil, err
		}
	}
	return nil, nil, errOutrun
}

// keep moves the file of an earlier launch out of the way.
func keep(root *os.Root, name string) error {
	log, err := lstatRegular(root, name)
	if log == nil {
		return err
	}
	before, err := lstatRegular(root, name+kept)
	if err != nil {
		return err
	}
	if before != nil && os.SameFile(log, before) {
		// Of two names of one file a rename removes neither (rename(2)).
		if err := root.Remove(name + kept); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if err := replace(root, name, name+kept); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// lstatRegular returns nil if nothing is there, and an error if something is
// that is not a regular file.
func lstatRegular(root *os.Root, name string) (fs.FileInfo, error) {
	fi, err := root.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, err
	case !fi.Mode().IsRegular():
		return nil, fmt.Errorf("%w: %q is a %s; remove it", ErrNotRegular, name, kind(fi.Mode()))
	}
	return fi, nil
}

// reopen opens the file that w is for reading.
func reopen(root *os.Root, name string, w *os.File) (*os.File, error) {
	wi, err := w.Stat()
	if err != nil {
		return nil, err
	}
	if wi.Mode().Perm() != 0o600 { // a umask of 0777 has left it without any
		if err := w.Chmod(0o600); err != nil {
			return nil, err
		}
	}
	r, err := root.OpenFile(name, os.O_RDONLY|nonblock, 0)
	if err != nil {
		return nil, err
	}
	ri, err := r.Stat()
	if err != nil {
		r.Close()
		return nil, err
	}
	if !os.SameFile(wi, ri) {
		r.Close()
		return nil, errOutrun
	}
	return r, nil
}

// kind names a file's type for a person.
func kind(m fs.FileMode) string {
	switch {
	case m.IsDir():
		return "directory"
	case m&fs.ModeSymlink != 0:
		return "symbolic link"
	case m&fs.ModeNamedPipe != 0:
		return "FIFO"
	case m&fs.ModeSocket != 0:
		return "socket"
	case m&fs.ModeDevice != 0:
		return "device"
	}
	return "special file (" + m.String() + ")"
}
