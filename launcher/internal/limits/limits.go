//go:build linux

// Package limits is for tests: it measures what this process uses, and takes away what it has.
package limits

import (
	"errors"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// ProcessorTime returns how much of it this process takes during f.
func ProcessorTime(t testing.TB, f func()) time.Duration {
	t.Helper()
	var before, after unix.Rusage
	err := unix.Getrusage(unix.RUSAGE_SELF, &before)
	f()
	if err = errors.Join(err, unix.Getrusage(unix.RUSAGE_SELF, &after)); err != nil {
		t.Fatal(err)
	}
	return time.Duration(after.Utime.Nano() + after.Stime.Nano() - before.Utime.Nano() - before.Stime.Nano())
}

// WithDescriptors calls f, during which this process can open no more than left descriptors at a
// time: none or one. Nothing else of the process may need any meanwhile, so no test runs beside.
func WithDescriptors(t testing.TB, left uint64, f func()) {
	t.Helper()
	lowest, err := unix.Dup(0)
	if err != nil {
		t.Fatal(err)
	}
	unix.Close(lowest)
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: uint64(lowest) + left, Max: limit.Max}); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
			t.Fatal(err)
		}
	}()
	f()
}
