//go:build unix

package readiness_test

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/podlaunch/podlaunch/readiness"
)

// A prepared is a probe that is prepared for one launch.
type prepared struct {
	probe  readiness.Probe
	setup  *readiness.Setup
	target readiness.Target // this very process plays the pod

	shown    []string
	extended []time.Duration
	showing  chan string // gets what is shown too, if it is not nil
}

// prepare prepares p in a directory of its own; what that makes goes with the
// test.
func prepare(t *testing.T, p readiness.Probe) *prepared {
	t.Helper()
	return prepareIn(t, shortDir(t), p)
}

func prepareIn(t *testing.T, dir string, p readiness.Probe) *prepared {
	t.Helper()
	prep := &prepared{}
	prep.setup = &readiness.Setup{
		Name:       "pod",
		RuntimeDir: dir,
		Extend:     func(d time.Duration) { prep.extended = append(prep.extended, d) },
		Status: func(line string) {
			prep.shown = append(prep.shown, line)
			if prep.showing != nil {
				prep.showing <- line
			}
		},
	}
	t.Cleanup(func() {
		prep.setup.CloseFiles()
		prep.setup.Close()
	})
	var err error
	if prep.probe, err = readiness.Prepare(t.Context(), p, prep.setup); err != nil {
		t.Fatal(err)
	}
	prep.target = readiness.Target{Name: "pod", RuntimeDir: dir, PID: os.Getpid(), Endpoint: readiness.Endpoint{Network: "tcp", Address: "host:1"}}
	return prep
}

// variable is what the pod finds in its environment.
func (p *prepared) variable(name string) string {
	for _, e := range p.setup.Env {
		if value, ok := strings.CutPrefix(e, name+"="); ok {
			return value
		}
	}
	return ""
}

// over waits for the probe when the time is over: what was sent by then counts.
func (p *prepared) over(t *testing.T) (readiness.Endpoint, error) {
	t.Helper()
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errOver)
	return p.probe.Wait(ctx, p.target)
}

// Under any umask, a socket that a probe makes is the user's alone, and the user can
// connect to it.
func TestSocketsOfProbesWhateverTheMask(t *testing.T) {
	for _, mask := range []int{0, 0o777} {
		p := prepareUnder(t, mask, readiness.Listener{})
		e := p.learn(t)
		if fi, err := os.Lstat(e.Address); err != nil || fi.Mode() != os.ModeSocket|0o600 {
			t.Errorf("under the mask %#o: %v, %v", mask, fi, err)
		}
		connect(t, e)
	}
}

// prepareUnder is prepare, with another mask.
func prepareUnder(t *testing.T, mask int, p readiness.Probe) *prepared {
	t.Helper()
	dir := shortDir(t) // made before the mask is
	before := unix.Umask(mask)
	defer unix.Umask(before)
	return prepareIn(t, dir, p)
}
