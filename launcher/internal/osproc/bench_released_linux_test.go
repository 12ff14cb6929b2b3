package osproc_test

import (
	"fmt"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/podlaunch/podlaunch/launcher/internal/osproc"
)

// A start beside children that were released and run, and beside a zombie that is
// somebody else's to reap, and older than they are.
func BenchmarkStartBesideReleased(b *testing.B) {
	for _, c := range []struct {
		released int
		zombie   bool
	}{{0, false}, {1000, false}, {1000, true}} {
		b.Run(fmt.Sprintf("%d released, zombie %v", c.released, c.zombie), func(b *testing.B) {
			if c.zombie {
				zombie := startOne(b)
				defer func() { _ = zombie.Reap(b.Context()) }()
				if _, err := zombie.Wait(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
			r, w, err := os.Pipe()
			if err != nil {
				b.Fatal(err)
			}
			defer r.Close()
			for range c.released {
				p, err := osproc.Start(b.Context(), osproc.Command{Path: "/bin/cat", Files: []*os.File{r}})
				if err != nil {
					b.Fatal(err)
				}
				defer unix.Wait4(p.PID(), nil, 0, nil)
				p.Release()
			}
			defer w.Close()
			for b.Loop() {
				p := startOne(b)
				if _, err := p.Wait(b.Context()); err != nil {
					b.Fatal(err)
				}
				if err := p.Reap(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func startOne(b *testing.B) *osproc.Process {
	b.Helper()
	p, err := osproc.Start(b.Context(), osproc.Command{Path: "/bin/true"})
	if err != nil {
		b.Fatal(err)
	}
	return p
}
