package readiness_test

import (
	"context"
	"iter"
	"testing"

	"github.com/podlaunch/podlaunch/readiness"
)

// What a line costs that is none of ours, and the ready line itself: the first
// must not allocate.
func BenchmarkReadyLine(b *testing.B) {
	for _, c := range []struct {
		name string
		line string
		owns bool
	}{
		{"noise", "a line of noise that a pod writes before it is ready, of a usual length", false},
		{"ready", "INSOMNIA-READY\talice\t/run/user/1000/insomnia/alice/sock", true},
	} {
		b.Run(c.name, func(b *testing.B) {
			line, target := []byte(c.line), readiness.Target{Name: "alice"}
			b.ReportAllocs()
			for b.Loop() {
				if (readiness.ReadyLine{}).OwnsLine(target, line) != c.owns {
					b.Fatal("it is taken for what it is not")
				}
			}
		})
	}
}

// A wait through a thousand lines of noise.
func BenchmarkReadyLineWait(b *testing.B) {
	noise, ready := []byte("noise before the pod is ready"), []byte("INSOMNIA-READY\talice\t/run/alice/sock")
	target := readiness.Target{Name: "alice", Lines: func(context.Context) iter.Seq2[[]byte, error] {
		return func(yield func([]byte, error) bool) {
			for range 1000 {
				if !yield(noise, nil) {
					return
				}
			}
			yield(ready, nil)
		}
	}}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := (readiness.ReadyLine{}).Wait(b.Context(), target); err != nil {
			b.Fatal(err)
		}
	}
}
