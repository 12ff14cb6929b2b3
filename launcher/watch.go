package launcher

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/podlaunch/podlaunch/logsource"
	"github.com/podlaunch/podlaunch/readiness"
)

const (
	// callPatience is how long the progress callback may be in one call, once
	// the launch is over, before it counts as blocked.
	callPatience = 250 * time.Millisecond

	// fastCall is how long a call takes at most, on average, of a callback that
	// is waited for until it has had every line.
	fastCall = time.Millisecond

	// drainPatience is how long reading the rest of the log may take, once the
	// launch is over.
	drainPatience = 2 * time.Second
)

// A watch reads the pod's lines for a launch: once for the tail, which an error
// needs, and once for the progress callback if there is one. The two are
// followers of their own, so a callback that is slow slows down nothing else,
// and nothing needs a queue.
//
// The tail is read when the launch has failed, and costs one that does not fail
// nothing. With a callback it is read all the while, for then every line is
// counted. Each follower runs in one goroutine that this watch owns; finish
// joins them.
type watch struct {
	n    *launch
	s    *started
	t    readiness.Target
	ctx  context.Context         // of the followers
	stop context.CancelCauseFunc // ends them, with the reason

	tail    tail
	tailing <-chan outcome[struct{}] // nil while nobody reads it
	enough  atomic.Bool              // nobody needs the tail any more

	announced atomic.Bool // a ready line was seen

	progress    *progress
	progressing <-chan outcome[struct{}] // nil without a callback
	crashed     <-chan struct{}          // closed when the callback did not return; nil without one
	stuck       []error                  // what did not end in time
}

func (n *launch) watch(ctx context.Context, s *started, t readiness.Target) *watch {
	w := &watch{n: n, s: s, t: t, progress: s.progress}
	// Not ctx itself: the log is read to its end whatever ends first.
	w.ctx, w.stop = context.WithCancelCause(context.WithoutCancel(ctx))
	if n.spec.Progress != nil {
		w.readTail()
		crashed := make(chan struct{})
		w.crashed = crashed
		w.progress.open(crashed)
		w.progressing = w.follow(math.MaxInt64, false, func(line []byte) bool {
			if text, ok := readiness.StatusOf(s.probe, t, line); ok {
				line = text
			}
			return w.progress.takeLine(line)
		})
	}
	return w
}

// enoughForTail is more than the last lines can take, unless some are so long
// that they are cut.
const enoughForTail = 2 * tailLines * logsource.MaxLine

// readTail begins to read the tail: the last bytes of the log are enough for
// that, and all of it for a count.
func (w *watch) readTail() {
	most := int64(enoughForTail)
	if w.n.spec.Progress != nil {
		most = math.MaxInt64
	}
	w.tailing = w.follow(most, true, func(line []byte) bool {
		w.tail.add(line)
		return !w.enough.Load()
	})
}

// follow hands each line of the log, or of its last bytes if there are more
// than most, to take, in a goroutine of its own, until take returns false or the
// log ends; the ready line is left out. The unterminated end is handed over if
// the pod has exited, for then nothing will complete it, or if partial is set.
func (w *watch) follow(most int64, partial bool, take func([]byte) bool) <-chan outcome[struct{}] {
	return spawn(func() (struct{}, error) {
		r, err := w.s.log.Follow(w.ctx)
		if err != nil {
			return struct{}{}, err
		}
		defer r.Close()
		if skipper, ok := r.(logsource.Skipper); ok && most < math.MaxInt64 {
			if err := skipper.SkipToLast(most); err != nil {
				return struct{}{}, err
			}
		}
		own := newOwnLines(w.s.probe, w.t)
		for line, err := range logsource.Lines(r) {
			switch {
			case err == nil && own.has(line):
				w.announced.Store(true)
			case err == nil && !take(line):
				return struct{}{}, nil
			case err != nil:
				if len(line) > 0 && (partial || errors.Is(err, ErrExitedEarly)) {
					take(line)
				}
				return struct{}{}, nil
			}
		}
		return struct{}{}, nil
	})
}

// finish ends the watch, and returns when its goroutines have ended or have
// had their time.
func (w *watch) finish(ready, exited bool) {
	reason := context.Canceled
	if exited {
		reason = ErrExitedEarly
	}
	// Without a callback nobody will ask how many lines there were.
	w.enough.Store(ready && w.progressing == nil)
	w.stop(reason)
	if w.progressing != nil && !w.progress.finish(w.progressing) {
		w.stuck = append(w.stuck, errors.New("Spec.Progress has not returned from its last call"))
	} else {
		w.enough.Store(ready)
	}
	if w.tailing == nil {
		if ready {
			return
		}
		w.readTail()
	}
	if _, ok := receive(w.tailing, drainPatience); !ok {
		w.enough.Store(true) // it ends with its next line
		w.stuck = append(w.stuck, fmt.Errorf("the log was not read to its end within %v", drainPatience))
	}
}

// crash returns the first crash there was, of the probe or of the callback.
func (w *watch) crash(ofProbe *crash) *crash {
	if ofProbe != nil {
		return ofProbe
	}
	return w.progress.crash
}

// dropped returns how many lines the callback did not get.
func (w *watch) dropped() int {
	if w.progressing == nil {
		return 0
	}
	return max(0, w.tail.total()-w.progress.total()) + w.progress.lost()
}

// leftover names what did not end in time.
func (w *watch) leftover() error { return errors.Join(w.stuck...) }

// ownLines tells the ready line from the others.
type ownLines struct {
	owners []readiness.LineOwner
	target readiness.Target
	first  string // the ready line, once it was seen
}

func newOwnLines(p readiness.Probe, t readiness.Target) *ownLines {
	o := &ownLines{target: t}
	for leaf := range readiness.Leaves(p) {
		if owner, ok := leaf.(readiness.LineOwner); ok {
			o.owners = append(o.owners, owner)
		}
	}
	return o
}

// has reports whether line is the ready line, or says the same again. Another
// one after it is kept: it may explain what goes wrong.
func (o *ownLines) has(line []byte) bool {
	if !slices.ContainsFunc(o.owners, func(owner readiness.LineOwner) bool { return owner.OwnsLine(o.target, line) }) {
		return false
	}
	if o.first == "" {
		o.first = string(line)
	}
	return o.first == string(line)
}

// A tail keeps the last lines. It is filled by one goroutine and may be read
// by another.
type tail struct {
	mu    sync.Mutex
	last  [tailLines][]byte // line i is at i % tailLines; the slices are used again
	count int
}

func (t *tail) add(line []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	slot := &t.last[t.count%tailLines]
	*slot = append((*slot)[:0], line...)
	t.count++
}

func (t *tail) total() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.count
}

// lines returns the last lines, oldest first.
func (t *tail) lines() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var lines []string
	for i := max(0, t.count-tailLines); i < t.count; i++ {
		lines = append(lines, strings.Clone(string(t.last[i%tailLines])))
	}
	return lines
}
