package logsource

import (
	"errors"
	"fmt"
	"os"
)

const (
	// grain is what a file is freed by: a multiple of the blocks of all filesystems, and
	// of a page, so that nothing but whole blocks reads as NULs.
	grain = 64 << 10

	// freeShare is how much of Keep has to be due before anything is freed: an eighth.
	freeShare = 8
)

// A Lossy is a reader that [Log.Follow] returned and that says what it could not return.
// It is optional.
type Lossy interface {
	// Lost returns how many bytes the reader has left out until now, for they were gone
	// when it came to them: freed, see [File.Keep].
	Lost() int64
}

// A freer frees the beginning of a file that is being written.
type freer struct {
	file *os.File // open for writing
	keep int64
	to   int64 // where what is left began, after the last time
}

// newFreer returns the freer of the file that sink is, and makes sure that its filesystem
// can do it.
func newFreer(sink *os.File, keep int64) (*freer, error) {
	file, err := duplicate(sink)
	if err != nil {
		return nil, err
	}
	if err := punch(file, grain); err != nil { // it is empty
		file.Close()
		return nil, fmt.Errorf("its filesystem cannot free the beginning of a file, which File.Keep needs: %w", err)
	}
	return &freer{file: file, keep: keep}, nil
}

// reopenFreer returns the freer of file, which is open for reading, or nil if this process
// may not write to it.
func reopenFreer(file *os.File, keep int64) *freer {
	w, err := reopenForWriting(file)
	if err != nil {
		return nil
	}
	return &freer{file: w, keep: keep}
}

// due is how much must be due to be worth freeing.
func (f *freer) due() int64 { return max(grain, f.keep/freeShare) }

// free frees what lies before the last keep of size bytes, and before read, if that is
// worth it. Its offsets are counted from the file's first byte each time, for the pod may
// have truncated it.
func (f *freer) free(size, read int64) error {
	to := min(size-f.keep, read)
	to -= to % grain
	if size < f.to {
		f.to = 0
	}
	if to-f.to < f.due() {
		return nil
	}
	if err := punch(f.file, to); err != nil {
		return err
	}
	f.to = to
	return nil
}

// page is the smallest page of memory, and the least that a hole is.
const page = 4 << 10

// holeIn returns how much of p, which was read from file at offset, comes before a hole;
// and if nothing does, where that hole ends. A hole reads as NULs, so there is none where
// no page begins with one. What was read before the hole was made is good.
func holeIn(file *os.File, p []byte, offset int64) (data, next int64, err error) {
	suspect := p[0] == 0
	for i := page - offset%page; i < int64(len(p)) && !suspect; i += page {
		suspect = p[i] == 0
	}
	if !suspect {
		return int64(len(p)), 0, nil
	}
	return findHole(file, offset, int64(len(p)))
}

// checkKeep makes sure that n can be File.Keep.
func checkKeep(n int64) error {
	switch {
	case n < 0:
		return fmt.Errorf("File.Keep is %d; it must be a number of bytes, or 0 for all", n)
	case n > 0 && !canFree:
		return fmt.Errorf("File.Keep is %d, and the beginning of a file is freed in place on Linux alone; set it to 0: %w", n, errors.ErrUnsupported)
	}
	return nil
}
