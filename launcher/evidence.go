package launcher

import (
	"slices"
	"strings"
	"sync"

	"github.com/podlaunch/podlaunch/readiness"
)

// keptLines is how many of a pod's first lines, and how many of its last ones, an Error
// keeps at most.
const keptLines = 64

// A lastLines keeps the last lines. One goroutine fills it, and others may read it.
type lastLines struct {
	mu    sync.Mutex
	last  [][]byte // keptLines at most; line i is at i % keptLines, and the slices are used again
	count int
}

func (t *lastLines) add(line []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.last) < keptLines {
		t.last = append(t.last, nil)
	}
	slot := &t.last[t.count%keptLines]
	*slot = append((*slot)[:0], line...)
	t.count++
}

func (t *lastLines) total() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.count
}

// lines returns the last lines, oldest first.
func (t *lastLines) lines() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var lines []string
	for i := max(0, t.count-keptLines); i < t.count; i++ {
		lines = append(lines, strings.Clone(string(t.last[i%keptLines])))
	}
	return lines
}

// A nearMisses keeps the first lines that were nearly what a probe waits for. One goroutine
// fills it, and others may read it.
type nearMisses struct {
	mu    sync.Mutex
	notes []string
}

// look looks at a line of the pod t that p has not taken.
func (m *nearMisses) look(p readiness.Probe, t readiness.Target, line []byte) {
	const most = 2
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.notes) == most {
		return
	}
	for leaf := range readiness.Leaves(p) {
		if near, ok := leaf.(readiness.NearMisser); ok {
			if note := near.NearMiss(t, line); note != "" {
				m.notes = append(m.notes, note)
				return
			}
		}
	}
}

func (m *nearMisses) list() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.notes)
}
