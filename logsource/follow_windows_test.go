package logsource_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sys/windows"

	"github.com/podlaunch/podlaunch/logsource"
	"github.com/podlaunch/podlaunch/runtimedir/conformance"
)

func TestMain(m *testing.M) { conformance.Main(m) }

// openLog opens the log of a new launch in dir. Its sink is closed at the end.
func openLog(t *testing.T, dir string) *logsource.Log {
	t.Helper()
	log, err := logsource.File{}.Open(t.Context(), logsource.Launch{Name: "web", Dir: dir, ID: uuid.New()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		log.Sink.Close()
		log.Close()
	})
	return log
}

// linesOf returns a function that waits for the next line of r.
func linesOf(t *testing.T, r io.ReadCloser) (next func() string) {
	t.Helper()
	t.Cleanup(func() { r.Close() })
	lines := bufio.NewReader(r)
	return func() string {
		line, err := lines.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		return line
	}
}

func write(t *testing.T, f *os.File, line string) {
	t.Helper()
	if _, err := io.WriteString(f, line); err != nil {
		t.Fatal(err)
	}
}

// The pod may rename its log, and may delete it, while it is followed: by the launcher,
// and by a program that has attached. Both read on what is written by the old handle.
func TestPodMayMoveItsLog(t *testing.T) {
	for _, how := range []string{"rename", "delete"} {
		t.Run(how, func(t *testing.T) {
			log := openLog(t, t.TempDir())
			r, err := log.Follow(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			first := linesOf(t, r)
			if r, err = logsource.Follow(t.Context(), log.Path, true); err != nil {
				t.Fatal(err)
			}
			second := linesOf(t, r)
			write(t, log.Sink, "one\n")
			if a, b := first(), second(); a != "one\n" || b != a {
				t.Fatalf("%q and %q were read", a, b)
			}
			if how == "delete" {
				err = os.Remove(log.Path)
			} else {
				err = os.Rename(log.Path, log.Path+".old")
			}
			if err != nil {
				t.Fatal(err)
			}
			write(t, log.Sink, "two\n")
			if a, b := first(), second(); a != "two\n" || b != a {
				t.Errorf("then %q and %q", a, b)
			}
		})
	}
}

// Each launch has a log of its own, also while all those before are written and read:
// then the name of the one before is not free, and Wine 8 renames nothing onto it.
func TestLaunchesKeepTheirLogs(t *testing.T) {
	dir := t.TempDir()
	var all []*logsource.Log
	var next []func() string
	for i := range 4 {
		log := openLog(t, dir)
		r, err := log.Follow(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		all, next = append(all, log), append(next, linesOf(t, r))
		for j, log := range all {
			want := fmt.Sprintf("%d of %d\n", i, j)
			write(t, log.Sink, want)
			if got := next[j](); got != want {
				t.Errorf("log %d: %q was read, want %q", j, got, want)
			}
		}
	}
	for i, name := range []string{"stderr.log", "stderr.log.1"} {
		now, err := logsource.IdentifyFile(filepath.Join(dir, name))
		open, openErr := os.Stat(filepath.Join(dir, name))
		sink, sinkErr := all[3-i].Sink.Stat()
		if err := errors.Join(err, openErr, sinkErr); err != nil || !os.SameFile(open, sink) || now == (logsource.FileID{}) {
			t.Errorf("%s is not the log of launch %d: %v", name, 3-i, err)
		}
	}
}

// A log is known by what it is, not by its name: another launch's file at its path is not
// followed.
func TestAnotherFileIsNotTheLog(t *testing.T) {
	dir := t.TempDir()
	log := openLog(t, dir)
	id, err := logsource.IdentifyFile(log.Path)
	if err != nil {
		t.Fatal(err)
	}
	past := logsource.Past{Name: "web", Dir: dir, ID: uuid.New(), Path: log.Path, File: id}
	r, err := logsource.File{}.Refollow(t.Context(), past, true)
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	openLog(t, dir)
	if again, err := logsource.IdentifyFile(log.Path + ".1"); err != nil || again != id {
		t.Errorf("the file was %v, and is %v under its new name, %v", id, again, err)
	}
	r, err = logsource.File{}.Refollow(t.Context(), past, true)
	if err == nil {
		r.Close()
		t.Fatal("the log of another launch was followed")
	}
	if !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

// A directory, and a device, are no log.
func TestNotRegular(t *testing.T) {
	for _, path := range []string{t.TempDir(), "NUL"} {
		r, err := logsource.Follow(t.Context(), path, true)
		if err == nil {
			r.Close()
		}
		if !errors.Is(err, logsource.ErrNotRegular) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// Nothing is freed in place here, and the error says so before a file is made.
func TestKeepIsRefused(t *testing.T) {
	dir := t.TempDir()
	_, err := logsource.File{Keep: 1 << 20}.Open(t.Context(), logsource.Launch{Name: "web", Dir: dir, ID: uuid.New()})
	if !errors.Is(err, errors.ErrUnsupported) {
		t.Error(err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
		t.Errorf("the directory has %v, %v", entries, err)
	}
}

// The sink appends, so what two processes write does not overlap, and it lets the pod
// delete the file.
func TestSinkAppends(t *testing.T) {
	log := openLog(t, t.TempDir())
	again := duplicate(t, log.Sink)
	for range 50 {
		write(t, log.Sink, "a\n")
		write(t, again, "b\n")
	}
	if data, err := os.ReadFile(log.Path); err != nil || len(data) != 200 {
		t.Errorf("%d bytes of 200 are there, %v", len(data), err)
	}
}

func duplicate(t *testing.T, f *os.File) *os.File {
	t.Helper()
	var h windows.Handle
	self := windows.CurrentProcess()
	if err := windows.DuplicateHandle(self, windows.Handle(f.Fd()), self, &h, 0, false, windows.DUPLICATE_SAME_ACCESS); err != nil {
		t.Fatal(err)
	}
	again := os.NewFile(uintptr(h), f.Name())
	t.Cleanup(func() { again.Close() })
	return again
}

// A reader polls here. A line comes late by no more than the silence before it has lasted,
// and never by much more than 50 ms: on an idle machine by some 40, 30 and 10 % of it. The
// median of some tries counts, and twice as much is good enough for a busy machine.
func TestPollingIsInProportion(t *testing.T) {
	log := openLog(t, t.TempDir())
	r, err := log.Follow(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	next := linesOf(t, r)
	for _, silence := range []time.Duration{16 * time.Millisecond, 64 * time.Millisecond, 256 * time.Millisecond} {
		var late []time.Duration
		for range 9 {
			read := make(chan time.Time)
			began := time.Now()
			go func() { next(); read <- time.Now() }()
			<-time.After(silence) // this is the silence that the test is about
			written := time.Now()
			write(t, log.Sink, "line\n")
			late = append(late, (<-read).Sub(written)*100/written.Sub(began))
		}
		slices.Sort(late)
		median := int64(late[len(late)/2])
		t.Logf("after a silence of %v a line is late by %d%% of it (median of %d; most %d%%)", silence, median, len(late), int64(late[len(late)-1]))
		if median > 200 {
			t.Errorf("after a silence of %v a line is late by %d%% of it", silence, median)
		}
	}
}
