//go:build linux

package onepod_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"testing"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/launcher/internal/crashpoint"
	"github.com/podlaunch/podlaunch/launcher/internal/podrig"
)

// attachOnce attaches to a pod whose record was deleted.
func attachOnce(l launcher.Launcher, r role) error {
	crashpoint.Begin()
	_, err := l.Attach(context.Background(), r.Name)
	crashpoint.End()
	if !errors.Is(err, launcher.ErrHeld) {
		return fmt.Errorf("attach: %w", err)
	}
	return nil
}

// Attach asks first whether somebody launches the pod, and then for the record. The other
// way round a launch that ends in between is no pod.
func TestAttachReadsTheRecordLast(t *testing.T) {
	r := newRig(t, podrig.Serve...)
	r.Launch(launcher.Spec{Name: "alice"}) // which makes the lock
	if err := os.Remove(r.Beside("alice", ".json")); err != nil {
		t.Fatal(err)
	}
	var calls []string
	result, err := crashpoint.Run(crashpoint.Program{
		Path:   os.Args[0],
		Env:    role{Play: "attach", Base: r.Base, Name: "alice"}.env(t),
		Stderr: os.Stderr,
		Count: func(p crashpoint.Point) bool {
			if p.Where == "entry" && (p.Call == "openat" || p.Call == "flock") {
				calls = append(calls, p.Call)
			}
			return true
		},
	}, 0)
	if err != nil || result.Status != 0 {
		t.Fatalf("who attaches: %v, %#x", err, result.Status)
	}
	if i := slices.Index(calls, "flock"); i < 0 || !slices.Contains(calls[i:], "openat") {
		t.Errorf("its calls are %q, want an openat, of the record, after the flock of the launch lock", calls)
	}
}
