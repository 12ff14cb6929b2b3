package readinesstest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/podlaunch/podlaunch/readiness"
	"github.com/podlaunch/podlaunch/runtimedir/conformance"
)

// These probes test the kit: each breaks one rule.

// A line is a probe that breaks no rule: it waits for the line "ready ADDRESS",
// or "broken REASON".
type line struct {
	// wait, if not nil, takes Wait's place.
	wait func(l line, ctx context.Context, t readiness.Target) (readiness.Endpoint, error)
	held *held
}

// A held is what a wrong probe keeps between waits; newCase makes it.
type held struct {
	t        *testing.T
	mu       sync.Mutex
	spoilt   bool
	over     context.Context // done when the test is
	seen     chan struct{}
	seenOnce sync.Once
	lines    []string
}

var errBroken = errors.New("the pod is broken")

func (l line) Wait(ctx context.Context, t readiness.Target) (readiness.Endpoint, error) {
	if l.wait != nil {
		return l.wait(l, ctx, t)
	}
	return l.right(ctx, t)
}

func (l line) right(ctx context.Context, t readiness.Target) (readiness.Endpoint, error) {
	if t.Lines == nil {
		return readiness.Endpoint{}, errors.New("no lines to read")
	}
	for line, err := range t.Lines(ctx) {
		if err != nil && ctx.Err() != nil {
			return readiness.Endpoint{}, &readiness.PendingError{Waiting: l.String(), Cause: context.Cause(ctx)}
		}
		if err != nil {
			return readiness.Endpoint{}, fmt.Errorf("read the log: %w", err)
		}
		if address, ok := address(line); ok {
			return at(address), nil
		}
		if reason, ok := bytes.CutPrefix(line, []byte("broken ")); ok {
			return readiness.Endpoint{}, fmt.Errorf("%w: %s", errBroken, reason)
		}
	}
	<-ctx.Done()
	return readiness.Endpoint{}, &readiness.PendingError{Waiting: l.String(), Cause: context.Cause(ctx)}
}

func address(line []byte) (string, bool) {
	rest, ok := bytes.CutPrefix(line, []byte("ready "))
	return string(rest), ok
}

func at(address string) readiness.Endpoint {
	return readiness.Endpoint{Network: "unix", Address: address}
}

func (line) String() string { return "a line" }

// caseOf is the case of a probe that waits for a line, which is made by probe.
func caseOf(probe func(l line) readiness.Probe) func(t *testing.T) Case {
	return func(t *testing.T) Case {
		h := &held{t: t, seen: make(chan struct{})}
		over, cancel := context.WithCancel(context.Background())
		t.Cleanup(cancel)
		h.over = over
		log := new(Log)
		return Case{
			Probe:  probe(line{held: h}),
			Target: readiness.Target{Lines: log.Lines, Endpoint: at("/run/earlier")},
			Ready:  func(*readiness.Setup) { io.WriteString(log, "listening\nready /run/sock\n") },
			Fail:   func(*readiness.Setup) { io.WriteString(log, "broken disk\n") },
			Want:   at("/run/sock"),
		}
	}
}

// waiting is the case of a line with another Wait.
func waiting(wait func(l line, ctx context.Context, t readiness.Target) (readiness.Endpoint, error)) func(t *testing.T) Case {
	return caseOf(func(l line) readiness.Probe {
		l.wait = wait
		return l
	})
}

// broken returns what is broken, and the rules that do not apply. The clock jumps,
// and so even what hangs takes no time.
func broken(t *testing.T, newCase func(t *testing.T) Case, only ...string) (map[string]error, []string) {
	t.Helper()
	return kit.Broken(t, conformance.InBubble(checks(newCase)), only...)
}

// brokenInTime is broken for what waits for the kernel: a clock that jumps would not
// go on.
func brokenInTime(t *testing.T, newCase func(t *testing.T) Case, only ...string) (map[string]error, []string) {
	t.Helper()
	was := patience
	defer func() { patience = was }()
	patience = 2 * time.Second
	return kit.Broken(t, checks(newCase), only...)
}

// What is right breaks no rule, and between them all rules apply.
func TestRight(t *testing.T) {
	never := slices.Collect(maps.Keys(maps.Collect(Rules())))
	for name, newCase := range map[string]func(t *testing.T) Case{
		"line":      caseOf(func(l line) readiness.Probe { return l }),
		"line+":     caseOf(func(l line) readiness.Probe { return knowing{line: l} }),
		"composite": caseOf(func(l line) readiness.Probe { return readiness.Sequence{knowing{line: l}, verifying{}} }),
		"joined":    waiting(joined),
		"two lines": pairCase,
		"ticker":    tickerCase,
		"mailbox":   mailCase(func(m mailbox) readiness.Probe { return m }),
		"any mailbox": mailCase(func(m mailbox) readiness.Probe {
			return readiness.Any{Never{}, m}
		}),
	} {
		wrong, skipped := broken(t, newCase)
		if len(wrong) > 0 {
			t.Errorf("%s breaks %v", name, wrong)
		}
		never = slices.DeleteFunc(never, func(rule string) bool { return !slices.Contains(skipped, rule) })
	}
	wrong, skipped := brokenInTime(t, askCase(asking{}))
	if len(wrong) > 0 {
		t.Errorf("asking breaks %v", wrong)
	}
	never = slices.DeleteFunc(never, func(rule string) bool { return !slices.Contains(skipped, rule) })
	if len(never) > 0 {
		t.Errorf("rules that never applied: %v", never)
	}
}

// A Switch passes the kit itself.
func TestSwitch(t *testing.T) {
	t.Parallel()
	for _, at := range []readiness.Endpoint{{}, at("/run/sock")} {
		Test(t, func(*testing.T) Case {
			s := new(Switch)
			return Case{
				Probe:  s,
				Ready:  func(*readiness.Setup) { s.Ready(at) },
				Fail:   func(*readiness.Setup) { s.Fail(errBroken) },
				Want:   at,
				OnePod: true,
			}
		})
	}
}

// Every wrong probe is caught by the rule that is there for it, and by no
// other, and for every rule there is one.
func TestWrong(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped with -short: it takes the kit for each wrong probe")
	}
	proof := conformance.NewProof(Rules())
	defer os.Unsetenv("READINESSTEST_WAITS") // one of them sets it
	type try func(t *testing.T, newCase func(t *testing.T) Case, only ...string) (map[string]error, []string)
	find := func(wrong mistake, broken try) {
		t.Run(strings.ReplaceAll(wrong.name, " ", "-"), func(t *testing.T) {
			proof.Finds(t, func(only ...string) map[string]error {
				found, _ := broken(t, wrong.newCase, only...)
				return found
			}, wrong.by...)
		})
	}
	for _, wrong := range slices.Concat(wrongWaits, wrongLines, wrongAbout, wrongPrepares) {
		find(wrong, broken)
	}
	find(mistake{"asks without an end", []string{"mute"}, askCase(asking{endless: true})}, brokenInTime)
	proof.Complete(t)
}

// A mistake is a wrong probe, and the rules that it breaks.
type mistake struct {
	name    string
	by      []string
	newCase func(t *testing.T) Case
}

var wrongWaits = []mistake{
	{"returns the endpoint of an earlier probe", []string{"ready"}, waiting(
		func(l line, ctx context.Context, t readiness.Target) (readiness.Endpoint, error) {
			_, err := l.right(ctx, t)
			return t.Endpoint, err
		})},
	{"tells it to the program by a variable", []string{"surroundings"}, waiting(
		func(l line, ctx context.Context, t readiness.Target) (readiness.Endpoint, error) {
			os.Setenv("READINESSTEST_WAITS", t.Name)
			return l.right(ctx, t)
		})},
	{"does not wait", []string{"waits"}, waiting(
		func(line, context.Context, readiness.Target) (readiness.Endpoint, error) {
			return at("/run/sock"), nil
		})},
	{"ignores ctx", []string{"ends"}, waiting(
		func(l line, _ context.Context, t readiness.Target) (readiness.Endpoint, error) {
			return l.right(l.held.over, t)
		})},
	{"has no patience", []string{"waits"}, waiting(
		func(l line, ctx context.Context, t readiness.Target) (readiness.Endpoint, error) {
			ctx, cancel := context.WithTimeout(ctx, moment+moment/2)
			defer cancel()
			return l.right(ctx, t)
		})},
	{"overlooks what was there before", []string{"already"}, waiting(
		func(l line, ctx context.Context, t readiness.Target) (readiness.Endpoint, error) {
			before, from := 0, t.Lines
			if from != nil && ctx.Err() == nil {
				looking, cancel := context.WithCancel(ctx)
				cancel()
				for _, err := range from(looking) {
					if err == nil {
						before++
					}
				}
				t.Lines = skipping(from, before)
			}
			return l.right(ctx, t)
		})},
	{"says timed out and nothing else", []string{"cause"}, waiting(
		func(l line, ctx context.Context, t readiness.Target) (readiness.Endpoint, error) {
			e, err := l.right(ctx, t)
			if errors.Is(err, context.DeadlineExceeded) {
				err = errors.New("timed out")
			}
			return e, err
		})},
	{"returns ctx.Err", []string{"cause", "done", "late", "lines-end-cause"}, waiting(
		func(l line, ctx context.Context, t readiness.Target) (readiness.Endpoint, error) {
			if ctx.Err() != nil {
				return readiness.Endpoint{}, ctx.Err()
			}
			e, err := l.right(ctx, t)
			if ctx.Err() != nil {
				err = ctx.Err()
			}
			return e, err
		})},
	{"is ready with a ctx that is done", []string{"done"}, waiting(
		func(l line, ctx context.Context, t readiness.Target) (readiness.Endpoint, error) {
			was := ctx.Err()
			e, err := l.right(ctx, t)
			if err != nil && was != nil {
				return t.Endpoint, nil
			}
			return e, err
		})},
	{"finds a ready pod elsewhere with a ctx that is done", []string{"late"}, waiting(
		func(l line, ctx context.Context, t readiness.Target) (readiness.Endpoint, error) {
			e, err := l.right(ctx, t)
			if ctx.Err() != nil {
				e = t.Endpoint
			}
			return e, err
		})},
	{"does not see that it is broken", []string{"fails"}, waiting(
		func(l line, ctx context.Context, t readiness.Target) (readiness.Endpoint, error) {
			e, err := l.right(ctx, t)
			if errors.Is(err, errBroken) {
				<-ctx.Done()
			}
			return e, err
		})},
	{"holds that a broken one is ready", []string{"fails"}, waiting(
		func(l line, ctx context.Context, t readiness.Target) (readiness.Endpoint, error) {
			e, err := l.right(ctx, t)
			if errors.Is(err, errBroken) {
				return at("/run/sock"), nil
			}
			return e, err
		})},
	{"remembers that a pod was ready", []string{"together"}, waiting(
		func(l line, ctx context.Context, t readiness.Target) (readiness.Endpoint, error) {
			waiting, cancel := context.WithCancelCause(ctx)
			go func() {
				select {
				case <-l.held.seen:
				case <-waiting.Done():
				}
				cancel(nil)
			}()
			e, err := l.right(waiting, t)
			switch {
			case ctx.Err() != nil:
				return e, err
			case err != nil && errors.Is(err, context.Canceled):
				return at("/run/sock"), nil
			case err == nil:
				l.held.seenOnce.Do(func() { close(l.held.seen) })
			}
			cancel(nil)
			return e, err
		})},
	{"is spoilt by a ctx that ends", []string{"again"}, waiting(
		func(l line, ctx context.Context, t readiness.Target) (readiness.Endpoint, error) {
			l.held.mu.Lock()
			spoilt := l.held.spoilt
			l.held.mu.Unlock()
			if spoilt {
				return readiness.Endpoint{}, errors.New("spoilt")
			}
			e, err := l.right(ctx, t)
			if ctx.Err() != nil {
				l.held.mu.Lock()
				l.held.spoilt = true
				l.held.mu.Unlock()
			}
			return e, err
		})},
	{"leaves a goroutine", []string{"goroutines"}, waiting(
		func(l line, ctx context.Context, t readiness.Target) (readiness.Endpoint, error) {
			go func() { <-l.held.over.Done() }()
			return l.right(ctx, t)
		})},
	{"leaves a descriptor", []string{"descriptors"}, waiting(
		func(l line, ctx context.Context, t readiness.Target) (readiness.Endpoint, error) {
			if f, err := os.Open(os.DevNull); err == nil {
				context.AfterFunc(l.held.over, func() { f.Close() })
			}
			return l.right(ctx, t)
		})},
	{"leaves a descriptor of a pod that is ready", []string{"descriptors"}, waiting(
		func(l line, ctx context.Context, t readiness.Target) (readiness.Endpoint, error) {
			e, err := l.right(ctx, t)
			if f, openErr := os.Open(os.DevNull); err == nil && openErr == nil {
				context.AfterFunc(l.held.over, func() { f.Close() })
			}
			return e, err
		})},
	{"leaves a goroutine of a pod that failed", []string{"goroutines"}, waiting(leaving(errBroken, stay))},
	{"leaves a goroutine of lines that failed", []string{"goroutines"}, waiting(leaving(errRead, stay))},
	{"leaves a goroutine of every other wait", []string{"goroutines"}, waiting(
		func(l line, ctx context.Context, t readiness.Target) (readiness.Endpoint, error) {
			l.held.mu.Lock()
			if l.held.spoilt = !l.held.spoilt; !l.held.spoilt {
				stay(l)
			}
			l.held.mu.Unlock()
			return l.right(ctx, t)
		})},
	{"leaves a descriptor of a pod that failed", []string{"descriptors"}, waiting(leaving(errBroken, forget))},
	{"leaves a descriptor of lines that failed", []string{"descriptors"}, waiting(leaving(errRead, forget))},
	{"keeps every line", []string{"memory"}, waiting(
		func(l line, ctx context.Context, t readiness.Target) (readiness.Endpoint, error) {
			t.Lines = each(t.Lines, func(line []byte) bool {
				l.held.mu.Lock()
				defer l.held.mu.Unlock()
				l.held.lines = append(l.held.lines, string(line))
				return true
			})
			return l.right(ctx, t)
		})},
	{"panics without lines", []string{"panic-free"}, waiting(
		func(l line, ctx context.Context, t readiness.Target) (readiness.Endpoint, error) {
			if t.Lines == nil {
				panic("no lines")
			}
			return l.right(ctx, t)
		})},
	{"panics at an empty line", []string{"panic-free"}, waiting(
		func(l line, ctx context.Context, t readiness.Target) (readiness.Endpoint, error) {
			t.Lines = each(t.Lines, func(line []byte) bool { return line[0] != '#' })
			return l.right(ctx, t)
		})},
	{"is ready without an endpoint", []string{"panic-free"}, waiting(
		func(l line, ctx context.Context, t readiness.Target) (readiness.Endpoint, error) {
			if t.Endpoint == (readiness.Endpoint{}) {
				return t.Endpoint, nil
			}
			return l.right(ctx, t)
		})},
}

// stay starts a goroutine that ends with the test.
func stay(l line) { go func() { <-l.held.over.Done() }() }

// forget opens a file that is closed with the test.
func forget(l line) {
	if f, err := os.Open(os.DevNull); err == nil {
		context.AfterFunc(l.held.over, func() { f.Close() })
	}
}

// leaving leaves something behind where Wait returns this error.
func leaving(of error, leave func(l line)) func(l line, ctx context.Context, t readiness.Target) (readiness.Endpoint, error) {
	return func(l line, ctx context.Context, t readiness.Target) (readiness.Endpoint, error) {
		e, err := l.right(ctx, t)
		if errors.Is(err, of) {
			leave(l)
		}
		return e, err
	}
}

type (
	lineSeq   = iter.Seq2[[]byte, error]
	linesFunc = func(ctx context.Context) lineSeq
)

// skipping leaves the first n lines out.
func skipping(from linesFunc, n int) linesFunc {
	return func(ctx context.Context) lineSeq {
		return func(yield func([]byte, error) bool) {
			i := 0
			for line, err := range from(ctx) {
				if i++; i > n && !yield(line, err) {
					return
				}
			}
		}
	}
}

// each has see look at each line first, and leaves out those for which it is false.
func each(from linesFunc, see func(line []byte) bool) linesFunc {
	if from == nil {
		return nil
	}
	return func(ctx context.Context) lineSeq {
		return func(yield func([]byte, error) bool) {
			for line, err := range from(ctx) {
				if (err != nil || see(line)) && !yield(line, err) {
					return
				}
			}
		}
	}
}

var wrongLines = []mistake{
	{"says ctx.Err where the log has ended", []string{"lines-end-cause"}, waiting(
		func(l line, ctx context.Context, t readiness.Target) (readiness.Endpoint, error) {
			ended := true
			from := t.Lines
			if from != nil {
				t.Lines = func(ctx context.Context) lineSeq {
					return func(yield func([]byte, error) bool) {
						for line, err := range from(ctx) {
							ended = err == nil
							if !yield(line, err) {
								ended = false
								return
							}
						}
					}
				}
			}
			e, err := l.right(ctx, t)
			if err != nil && ended && ctx.Err() != nil {
				err = ctx.Err()
			}
			return e, err
		})},
	{"looks at ctx before each line", []string{"last-word"}, waiting(
		func(l line, ctx context.Context, t readiness.Target) (readiness.Endpoint, error) {
			if t.Lines == nil {
				return l.right(ctx, t)
			}
			from := t.Lines
			t.Lines = func(lines context.Context) lineSeq {
				return func(yield func([]byte, error) bool) {
					for line, err := range from(lines) {
						if ctx.Err() != nil {
							yield(nil, context.Cause(ctx))
							return
						}
						if !yield(line, err) {
							return
						}
					}
				}
			}
			return l.right(ctx, t)
		})},
	{"looks at ctx before the log", []string{"last-word"}, waiting(
		func(l line, ctx context.Context, t readiness.Target) (readiness.Endpoint, error) {
			if ctx.Err() != nil {
				return readiness.Endpoint{}, context.Cause(ctx)
			}
			return l.right(ctx, t)
		})},
	{"takes whatever comes first, a line or the end of ctx", []string{"last-word"}, waiting(hasty)},
	{"keeps the line", []string{"line-slices"}, waiting(
		func(l line, ctx context.Context, t readiness.Target) (readiness.Endpoint, error) {
			from := t.Lines
			var kept []byte
			t.Lines = nil
			if from != nil {
				t.Lines = func(ctx context.Context) lineSeq {
					return func(yield func([]byte, error) bool) {
						for line, err := range from(ctx) {
							kept = line
							if !yield(line, err) {
								return
							}
						}
					}
				}
			}
			e, err := l.right(ctx, t)
			if err == nil && ctx.Err() == nil {
				e.Address, _ = address(kept)
			}
			return e, err
		})},
	{"reads with a ctx of its own", []string{"lines-ctx"}, waiting(
		func(l line, ctx context.Context, t readiness.Target) (readiness.Endpoint, error) {
			own, cancel := context.WithCancelCause(context.Background())
			defer cancel(nil)
			defer context.AfterFunc(ctx, func() { cancel(context.Cause(ctx)) })()
			if ctx.Err() != nil {
				cancel(context.Cause(ctx))
			}
			return l.right(own, t)
		})},
	{"swallows why the reading failed", []string{"lines-error"}, waiting(
		func(l line, ctx context.Context, t readiness.Target) (readiness.Endpoint, error) {
			e, err := l.right(ctx, t)
			if errors.Is(err, errRead) {
				err = errors.New("the log cannot be read")
			}
			return e, err
		})},
	{"goes on when the reading fails", []string{"lines-error"}, waiting(
		func(l line, ctx context.Context, t readiness.Target) (readiness.Endpoint, error) {
			e, err := l.right(ctx, t)
			if errors.Is(err, errRead) {
				<-ctx.Done()
				err = context.Cause(ctx)
			}
			return e, err
		})},
	{"takes the end of the log for a sign", []string{"lines-end"}, waiting(
		func(l line, ctx context.Context, t readiness.Target) (readiness.Endpoint, error) {
			if t.Lines == nil {
				return l.right(ctx, t)
			}
			for line, err := range t.Lines(ctx) {
				if err != nil || !bytes.Equal(line, []byte("listening")) {
					return l.right(ctx, t)
				}
			}
			return t.Endpoint, nil
		})},
}

// A knowing line knows its lines.
type knowing struct {
	line
	owns   func(k knowing, line []byte) bool
	status func(k knowing, line []byte) ([]byte, bool)
	near   func(line []byte) string
	adopts func() bool
}

func (k knowing) OwnsLine(_ readiness.Target, line []byte) bool {
	if k.owns != nil {
		return k.owns(k, line)
	}
	_, ok := address(line)
	return ok
}

func (k knowing) Status(_ readiness.Target, line []byte) ([]byte, bool) {
	if k.status != nil {
		return k.status(k, line)
	}
	return line, bytes.Equal(line, []byte("listening"))
}

func (k knowing) NearMiss(_ readiness.Target, line []byte) string {
	if k.near != nil {
		return k.near(line)
	}
	if at := bytes.Index(line, []byte("ready ")); at > 0 {
		return fmt.Sprintf("something stands before it: %q", line)
	}
	return ""
}

func (k knowing) Adopts() bool { return k.adopts != nil && k.adopts() }

// A verifying probe knows whether the pod still answers, which does so at one address.
type verifying struct {
	Never
	err     error
	anybody bool  // it is content with any address
	refusal error // of a peer; nil: ErrForeignPeer
}

func (verifying) Wait(_ context.Context, t readiness.Target) (readiness.Endpoint, error) {
	return t.Endpoint, nil
}

func (v verifying) Verify(_ context.Context, t readiness.Target) error {
	if v.err == nil && !v.anybody && t.Endpoint != at("/run/sock") {
		return errors.New("nobody answers")
	}
	return v.err
}

func (v verifying) CheckPeer(p readiness.Peer, _ readiness.Target) error {
	if p.UID == os.Geteuid() {
		return nil
	}
	if v.refusal != nil {
		return v.refusal
	}
	return fmt.Errorf("user %d: %w", p.UID, readiness.ErrForeignPeer)
}

// nameless hides String.
type nameless struct{ readiness.Probe }

// A saying line describes itself in its own way.
type saying struct {
	line
	text string
}

func (s saying) String() string { return s.text }

// A group has parts.
type group struct {
	line
	parts func() []readiness.Probe
}

func (g group) Probes() []readiness.Probe { return g.parts() }

var wrongAbout = []mistake{
	{"has no String", []string{"describes"}, caseOf(func(l line) readiness.Probe { return nameless{l} })},
	{"says two lines", []string{"describes"}, caseOf(func(l line) readiness.Probe { return saying{l, "a\nb"} })},
	{"says nothing", []string{"describes"}, caseOf(func(l line) readiness.Probe { return saying{l, ""} })},
	{"is pending for nothing", []string{"pending"}, waiting(
		func(l line, ctx context.Context, t readiness.Target) (readiness.Endpoint, error) {
			e, err := l.right(ctx, t)
			if p := (*readiness.PendingError)(nil); errors.As(err, &p) {
				p.Waiting = ""
			}
			return e, err
		})},
	{"owns every other line", []string{"pure-lines"}, caseOf(func(l line) readiness.Probe {
		return knowing{line: l, owns: func(k knowing, line []byte) bool {
			k.held.mu.Lock()
			defer k.held.mu.Unlock()
			k.held.spoilt = !k.held.spoilt
			_, ok := address(line)
			return ok || k.held.spoilt
		}}
	})},
	{"trims the line in place", []string{"pure-lines"}, caseOf(func(l line) readiness.Probe {
		return knowing{line: l, status: func(_ knowing, line []byte) ([]byte, bool) {
			if len(line) > 0 {
				line[0] = ' '
			}
			return nil, false
		}}
	})},
	{"overwrites what is nearly the line", []string{"pure-lines"}, caseOf(func(l line) readiness.Probe {
		return knowing{line: l, near: func(line []byte) string {
			for i := range line {
				line[i] = 'x'
			}
			return ""
		}}
	})},
	{"has no near miss for a line without a byte", []string{"pure-lines"}, caseOf(func(l line) readiness.Probe {
		return knowing{line: l, near: func(line []byte) string {
			if line[0] == '#' {
				return "it is a comment"
			}
			return ""
		}}
	})},
	{"quotes what is nearly the line as it is", []string{"near-miss"}, caseOf(func(l line) readiness.Probe {
		return knowing{line: l, near: func(line []byte) string { return "nearly: " + string(line) }}
	})},
	{"adopts every other time", []string{"adopts"}, caseOf(func(l line) readiness.Probe {
		var n atomic.Int64
		return knowing{line: l, adopts: func() bool { return n.Add(1)%2 == 0 }}
	})},
	{"owns no line", []string{"owned"}, caseOf(func(l line) readiness.Probe {
		return knowing{line: l, owns: func(knowing, []byte) bool { return false }}
	})},
	{"verifies nothing", []string{"verify"}, caseOf(func(l line) readiness.Probe {
		return readiness.Sequence{l, verifying{err: errBroken}}
	})},
	{"verifies anybody", []string{"verify"}, caseOf(func(l line) readiness.Probe {
		return readiness.Sequence{l, verifying{anybody: true}}
	})},
	{"refuses a peer in its own words", []string{"peer"}, caseOf(func(l line) readiness.Probe {
		return readiness.Sequence{l, verifying{refusal: errors.New("go away")}}
	})},
	{"has a nil part", []string{"parts"}, caseOf(func(l line) readiness.Probe {
		return group{l, func() []readiness.Probe { return []readiness.Probe{nil} }}
	})},
	{"has more parts every time", []string{"parts"}, caseOf(func(l line) readiness.Probe {
		var all []readiness.Probe
		return group{l, func() []readiness.Probe {
			all = append(all, l)
			return all
		}}
	})},
	{"is prepared to something without parts", []string{"parts"}, mailCase(func(m mailbox) readiness.Probe {
		return flat{m}
	})},
}

// A flat Composite forgets its parts in Prepare.
type flat struct{ mailbox }

func (f flat) Probes() []readiness.Probe { return []readiness.Probe{f.mailbox} }

// A mailbox is a Preparer that breaks no rule: the pod finds a number in its
// environment, and is ready once somebody has posted something there.
type mailbox struct {
	number *int // of the mailbox; nil: each launch has its own
	// prepare, if not nil, takes Prepare's place.
	prepare func(m mailbox, ctx context.Context, s *readiness.Setup) (readiness.Probe, error)
	wait    func(ctx context.Context, t readiness.Target) (readiness.Endpoint, error)
	held    *held
}

// boxes are what has been posted.
var boxes struct {
	mu   sync.Mutex
	all  map[int]*Switch
	next int
}

func box(number int) *Switch {
	boxes.mu.Lock()
	defer boxes.mu.Unlock()
	if boxes.all[number] == nil {
		if boxes.all == nil {
			boxes.all = make(map[int]*Switch)
		}
		boxes.all[number] = new(Switch)
	}
	return boxes.all[number]
}

func newNumber() int {
	boxes.mu.Lock()
	defer boxes.mu.Unlock()
	boxes.next++
	return boxes.next
}

func (m mailbox) Wait(ctx context.Context, t readiness.Target) (readiness.Endpoint, error) {
	if m.wait != nil {
		return m.wait(ctx, t)
	}
	return readiness.Endpoint{}, errors.New("it was not prepared")
}

func (mailbox) String() string { return "a letter" }

func (m mailbox) Prepare(ctx context.Context, s *readiness.Setup) (readiness.Probe, error) {
	if m.prepare != nil {
		return m.prepare(m, ctx, s)
	}
	return m.right(s)
}

func (m mailbox) right(s *readiness.Setup) (*Switch, error) {
	number := newNumber()
	if m.number != nil {
		number = *m.number
	}
	note := filepath.Join(s.RuntimeDir, fmt.Sprintf("mailbox-%d", number))
	s.Cleanup(func() { os.Remove(note) })
	if err := os.WriteFile(note, nil, 0o600); err != nil {
		return nil, err
	}
	f, err := os.Open(note)
	if err != nil {
		return nil, err
	}
	if _, err := s.AddFile(f); err != nil {
		return nil, err
	}
	s.Env = append(s.Env, fmt.Sprintf("MAILBOX=%d", number))
	s.PIDEnv = append(s.PIDEnv, "MAILBOX_PID")
	if s.Status != nil {
		s.Status("a mailbox is there")
	}
	return box(number), nil
}

func mailCase(probe func(m mailbox) readiness.Probe) func(t *testing.T) Case {
	return func(t *testing.T) Case {
		over, cancel := context.WithCancel(context.Background())
		t.Cleanup(cancel)
		return Case{
			Probe: probe(mailbox{held: &held{t: t, over: over}}),
			Ready: func(s *readiness.Setup) { post(t, s) },
		}
	}
}

// post is what the pod does when it is ready.
func post(t *testing.T, s *readiness.Setup) {
	for _, e := range s.Env {
		var number int
		if n, _ := fmt.Sscanf(e, "MAILBOX=%d", &number); n == 1 {
			box(number).Ready(readiness.Endpoint{})
			return
		}
	}
	t.Fatal("no mailbox in the environment")
}

// preparing is the case of a mailbox with another Prepare.
func preparing(prepare func(m mailbox, ctx context.Context, s *readiness.Setup) (readiness.Probe, error)) func(t *testing.T) Case {
	return mailCase(func(m mailbox) readiness.Probe {
		m.prepare = prepare
		return m
	})
}

// A leaking Switch leaves a descriptor.
type leaking struct {
	*Switch
	held *held
}

func (l leaking) Wait(ctx context.Context, t readiness.Target) (readiness.Endpoint, error) {
	if f, err := os.Open(os.DevNull); err == nil {
		context.AfterFunc(l.held.over, func() { f.Close() })
	}
	return l.Switch.Wait(ctx, t)
}

// A counting Preparer counts its launches.
type counting struct {
	mailbox
	Launches int
}

func (c *counting) Prepare(ctx context.Context, s *readiness.Setup) (readiness.Probe, error) {
	c.Launches++
	return c.mailbox.Prepare(ctx, s)
}

var wrongPrepares = []mistake{
	{"panics unprepared", []string{"unprepared"}, mailCase(func(m mailbox) readiness.Probe {
		m.wait = func(context.Context, readiness.Target) (readiness.Endpoint, error) { panic("no mailbox") }
		return m
	})},
	{"leaves a descriptor when it waits", []string{"descriptors"}, preparing(
		func(m mailbox, _ context.Context, s *readiness.Setup) (readiness.Probe, error) {
			box, err := m.right(s)
			return leaking{box, m.held}, err
		})},
	{"counts launches", []string{"prepare-value"}, mailCase(func(m mailbox) readiness.Probe { return &counting{mailbox: m} })},
	{"has one mailbox for all", []string{"prepare-twice"}, mailCase(func(m mailbox) readiness.Probe {
		number := newNumber()
		m.number = &number
		return m
	})},
	{"sets Env anew", []string{"prepare-adds"}, preparing(
		func(m mailbox, _ context.Context, s *readiness.Setup) (readiness.Probe, error) {
			s.Env = nil
			return m.right(s)
		})},
	{"closes the files of others", []string{"prepare-adds"}, preparing(
		func(m mailbox, _ context.Context, s *readiness.Setup) (readiness.Probe, error) {
			s.CloseFiles()
			return m.right(s)
		})},
	{"ends with the ctx of Prepare", []string{"prepare-ctx"}, preparing(
		func(m mailbox, ctx context.Context, s *readiness.Setup) (readiness.Probe, error) {
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			box, err := m.right(s)
			context.AfterFunc(ctx, func() { box.Fail(context.Cause(ctx)) })
			return box, err
		})},
	{"is never ready when prepared too late", []string{"prepare-done"}, preparing(
		func(m mailbox, ctx context.Context, s *readiness.Setup) (readiness.Probe, error) {
			box, err := m.right(s)
			if ctx.Err() != nil {
				return Never{}, nil
			}
			return box, err
		})},
	{"calls Extend unasked", []string{"prepare-bare"}, preparing(
		func(m mailbox, _ context.Context, s *readiness.Setup) (readiness.Probe, error) {
			s.Extend(moment)
			return m.right(s)
		})},
	{"leaves a file", []string{"prepare-close"}, preparing(
		func(m mailbox, _ context.Context, s *readiness.Setup) (readiness.Probe, error) {
			if err := os.WriteFile(filepath.Join(s.RuntimeDir, "left"), nil, 0o600); err != nil {
				return nil, err
			}
			return m.right(s)
		})},
	{"leaves a descriptor of Prepare", []string{"prepare-close"}, preparing(
		func(m mailbox, _ context.Context, s *readiness.Setup) (readiness.Probe, error) {
			f, err := os.Open(os.DevNull)
			if err != nil {
				return nil, err
			}
			context.AfterFunc(m.held.over, func() { f.Close() })
			return m.right(s)
		})},
	{"leaves a descriptor where no other is free", []string{"prepare-close"}, preparing(
		func(m mailbox, _ context.Context, s *readiness.Setup) (readiness.Probe, error) {
			box, err := m.right(s)
			if err != nil {
				forget(line{held: m.held})
			}
			return box, err
		})},
	{"leaves a descriptor where ctx is done", []string{"prepare-close"}, preparing(
		func(m mailbox, ctx context.Context, s *readiness.Setup) (readiness.Probe, error) {
			if ctx.Err() != nil {
				forget(line{held: m.held})
				return nil, context.Cause(ctx)
			}
			return m.right(s)
		})},
	{"leaves a goroutine of Prepare", []string{"prepare-close"}, preparing(
		func(m mailbox, _ context.Context, s *readiness.Setup) (readiness.Probe, error) {
			go func() { <-m.held.over.Done() }()
			return m.right(s)
		})},
}
