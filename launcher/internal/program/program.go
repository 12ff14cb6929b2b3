// Package program tells programs apart by their files.
package program

import (
	"os"
	"sync"
	"syscall"
	"time"
)

// An ID says which program a file holds.
type ID struct {
	Size     int64
	Modified time.Time
	Build    string // its build id; "" if it has none, or it cannot be read
}

// Identify returns which program the file at path holds. It follows symbolic links.
// The error is that of stat(2); a program that cannot be read has no build id.
//
// The build id of a file that has not changed since is remembered, and then one
// stat(2) is all that there is to do.
func Identify(path string) (ID, error) {
	fi, err := os.Stat(path)
	if err != nil {
		return ID{}, err
	}
	if s, ok := stampOf(fi); ok {
		if build, ok := remembered.get(s); ok {
			return ID{fi.Size(), fi.ModTime(), build}, nil
		}
	}
	build := ""
	if fi.Mode().IsRegular() { // a FIFO, for one, would be read by us and not by whom it is for
		fi, build = read(path, fi)
	}
	return ID{fi.Size(), fi.ModTime(), build}, nil
}

// read reads the build id of the file at path, which was fi a moment ago, and returns
// what it has read it of.
func read(path string, fi os.FileInfo) (os.FileInfo, string) {
	// It does not wait for a FIFO that has taken the file's place.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return fi, ""
	}
	defer f.Close()
	now, err := f.Stat()
	if err != nil || !now.Mode().IsRegular() {
		return fi, ""
	}
	r := &boundedReader{from: f, left: maxRead}
	build := buildID(r)
	if s, ok := stampOf(now); ok && r.err == nil && s.settled() {
		remembered.put(s, build)
	}
	return now, build
}

// A memory knows the build ids of files that were read. It has a lock of its own.
type memory struct {
	mu     sync.Mutex
	builds map[stamp]string
}

// remembered is the memory of this process.
var remembered memory

// maxRemembered is how many files a memory knows.
const maxRemembered = 128

func (m *memory) get(s stamp) (build string, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	build, ok = m.builds[s]
	return build, ok
}

func (m *memory) put(s stamp, build string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.builds == nil || len(m.builds) >= maxRemembered {
		m.builds = make(map[stamp]string)
	}
	m.builds[s] = build
}
