package logsource_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/podlaunch/podlaunch/logsource"
)

// A follower reads one log in a test.
type follower struct {
	t *testing.T
	r io.ReadCloser
}

// follow returns a reader of log that is closed when the test ends.
func follow(t *testing.T, ctx context.Context, log *logsource.Log) follower {
	t.Helper()
	r, err := log.Follow(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return follower{t, r}
}

// mustRead waits for exactly want.
func (f follower) mustRead(want string) {
	f.t.Helper()
	buf := make([]byte, len(want))
	within(f.t, fmt.Sprintf("reading %.40q", want), func() {
		n, err := io.ReadFull(f.r, buf)
		if d := differ(want, string(buf[:n])); d != "" || err != nil {
			f.t.Errorf("read %s, %v", d, err)
		}
	})
}

// mustEnd reads what is left, which must be want, and the error cause.
func (f follower) mustEnd(want string, cause error) {
	f.t.Helper()
	within(f.t, "reading to the end", func() {
		got, err := io.ReadAll(f.r)
		if d := differ(want, string(got)); d != "" {
			f.t.Errorf("read %s", d)
		}
		if err != cause {
			f.t.Errorf("the error is %v, want %v", err, cause)
		}
	})
}

// readNow reads what log holds, up to the error errTest.
func readNow(log *logsource.Log) (string, error) {
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(errTest)
	r, err := log.Follow(ctx)
	if err != nil {
		return "", err
	}
	defer r.Close()
	data, err := io.ReadAll(r)
	return string(data), err
}

// Any number of readers read the whole log, from the first byte, each at its
// own pace, while it is being written, and whenever they came.
func TestFollowEveryReader(t *testing.T) {
	leavesNothing(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	log := opened(t, logsource.File{}, t.TempDir())
	var want strings.Builder
	var all sync.WaitGroup
	read := make([]string, 16)
	for i := range read {
		r := follow(t, ctx, log)
		first := make(chan struct{})
		all.Go(func() {
			var got []byte
			buf := make([]byte, 1+i*100)
			for n, err := 0, error(nil); err == nil; {
				n, err = r.r.Read(buf)
				if got == nil {
					close(first)
				}
				got = append(got, buf[:n]...)
			}
			read[i] = string(got)
		})
		for j := range 200 {
			line := fmt.Sprintf("line %d while there are %d readers\n", j, i+1)
			put(t, log, line)
			want.WriteString(line)
		}
		within(t, "the first Read", func() { <-first })
	}
	cancel(errTest)
	within(t, "the readers", all.Wait)
	for i, got := range read {
		if d := differ(want.String(), got); d != "" {
			t.Errorf("reader %d: %s", i, d)
		}
	}
}

// Row 7: Read waits for more, and has it when it comes, be the pieces ever so
// small. (That an event woke it is shown in the package's internal tests.)
func TestFollowWaits(t *testing.T) {
	leavesNothing(t)
	log := opened(t, logsource.File{}, t.TempDir())
	a, b := follow(t, t.Context(), log), follow(t, t.Context(), log)
	for i := range 200 {
		piece := fmt.Sprint(i, " ")
		put(t, log, piece)
		a.mustRead(piece)
		b.mustRead(piece)
	}
}

// A reader can leave out what is old, and then reads on as ever.
func TestFollowSkipToLast(t *testing.T) {
	leavesNothing(t)
	log := opened(t, logsource.File{}, t.TempDir())
	put(t, log, "0123456789")
	for n, want := range map[int64]string{0: "", 4: "6789", 10: "0123456789", 1 << 40: "0123456789"} {
		ctx, cancel := context.WithCancelCause(t.Context())
		f := follow(t, ctx, log)
		if err := f.r.(logsource.Skipper).SkipToLast(n); err != nil {
			t.Error(err)
		}
		f.mustRead(want)
		cancel(errTest)
		f.mustEnd("", errTest)
	}
}

// Read with room for nothing returns at once, as io.Reader asks for.
func TestFollowReadNothing(t *testing.T) {
	log := opened(t, logsource.File{}, t.TempDir())
	r := follow(t, t.Context(), log)
	within(t, "Read(nil)", func() {
		if n, err := r.r.Read(nil); n != 0 || err != nil {
			t.Errorf("Read(nil) = %d, %v", n, err)
		}
	})
}

// Row 16, C3: when the context is done, readers get what was written by then,
// to the last byte, and then its cause; what comes later is not for them.
func TestFollowEnd(t *testing.T) {
	leavesNothing(t)
	for _, step := range []int{1, 3, 1000} {
		ctx, cancel := context.WithCancelCause(t.Context())
		log := opened(t, logsource.File{}, t.TempDir())
		r := follow(t, ctx, log)
		put(t, log, "written before\nunfinished")
		cancel(errTest)
		var got []byte
		within(t, "reading to the end", func() {
			buf := make([]byte, step)
			for {
				n, err := r.r.Read(buf)
				got = append(got, buf[:n]...)
				if err != nil {
					if err != errTest {
						t.Errorf("the error is %v, want the context's cause", err)
					}
					return
				}
				put(t, log, "later\n")
			}
		})
		if string(got) != "written before\nunfinished" {
			t.Errorf("in steps of %d: read %q", step, got)
		}
		r.mustEnd("", errTest) // and again
	}
}

// The end of the context wakes a reader that waits. A reader that is made after that
// ends too.
func TestFollowEndWhileWaiting(t *testing.T) {
	leavesNothing(t)
	log := opened(t, logsource.File{}, t.TempDir())
	put(t, log, "before")
	for range 50 {
		ctx, cancel := context.WithCancelCause(t.Context())
		r := follow(t, ctx, log)
		r.mustRead("before")
		go cancel(errTest)
		r.mustEnd("", errTest)
	}
	if got, err := readNow(log); got != "before" || err != errTest {
		t.Errorf("a late reader read %q, %v", got, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Nanosecond)
	defer cancel()
	<-ctx.Done()
	follow(t, ctx, log).mustEnd("before", context.DeadlineExceeded)
}

// A pod that writes for ever does not keep a reader whose context is done: a
// truncation must not give it a new start either.
func TestFollowEndIsFinal(t *testing.T) {
	leavesNothing(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	log := opened(t, logsource.File{}, t.TempDir())
	r := follow(t, ctx, log)
	put(t, log, strings.Repeat("x", 1000))
	cancel(errTest)
	r.mustRead(strings.Repeat("x", 100))
	must(t, os.Truncate(log.Path, 0))
	put(t, log, "later")
	r.mustEnd("", errTest)
}

// C22 to C25: what the pod does to its log while readers read it. Each fault strikes
// a reader that has read everything, and a reader that is behind.
func TestFollowFaults(t *testing.T) {
	before := strings.Repeat("0123456789abcde\n", 1<<20/16+1000) // more than 1 MiB
	for _, c := range []struct {
		name   string
		fault  func(t *testing.T, log *logsource.Log)
		keeps  bool // what was written before can still be read
		before string
	}{
		{"C22: deleted", func(t *testing.T, log *logsource.Log) {
			must(t, os.Remove(log.Path))
		}, true, before},
		{"C23: truncated", func(t *testing.T, log *logsource.Log) {
			must(t, os.Truncate(log.Path, 0))
		}, false, "one line\n"},
		{"C23: truncated after 1 MiB", func(t *testing.T, log *logsource.Log) {
			must(t, os.Truncate(log.Path, 0))
		}, false, before},
		{"C24: renamed and replaced", func(t *testing.T, log *logsource.Log) {
			must(t, os.Rename(log.Path, log.Path+".old"))
			must(t, os.WriteFile(log.Path, []byte("not this launch's"), 0o600))
		}, true, before},
		{"C24: replaced at once", func(t *testing.T, log *logsource.Log) {
			must(t, os.WriteFile(log.Path+".new", []byte("not this launch's"), 0o600))
			must(t, os.Rename(log.Path+".new", log.Path))
		}, true, before},
		{"C24: the next launch", func(t *testing.T, log *logsource.Log) {
			put(t, opened(t, logsource.File{}, filepath.Dir(log.Path)), "not this launch's")
		}, true, before},
		{"C25: directory removed", func(t *testing.T, log *logsource.Log) {
			must(t, os.RemoveAll(filepath.Dir(log.Path)))
		}, true, before},
	} {
		t.Run(c.name, func(t *testing.T) { strike(t, c.before, c.keeps, c.fault) })
	}
}

// strike has a fault happen between what is written before and what is written
// after it, and makes sure that readers see all that is left to be seen.
func strike(t *testing.T, before string, keeps bool, fault func(t *testing.T, log *logsource.Log)) {
	t.Helper()
	leavesNothing(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	log := opened(t, logsource.File{}, t.TempDir())
	ahead, behind := follow(t, ctx, log), follow(t, ctx, log)
	put(t, log, before)
	ahead.mustRead(before)
	half := before[:len(before)/2+len("after")]
	behind.mustRead(half)
	fault(t, log)
	put(t, log, "after")
	if keeps {
		behind.mustRead(before[len(half):])
	}
	ahead.mustRead("after")
	behind.mustRead("after")
	for i := range 20 { // both are still being woken
		put(t, log, fmt.Sprint(i))
		ahead.mustRead(fmt.Sprint(i))
		behind.mustRead(fmt.Sprint(i))
	}
	put(t, log, "last")
	cancel(errTest)
	ahead.mustEnd("last", errTest)
	behind.mustEnd("last", errTest)
}

// C24: a log that is renamed again and again goes on being read; each time the
// system's watch of it is made anew.
func TestFollowRenamedOften(t *testing.T) {
	leavesNothing(t)
	log := opened(t, logsource.File{}, t.TempDir())
	r := follow(t, t.Context(), log)
	from := log.Path
	for i := range 200 {
		to := fmt.Sprint(log.Path, i)
		must(t, os.Rename(from, to))
		put(t, log, "x")
		r.mustRead("x")
		from = to
	}
}

// C35: ten thousand lines in the last moment are all there.
func TestFollowBurst(t *testing.T) {
	leavesNothing(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	log := opened(t, logsource.File{}, t.TempDir())
	r := follow(t, ctx, log)
	seen := make(chan int)
	go func() {
		n := 0
		for line, err := range logsource.Lines(r.r) {
			if err == nil && string(line) == fmt.Sprint("line ", n) {
				n++
			}
		}
		seen <- n
	}()
	for i := range 10000 {
		put(t, log, fmt.Sprintf("line %d\n", i))
	}
	cancel(errTest)
	within(t, "the lines", func() {
		if n := <-seen; n != 10000 {
			t.Errorf("%d lines, want 10000", n)
		}
	})
}

// Close ends a Read that waits, or that is about to; it leaves other readers
// alone; of two Closes one tells that it is the second.
func TestFollowClose(t *testing.T) {
	leavesNothing(t)
	log := opened(t, logsource.File{}, t.TempDir())
	other := follow(t, t.Context(), log)
	for range 100 {
		r, err := log.Follow(t.Context())
		must(t, err)
		read, closed := make(chan error, 1), make(chan error, 1)
		go func() {
			_, err := r.Read(make([]byte, 1))
			read <- err
		}()
		go func() { closed <- r.Close() }()
		errs := []error{r.Close()}
		within(t, "Read and Close", func() { errs = append(errs, <-closed, <-read) })
		if (errs[0] == nil) == (errs[1] == nil) {
			t.Errorf("two Closes returned %v and %v, want one error", errs[0], errs[1])
		}
		_, after := r.Read(make([]byte, 1))
		for _, err := range append(errs, after, r.Close()) {
			if err != nil && !errors.Is(err, fs.ErrClosed) {
				t.Errorf("%v, want fs.ErrClosed", err)
			}
		}
		if errs[2] == nil || after == nil {
			t.Errorf("Read returned %v during and %v after Close, want errors", errs[2], after)
		}
	}
	put(t, log, "end")
	other.mustRead("end")
}

// Log.Close frees what later calls of Follow need, and those only: readers read
// on, Follow fails, whether or not somebody is reading still.
func TestLogClose(t *testing.T) {
	for _, c := range []struct {
		name            string
		before, between int // readers made before Log.Close; of those, closed before it
	}{{"never read", 0, 0}, {"readers gone", 2, 2}, {"one of two left", 2, 1}, {"both left", 2, 0}} {
		t.Run(c.name, func(t *testing.T) {
			leavesNothing(t)
			log, err := logsource.File{}.Open(t.Context(), logsource.Launch{Dir: t.TempDir()})
			must(t, err)
			put(t, log, "before ")
			var left []follower
			for i := range c.before {
				r := follow(t, t.Context(), log)
				if i < c.between {
					must(t, r.r.Close())
				} else {
					left = append(left, r)
				}
			}
			must(t, log.Close())
			put(t, log, "after ") // the sink is the caller's
			for range 2 {
				if r, err := log.Follow(t.Context()); !errors.Is(err, fs.ErrClosed) {
					t.Errorf("Follow after Close returned %v, %v, want fs.ErrClosed", r, err)
					if err == nil {
						r.Close()
					}
				}
			}
			for _, r := range left {
				r.mustRead("before after ")
				put(t, log, "more ")
				r.mustRead("more ")
				must(t, r.r.Close())
				must(t, os.Truncate(log.Path, int64(len("before after "))))
			}
			must(t, log.Sink.Close())
		})
	}
}

// Poll reads everything too, for filesystems that tell nothing.
func TestFollowPoll(t *testing.T) {
	leavesNothing(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	log := opened(t, logsource.File{Poll: time.Millisecond}, t.TempDir())
	r := follow(t, ctx, log)
	for i := range 20 {
		put(t, log, fmt.Sprint(i))
		r.mustRead(fmt.Sprint(i))
	}
	must(t, os.Rename(log.Path, log.Path+".old"))
	put(t, log, "end")
	cancel(errTest)
	r.mustEnd("end", errTest)
}

// One watcher serves all logs of the program, and two more those that are alone. (That it goes away is checked in
// TestMain, and in the package's internal tests.)
func TestFollowFewWatchers(t *testing.T) {
	leavesNothing(t)
	var followers []follower
	var logs []*logsource.Log
	for range 30 {
		log := opened(t, logsource.File{}, t.TempDir())
		logs = append(logs, log)
		followers = append(followers, follow(t, t.Context(), log), follow(t, t.Context(), log))
	}
	const most = 3
	n := watchDescriptors()
	for end := time.Now().Add(ample); n > most && time.Now().Before(end); n = watchDescriptors() {
		time.Sleep(time.Millisecond) // that of an earlier test is being closed
	}
	if n < 1 || n > most {
		t.Errorf("%d watchers for %d logs, want 1 to %d", n, len(logs), most)
	}
	for i, log := range logs {
		put(t, log, fmt.Sprint("log ", i))
	}
	for i, r := range followers {
		r.mustRead(fmt.Sprint("log ", i/2))
	}
}

// B27: when no watcher can be had, for all of them are in use, followers poll,
// and nobody notices.
func TestFollowWithoutWatcher(t *testing.T) {
	cmd := child(t, "exhausted", t.TempDir(), "own namespace")
	// In a user namespace of its own the child can have a limit of its own.
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
	}
	out, err := cmd.CombinedOutput()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Logf("no user namespace here (%v): using up the limit of the whole user", err)
		out, err = child(t, "exhausted", t.TempDir(), "").CombinedOutput()
	}
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func childExhausted(args []string) error {
	log, err := logsource.File{}.Open(context.Background(), logsource.Launch{Dir: args[0]})
	if err != nil {
		return err
	}
	defer log.Close()
	defer log.Sink.Close()
	if args[1] == "own namespace" {
		// Where this is not permitted the loop below takes longer.
		_ = os.WriteFile("/proc/sys/user/max_inotify_instances", []byte("0"), 0)
	}
	for err == nil {
		_, err = syscall.InotifyInit1(syscall.IN_CLOEXEC)
	}
	if !errors.Is(err, syscall.EMFILE) {
		return fmt.Errorf("inotify_init1: %w, want EMFILE", err)
	}
	used := watchDescriptors()
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	var readers []io.ReadCloser
	for range 3 {
		r, err := log.Follow(ctx)
		if err != nil {
			return err
		}
		defer r.Close()
		readers = append(readers, r)
	}
	if n := watchDescriptors(); n != used {
		return fmt.Errorf("%d watchers, and there were %d when they had run out", n, used)
	}
	for i := range 50 {
		want := fmt.Sprint("piece ", i)
		if _, err := log.Sink.WriteString(want); err != nil {
			return err
		}
		for _, r := range readers {
			buf := make([]byte, len(want))
			if _, err := io.ReadFull(r, buf); err != nil || string(buf) != want {
				return fmt.Errorf("read %q, %v, want %q", buf, err, want)
			}
		}
	}
	cancel(errTest)
	if _, err := readers[0].Read(make([]byte, 1)); err != errTest {
		return fmt.Errorf("at the end: %v", err)
	}
	return nil
}
