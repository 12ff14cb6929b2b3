//go:build !unix

package logsource

import "os"

// A reading is what one reader asks of the file again and again.
type reading struct{ file *os.File }

func newReading(file *os.File) (*reading, error) { return &reading{file}, nil }

// at reads what is there at offset, but not more than fits into p: io.EOF if
// nothing is.
func (r *reading) at(p []byte, offset int64) (int, error) { return r.file.ReadAt(p, offset) }
