//go:build unix

package logsource

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"syscall"
)

// A reading is what one reader asks of the file again and again. It is not
// os.File.ReadAt, which asks a second time for what is not there yet.
type reading struct {
	name   string
	conn   syscall.RawConn
	pread  func(fd uintptr) // made once, for it would be allocated each time
	into   []byte
	offset int64
	n      int
	err    error
}

func newReading(file *os.File) (*reading, error) {
	conn, err := file.SyscallConn()
	if err != nil {
		return nil, err
	}
	r := &reading{name: file.Name(), conn: conn}
	r.pread = func(fd uintptr) {
		for {
			r.n, r.err = syscall.Pread(int(fd), r.into, r.offset)
			if !errors.Is(r.err, syscall.EINTR) {
				return
			}
		}
	}
	return r, nil
}

// at reads what is there at offset, but not more than fits into p: io.EOF if
// nothing is.
func (r *reading) at(p []byte, offset int64) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	r.into, r.offset = p, offset
	if err := r.conn.Control(r.pread); err != nil {
		return 0, err
	}
	r.into = nil
	switch {
	case r.err != nil:
		return 0, &fs.PathError{Op: "read", Path: r.name, Err: r.err}
	case r.n == 0:
		return 0, io.EOF
	}
	return r.n, nil
}
