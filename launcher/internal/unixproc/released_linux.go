package unixproc

import (
	"errors"
	"sync"

	"golang.org/x/sys/unix"
)

// released are children that were forgotten while they ran. Nobody waits for
// them, so when they end they become zombies; the next start clears those away
// (as Python's subprocess does), and a program that starts nothing any more
// keeps what it has.
var released orphanage

type orphanage struct {
	mu       sync.Mutex
	children map[int]uint64 // pid → start time
}

func (o *orphanage) add(pid int) {
	st, err := ReadStat(pid)
	if err != nil {
		return // without /proc it cannot be told from a later child of its number
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.children == nil {
		o.children = make(map[int]uint64)
	}
	o.children[pid] = st.Start
}

// sweepReleased reaps the released children that have ended.
func sweepReleased() {
	released.mu.Lock()
	defer released.mu.Unlock()
	for pid, start := range released.children {
		st, err := ReadStat(pid)
		switch {
		case err != nil || st.Start != start:
			delete(released.children, pid) // somebody else has reaped it
		case st.State == 'Z':
			// Its other threads may not be gone yet; then it is not to be had,
			// and the next start tries again.
			if got, err := unix.Wait4(pid, nil, unix.WNOHANG, nil); got == pid || errors.Is(err, unix.ECHILD) {
				delete(released.children, pid)
			}
		}
	}
}
