package logsource

import (
	"bytes"
	"io"
	"iter"
)

// MaxLine is the length in bytes at which [Lines] cuts a line: 64 KiB.
const MaxLine = 64 << 10

const (
	// firstRead is what a buffer begins with. Most pods say little before they
	// are ready, and thousands of them may be waited for at once.
	firstRead = 1 << 10

	// bufferMax holds the longest line, the CR and LF that may end it, and as
	// much again to read into.
	bufferMax = 2 * (MaxLine + 2)

	// maxIdle is how many reads in a row may deliver neither bytes nor an
	// error before the reader is taken for broken, as in package bufio.
	maxIdle = 100
)

// Lines frames what r delivers. For each complete line it yields the line
// without its ending (LF, or CR LF) and a nil error. Then, exactly once and
// last, it yields what r had delivered after the last newline (often nothing)
// together with the error that ended r, io.EOF included: an unterminated end
// cannot be mistaken for a line. If the caller stops before that, nothing more
// is read.
//
// A line may hold any bytes. One of length [MaxLine] was cut: the rest of it,
// up to its newline, was read and dropped, and the next line is intact.
// A slice that was yielded is valid until the next one. The memory used is
// constant, whatever r delivers, and no line allocates.
func Lines(r io.Reader) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		f := framer{buf: make([]byte, firstRead)}
		for idle := 0; ; {
			n, err := r.Read(f.space())
			if n > 0 {
				f.end += n
				f.filled = f.end == len(f.buf)
				idle = 0
			} else if idle++; idle >= maxIdle && err == nil {
				err = io.ErrNoProgress
			}
			for {
				line, ok := f.next()
				if !ok {
					break
				}
				if !yield(line, nil) {
					return
				}
			}
			if err != nil {
				yield(cut(f.rest()), err)
				return
			}
		}
	}
}

// A framer holds what was read and not yet yielded, in buf[start:end]. No
// newline lies in buf[start:scanned].
type framer struct {
	buf                 []byte
	start, scanned, end int
	overlong            bool // buf[start:end] is the head of a line whose tail is being dropped
	filled              bool // the last read had no room to spare, so a larger one may pay
}

// space returns where to read the next bytes into; it is never empty.
func (f *framer) space() []byte {
	switch {
	case f.start == f.end:
		f.start, f.scanned, f.end = 0, 0, 0
	case f.end == len(f.buf) && f.start > 0:
		f.scanned -= f.start
		f.end = copy(f.buf, f.buf[f.start:f.end])
		f.start = 0
	}
	if f.filled && len(f.buf) < bufferMax {
		grown := make([]byte, min(4*len(f.buf), bufferMax))
		copy(grown, f.buf[:f.end])
		f.buf = grown
	}
	return f.buf[f.end:]
}

// next takes the next complete line out of the buffer.
func (f *framer) next() ([]byte, bool) {
	i := bytes.IndexByte(f.buf[f.scanned:f.end], '\n')
	if i < 0 {
		f.scanned = f.end
		if head := f.start + MaxLine; f.end > head {
			f.overlong = true
			f.end, f.scanned = head, head
		}
		return nil, false
	}
	line := f.buf[f.start : f.scanned+i]
	f.start = f.scanned + i + 1
	f.scanned = f.start
	if f.overlong {
		f.overlong = false
		return line[:MaxLine], true
	}
	if n := len(line); n > 0 && line[n-1] == '\r' {
		line = line[:n-1]
	}
	return cut(line), true
}

// rest returns what follows the last newline.
func (f *framer) rest() []byte { return f.buf[f.start:f.end] }

func cut(line []byte) []byte { return line[:min(len(line), MaxLine)] }
