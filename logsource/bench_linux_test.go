package logsource_test

import (
	"io"
	"os"
	"testing"
	"time"

	"github.com/podlaunch/podlaunch/logsource"
)

// Opening a log, with all that makes it safe, and following it once.
func BenchmarkOpen(b *testing.B) {
	dir := b.TempDir()
	b.ReportAllocs()
	for b.Loop() {
		log, err := logsource.File{}.Open(b.Context(), logsource.Launch{Name: "alice", Dir: dir})
		if err != nil {
			b.Fatal(err)
		}
		r, err := log.Follow(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		r.Close()
		log.Sink.Close()
		log.Close()
	}
}

// From a write to the return of a reader that waits for it, and that a wake
// allocates little. Between two writes there is a pause, for of a pod that pours
// the changes are gathered.
func BenchmarkWake(b *testing.B) {
	log, err := logsource.File{}.Open(b.Context(), logsource.Launch{Name: "alice", Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	defer log.Close()
	defer log.Sink.Close()
	r, err := log.Follow(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	defer r.Close()
	got := make(chan error)
	go func() {
		buf := make([]byte, 1)
		for {
			_, err := io.ReadFull(r, buf)
			got <- err
			if err != nil {
				return
			}
		}
	}()
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		time.Sleep(3 * time.Millisecond)
		b.StartTimer()
		write(b, log.Sink)
		if err := <-got; err != nil {
			b.Fatal(err)
		}
	}
	r.Close()
	<-got
}

func write(b *testing.B, f *os.File) {
	if _, err := f.Write([]byte("x")); err != nil {
		b.Fatal(err)
	}
}
