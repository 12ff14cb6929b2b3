package launcher

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/podlaunch/podlaunch/logsource"
	"github.com/podlaunch/podlaunch/readiness"
)

// linesOf returns the Target.Lines of a pod that writes log.
func linesOf(log *logsource.Log) func(context.Context) iter.Seq2[[]byte, error] {
	return func(ctx context.Context) iter.Seq2[[]byte, error] {
		return func(yield func([]byte, error) bool) {
			r, err := log.Follow(ctx)
			if err != nil {
				yield(nil, err)
				return
			}
			defer r.Close()
			for line, err := range logsource.Lines(r) {
				switch {
				case err == io.EOF:
					return
				case err != nil:
					yield(nil, err) // what comes with it is not a complete line
					return
				case !yield(line, nil):
					return
				}
			}
		}
	}
}

// A podOutput reads the pod's lines for a launch: once for the tail, which an error
// needs, and once for the progress callback if there is one. The two are
// followers of their own, so a callback that is slow slows down nothing else,
// and nothing needs a queue.
//
// The tail is read when the launch has failed, and costs one that does not fail
// nothing. With a callback it is read all the while, for then every line is
// counted. Each follower runs in one goroutine that this podOutput owns; finish
// joins them.
type podOutput struct {
	log    *logsource.Log
	probe  readiness.Probe
	target readiness.Target
	ctx    context.Context         // of the followers
	stop   context.CancelCauseFunc // ends them, with the reason

	tail    lastLines
	tailing <-chan outcome[struct{}] // nil while nobody reads it
	enough  atomic.Bool              // nobody needs the tail any more

	announced atomic.Bool // a ready line was seen

	progress    *progress
	progressing <-chan outcome[struct{}] // nil without a callback
	stuck       []error                  // what did not end in time
}

// follow begins to read the output of the pod t, which goes to log and which p
// waits for. progress gets its lines, if it has a callback. The caller has to
// call finish.
func followOutput(ctx context.Context, log *logsource.Log, p readiness.Probe, t readiness.Target, progress *progress) *podOutput {
	w := &podOutput{log: log, probe: p, target: t, progress: progress}
	// Not ctx itself: the log is read to its end whatever ends first.
	w.ctx, w.stop = context.WithCancelCause(context.WithoutCancel(ctx))
	if progress.call != nil {
		w.readTail()
		progress.open()
		w.progressing = w.follow(math.MaxInt64, false, func(line []byte) bool {
			if text, ok := readiness.StatusOf(p, t, line); ok {
				line = text
			}
			return progress.takeLine(line)
		})
	}
	return w
}

// enoughForTail is more than the last lines can take, unless some are so long
// that they are cut.
const enoughForTail = 2 * tailLines * logsource.MaxLine

// readTail begins to read the tail: the last bytes of the log are enough for
// that, and all of it for a count.
func (w *podOutput) readTail() {
	most := int64(enoughForTail)
	if w.progress.call != nil {
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
func (w *podOutput) follow(most int64, partial bool, take func([]byte) bool) <-chan outcome[struct{}] {
	return spawn(func() (struct{}, error) {
		r, err := w.log.Follow(w.ctx)
		if err != nil {
			return struct{}{}, err
		}
		defer r.Close()
		if skipper, ok := r.(logsource.Skipper); ok && most < math.MaxInt64 {
			if err := skipper.SkipToLast(most); err != nil {
				return struct{}{}, err
			}
		}
		own := newOwnLines(w.probe, w.target)
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

// finish ends the reading, and returns when its goroutines have ended or have
// had their time.
func (w *podOutput) finish(ready, exited bool) {
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

// dropped returns how many lines the callback did not get.
func (w *podOutput) dropped() int {
	if w.progressing == nil {
		return 0
	}
	return max(0, w.tail.total()-w.progress.total()) + w.progress.lost()
}

// leftover names what did not end in time.
func (w *podOutput) leftover() error { return errors.Join(w.stuck...) }

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

// A lastLines keeps the last lines. It is filled by one goroutine and may be read
// by another.
type lastLines struct {
	mu    sync.Mutex
	last  [tailLines][]byte // line i is at i % tailLines; the slices are used again
	count int
}

func (t *lastLines) add(line []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	slot := &t.last[t.count%tailLines]
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
	for i := max(0, t.count-tailLines); i < t.count; i++ {
		lines = append(lines, strings.Clone(string(t.last[i%tailLines])))
	}
	return lines
}
