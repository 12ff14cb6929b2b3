package logsource

import (
	"context"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// solos are the program's. Two are enough for launches that are alone, and a user has 128
// instances for all programs.
var solos = soloPool{most: 2}

// A soloPool has inotify instances for readers that wait by themselves: the kernel wakes
// the reader directly, without a notifier's goroutine, which takes half as long. The pool
// keeps unused instances for a while, as a hub keeps its watcher, for it takes long to
// open and to close an instance.
type soloPool struct {
	most int // instances at a time

	mu   sync.Mutex
	made int // instances that there are
	free []*solo
	lingering
}

// A solo is an inotify instance that watches one file for one reader.
type solo struct {
	file *os.File
	path string // what is watched
	wd   int32

	mu      sync.Mutex // held while somebody waits
	changes            // of the file
	pours   bool       // as of the last change
	lost    bool       // the kernel watches the file no more
	buf     [256]byte
}

// take returns a solo that watches file, or nil if all are taken, or none can be made.
func (p *soloPool) take(file *os.File) *solo {
	p.mu.Lock()
	defer p.mu.Unlock()
	var s *solo
	switch last := len(p.free) - 1; {
	case last >= 0:
		s, p.free = p.free[last], p.free[:last]
	case p.made >= p.most:
		return nil
	default:
		instance, err := newInstance()
		if err != nil {
			return nil
		}
		s = &solo{file: instance}
		p.made++
	}
	for _, path := range watchPaths(file) {
		if wd, err := addWatch(s.file, path); err == nil {
			s.path, s.wd, s.lost, s.pours, s.changes = path, wd, false, false, changes{}
			return s
		}
	}
	p.put(s)
	return nil
}

// give takes s back. No reader may wait on s any more.
func (p *soloPool) give(s *solo) {
	s.mu.Lock()
	if !s.lost {
		removeWatch(s.file, s.wd)
	}
	s.mu.Unlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.put(s)
}

// put frees s. The caller holds mu.
func (p *soloPool) put(s *solo) {
	p.free = append(p.free, s)
	p.begin(p.shut)
}

// shut closes what has been free for as long as it lingers.
func (p *soloPool) shut() {
	for _, s := range p.takeIdle() {
		s.file.Close() // without mu, for it takes long
	}
}

// takeIdle takes the free ones away, if none was used for long enough.
func (p *soloPool) takeIdle() []*solo {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.idle = nil
	if len(p.free) == 0 || !p.isOver(p.shut) {
		return nil
	}
	free := p.free
	p.free, p.made = nil, p.made-len(free)
	return free
}

// wait waits for a change of the file, until bound has passed, ctx is done, or closed is
// closed; the code that closes it also has to call interrupt. wait may end early. It
// reports whether the watch is lost: then there will be no more changes.
func (s *solo) wait(ctx context.Context, closed <-chan struct{}, bound time.Duration) (lost bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pours && time.Since(s.last) <= quiet {
		s.rest(ctx, closed)
		return s.lost
	}
	if s.file.SetReadDeadline(time.Now().Add(bound)) != nil {
		return true
	}
	defer context.AfterFunc(ctx, s.interrupt)()
	select {
	case <-closed: // and perhaps interrupted before
		return false
	default:
	}
	s.read()
	return s.lost
}

// rest watches nothing for a moment, for a watch makes each write of the pod take longer: the
// kernel makes an event, and drops it if it is like the last one. The caller holds mu, and reads
// the file afterwards.
func (s *solo) rest(ctx context.Context, closed <-chan struct{}) {
	removeWatch(s.file, s.wd)
	timer := time.NewTimer(gather)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	case <-closed:
	}
	s.pours = false // the next change tells
	wd, err := addWatch(s.file, s.path)
	s.wd, s.lost = wd, err != nil
}

// join waits until no reader waits on s. The caller has interrupted the reader.
func (s *solo) join() {
	s.mu.Lock()
	defer s.mu.Unlock()
}

// interrupt ends a wait, and perhaps the next one too.
func (s *solo) interrupt() { s.file.SetReadDeadline(time.Unix(1, 0)) }

// read waits for events of the file.
func (s *solo) read() {
	for {
		n, err := s.file.Read(s.buf[:])
		if err != nil { // the deadline
			return
		}
		mine := false
		eachEvent(s.buf[:n], func(wd int32, mask uint32) {
			switch {
			case mask&unix.IN_Q_OVERFLOW != 0:
				mine = true
			case wd == s.wd: // and not of a file that was watched before
				mine = true
				s.lost = s.lost || mask&unix.IN_IGNORED != 0
			}
		})
		if mine {
			s.pours = s.pour(time.Now())
			return
		}
	}
}
