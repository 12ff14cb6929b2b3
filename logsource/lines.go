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
// last, it yields what r delivered after the last newline (often nothing)
// together with the error that ended r, io.EOF included: an unterminated end
// cannot be mistaken for a line. If the caller stops before that, Lines reads
// nothing more.
//
// A line may hold any bytes. A line longer than [MaxLine] ends at the last CR among
// its first MaxLine bytes, for a progress bar draws itself anew after each CR. Without a CR
// there it has the length MaxLine: Lines reads and drops the rest of it, up to the next CR
// or newline. What follows is intact.
// A yielded slice is valid until the next one. The memory used is constant for
// any input, and no line allocates.
func Lines(r io.Reader) iter.Seq2[[]byte, error] { return LinesAt(r, new(int64)) }

// LinesAt is [Lines], and sets *end before each line that it yields: to the number of
// bytes that r delivered up to the end of that line, its newline or CR included. The
// unterminated end leaves *end as it is.
func LinesAt(r io.Reader, end *int64) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		f := framer{buf: make([]byte, firstRead)}
		total := int64(0)
		for idle := 0; ; {
			n, err := r.Read(f.space())
			if n > 0 {
				total += int64(n)
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
				*end = total - int64(f.end-f.start)
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
	torn                bool // buf[start:end] follows a CR at which a line was torn that is too long
	cut                 bool // buf[start:] is the head of a line without a CR, whose tail is dropped
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
	for {
		known, complete := f.end, false // no newline lies in buf[start:known]
		if i := bytes.IndexByte(f.buf[f.scanned:f.end], '\n'); i >= 0 {
			known, complete = f.scanned+i, true
		}
		content := known // without a CR that ends the line, or may turn out to
		if content > f.start && f.buf[content-1] == '\r' {
			content--
		}
		if content > f.start+MaxLine {
			return f.tear(content, known, complete)
		}
		if !complete {
			f.scanned = f.end
			return nil, false
		}
		line := f.buf[f.start:content]
		f.start, f.scanned, f.cut = known+1, known+1, false
		if !f.torn {
			return line, true
		}
		f.torn = false
		if line = bytes.TrimRight(line, "\r"); len(line) > 0 {
			return line, true
		}
	}
}

// tear takes what comes before a CR out of a line that is too long, buf[start:content]. A
// line without one loses its tail.
func (f *framer) tear(content, known int, complete bool) ([]byte, bool) {
	head := f.start + MaxLine
	end, from := -1, 0
	if !f.cut {
		end = bytes.LastIndexByte(f.buf[f.start:head], '\r')
	}
	if end >= 0 {
		end += f.start
		from = end + 1
	} else if i := bytes.IndexByte(f.buf[head:content], '\r'); i >= 0 {
		end, from = head, head+i+1
	} else if complete {
		line := f.buf[f.start:head]
		f.start, f.scanned, f.torn, f.cut = known+1, known+1, false, false
		return line, true
	} else {
		f.end = head + copy(f.buf[head:], f.buf[content:known])
		f.scanned, f.cut = f.end, true
		return nil, false
	}
	line := f.buf[f.start:end]
	f.start, f.scanned, f.torn, f.cut = from, from, true, false
	return line, true
}

// rest returns what follows the last newline.
func (f *framer) rest() []byte { return f.buf[f.start:f.end] }

func cut(line []byte) []byte { return line[:min(len(line), MaxLine)] }
