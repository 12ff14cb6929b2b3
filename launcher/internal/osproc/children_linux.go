package osproc

import (
	"errors"
	"slices"
	"sync"

	"golang.org/x/sys/unix"
)

// A kinship says what a [Process] is to this program.
type kinship int

const (
	foreign kinship = iota // no child of ours: waitid(2) does not answer about it
	shared                 // our child, which another Process reaps
	found                  // our child, which other code may have started: see Process.reap
	own                    // our child, which this Process reaps
)

// A holder reaps the child that it holds.
type holder interface {
	// unreaped reports whether it is a child of ours that nobody has reaped.
	unreaped() bool
}

// ours is the table of the children that Start has started or Adopt has found.
var ours children

// A children knows which child has a Process that reaps it, and which was released.
//
// A released child keeps no descriptor. It is known by its number and its start, and
// reapIf proves by a pidfd, before it reaps, that the number is still the child's.
// Nobody waits for it, so when it ends it becomes a zombie. The next Start reaps it,
// as Python's subprocess does. A program that starts nothing any more keeps the zombie.
type children struct {
	mu       sync.Mutex
	held     map[int]holder // by pid: each is found or own
	released []released
	turn     int // the index in released that sweep looks at next
}

type released struct {
	pid   int
	start uint64 // as in Identity
}

// hold enters p, which reaps the child pid from now on.
func (c *children) hold(pid int, p holder) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.holdLocked(pid, p)
}

func (c *children) holdLocked(pid int, p holder) {
	if c.held == nil {
		c.held = make(map[int]holder)
	}
	c.held[pid] = p
}

// take enters p, whose child pid was adopted by its Identity, and returns its kinship.
func (c *children) take(pid int, p holder, start uint64) kinship {
	c.mu.Lock()
	defer c.mu.Unlock()
	if other := c.held[pid]; other != nil && other.unreaped() {
		// The other's child has had its number all along, so this is the same one.
		return shared
	}
	c.holdLocked(pid, p)
	if i := slices.Index(c.released, released{pid, start}); i >= 0 {
		c.removeLocked(i)
		return own
	}
	return found
}

// drop removes p, which has reaped its child pid.
func (c *children) drop(pid int, p holder) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.held[pid] == p {
		delete(c.held, pid)
	}
}

// release removes p, whose child pid sweep reaps from now on.
func (c *children) release(pid int, p holder) {
	// In this order: the number was still the child's when its start was read. What
	// cannot be read is not entered: nobody could tell it from a later child.
	start, _, err := lifeOf(pid)
	known := err == nil && p.unreaped()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.held[pid] == p {
		delete(c.held, pid)
	}
	if known {
		c.released = append(c.released, released{pid, start})
	}
}

func (c *children) removeLocked(i int) {
	last := len(c.released) - 1
	c.released[i] = c.released[last]
	c.released = c.released[:last]
}

// sweep reaps the released children that have ended. It asks the kernel once whether a
// child has ended, no matter how many there are. The kernel names one child. If other code
// has to reap that child, it may hide the released ones for long, so sweep also asks about
// some of these, in turn. That also finds children that other code has reaped.
func (c *children) sweep() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.released) > 0 {
		pid, err := peek(unix.P_ALL, 0)
		if errors.Is(err, unix.ECHILD) {
			c.released = nil
			return
		}
		i := slices.IndexFunc(c.released, func(r released) bool { return r.pid == pid })
		if err != nil || pid == 0 || i < 0 || !c.reapLocked(i) {
			break
		}
	}
	for range min(len(c.released), 16) {
		c.turn = (c.turn + 1) % len(c.released)
		pid, err := peek(unix.P_PID, c.released[c.turn].pid)
		if pid == 0 && !errors.Is(err, unix.ECHILD) {
			continue
		}
		if c.reapLocked(c.turn); len(c.released) == 0 {
			return
		}
	}
}

// reapLocked reaps a released child that has ended, and removes it. It reports false
// if the child cannot be reaped now.
func (c *children) reapLocked(i int) bool {
	r := c.released[i]
	h, err := place()
	if err != nil || !reapIf(r.pid, func(st Stat) bool { return h.startOf(st) == r.start }) {
		return false
	}
	c.removeLocked(i)
	return true
}
