//go:build unix

package launcher_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/launcher/internal/leaktest"
	"github.com/podlaunch/podlaunch/logsource"
	"github.com/podlaunch/podlaunch/logsource/logsourcetest"
	"github.com/podlaunch/podlaunch/runtimedir/conformance"
)

// A shelf has logs without a path, keeps them, and follows them later.
type shelf struct {
	logsourcetest.Memory

	mu   sync.Mutex
	logs map[uuid.UUID]*logsourcetest.Output
	past []logsource.Past // for which Refollow was called

	// What becomes of what Refollow returns; nil: nothing.
	change func(ctx context.Context, r io.ReadCloser) (io.ReadCloser, error)
}

func (s *shelf) Open(ctx context.Context, launch logsource.Launch) (*logsource.Log, error) {
	log, err := s.Memory.Open(ctx, launch)
	if err != nil {
		return nil, err
	}
	out, err := s.Deliver(launch)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.logs == nil {
		s.logs = make(map[uuid.UUID]*logsourcetest.Output)
	}
	s.logs[launch.ID] = out.(*logsourcetest.Output)
	return log, err
}

// Refollow implements [logsource.Refollower].
func (s *shelf) Refollow(ctx context.Context, past logsource.Past, fromStart bool) (io.ReadCloser, error) {
	s.mu.Lock()
	s.past = append(s.past, past)
	out, change := s.logs[past.ID], s.change
	s.mu.Unlock()
	if out == nil {
		return nil, fmt.Errorf("launch %v: %w", past.ID, fs.ErrNotExist)
	}
	old := ""
	if !fromStart {
		r, _ := out.Follow(conformance.Stopped())
		text, _ := io.ReadAll(r)
		old = string(text)
	}
	r, err := out.Follow(ctx)
	if _, skipErr := io.CopyN(io.Discard, r, int64(len(old))); err == nil {
		err = skipErr
	}
	if err == nil && change != nil {
		return change(ctx, r)
	}
	return r, err
}

// output returns the log of the only launch.
func (s *shelf) output() *logsourcetest.Output {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, out := range s.logs {
		return out
	}
	return nil
}

// The shelf is a Source that the kit finds nothing wrong with.
func TestShelf(t *testing.T) {
	leaktest.Parallel(t)
	if testing.Short() {
		t.Skip("skipped with -short: it takes the whole kit")
	}
	logsourcetest.Test(t, func(*testing.T) logsource.Source { return new(shelf) })
}

// shelved launches a pod on c whose log is on a shelf.
func shelved(t *testing.T, c *cluster) (*launcher.Launcher, *shelf, *launcher.Pod) {
	t.Helper()
	s := new(shelf)
	l := elsewhere(t, c)
	l.Log = s
	pod, err := l.Launch(t.Context(), launcher.Spec{Name: "web"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pod.Stop(context.Background()) })
	return l, s, pod
}

// The log of a pod is followed by the Source of the launcher, which may have it on
// another machine: after Launch, and after Attach with what the record tells. The
// readers end with the pod.
func TestFollowThroughTheSource(t *testing.T) {
	l, s, pod := shelved(t, new(cluster))
	attached, err := l.Attach(t.Context(), "web")
	if err != nil {
		t.Fatal(err)
	}
	out := s.output()
	io.WriteString(out, "old ")
	var readers []io.ReadCloser
	for _, p := range []*launcher.Pod{pod, attached} {
		for _, fromStart := range []bool{true, false} {
			r, err := p.Follow(t.Context(), fromStart)
			if err != nil {
				t.Fatal(err)
			}
			readers = append(readers, r)
		}
	}
	io.WriteString(out, "new")
	if err := pod.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	for i, r := range readers {
		want := []string{"old new", "new"}[i%2]
		if got, err := io.ReadAll(r); string(got) != want || err != nil {
			t.Errorf("reader %d read %q, %v, want %q", i, got, err, want)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
	for i, past := range s.past {
		if past.Name != "web" || past.Dir != pod.RuntimeDir() || s.logs[past.ID] != out || past.Path != "" || past.File != (logsource.FileID{}) {
			t.Errorf("the source was asked for %+v by reader %d", past, i)
		}
	}
	if r, err := attached.Follow(t.Context(), true); err != nil {
		t.Errorf("after the end: %v", err)
	} else if got, err := io.ReadAll(r); string(got) != "old new" || err != nil {
		t.Errorf("after the end: read %q, %v", got, err)
	}
}

// A log without a path cannot be followed if its source cannot do it. A log that the
// source does not know does not exist.
func TestFollowUnsupported(t *testing.T) {
	c := new(cluster)
	l, _, pod := shelved(t, c)
	for source, want := range map[logsource.Source]error{
		nil:                       errors.ErrUnsupported,
		new(logsourcetest.Memory): errors.ErrUnsupported,
		new(shelf):                fs.ErrNotExist,
	} {
		other := *l
		other.Log = source
		attached, err := other.Attach(t.Context(), "web")
		if err != nil {
			t.Fatal(err)
		}
		_, err = attached.Follow(t.Context(), true)
		if !errors.Is(err, want) || !strings.Contains(err.Error(), "the log of pod web") {
			t.Errorf("a launcher with %T: %v, want %v", source, err, want)
		}
		attached.Release()
	}
	r, err := pod.Follow(t.Context(), true)
	if err != nil {
		t.Fatalf("its own launcher: %v", err)
	}
	r.Close()
}

// A badReader reads by its function read.
type badReader struct {
	io.ReadCloser
	read   func(p []byte) (int, error)
	closes int
	hangs  chan struct{} // Close returns when it is closed
}

func (b *badReader) Read(p []byte) (int, error) { return b.read(p) }

func (b *badReader) Close() error {
	b.closes++
	if b.hangs != nil {
		<-b.hangs
	}
	return b.ReadCloser.Close()
}

var errDisk = errors.New("the disk is on fire")

// A reader that fails, that is closed twice or that nobody reads leaves nothing
// behind while the pod runs; nor does a source that fails.
func TestFollowLeavesNothing(t *testing.T) {
	_, s, pod := shelved(t, new(cluster))
	closedTwice := func(t *testing.T) error {
		r, err := pod.Follow(t.Context(), true)
		if err != nil {
			return err
		}
		if first, second := r.Close(), r.Close(); first != nil || !errors.Is(second, fs.ErrClosed) {
			return fmt.Errorf("two Closes returned %v, %v", first, second)
		}
		return nil
	}
	for _, c := range []struct {
		name   string
		change func(ctx context.Context, r io.ReadCloser) (io.ReadCloser, error)
		do     func(t *testing.T) error
	}{
		{"closed twice", nil, closedTwice},
		{"a Close that may come once", func(_ context.Context, r io.ReadCloser) (io.ReadCloser, error) {
			return &badReader{ReadCloser: r}, nil
		}, closedTwice},
		{"Refollow fails", func(context.Context, io.ReadCloser) (io.ReadCloser, error) { return nil, errDisk }, func(t *testing.T) error {
			if r, err := pod.Follow(t.Context(), true); r != nil || !errors.Is(err, errDisk) {
				return fmt.Errorf("Follow returned %v, %v", r, err)
			}
			return nil
		}},
		{"Refollow returns nothing", func(context.Context, io.ReadCloser) (io.ReadCloser, error) { return nil, nil }, func(t *testing.T) error {
			if r, err := pod.Follow(t.Context(), true); r != nil || err == nil {
				return fmt.Errorf("Follow returned %v, %v", r, err)
			}
			return nil
		}},
		{"Refollow panics", func(context.Context, io.ReadCloser) (io.ReadCloser, error) { panic("boom") }, func(t *testing.T) (err error) {
			defer func() {
				if v := recover(); v != "boom" {
					err = fmt.Errorf("Follow panics with %v", v)
				}
			}()
			pod.Follow(t.Context(), true)
			return nil
		}},
		{"Read fails", func(_ context.Context, r io.ReadCloser) (io.ReadCloser, error) {
			return &badReader{ReadCloser: r, read: func([]byte) (int, error) { return 0, errDisk }}, nil
		}, func(t *testing.T) error {
			r, err := pod.Follow(t.Context(), true)
			if err != nil {
				return err
			}
			if _, err := r.Read(make([]byte, 1)); !errors.Is(err, errDisk) {
				return fmt.Errorf("Read returned %v", err)
			}
			return r.Close()
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s.change = c.change
			if err := conformance.Leaves(conformance.Soon, conformance.Often(), func() error { return c.do(t) }); err != nil {
				t.Error(err)
			}
		})
	}
}

// A reader that was closed has let go of the pod, also if the source's reader hangs in
// its Close. A second Close does not wait for that.
func TestFollowCloseHangs(t *testing.T) {
	_, s, pod := shelved(t, new(cluster))
	var inner context.Context
	bad := &badReader{hangs: make(chan struct{})}
	s.change = func(ctx context.Context, r io.ReadCloser) (io.ReadCloser, error) {
		inner, bad.ReadCloser = ctx, r
		return bad, nil
	}
	r, err := pod.Follow(t.Context(), true)
	if err != nil {
		t.Fatal(err)
	}
	closed := make(chan error)
	go func() { closed <- r.Close() }()
	<-inner.Done() // the first Close is on its way
	if err := r.Close(); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("the second Close: %v", err)
	}
	close(bad.hangs)
	if err := <-closed; err != nil {
		t.Errorf("the first Close: %v", err)
	}
	if bad.closes != 1 {
		t.Errorf("the source's reader was closed %d times", bad.closes)
	}
}

// The end of the pod is io.EOF itself, even if the source wraps it in words of its own.
// An error that only wraps io.EOF stays as it is, before the end and after it.
func TestFollowEOF(t *testing.T) {
	_, s, pod := shelved(t, new(cluster))
	torn := fmt.Errorf("the answer is torn: %w", io.EOF)
	var inner context.Context // the last reader's
	cut := false
	s.change = func(ctx context.Context, r io.ReadCloser) (io.ReadCloser, error) {
		inner = ctx
		return &badReader{ReadCloser: r, read: func([]byte) (int, error) {
			if cut || ctx.Err() == nil {
				return 0, torn
			}
			return 0, fmt.Errorf("the log: %w", context.Cause(ctx))
		}}, nil
	}
	why := errors.New("seen enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	var readers []io.ReadCloser
	for _, ctx := range []context.Context{ctx, t.Context()} {
		r, err := pod.Follow(ctx, true)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		readers = append(readers, r)
		if _, err := r.Read(make([]byte, 1)); err != torn {
			t.Errorf("while the pod runs: %v", err)
		}
	}
	cancel(why)
	pod.Release()
	<-inner.Done()
	for i, want := range []error{why, io.EOF} {
		if _, err := readers[i].Read(make([]byte, 1)); !errors.Is(err, want) || want == io.EOF && err != io.EOF {
			t.Errorf("in the end: %v, want %v", err, want)
		}
	}
	cut = true
	if _, err := readers[1].Read(make([]byte, 1)); err != torn {
		t.Errorf("the rest cannot be read: %v", err)
	}
}
