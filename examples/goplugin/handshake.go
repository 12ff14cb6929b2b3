package goplugin

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/hashicorp/go-hclog"

	"github.com/podlaunch/podlaunch/readiness"
)

// A handshake is ready when the plugin has written its first line on its standard
// output. It learns the address from that:
//
//	CORE-PROTOCOL|APP-PROTOCOL|NETWORK|ADDRESS|…
//
// Any other line is for go-plugin to judge. A plugin listens before it writes the line,
// so the probe need not dial. A plugin with a multiplexed broker would take that
// connection for the client's.
type handshake struct{ out *stream }

// Wait implements [readiness.Probe].
func (h handshake) Wait(ctx context.Context, t readiness.Target) (readiness.Endpoint, error) {
	select {
	case <-h.out.spoken:
	case <-ctx.Done():
		select {
		case <-h.out.spoken: // it counts before the end of ctx
		default:
			h.out.giveUp()
			return readiness.Endpoint{}, fmt.Errorf("no line on its standard output, which go-plugin's handshake is: %w", context.Cause(ctx))
		}
	}
	parts := strings.Split(h.out.head(), "|")
	if len(parts) < 4 || parts[2] != "unix" && parts[2] != "tcp" {
		return t.Endpoint, nil
	}
	return readiness.Endpoint{Network: parts[2], Address: parts[3]}, nil
}

// String describes the probe.
func (handshake) String() string { return "go-plugin's handshake" }

// maxHeld is the capacity in bytes of a stream and of lines. It is go-plugin's limit for a
// line.
const maxHeld = 64 << 10

// A stream carries what the launcher writes to go-plugin. A Write blocks while the stream
// is full and go-plugin does not read; the plugin does not notice that.
type stream struct {
	spoken chan struct{} // closed once there is a whole line, or no room for one

	mu      sync.Mutex
	changed *sync.Cond
	first   []byte // line, or the part of it that was written by now
	whole   bool   // spoken is closed
	held    []byte // to be read
	over    bool   // nothing more comes
	shut    bool   // nobody reads: what is written is dropped
	gaveUp  bool   // nobody will read, unless there is room: what has none is dropped
}

func newStream() *stream {
	s := &stream{spoken: make(chan struct{})}
	s.changed = sync.NewCond(&s.mu)
	return s
}

// Write implements [io.Writer]. It takes all of p.
func (s *stream) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for rest := p; len(rest) > 0; {
		n := min(len(rest), maxHeld-len(s.held))
		switch {
		case s.shut, n == 0 && s.gaveUp:
			s.listen(rest)
			return len(p), nil
		case n == 0:
			s.changed.Wait()
			continue
		}
		s.listen(rest[:n])
		s.held = append(s.held, rest[:n]...)
		s.changed.Broadcast()
		rest = rest[n:]
	}
	return len(p), nil
}

// listen takes the first line from what was written.
func (s *stream) listen(p []byte) {
	if s.whole {
		return
	}
	line, _, ended := bytes.Cut(p, []byte("\n"))
	s.first = append(s.first, line[:min(len(line), maxHeld-len(s.first))]...)
	if ended || len(s.first) == maxHeld {
		s.whole = true
		close(s.spoken)
	}
}

// Read implements [io.Reader].
func (s *stream) Read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.held) == 0 && !s.over && !s.shut && len(p) > 0 {
		s.changed.Wait()
	}
	if len(s.held) == 0 && len(p) > 0 {
		return 0, io.EOF
	}
	n := copy(p, s.held)
	s.held = s.held[:copy(s.held, s.held[n:])]
	s.changed.Broadcast()
	return n, nil
}

// end marks the end of the stream.
func (s *stream) end() { s.set(&s.over) }

// giveUp ends all waits of Write, now and later.
func (s *stream) giveUp() { s.set(&s.gaveUp) }

// Close implements [io.Closer]. What comes later is dropped.
func (s *stream) Close() error {
	s.set(&s.shut)
	return nil
}

func (s *stream) set(flag *bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	*flag = true
	s.changed.Broadcast()
}

// head returns the first line, or the part of it that was written by now.
func (s *stream) head() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.TrimSpace(string(s.first))
}

// A lines keeps lines in case the launch fails and go-plugin does not read them.
type lines struct {
	mu    sync.Mutex
	held  []string
	bytes int
	more  int // that had no room
}

// add returns a callback that keeps each line, and calls next unless next is nil.
func (l *lines) add(next func(string)) func(string) {
	return func(line string) {
		l.mu.Lock()
		if l.bytes += len(line) + 1; l.bytes <= maxHeld {
			l.held = append(l.held, line)
		} else {
			l.more++
		}
		l.mu.Unlock()
		if next != nil {
			next(line)
		}
	}
}

// drop forgets the lines.
func (l *lines) drop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.held = nil
}

// log logs the lines.
func (l *lines) log(to hclog.Logger) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, line := range l.held {
		to.Debug(line)
	}
	if l.more > 0 {
		to.Debug("more lines of a plugin that did not start", "lines", l.more)
	}
}
