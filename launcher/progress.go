package launcher

import (
	"sync"
	"time"
)

// maxStatuses is how many statuses wait for the callback at most.
const maxStatuses = 64

// A progress calls the callback, with the lines of the log and with what else
// the pod says of its progress: never two calls at once.
//
// The lines come from the follower that watch owns. The statuses have a
// goroutine while there are any, which finish joins; so a status delays nobody,
// and a launch without one has no goroutine for it. What comes before open is
// kept until then.
type progress struct {
	call    func(string)    // nil: nobody listens
	crashed chan<- struct{} // closed when a call does not return; nil before open
	calls   sync.Mutex      // held during a call

	mu     sync.Mutex
	since  time.Time     // when the running call began; zero: none runs
	count  int           // calls that began
	lines  int           // of these, with lines of the log
	busy   time.Duration // in calls that returned
	closed bool          // none may begin

	over      bool     // no status is taken any more
	statuses  []string // that nobody has got yet
	dropped   int      // statuses that nobody will get
	reporting <-chan outcome[struct{}]

	crash *crash // set by finish
}

// takeLine makes one call with a line of the log, and reports whether there may
// be another.
func (p *progress) takeLine(line []byte) bool { return p.take(string(line), 1) }

// take makes one call, with text that stands for as many lines of the log, and
// reports whether there may be another.
func (p *progress) take(text string, lines int) bool {
	p.calls.Lock()
	defer p.calls.Unlock()
	if !p.begin(lines) {
		return false
	}
	returned := false
	defer func() {
		if !returned {
			close(p.crashed) // once: there is no call after it
		}
	}()
	p.call(text)
	returned = true
	p.mu.Lock()
	defer p.mu.Unlock()
	p.busy += time.Since(p.since)
	p.since = time.Time{}
	return !p.closed
}

// begin reports whether a call may begin, and notes that it does.
func (p *progress) begin(lines int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || !p.since.IsZero() { // the one that runs has panicked
		return false
	}
	p.since = time.Now()
	p.count++
	p.lines += lines
	return true
}

// status has text shown, and does not wait for that.
func (p *progress) status(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.over || p.call == nil:
		return
	case len(p.statuses) == maxStatuses:
		p.dropped++
		return
	}
	p.statuses = append(p.statuses, text)
	p.reportLocked()
}

// open lets the calls begin.
func (p *progress) open(crashed chan<- struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.crashed = crashed
	p.reportLocked()
}

// reportLocked sees to it that statuses are reported. The caller holds mu.
func (p *progress) reportLocked() {
	if p.crashed != nil && p.reporting == nil && len(p.statuses) > 0 {
		p.reporting = spawn(func() (struct{}, error) {
			p.report()
			return struct{}{}, nil
		})
	}
}

// report makes calls with the statuses until there are none.
func (p *progress) report() {
	for {
		p.mu.Lock()
		if len(p.statuses) == 0 {
			p.reporting = nil
			p.mu.Unlock()
			return
		}
		text := p.statuses[0]
		p.statuses = p.statuses[1:]
		p.mu.Unlock()
		if !p.take(text, 0) {
			return
		}
	}
}

// total returns with how many lines of the log a call was made.
func (p *progress) total() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.lines
}

// lost returns how many statuses nobody got.
func (p *progress) lost() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.dropped + len(p.statuses)
}

// finish takes no status any more, waits until the callback has had every line
// and status, and then lets no call begin any more. It reports whether none is running. A callback that is
// long in one call is too slow to be waited for; one that is slow on the whole
// has patience to catch up, and a fast one, or the reader that has not come to
// call it, drainPatience.
func (p *progress) finish(following <-chan outcome[struct{}]) bool {
	began := time.Now()
	reporting := p.lastReporter()
	idle := p.join(began, following) && p.join(began, reporting)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	return idle || p.since.IsZero()
}

// lastReporter returns what the goroutine sends that reports statuses, after
// which there will be no other; nil if none runs.
func (p *progress) lastReporter() <-chan outcome[struct{}] {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.over = true
	return p.reporting
}

// join waits for the end of one of the goroutines that make calls, nil for one
// that does not run, as long as makes sense; began is when the first such wait
// did. It reports whether it has ended.
func (p *progress) join(began time.Time, done <-chan outcome[struct{}]) bool {
	if done == nil {
		return true
	}
	for {
		now := time.Now()
		limit := p.limit(began, now)
		if !now.Before(limit) {
			return false
		}
		if o, ok := receive(done, limit.Sub(now)); ok {
			if o.crash != nil {
				p.crash = o.crash
			}
			return true
		}
	}
}

// limit returns until when it makes sense to wait, as things are now; the wait
// began when the launch was over.
func (p *progress) limit(began, now time.Time) time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	limit := began.Add(patience)
	if p.busy <= time.Duration(p.count)*fastCall {
		limit = began.Add(drainPatience)
	}
	call := now // one may begin at any time: look again
	if !p.since.IsZero() {
		call = p.since
		if call.Before(began) { // what it took before does not count
			call = began
		}
	}
	if end := call.Add(callPatience); end.Before(limit) {
		return end
	}
	return limit
}
