package main

import (
	"context"
	"fmt"
	"io"
	"math"
	"strings"
	"sync"
	"time"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/readiness"
)

// A condition is one thing that --ready asks for.
type condition struct {
	What string    `json:"what"`          // as it was asked for
	Held time.Time `json:"held,omitzero"` // since when it holds
}

// waiting is what a launch still waits for, and what the pod has said last. Its
// methods may be called from any number of goroutines.
type waiting struct {
	name string

	timeout    time.Duration // 0: none
	mu         sync.Mutex
	conditions []condition
	began      time.Time
	deadline   time.Time // zero: there is none
	last       time.Time // beyond which the pod cannot move the deadline
	said       string
}

// newWaiting is the wait of a launch of the pod called name that begins now.
func newWaiting(name string, timeout time.Duration) *waiting {
	w := &waiting{name: name, timeout: timeout}
	w.restart()
	return w
}

// restart has the time of the launch begin now.
func (w *waiting) restart() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.began = time.Now()
	if w.timeout > 0 {
		w.deadline = w.began.Add(w.timeout)
		w.last = w.began.Add(max(w.timeout, launcher.DefaultMaxTimeout))
	}
}

// track returns p, as a probe that tells w when the condition holds that is called
// what.
func (w *waiting) track(what string, p readiness.Probe) readiness.Probe {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.conditions = append(w.conditions, condition{What: what})
	return tracked{p, w, len(w.conditions) - 1}
}

func (w *waiting) hold(i int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.conditions[i].Held = time.Now()
}

// says notes the pod's last line.
func (w *waiting) says(line string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.said = line
}

// extend notes that the pod has asked for more time.
func (w *waiting) extend(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	until := time.Now().Add(d)
	if until.After(w.last) {
		until = w.last
	}
	if !w.deadline.IsZero() && until.After(w.deadline) {
		w.deadline = until
	}
}

// state returns the conditions as they are now.
func (w *waiting) state() []condition {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]condition(nil), w.conditions...)
}

// How many columns of a line are for the name, and for the name and what is missing, so that
// there is room for how long yet, and for what the pod says.
const (
	maxName = 20
	maxHead = 40
)

// line is all of it in one line for a person.
func (w *waiting) line(now time.Time) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var missing []string
	for _, c := range w.conditions {
		if c.Held.IsZero() {
			missing = append(missing, c.What)
		}
	}
	name := cutTo(shown(w.name), maxName)
	text := name + ": waiting for " + cutTo(printable(strings.Join(missing, " and ")), maxHead-columnsOf(name))
	if len(missing) == 0 {
		text = name + ": all of it holds, does it stay?"
	}
	if w.deadline.IsZero() {
		text += fmt.Sprintf(", %ds so far", int(now.Sub(w.began).Seconds()))
	} else {
		text += fmt.Sprintf(", %ds left", int(math.Ceil(max(0, w.deadline.Sub(now)).Seconds())))
	}
	if w.said != "" {
		text += " | " + printable(strings.ReplaceAll(w.said, "\t", " "))
	}
	return text
}

// A tracked probe is another one, and tells when that holds.
type tracked struct {
	probe readiness.Probe
	to    *waiting
	index int
}

var (
	_ readiness.Composite = tracked{}
	_ readiness.Preparer  = tracked{}
)

// Wait implements [readiness.Probe].
func (p tracked) Wait(ctx context.Context, t readiness.Target) (readiness.Endpoint, error) {
	e, err := p.probe.Wait(ctx, t)
	if err == nil {
		p.to.hold(p.index)
	}
	return e, err
}

// Prepare implements [readiness.Preparer].
func (p tracked) Prepare(ctx context.Context, s *readiness.Setup) (readiness.Probe, error) {
	if extend := s.Extend; extend != nil {
		defer func() { s.Extend = extend }()
		s.Extend = func(d time.Duration) {
			p.to.extend(d)
			extend(d)
		}
	}
	prepared, err := readiness.Prepare(ctx, p.probe, s)
	p.probe = prepared
	return p, err
}

// Probes implements [readiness.Composite].
func (p tracked) Probes() []readiness.Probe { return []readiness.Probe{p.probe} }

// String describes the probe.
func (p tracked) String() string { return readiness.Describe(p.probe) }

// redrawn is how often the line is looked at that a terminal shows.
const redrawn = 100 * time.Millisecond

// show redraws the line of w on the terminal that screen is, until stop is called,
// which erases it. There is one goroutine, which stop joins.
func (w *waiting) show(screen io.Writer) (stop func()) {
	done := make(chan struct{})
	var drawing sync.WaitGroup
	drawing.Go(func() {
		tick := time.NewTicker(redrawn)
		defer tick.Stop()
		drawn := ""
		for {
			// The last column stays free: some terminals would begin a new line.
			if text := cutTo(w.line(time.Now()), columns(screen)-1); text != drawn {
				fmt.Fprint(screen, "\r"+text+"\x1b[K")
				drawn = text
			}
			select {
			case <-done:
				fmt.Fprint(screen, "\r\x1b[K")
				return
			case <-tick.C:
			}
		}
	})
	return func() {
		close(done)
		drawing.Wait()
	}
}
