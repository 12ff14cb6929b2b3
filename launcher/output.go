package launcher

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"slices"
	"sync/atomic"

	"github.com/podlaunch/podlaunch/logsource"
	"github.com/podlaunch/podlaunch/readiness"
)

// linesOf returns the Target.Lines of a pod that writes log. When an iteration
// has ended, the place of the last line's end in the log is in taken.
func linesOf(log *logsource.Log, taken *atomic.Int64) func(context.Context) iter.Seq2[[]byte, error] {
	return func(ctx context.Context) iter.Seq2[[]byte, error] {
		return func(yield func([]byte, error) bool) {
			r, err := followLog(ctx, log)
			if err != nil {
				yield(nil, err)
				return
			}
			defer r.Close()
			counted := &countedReader{from: r}
			var end int64
			defer func() { taken.Store(max(taken.Load(), counted.placeOf(end))) }()
			for line, err := range logsource.LinesAt(counted, &end) {
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

// A countedReader counts what is read of a log.
type countedReader struct {
	from  io.Reader
	count int64
}

func (r *countedReader) Read(p []byte) (int, error) {
	n, err := r.from.Read(p)
	r.count += int64(n)
	return n, err
}

// placeOf returns the place in the log of what lies behind the first count bytes that
// were read. It is another than count if the pod has truncated the log.
func (r *countedReader) placeOf(count int64) int64 {
	return max(0, placeOf(r.from, r.count)-(r.count-count))
}

// A podOutput reads the pod's lines for a launch: once for the tail, which an error
// needs, and once for the progress callback if there is one. The two are
// followers of their own, so a callback that is slow slows down nothing else,
// and nothing needs a queue.
//
// The launch reads the tail when it has failed; a launch that succeeds does not pay for
// it. With a callback it reads the tail all the while, because then it counts every line.
// Each follower runs in one goroutine that this podOutput owns; finish joins them.
type podOutput struct {
	log    *logsource.Log
	probe  readiness.Probe
	target readiness.Target
	begun  chan struct{}           // closed by begin
	ctx    context.Context         // of the followers
	stop   context.CancelCauseFunc // ends them, with the reason

	head    []string // set by finish
	tail    lastLines
	missed  nearMisses
	tailing <-chan outcome[struct{}] // nil while nobody reads it
	enough  atomic.Bool              // nobody needs the tail any more

	announced atomic.Bool  // a ready line was seen
	lost      atomic.Int64 // bytes that were freed before the tail was read

	progress    *progress
	progressing <-chan outcome[struct{}] // nil without a callback
	stuck       []error                  // what did not end in time
}

// newOutput returns the output of the pod t, which goes to log and which p waits for.
// progress gets its lines, if it has a callback. The caller has to call begin, and then
// finish.
func newOutput(ctx context.Context, log *logsource.Log, p readiness.Probe, t readiness.Target, progress *progress) *podOutput {
	w := &podOutput{log: log, probe: p, target: t, progress: progress, begun: make(chan struct{})}
	// Not ctx itself: the log is read to its end even if ctx ends first.
	w.ctx, w.stop = context.WithCancelCause(context.WithoutCancel(ctx))
	return w
}

// begin begins to read, if there is a callback. The probe is reading by then: where there
// may be few readers at once, it has to be among them.
func (w *podOutput) begin() {
	defer close(w.begun)
	if w.progress.call == nil {
		return
	}
	w.readTail()
	w.progress.open()
	w.progressing = w.follow(math.MaxInt64, false, func(line []byte, end int64) bool {
		if text, ok := readiness.StatusOf(w.probe, w.target, line); ok {
			line = text
		}
		return w.progress.takeLine(line, end)
	}, w.progress.pass)
}

// enoughForTail is more than the last lines can take that a message shows, and more than
// those that are kept, unless these are long.
const enoughForTail = 2 * shownLines * logsource.MaxLine

// readTail begins to read the tail: the last bytes of the log are enough for
// that, and all of it for a count.
func (w *podOutput) readTail() {
	most := int64(enoughForTail)
	if w.progress.call != nil {
		most = math.MaxInt64
	}
	w.tailing = w.follow(most, true, func(line []byte, _ int64) bool {
		w.tail.add(line)
		w.missed.look(w.probe, w.target, line)
		return !w.enough.Load()
	}, func(int64) {})
}

// follow hands each line of the log, or of its last bytes if there are more
// than most, to take, in a goroutine of its own, until take returns false or the
// log ends, with the place in the log where it ends. The ready line goes to pass, which
// gets that place alone. The unterminated end is handed over if
// the pod has exited, for then nothing will complete it, or if partial is set.
func (w *podOutput) follow(most int64, partial bool, take func(line []byte, end int64) bool, pass func(end int64)) <-chan outcome[struct{}] {
	return spawn(func() (struct{}, error) {
		r, err := followLog(w.ctx, w.log)
		if err != nil {
			return struct{}{}, err
		}
		defer r.Close()
		if lossy, ok := r.(logsource.Lossy); ok && partial {
			defer func() { w.lost.Store(lossy.Lost()) }()
		}
		if skipper, ok := r.(logsource.Skipper); ok && most < math.MaxInt64 {
			if err := skipper.SkipToLast(most); err != nil {
				return struct{}{}, err
			}
		}
		own := newOwnLines(w.probe, w.target)
		counted := &countedReader{from: r}
		var end int64
		for line, err := range logsource.LinesAt(counted, &end) {
			switch {
			case err == nil && own.has(line):
				w.announced.Store(true)
				pass(counted.placeOf(end))
			case err == nil && !take(line, counted.placeOf(end)):
				return struct{}{}, nil
			case err != nil:
				if len(line) > 0 && (partial || errors.Is(err, ErrExitedEarly)) {
					take(line, counted.placeOf(counted.count))
				}
				return struct{}{}, nil
			}
		}
		return struct{}{}, nil
	})
}

// finish ends the reading, and returns when its goroutines have ended or have
// had their time. It waits for begin.
func (w *podOutput) finish(ready, exited bool) {
	<-w.begun
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
	finishHead := w.beginHead(ready)
	if _, ok := receive(w.tailing, drainPatience); !ok {
		w.enough.Store(true) // it ends with its next line
		w.stuck = append(w.stuck, fmt.Errorf("the log was not read to its end within %v", drainPatience))
	}
	finishHead()
}

// readTo returns how far the launch has come in the log: the callback, if there is one,
// and else the probe, which has come to probed.
func (w *podOutput) readTo(probed int64) int64 {
	if w.progressing == nil {
		return probed
	}
	return w.progress.place()
}

// beginHead begins to read the pod's first lines, unless the pod is ready. The caller has
// to call finish, which joins the goroutine that reads, or gives it up.
func (w *podOutput) beginHead(ready bool) (finish func()) {
	if ready {
		return func() {}
	}
	reading := spawn(w.readHead)
	return func() {
		wait := patience
		if len(w.stuck) > 0 {
			wait = 0 // the same log was waited for already
		}
		head, ok := receive(reading, wait)
		if !ok && wait > 0 {
			w.stuck = append(w.stuck, fmt.Errorf("the beginning of the log was not read within %v", patience))
		}
		w.head = head.value
	}
}

// readHead returns the pod's first lines, without its ready line. It is called once the
// launch has failed: w.ctx is done, and so the log is read up to its present end.
func (w *podOutput) readHead() (head []string, err error) {
	r, err := followLog(w.ctx, w.log)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	own := newOwnLines(w.probe, w.target)
	for line, err := range logsource.Lines(io.LimitReader(r, enoughForTail)) {
		if err == nil && own.has(line) || err != nil && len(line) == 0 {
			continue
		}
		if head = append(head, string(line)); len(head) == keptLines {
			break
		}
	}
	return head, nil
}

// explain fills in what the pod has written, and the line of it that looks like the
// reason. It has to be called after finish.
func (w *podOutput) explain(e *Error) {
	e.Head, e.Tail = w.head, w.tail.lines()
	e.Cause = causeIn(e.Head, e.Tail)
}

// dropped returns how many lines the callback did not get.
func (w *podOutput) dropped() int {
	if w.progressing == nil {
		return 0
	}
	return max(0, w.tail.total()-w.progress.total()) + w.progress.lost()
}

// inspect returns what f sees of a pod that is not ready, and whether it has seen it. f may
// hang in a filesystem. Then it is left to itself, and w names it: what says what was not
// done.
func inspect[T any](w *podOutput, what string, f func() T) (seen T, ok bool) {
	o, ok := receive(spawn(func() (T, error) { return f(), nil }), patience)
	switch {
	case !ok:
		w.stuck = append(w.stuck, fmt.Errorf("%s within %v", what, patience))
	case o.crash != nil:
		o.crash.pass()
	}
	return o.value, ok
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
