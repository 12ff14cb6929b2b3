package launcher

import (
	"cmp"
	"sync"
	"time"
)

const (
	// maxStatuses is how many statuses wait for the callback at most.
	maxStatuses = 64

	// callPatience is how long the callback may be in one call, once the launch
	// is over, before it counts as blocked.
	callPatience = 250 * time.Millisecond

	// fastCall is how long a call of a fast callback takes at most, on average. A fast
	// callback gets every line that was written before the launch was over, within the
	// limit of drainPatience.
	fastCall = time.Millisecond

	// fairCall is that limit while a callback has used at most catchUp since the launch
	// was over.
	fairCall = 5 * time.Millisecond

	// drainPatience is how long reading the rest of the log may take, once the
	// launch is over.
	drainPatience = 2 * time.Second

	// catchUp is how long a callback that is not fast may be in calls, once the
	// launch is over.
	catchUp = 100 * time.Millisecond
)

// A progress calls the callback, with the lines of the log and with what else
// the pod says of its progress: never two calls at once.
//
// The lines come from the follower that output owns. The statuses have a
// goroutine while there are any, which finish joins; so a status delays nobody,
// and a launch without one has no goroutine for it. What comes before open is
// kept until then.
type progress struct {
	call    func(string)  // nil: nobody listens
	crashed chan struct{} // closed when a call does not return; nil without a callback
	calls   sync.Mutex    // held during a call

	mu      sync.Mutex
	since   time.Time     // when the running call began; zero: none runs
	count   int           // calls that returned
	lines   int           // calls that began with a line of the log
	reached int64         // where the last of these lines ends in the log
	busy    time.Duration // in the calls that returned
	longest time.Duration // in one of them
	opened  bool          // calls may begin
	closed  bool          // none may begin any more

	over      time.Time     // since then no status is taken; zero: the launch is not over
	late      time.Duration // in calls since then
	statuses  []string      // that nobody has got yet
	dropped   int           // statuses that nobody will get
	reporting <-chan outcome[struct{}]

	crash *crash // set by finish
}

// newProgress returns the progress that calls call, which may be nil.
func newProgress(call func(string)) *progress {
	p := &progress{call: call}
	if call != nil {
		p.crashed = make(chan struct{})
	}
	return p
}

// takeLine makes one call with a line of the log, which ends there at end, and reports
// whether there may be another.
func (p *progress) takeLine(line []byte, end int64) bool { return p.take(string(line), 1, end) }

// pass notes that the lines up to end are done with.
func (p *progress) pass(end int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closed {
		p.reached = end
	}
}

// place returns where the last line of the log ends that a call began with.
func (p *progress) place() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.reached
}

// take makes one call, with text that stands for as many lines of the log up to end, and
// reports whether there may be another.
func (p *progress) take(text string, lines int, end int64) bool {
	p.calls.Lock()
	defer p.calls.Unlock()
	if !p.begin(lines, end) {
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
	return p.end()
}

// begin reports whether a call may begin, and notes that it does.
func (p *progress) begin(lines int, end int64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || !p.since.IsZero() { // the running call has panicked
		return false
	}
	p.since = time.Now()
	if p.lines += lines; lines > 0 {
		p.reached = end
	}
	return true
}

// end notes that a call has returned, and reports whether there may be another.
func (p *progress) end() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	took := now.Sub(p.since)
	p.count++
	p.busy += took
	p.longest = max(p.longest, took)
	if !p.over.IsZero() {
		p.late += min(took, now.Sub(p.over))
		p.closed = p.closed || p.slowLocked()
	}
	p.since = time.Time{}
	return !p.closed
}

// slowLocked reports whether the launch, which is over, must not wait until the
// callback has caught up. One long call does not make a callback slow. The caller
// holds mu.
func (p *progress) slowLocked() bool {
	average := fairCall
	if p.late > catchUp {
		average = fastCall
	}
	return p.busy-p.longest > time.Duration(max(p.count-1, 0))*average
}

// status has text shown, and does not wait for that.
func (p *progress) status(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case !p.over.IsZero() || p.call == nil:
		return
	case len(p.statuses) == maxStatuses:
		p.dropped++
		return
	}
	p.statuses = append(p.statuses, text)
	p.reportLocked()
}

// open lets the calls begin.
func (p *progress) open() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.opened = true
	p.reportLocked()
}

// reportLocked sees to it that statuses are reported. The caller holds mu.
func (p *progress) reportLocked() {
	if p.opened && p.reporting == nil && len(p.statuses) > 0 {
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
		if !p.take(text, 0, 0) {
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

// finish takes no status any more, and returns when the callback has had every line
// and status, or is too slow for that. Then it lets no call begin any more. A call
// that runs is waited for, but not much longer than callPatience; finish reports
// whether none is running.
func (p *progress) finish(following <-chan outcome[struct{}]) bool {
	began := time.Now()
	reporting := p.lastReporter(began)
	followed := p.join(began, following)
	reported := p.join(began, reporting) // also if not: it may have panicked
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	return followed && reported || p.since.IsZero()
}

// lastReporter returns what the goroutine sends that reports statuses, after
// which there will be no other; nil if none runs. The launch is over since now.
func (p *progress) lastReporter(now time.Time) <-chan outcome[struct{}] {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.over = now
	// Where none runs one more may, for a callback that is slow need not be behind.
	p.closed = p.closed || !p.since.IsZero() && p.slowLocked()
	return p.reporting
}

// join waits until a goroutine that makes calls has ended, for as long as limit says.
// done is nil if that goroutine does not run; began is when the launch was over. join
// reports whether the goroutine has ended.
func (p *progress) join(began time.Time, done <-chan outcome[struct{}]) bool {
	if done == nil {
		return true
	}
	for {
		select {
		case o := <-done:
			p.crash = cmp.Or(p.crash, o.crash)
			return true
		default:
		}
		now := time.Now()
		limit, ok := p.limit(began, now)
		if !ok {
			return false
		}
		if o, ok := receive(done, limit.Sub(now)); ok {
			p.crash = cmp.Or(p.crash, o.crash)
			return true
		}
	}
}

// limit returns until when it makes sense to wait, as things are now. ok is false
// if it makes none any more: the call that runs is blocked, or the reader has not
// come to its end.
func (p *progress) limit(began, now time.Time) (until time.Time, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	until = began.Add(drainPatience)
	switch {
	case !p.since.IsZero():
		call := p.since
		if call.Before(began) { // what it took before does not count
			call = began
		}
		until = call.Add(callPatience)
	case p.closed:
		until = began.Add(2 * callPatience) // there is no call, and it ends by itself
	default:
		// A call may begin at any time: look again.
		if end := now.Add(callPatience); end.Before(until) {
			until = end
		}
	}
	return until, now.Before(until)
}
