package logsource_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/podlaunch/podlaunch/logsource"
	"github.com/podlaunch/podlaunch/logsource/logsourcetest"
)

const keep = 1 << 20

// openKept opens a log that keeps only its last bytes, and runs its Tend.
func openKept(t *testing.T) *logsource.Log {
	t.Helper()
	log, err := logsource.File{Keep: keep}.Open(t.Context(), logsource.Launch{Name: "web", Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	run, err := log.Tend(ctx)
	if err != nil {
		t.Fatal(err)
	}
	tended := make(chan error, 1)
	go func() { tended <- run() }()
	t.Cleanup(func() {
		cancel()
		if err := <-tended; err != nil {
			t.Error(err)
		}
		log.Sink.Close()
		log.Close()
	})
	return log
}

// onDisk returns how many bytes of the disk the file at path takes.
func onDisk(t *testing.T, path string) int64 {
	t.Helper()
	fi, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return fi.Sys().(*syscall.Stat_t).Blocks * 512
}

// bounded waits until the file at path takes no more than Keep allows.
func bounded(t *testing.T, path string) {
	t.Helper()
	const most = keep + keep/8 + 128<<10
	for end := time.Now().Add(10 * time.Second); onDisk(t, path) > most; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("it takes %d bytes of the disk, want %d at most", onDisk(t, path), most)
		}
	}
}

// line returns line i of the log, of 64 bytes.
func line(i int) string { return fmt.Sprintf("%062d\n", i) + "\x00" }

// write writes lines from..to, and waits each megabyte until the log is bounded.
func writeLines(t *testing.T, log *logsource.Log, from, to int) {
	t.Helper()
	const once = 1 << 14
	for i := from; i < to; i += once {
		var b bytes.Buffer
		for j := i; j < i+once; j++ {
			b.WriteString(line(j))
		}
		if _, err := log.Sink.Write(b.Bytes()); err != nil {
			t.Fatal(err)
		}
		bounded(t, log.Path)
	}
}

// The log takes no more of the disk than Keep says, its size counts all, and a reader who
// comes late gets the last bytes, no NUL that was not written, and the number of those
// that are gone.
func TestKeep(t *testing.T) {
	log := openKept(t)
	const lines = 1 << 19 // 32 MiB
	writeLines(t, log, 0, lines)
	fi, err := os.Stat(log.Path)
	if err != nil || fi.Size() != lines*64 {
		t.Fatalf("its size is %d, %v", fi.Size(), err)
	}
	done, cancel := context.WithCancel(t.Context())
	cancel()
	readers := map[string]func() (io.ReadCloser, error){
		"Follow": func() (io.ReadCloser, error) { return log.Follow(done) },
		"Refollow": func() (io.ReadCloser, error) {
			return logsource.File{Keep: keep}.Refollow(done, logsource.Past{Path: log.Path}, true)
		},
		"of the file": func() (io.ReadCloser, error) { return logsource.Follow(done, log.Path, true) },
	}
	for name, open := range readers {
		t.Run(name, func(t *testing.T) {
			r, err := open()
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			got, err := io.ReadAll(r)
			if !errors.Is(err, context.Canceled) {
				t.Fatal(err)
			}
			lost := r.(logsource.Lossy).Lost()
			if lost+int64(len(got)) != lines*64 || len(got) < keep {
				t.Fatalf("%d bytes were lost and %d read, of %d", lost, len(got), lines*64)
			}
			for i := int(lost) / 64; len(got) > 0; i++ {
				if string(got[:64]) != line(i) {
					t.Fatalf("line %d is %q", i, got[:64])
				}
				got = got[64:]
			}
		})
	}
}

// What a reader of the log has not read is not freed, also if it reads slowly, and a
// reader that keeps up loses nothing.
func TestKeepForReaders(t *testing.T) {
	log := openKept(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r, err := log.Follow(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	const size = 8 << 20
	want := strings.Repeat("a line of the log, and more\n", size/28)
	if _, err := io.WriteString(log.Sink, want); err != nil {
		t.Fatal(err)
	}
	if got := onDisk(t, log.Path); got < int64(len(want)) {
		t.Errorf("%d bytes are left before anything was read", got)
	}
	got := make([]byte, len(want))
	if _, err := io.ReadFull(r, got); err != nil || string(got) != want {
		t.Fatalf("it reads something else, %v", err)
	}
	bounded(t, log.Path)
	if lost := r.(logsource.Lossy).Lost(); lost != 0 {
		t.Errorf("%d bytes were lost", lost)
	}
}

// Readers that read while the log is freed by another program never get a NUL.
func TestKeepNeverReadsHoles(t *testing.T) {
	dir := t.TempDir()
	log, err := logsource.File{Keep: keep}.Open(t.Context(), logsource.Launch{Name: "web", Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	defer log.Sink.Close()
	ctx, cancel := context.WithCancel(t.Context())
	run, err := log.Tend(ctx)
	if err != nil {
		t.Fatal(err)
	}
	tended := make(chan error, 1)
	go func() { tended <- run() }()
	// It opens the file by itself, as another program does, and so holds nothing up.
	r, err := logsource.Follow(ctx, log.Path, true)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	const size = 64 << 20
	go func() {
		chunk := bytes.Repeat([]byte("x"), 32<<10)
		for range size / len(chunk) {
			log.Sink.Write(chunk)
		}
	}()
	got, buf := int64(0), make([]byte, 200_000)
	for got+r.(logsource.Lossy).Lost() < size {
		n, err := r.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		if at := bytes.IndexFunc(buf[:n], func(c rune) bool { return c != 'x' }); at >= 0 {
			t.Fatalf("byte %d is %q", got+int64(at), buf[at])
		}
		got += int64(n)
	}
	cancel()
	if err := <-tended; err != nil {
		t.Error(err)
	}
}

// A pod that truncates its log goes on with a bounded one.
func TestKeepAfterTruncate(t *testing.T) {
	log := openKept(t)
	writeLines(t, log, 0, 1<<16)
	if err := os.Truncate(log.Path, 0); err != nil {
		t.Fatal(err)
	}
	writeLines(t, log, 0, 1<<17)
}

// What cannot be is refused by Open, and nothing is left open.
func TestKeepRefused(t *testing.T) {
	_, err := logsource.File{Keep: -1}.Open(t.Context(), logsource.Launch{Name: "web", Dir: t.TempDir()})
	if err == nil || !strings.Contains(err.Error(), "File.Keep is -1") {
		t.Errorf("Open: %v", err)
	}
	if _, err := (logsource.File{Keep: -1}).Refollow(t.Context(), logsource.Past{Path: "/x"}, true); err == nil || !strings.Contains(err.Error(), "File.Keep is -1") {
		t.Errorf("Refollow: %v", err)
	}
}

// A bounded log keeps the contract.
func TestKeepConforms(t *testing.T) {
	logsourcetest.Test(t, func(*testing.T) logsource.Source { return logsource.File{Keep: 64 << 20} })
}
