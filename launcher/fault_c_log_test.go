//go:build linux

package launcher_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/launcher/internal/podrig"
	"github.com/podlaunch/podlaunch/logsource"
)

// C22: a log that is deleted is read to its end all the same.
func c22(t *testing.T) {
	t.Run("and is ready", func(t *testing.T) {
		mustShow(t, newRig(t, "say one", "rmlog", "say two", "listen", "ready", "hang"), "one", "two")
	})
	t.Run("and exits", func(t *testing.T) {
		r := newRig(t, "say one", "rmlog", "say two", "exit 6")
		e := r.Fail(t.Context(), launcher.Spec{Name: "alice"})
		podrig.MustBe(t, e, launcher.ErrExitedEarly)
		mustHaveEnded(t, e, exited(6))
		mustHaveTail(t, e, "one", "two")
		r.Relaunch("alice")
	})
}

// mustShow launches a pod called alice that has to become ready, and to answer,
// after the lines want.
func mustShow(t *testing.T, r *rig, want ...string) {
	t.Helper()
	var lines []string
	podrig.Ping(t, r.Launch(launcher.Spec{Name: "alice", Progress: func(line string) { lines = append(lines, line) }}))
	if !slices.Equal(lines, want) {
		t.Errorf("Progress got %q, want %q", lines, want)
	}
}

// C23: after the log was truncated, reading goes on at its new beginning, and
// what the pod appends stands there, not behind a hole.
func c23(t *testing.T) {
	for _, c := range []struct{ name, before string }{
		// In one write: who has read a part of it, and then nothing until the file is
		// as long again, cannot know that it was ever shorter.
		{"a little", "write " + strconv.Quote(strings.Repeat("before\n", 100))},
		{"megabytes", "flood 8000000"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t)
			read := r.Fifo("read")
			r.L.Command = podrig.Script(c.before, "say read", "await "+read, "truncate", "say after", "listen", "ready", "hang")
			var after []string
			seen := false
			podrig.Ping(t, r.Launch(launcher.Spec{Name: "alice", Progress: func(line string) {
				switch {
				case seen:
					after = append(after, line)
				case line == "read": // all of it was
					seen = true
					release(t, read)
				}
			}}))
			if want := []string{"after"}; !slices.Equal(after, want) {
				t.Errorf("after the log was truncated Progress got %q, want %q", after, want)
			}
			if got, want := r.ReadLog("alice"), "after\n"+readyLine("alice", r.sock()); got != want {
				t.Errorf("the log holds %q, want %q", got, want)
			}
		})
	}
}

// C24: the launch follows the file that was made for it, even after a rename. A new file
// of its name is the pod's business.
func c24(t *testing.T) {
	r := newRig(t, "say one", "rotate", "say two", "listen", "ready", "hang")
	mustShow(t, r, "one", "two")
	rotated, err := os.ReadFile(filepath.Join(r.Dir("alice"), logsource.DefaultName+".rotated"))
	if want := "one\ntwo\n" + readyLine("alice", r.sock()); err != nil || string(rotated) != want {
		t.Errorf("the rotated log holds %q (%v), want %q", rotated, err, want)
	}
}

// C25: a pod that takes its runtime directory with it leaves its last words
// nevertheless.
func c25(t *testing.T) {
	r := newRig(t, "say one", "rmdir", "say two", `write "three"`, "exit 6")
	e := r.Fail(t.Context(), launcher.Spec{Name: "alice"})
	podrig.MustBe(t, e, launcher.ErrExitedEarly)
	mustHaveEnded(t, e, exited(6))
	mustHaveTail(t, e, "one", "two", "three")
	if _, err := os.Lstat(r.Dir("alice")); !os.IsNotExist(err) {
		t.Errorf("the pod's directory is there again: %v", err)
	}
	r.Relaunch("alice")
}

// C26: a pod that cannot say that it is ready is not; the error tells that it
// has said nothing at all, and that its socket answers.
func c26(t *testing.T) {
	for _, c := range []struct{ name, step string }{
		{"closes", "closestderr"},
		{"redirects", "redirect " + os.DevNull},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t)
			e := r.expireAfter(c.step, "listen", "say lost")
			podrig.MustSay(t, e, "it has written nothing to its log")
			pendingSays(t, e, "the ready line", "a socket answers at")
			mustHaveTail(t, e)
			r.Relaunch("alice")
		})
	}
}

// C27: a pod that floods its log takes no memory of ours, and no more time than
// the launch has.
func c27(t *testing.T) {
	t.Run("and is ready", func(t *testing.T) {
		if !podrig.Alone(t) { // what others allocate counts, too
			return
		}
		const bound = 16 << 20
		flood := podrig.Size(t, 40_000_000, 200_000_000, 200_000_000)
		r := newRig(t, fmt.Sprint("flood ", flood), "listen", "ready", "hang")
		before := bytesAllocated()
		pod := r.Launch(launcher.Spec{Name: "alice"})
		if after := bytesAllocated(); after-before > bound {
			t.Errorf("%d bytes were allocated while the pod wrote %d", after-before, flood)
		}
		podrig.Ping(t, pod)
		fi, err := os.Stat(pod.LogPath())
		if want := int64(flood + len(readyLine("alice", r.sock()))); err != nil || fi.Size() != want {
			t.Errorf("the log has %d bytes (%v), want %d", fi.Size(), err, want)
		}
	})
	t.Run("and exits", func(t *testing.T) {
		const flood, bound = 20_000_000, 3 << 20
		r := newRig(t, "flood 20000000", "say one", "say two", "exit 3")
		var mu sync.Mutex
		total := make(map[*podrig.Tapped]int)
		r.L.Log = podrig.Tap{Before: func(r *podrig.Tapped) {
			mu.Lock()
			defer mu.Unlock()
			total[r] = r.Got
		}}
		e := r.Fail(t.Context(), launcher.Spec{Name: "alice"})
		mustHaveTail(t, e, append(slices.Repeat([]string{strings.Repeat("x", 99)}, 62), "one", "two")...)
		mu.Lock()
		defer mu.Unlock()
		// One reads all, for the probe; one the first lines, and one the last ones.
		if read := slices.Sorted(maps.Values(total)); len(read) != 3 || read[1] > bound {
			t.Errorf("the readers read %d bytes of %d", read, flood)
		}
	})
	t.Run("and is not", func(t *testing.T) {
		r := newRig(t, "forever")
		r.PodsPour = true
		d := podrig.NewDeadline()
		lines := 0
		e := r.expire(d, launcher.Spec{Name: "alice", Progress: func(string) {
			if lines++; lines == 1000 {
				d.Pass()
			}
		}})
		// It is written to while it is read; a write across two pages is seen in
		// two parts.
		if last := len(e.Tail) - 1; last >= 0 && e.Tail[last] != "" && strings.HasPrefix("and on and on", e.Tail[last]) {
			e.Tail[last] = "and on and on"
		}
		mustHaveTail(t, e, slices.Repeat([]string{"and on and on"}, 64)...)
		if written := r.ReadLog("alice"); strings.Count(written, "and on and on\n") < 1000 {
			t.Errorf("the log has only %d bytes", len(written))
		}
		r.Relaunch("alice")
	})
}

// allocated returns how many bytes this program has ever allocated: what grows
// with a pod's output shows here even if it is collected again.
func bytesAllocated() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc
}
