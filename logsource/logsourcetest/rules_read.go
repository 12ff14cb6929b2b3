package logsourcetest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/podlaunch/podlaunch/logsource"
	"github.com/podlaunch/podlaunch/runtimedir/conformance"
)

func firstByte(o *opened) error {
	text := numbered(128 << 10)
	if err := o.write(text); err != nil {
		return err
	}
	for range 3 {
		f, _, err := o.follower()
		if err != nil {
			return err
		}
		if err := f.expect(text); err != nil {
			return err
		}
		if err := o.write("more\n"); err != nil {
			return err
		}
		text += "more\n"
	}
	return nil
}

// numbered returns n bytes in lines that all differ.
func numbered(n int) string {
	b := make([]byte, 0, n+32)
	for i := int64(0); len(b) < n; i++ { // by fmt it takes most of the kit's time with -race
		b = append(b, "line "...)
		b = strconv.AppendInt(b, i, 10)
		b = append(b, '\n')
	}
	return string(b[:n])
}

func anyBytes(o *opened) error {
	text := "CR LF\r\n\r\n\n\n\ttabs and spaces \t \n\x1b[31mcolour\x1b[0m\n"
	for b := range 256 {
		text += string([]byte{byte(b)})
	}
	text += "no newline at the end"
	if err := o.write(text); err != nil {
		return err
	}
	return o.holds(text)
}

func largeWrite(o *opened) error {
	f, _, err := o.follower()
	if err != nil {
		return err
	}
	text := numbered(1 << 20)
	if err := o.write(text[:1]); err != nil {
		return err
	}
	wrote := make(chan error, 1)
	go func() { wrote <- o.write(text[1:]) }()
	return errors.Join(f.expect(text), <-wrote)
}

func unread(o *opened) error {
	for range 1 << 20 / bufferSize {
		if err := o.write(strings.Repeat("x", bufferSize)); err != nil {
			return err
		}
	}
	return nil
}

func readers(o *opened) error {
	const n = 16
	var (
		all  sync.WaitGroup
		errs [n]error
		text = numbered(1 << 10)
	)
	for i := range n {
		// Each has missed more of the writing than the one before.
		if err := o.write(text[i*len(text)/n : (i+1)*len(text)/n]); err != nil {
			return err
		}
		all.Go(func() {
			f, _, err := o.follower()
			for at, step := 0, 1+i*i; err == nil && at < len(text); at += step {
				err = f.expect(text[at:min(at+step, len(text))])
			}
			if err != nil {
				errs[i] = fmt.Errorf("one of %d readers: %w", n, err)
			}
		})
	}
	all.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func readerContext(s *subject) error {
	return oneEnds(s, func(f *follower, stop func()) error {
		stop()
		f.rest(bufferSize)
		return nil
	})
}

func readerClose(s *subject) error {
	return oneEnds(s, func(f *follower, _ func()) error {
		if err := f.close(); err != nil {
			return fmt.Errorf("Close of a reader: %w", err)
		}
		return nil
	})
}

// oneEnds makes sure that the end of one reader leaves those alone that were made
// before and after it.
func oneEnds(s *subject, end func(f *follower, stop func()) error) error {
	o, err := s.open("web")
	if err != nil {
		return err
	}
	if err := o.write("before\n"); err != nil {
		return err
	}
	var (
		made  [3]*follower
		stops [3]func()
	)
	for i := range made {
		if made[i], stops[i], err = o.follower(); err != nil {
			return err
		}
		if err := made[i].expect("before\n"); err != nil {
			return err
		}
	}
	if err := end(made[1], stops[1]); err != nil {
		return err
	}
	err = made[0].waitsFor("after\n")
	if err == nil {
		err = made[2].expect("after\n")
	}
	if err == nil {
		err = made[2].waitsFor("later\n")
	}
	if err != nil {
		return fmt.Errorf("after the end of another reader: %w", err)
	}
	return nil
}

func readerCloseFrees(o *opened) error {
	if err := o.write("x"); err != nil {
		return err
	}
	err := conformance.Leaves(conformance.Soon, conformance.Often(), func() error {
		f, err := o.follow(o.s.ctx)
		if err != nil {
			return err
		}
		if err := f.expect("x"); err != nil {
			return err
		}
		return f.close()
	})
	if err != nil {
		return err
	}
	err = conformance.Leaves(conformance.Soon, conformance.Often(), func() error {
		f, err := o.follow(conformance.Stopped())
		if err != nil {
			return nil // that is for another rule to say
		}
		f.rest(bufferSize)
		return f.close()
	})
	if err != nil {
		return fmt.Errorf("with a context that is done: %w", err)
	}
	return nil
}

func memory(s *subject) error {
	const (
		n     = 6
		piece = bufferSize
		much  = 2 << 20
	)
	o, err := s.open("web")
	if err != nil {
		return err
	}
	var (
		all  [n]*follower
		text = strings.Repeat("x", piece)
	)
	for i := range all {
		if all[i], _, err = o.follower(); err != nil {
			return err
		}
	}
	before := heap()
	for range much / piece {
		if err := o.write(text); err != nil {
			return err
		}
	}
	limit := uint64(much / 2)
	if o.log.Path == "" {
		limit = 3 * much // once, with room to grow
	}
	if err := grown(before, limit, fmt.Sprintf("after %d bytes were written and not read", much)); err != nil {
		return err
	}
	for _, f := range all {
		if err := f.expectPieces(text, much); err != nil {
			return err
		}
	}
	return grown(before, limit, fmt.Sprintf("after %d bytes were written and read by %d readers", much, n))
}

// expectPieces reads until size bytes are returned or lost, which are piece again and
// again.
func (f *follower) expectPieces(piece string, size int64) error {
	lost := func() int64 { return 0 }
	if lossy, ok := f.r.(logsource.Lossy); ok {
		lost = func() int64 { return max(0, lossy.Lost()) }
	}
	buf := make([]byte, len(piece))
	for at := int64(0); at+lost() < size; {
		n, err := f.readSoon(buf)
		if got := string(buf[:n]); got != piece[:n] || err != nil {
			return fmt.Errorf("%s; the error is %v", differ(piece, got), err)
		}
		at += int64(n)
	}
	return nil
}

// grown makes sure that no more than limit bytes are in use that were not
// before. Something else in the process may need memory for a while.
func grown(before, limit uint64, when string) error {
	var now uint64
	if conformance.Eventually(conformance.Soon, func() bool {
		now = heap()
		return now <= before+limit
	}) {
		return nil
	}
	return fmt.Errorf("%s there are %d bytes more in memory, the limit is %d", when, now-before, limit)
}

// heap returns how many bytes are in use.
func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func waits(o *opened) error {
	f, _, err := o.follower()
	if err != nil {
		return err
	}
	for _, text := range []string{"first", "second", "third"} {
		if err := f.waitsFor(text); err != nil {
			return err
		}
	}
	return nil
}

func endRest(o *opened) error {
	text := numbered(48 << 10)
	if err := o.write(text); err != nil {
		return err
	}
	for _, size := range []int{1 << 10, bufferSize} {
		f, stop, err := o.follower()
		if err != nil {
			return err
		}
		if err := f.expect(text[:10]); err != nil {
			return err
		}
		stop()
		rest, err := f.rest(size)
		if rest != text[10:] {
			return fmt.Errorf("after the end of the context, with a buffer of %d: %s; the error is %v", size, differ(text[10:], rest), err)
		}
	}
	return nil
}

func endCause(s *subject) error {
	cancelled, cancel := context.WithCancelCause(s.ctx)
	defer cancel(nil)
	late, cancelLate := context.WithTimeoutCause(s.ctx, conformance.Moment, errLate)
	defer cancelLate()
	for _, ctx := range []context.Context{cancelled, late} {
		o, err := s.open("web")
		if err != nil {
			return err
		}
		if err := o.write("x"); err != nil {
			return err
		}
		f, err := o.follow(ctx)
		if err != nil {
			return err
		}
		if err := f.expect("x"); err != nil {
			return err
		}
		cancel(conformance.ErrStopped) // that of the first
		<-ctx.Done()
		for i := range 3 {
			if _, err := f.rest(bufferSize); !errors.Is(err, context.Cause(ctx)) {
				return fmt.Errorf("after the end of the context the error is %v at time %d, want its cause (%v)", err, i+1, context.Cause(ctx))
			}
		}
	}
	return nil
}

// errLate is the cause of a context whose time is up.
var errLate = errors.New("the cause that the rule has given to a timeout")

func endWakes(s *subject) error {
	for _, text := range []string{"", "x"} {
		o, err := s.open("web")
		if err != nil {
			return err
		}
		if text != "" {
			if err := o.write(text); err != nil {
				return err
			}
		}
		f, stop, err := o.follower()
		if err != nil {
			return err
		}
		if err := f.expect(text); err != nil {
			return err
		}
		read := f.reading()
		select {
		case r := <-read: // that is for another rule to say
			return conformance.Inapplicable(fmt.Sprintf("Read does not wait but returns %q, %v", r.text, r.err))
		case <-time.After(conformance.Moment):
		}
		stop()
		if r := <-read; r.text != "" || r.err == nil {
			return fmt.Errorf("Read waited; when its context ended it returned %q, %v", r.text, r.err)
		}
	}
	return nil
}

func endLate(o *opened) error {
	if err := o.write("written before"); err != nil {
		return err
	}
	f, err := o.follow(conformance.Stopped())
	if err != nil {
		return fmt.Errorf("with a context that is done: %w", err)
	}
	if rest, err := f.rest(bufferSize); rest != "written before" {
		return fmt.Errorf("with a context that is done: %s; the error is %v", differ("written before", rest), err)
	}
	return nil
}

func endFinal(o *opened) error {
	if err := o.write("before\n"); err != nil {
		return err
	}
	f, stop, err := o.follower()
	if err != nil {
		return err
	}
	stop()
	buf := make([]byte, bufferSize)
	for end := time.Now().Add(conformance.Patience / 2); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if _, err := f.read(buf); err != nil {
			return nil
		}
		if err := o.write("after\n"); err != nil {
			return err
		}
	}
	return fmt.Errorf("%v after the end of its context a reader still delivers what is being written", conformance.Patience/2)
}

func outputEnd(o *opened) error {
	if err := o.write("all of it"); err != nil {
		return err
	}
	f, stop, err := o.follower()
	if err != nil {
		return err
	}
	if err := o.end(); err != nil {
		return fmt.Errorf("closing the Sink: %w", err)
	}
	if err := f.expect("all of it"); err != nil {
		return fmt.Errorf("after the Sink was closed: %w", err)
	}
	read := f.reading()
	select {
	case r := <-read:
		if r.text != "" || r.err != io.EOF {
			return fmt.Errorf("after the Sink was closed and all was read, Read returned %q, %v, want io.EOF or waiting", r.text, r.err)
		}
	case <-time.After(conformance.Moment): // it has no end of its own
		stop()
		<-read
	}
	return nil
}

func sinkClosed(o *opened) error {
	if err := o.write("written before"); err != nil {
		return err
	}
	early, _, err := o.follower()
	if err != nil {
		return err
	}
	if err := o.end(); err != nil {
		return fmt.Errorf("closing the Sink: %w", err)
	}
	late, _, err := o.follower()
	if err != nil {
		return fmt.Errorf("after the Sink was closed: %w", err)
	}
	for _, f := range []*follower{early, late} {
		if err := f.expect("written before"); err != nil {
			return fmt.Errorf("after the Sink was closed: %w", err)
		}
	}
	return nil
}
