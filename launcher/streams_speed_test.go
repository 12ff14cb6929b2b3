//go:build linux

package launcher_test

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/launcher/internal/podrig"
	"github.com/podlaunch/podlaunch/readiness"
)

// turns has a pod of Python write blocks to stdout and stderr by turns: block i begins
// with its number. It is ready before the first, and waits for its start at the FIFO.
const turns = `
import os, sys
blocks, size, fifo = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
os.write(2, b"INSOMNIA-READY\talice\t/nowhere\n")
open(fifo).close()
rest = b"." * (size - 17) + b"\n"
for i in range(blocks):
    data = b"%016d" % i + rest
    while data:
        data = data[os.write(1 + i % 2, data):]
`

// A turn is a writer that gets one of the two streams, and makes sure that it is whole.
type turn struct {
	t      *testing.T
	next   int // the number of the block to come
	skip   int // bytes before the first block
	size   int
	rest   []byte // of a block, or what there is of it
	at     int    // in the present block
	number [16]byte
	ready  chan struct{} // closed after what is skipped
	done   chan struct{} // closed when last is complete
	last   int
}

func newTurn(t *testing.T, first, skip, size, blocks int) *turn {
	rest := append(bytes.Repeat([]byte("."), size-17), '\n')
	return &turn{t: t, next: first, skip: skip, size: size, rest: rest, ready: make(chan struct{}), done: make(chan struct{}), last: blocks - 2 + first}
}

// Write implements [io.Writer].
func (w *turn) Write(p []byte) (int, error) {
	whole := len(p)
	if w.skip > 0 {
		n := min(w.skip, len(p))
		p = p[n:]
		if w.skip -= n; w.skip == 0 {
			close(w.ready)
		}
	}
	for len(p) > 0 {
		var n int
		if w.at < len(w.number) {
			n = copy(w.number[w.at:], p)
		} else {
			n = min(len(p), w.size-w.at)
			if !bytes.Equal(p[:n], w.rest[w.at-16:w.at-16+n]) {
				return 0, fmt.Errorf("block %d holds something else", w.next)
			}
		}
		p, w.at = p[n:], w.at+n
		if w.at == w.size {
			if want := fmt.Sprintf("%016d", w.next); string(w.number[:]) != want {
				return 0, fmt.Errorf("block %s comes, want %s", w.number, want)
			}
			if w.next == w.last {
				close(w.done)
			}
			w.next, w.at = w.next+2, 0
		}
	}
	return whole, nil
}

// A speedCase is how much a pod writes.
type speedCase struct {
	script, fifo string
	blocks, size int
}

func (c speedCase) args() []string {
	return []string{"-c", c.script, fmt.Sprint(c.blocks), fmt.Sprint(c.size), c.fifo}
}

// writers returns what gets the two streams.
func (c speedCase) writers(t *testing.T) (stdout, stderr *turn) {
	return newTurn(t, 0, 0, c.size, c.blocks), newTurn(t, 1, len(aliceIsReady), c.size, c.blocks)
}

// byExec returns how long it takes with os/exec from the start of the writing until all
// was got.
func (c speedCase) byExec(t *testing.T, python string) time.Duration {
	stdout, stderr := c.writers(t)
	cmd := exec.Command(python, c.args()...)
	cmd.Stdout, cmd.Stderr = io.Writer(stdout), io.Writer(stderr)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	<-stderr.ready
	began := time.Now()
	podrig.Wake(t, c.fifo)
	<-stdout.done
	<-stderr.done
	took := time.Since(began)
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	return took
}

// byLaunch is byExec with a pod.
func (c speedCase) byLaunch(t *testing.T, r *rig) time.Duration {
	stdout, stderr := c.writers(t)
	pod, err := r.L.Launch(t.Context(), launcher.Spec{Name: "alice", Stdout: stdout, Stderr: stderr})
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	podrig.Wake(t, c.fifo)
	<-stdout.done
	<-stderr.done
	took := time.Since(began)
	<-pod.Done()
	mustDrain(t, pod)
	return took
}

// byNobody returns how long the same pod takes to write all into the log, which nobody
// reads.
func (c speedCase) byNobody(t *testing.T, r *rig) time.Duration {
	pod, err := r.L.Launch(t.Context(), launcher.Spec{Name: "alice", LogStdout: true})
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	podrig.Wake(t, c.fifo)
	<-pod.Done()
	return time.Since(began)
}

// 100 MB that a pod writes to stdout and stderr by turns arrive complete and in order, as
// fast as with os/exec, and in constant memory. What is compared is the median of some
// runs, in turns. The bound is generous, for the machine is shared, and what the pod's
// own writes to a file take varies with it; docs/performance.md has what was measured.
func TestStreamsSpeed(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped with -short: it compares speeds, with 100 MB each time")
	}
	python, err := exec.LookPath("python3")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skip("there is no python3")
	}
	total := int(100e6)
	for _, size := range []int{4 << 10, 64 << 10} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			r := newRig(t)
			c := speedCase{script: turns, fifo: r.Fifo("start"), blocks: total / size &^ 1, size: size}
			r.L.Ready, r.L.Command = readiness.ReadyLine{}, launcher.Exec(python, c.args()...)
			var floor, alone, ours []time.Duration
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			for range podrig.Size(t, 3, 3, 15) {
				floor = append(floor, c.byExec(t, python))
				ours = append(ours, c.byLaunch(t, r))
				alone = append(alone, c.byNobody(t, r))
			}
			runtime.ReadMemStats(&after)
			for _, took := range [][]time.Duration{floor, ours, alone} {
				slices.Sort(took)
			}
			median := len(floor) / 2
			ratio := float64(floor[median]) / float64(ours[median])
			t.Logf("the best and the median: os/exec %v, %v; podlaunch %v, %v; a file that nobody reads %v, %v; %.2f and %.2f of the speed of os/exec",
				floor[0], floor[median], ours[0], ours[median], alone[0], alone[median], float64(floor[0])/float64(ours[0]), ratio)
			if ratio < 0.1 {
				t.Errorf("%.2f of the speed of os/exec, want much more than 0.1", ratio)
			}
			if grown := int64(after.HeapSys) - int64(before.HeapSys); grown > 32<<20 {
				t.Errorf("the heap has grown by %d MiB", grown>>20)
			}
			if err := os.RemoveAll(filepath.Join(r.Base, "alice")); err != nil {
				t.Error(err)
			}
		})
	}
}
