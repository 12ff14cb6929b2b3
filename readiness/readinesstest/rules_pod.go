package readinesstest

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/podlaunch/podlaunch/readiness"
	"github.com/podlaunch/podlaunch/runtimedir/conformance"
)

// A word is something that a pod says last, in lines.
type word struct {
	what  string
	lines [][]byte
}

// lastWords returns what a pod writes when it fails, and when it becomes ready.
func (s *subject) lastWords() (all []word, err error) {
	for _, what := range []string{"will never be ready", "is ready"} {
		l, err := s.launch()
		if err != nil {
			return nil, err
		}
		say := l.Fail
		if what == "is ready" {
			say = l.Ready
		}
		if say == nil {
			continue
		}
		lines, err := l.written(say)
		if err != nil {
			return nil, err
		}
		if len(lines) > 0 {
			all = append(all, word{what, lines})
		}
	}
	return all, nil
}

// saying returns another pod, which has written w after a few other lines.
func (s *subject) saying(w word) (*launch, error) {
	l, err := s.launch()
	if err != nil {
		return nil, err
	}
	log := new(Log)
	for _, line := range slices.Concat([][]byte{[]byte("a line"), []byte("another line"), []byte("a third line")}, w.lines) {
		log.Write(append(slices.Clone(line), '\n'))
	}
	l.tap.from = log.Lines
	return l, nil
}

func lastWord(s *subject) error {
	all, err := s.lastWords()
	if err != nil {
		return err
	}
	tried := false
	for _, word := range all {
		needs, err := s.decidedBy(word)
		if err != nil {
			return err
		}
		if needs == 0 {
			continue
		}
		tried = true
		if err := s.isHeard(word, needs); err != nil {
			return err
		}
	}
	if !tried {
		return conformance.Inapplicable("the Probe does not decide by lines alone")
	}
	return nil
}

// decidedBy returns how many lines Wait takes until it returns because of word; 0: it
// does not return because of that alone.
func (s *subject) decidedBy(word word) (lines int, err error) {
	l, err := s.saying(word)
	if err != nil {
		return 0, err
	}
	if _, ok := l.Probe.(readiness.Composite); ok {
		return 0, conformance.Inapplicable("it is a Composite, whose parts may need more than lines")
	}
	w := l.wait()
	if !w.Within(conformance.Moment) {
		return 0, nil
	}
	return l.tap.count(), w.Join(0)
}

// isHeard makes sure that Wait takes so many lines before it minds that ctx is done.
func (s *subject) isHeard(word word, lines int) error {
	const often = 8 // it may depend on chance
	for range often {
		l, err := s.saying(word)
		if err != nil {
			return err
		}
		w := l.waitFor(conformance.Stopped(), l.Target)
		if err := w.Join(patience); err != nil {
			return fmt.Errorf("ctx is done: %w", err)
		}
		if taken := l.tap.count(); taken < lines && errors.Is(w.err, conformance.ErrStopped) {
			return fmt.Errorf("line %d of the log says that the pod %s; ctx is done, and Wait has looked at %d lines and returned: %w", lines, word.what, taken, w.err)
		}
	}
	return nil
}

func constantMemory(l *launch) error {
	const floodLines = 64 << 10 // a pod may write more
	before := heap()
	l.tap.flood = floodLines
	w := l.waitUntilReady()
	w.Within(moment)
	for seen, stands := 0, time.Duration(0); seen < floodLines; {
		if w.Within(moment) {
			return conformance.Inapplicable("Wait returns before it has read all lines")
		}
		now := l.tap.count()
		if now > seen {
			seen, stands = now, 0
			continue
		}
		if stands += moment; now == 0 || stands > patience {
			return conformance.Inapplicable("the Probe does not read all of Target.Lines")
		}
	}
	const written = floodLines * floodLine
	var now uint64
	constant := conformance.Eventually(conformance.Soon, func() bool {
		now = heap()
		return now <= before+written/2
	})
	if _, crash := w.end(); crash != nil {
		return crash
	}
	if !constant {
		return fmt.Errorf("after %d lines of %d bytes Wait has %d bytes more in memory, the limit is %d", floodLines, floodLine, now-before, written/2)
	}
	return nil
}

// heap returns how many bytes are in use.
func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func mutePod(l *launch) error {
	if !l.mayListen() {
		return conformance.Inapplicable(fmt.Sprintf("the kit does not listen at %v", l.Want))
	}
	listener, err := net.Listen(l.Want.Network, l.Want.Address)
	if err != nil {
		return conformance.Inapplicable(fmt.Sprintf("the kit cannot listen there: %v", err))
	}
	accepted, over := make(chan struct{}), make(chan struct{})
	go accept(listener, accepted, over)
	defer func() { listener.Close(); <-over }()
	w := l.wait()
	select {
	case <-accepted:
	case <-time.After(2 * conformance.Moment):
		return conformance.Inapplicable(fmt.Sprintf("it does not connect to %v by itself", l.Want))
	}
	if _, crash := w.cut(); crash != nil {
		return fmt.Errorf("the pod accepts connections at %v and says nothing: %w", l.Want, crash)
	}
	return nil
}

// accept accepts connections, which stay open until the listener is closed, and says
// nothing. It closes first when there is one, and over at the end.
func accept(l net.Listener, first, over chan<- struct{}) {
	defer close(over)
	for n := 0; ; n++ {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		if n == 0 {
			close(first)
		}
	}
}

// mayListen reports whether the pod's address is for tests: a port of this machine, or a
// socket in a temporary directory.
func (l *launch) mayListen() bool {
	switch l.Want.Network {
	case "tcp", "tcp4", "tcp6":
		addr, err := net.ResolveTCPAddr(l.Want.Network, l.Want.Address)
		return err == nil && addr.IP.IsLoopback() && addr.Port >= 1024
	case "unix":
		for _, dir := range []string{l.Target.RuntimeDir, os.TempDir()} {
			if strings.HasPrefix(filepath.Clean(l.Want.Address), filepath.Clean(dir)+string(filepath.Separator)) {
				return true
			}
		}
	}
	return false
}
