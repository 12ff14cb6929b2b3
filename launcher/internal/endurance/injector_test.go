//go:build linux

package endurance_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/podlaunch/podlaunch/launcher/internal/crashpoint"
	"github.com/podlaunch/podlaunch/launcher/internal/podrig"
)

// An injection is one call that fails.
type injection struct {
	act   string
	call  crashpoint.Call
	n     int           // the how-manieth of its kind, from 1
	errno syscall.Errno // 0: it hangs
	on    bool          // all later ones of its kind too
	rare  bool          // the act does not make that many of the kind each time
}

func (i injection) String() string { return fmt.Sprintf("%s, %v %d %s", i.act, i.call, i.n, i.fate()) }

func (i injection) fate() string {
	if i.errno == 0 {
		return "hangs"
	}
	return unix.ErrnoName(i.errno)
}

// An outcome is what came of some injections: a row of the table, except its counts.
type outcome struct {
	act, call, errno, what, stage string
}

// An injector makes injections.
type injector struct {
	t *testing.T

	mu       sync.Mutex
	outcomes map[outcome][]int // the numbers of the calls
	unknown  map[string]bool
	missed   int // injections, of calls that are not rare, for which the launch had no such call
}

func newInjector(t *testing.T) *injector {
	t.Helper()
	if !crashpoint.CanFail {
		t.Skipf("calls can be made to fail only on amd64 so far; this is %s", runtime.GOARCH)
	}
	// The build id of a program that was built a moment ago is read at each launch, and later
	// once: the calls that are counted have to be those that are made.
	fi, err := os.Stat(podrig.Pod)
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Until(fi.ModTime().Add(3 * time.Second)))
	return &injector{t: t, outcomes: make(map[outcome][]int), unknown: make(map[string]bool)}
}

// try makes an injection, and notes what came of it.
func (j *injector) try(i injection) {
	_, made, r := j.run(i)
	if r.Err != "" && !r.Named && i.act == "launch" && i.errno != 0 {
		r.note([]string{"the error does not tell of it: " + r.Err})
	}
	for _, fault := range r.Faults {
		j.t.Errorf("%v: %s", i, fault)
	}
	o := outcome{act: i.act, call: i.call.String(), errno: i.fate(), what: "success", stage: r.Stage}
	if r.Err != "" {
		o.what = "error"
		if r.Named {
			o.what = "names it"
		}
	}
	if r.Left != "" {
		o.what += ", and what is left"
	}
	if len(r.Faults) > 0 {
		o.what = "FAULT"
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if !made {
		j.t.Logf("%v: there was no such call; rare: %v", i, i.rare)
		if !i.rare {
			j.missed++
		}
		return
	}
	j.outcomes[o] = append(j.outcomes[o], i.n)
}

// run has this test binary do an act in which a call fails, or none if i has no
// call, and returns how many calls of each kind it made, whether one has failed,
// and its report.
func (j *injector) run(i injection) (calls map[crashpoint.Call]int, made bool, r report) {
	dir, err := os.MkdirTemp("", "errno")
	if err != nil {
		j.t.Error(err)
		return nil, false, r
	}
	defer os.RemoveAll(dir)
	o := order{Act: i.act, Base: filepath.Join(dir, "base"), Pod: podrig.Pod, Errno: i.errno, Hangs: i.n > 0 && i.errno == 0, Report: filepath.Join(dir, "report")}
	text, err := json.Marshal(o)
	if err == nil {
		err = os.Mkdir(o.Base, 0o700)
	}
	if err != nil {
		j.t.Error(err)
		return nil, false, r
	}
	stderr, err := os.CreateTemp(dir, "stderr")
	if err != nil {
		j.t.Error(err)
		return nil, false, r
	}
	defer stderr.Close()
	calls = make(map[crashpoint.Call]int)
	result, err := crashpoint.Run(crashpoint.Program{
		Path:   os.Args[0],
		Env:    append(os.Environ(), orderVariable+"="+string(text)),
		Stderr: stderr,
		Fail: func(c crashpoint.Call) syscall.Errno {
			if _, known := errnosOf(c); !known {
				j.mu.Lock()
				j.unknown[c.String()] = true
				j.mu.Unlock()
			}
			calls[c]++
			if c != i.call || calls[c] != i.n && !(i.on && calls[c] > i.n) {
				return 0
			}
			made = true
			return i.errno
		},
		Hang: func(c crashpoint.Call) bool {
			return i.errno == 0 && c == i.call && (calls[c] == i.n || i.on && calls[c] > i.n)
		},
	}, 0)
	if err == nil && result.Status != 0 {
		said, _ := io.ReadAll(io.NewSectionReader(stderr, 0, 1<<20))
		err = fmt.Errorf("the program ended with %#x, and said:\n%s", result.Status, bytes.TrimSpace(said))
	}
	if err == nil {
		text, err = os.ReadFile(o.Report)
	}
	if err == nil {
		err = json.Unmarshal(text, &r)
	}
	r.noteError("the program", err)
	pods, err := podrig.LivePods(filepath.Join(o.Base, name))
	if len(pods) > 0 {
		err = errors.Join(err, fmt.Errorf("the pods %v outlive it", pods))
		for _, pid := range pods {
			syscall.Kill(-pid, syscall.SIGKILL)
		}
	}
	r.noteError("the machine", err)
	return calls, made, r
}
