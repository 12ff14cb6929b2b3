package readiness

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// An oldFiles is what was at some paths before the pod was started, by path. Nil knows of
// nothing.
type oldFiles map[string]fs.FileInfo

// errNotYet marks what is wrong with a file that may still become right.
var errNotYet = errors.New("not ready")

// whatIsAt returns what is at paths, which the probe called what waits for.
func whatIsAt(what string, paths []string) (oldFiles, error) {
	old := make(oldFiles)
	for _, path := range paths {
		fi, err := os.Stat(path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("readiness.%s.Path: %w", what, err)
		}
		old[path] = fi
	}
	return old, nil
}

// isOld returns an error, which wraps errNotYet, if fi, which is at path now, is what was
// there before the start.
func (o oldFiles) isOld(path string, fi fs.FileInfo) error {
	old := o[path]
	if old != nil && os.SameFile(old, fi) && fi.ModTime().Equal(old.ModTime()) && fi.Size() == old.Size() {
		return fmt.Errorf("%s is %w: it is the one that was there before the pod was started", path, errNotYet)
	}
	return nil
}

// read returns what the file at path begins with. The error wraps errNotYet if it is what was
// there before the start.
func (o oldFiles) read(path string) ([]byte, error) {
	fi, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if err := o.isOld(path, fi); err != nil {
		return nil, err
	}
	if !fi.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file (mode %v), and cannot be matched", path, fi.Mode())
	}
	return readStart(path)
}

const maxFile = 64 << 10

// readStart reads what a file begins with. It does not block if the file has
// become a FIFO.
func readStart(path string) ([]byte, error) {
	f, err := openShared(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxFile))
}
