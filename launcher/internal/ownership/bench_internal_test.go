//go:build unix

package ownership

import (
	"errors"
	"testing"
)

// What a launch pays for the name: two locks, taken and given back.
func BenchmarkClaim(b *testing.B) {
	base := b.TempDir()
	b.ReportAllocs()
	for b.Loop() {
		p, err := Open(base, "alice")
		if err != nil {
			b.Fatal(err)
		}
		c, err := p.Claim(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		if _, err := c.Abandon(b.Context(), false); err != nil {
			b.Fatal(err)
		}
	}
}

// What a launch pays for the record until its process has started, and to forget it, if it fails.
func BenchmarkRecord(b *testing.B) {
	p, err := Open(b.TempDir(), "alice")
	if err != nil {
		b.Fatal(err)
	}
	c, err := p.Claim(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	defer c.Settle()
	b.ReportAllocs()
	for b.Loop() {
		if err := errors.Join(c.Intend(whole().Intent), c.Start(whole().Identity, whole().Digests), c.Forget()); err != nil {
			b.Fatal(err)
		}
	}
}

// The proof that a record is of nobody who runs.
func BenchmarkRunning(b *testing.B) {
	p, err := Open(b.TempDir(), "alice")
	if err != nil {
		b.Fatal(err)
	}
	defer p.Close()
	if err := put(p, whole()); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.Running(); err == nil {
			b.Fatal("it runs")
		}
	}
}
