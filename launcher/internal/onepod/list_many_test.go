//go:build linux

package onepod_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/launcher/internal/leaktest"
	"github.com/podlaunch/podlaunch/launcher/internal/podrig"
)

// E13: ten thousand pods (a thousand without -soak) are listed in well under a second, with some that run
// among them and a lot of junk, which is passed over.
//
// How fast depends on the machine, so that the bound is a multiple of what it
// takes to read one small file of each pod, which any way to list them has to.
func TestListMany(t *testing.T) {
	leaktest.Parallel(t)
	const alive, junk = 3, 200
	gone := 1000
	if *podrig.Soak {
		gone = 10_000
	}
	r := newRig(t, podrig.Serve...)
	want := make(map[string]launcher.State)
	for i := range alive {
		name := fmt.Sprintf("alive%d", i)
		r.Launch(launcher.Spec{Name: name})
		want[name] = launcher.StateReady
	}
	ended := r.Launch(launcher.Spec{Name: "ended"})
	if err := ended.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	want["ended"] = launcher.StateGone
	copies := make([]string, gone)
	for i := range copies {
		copies[i] = fmt.Sprintf("gone%d", i)
		want[copies[i]] = launcher.StateGone
	}
	r.copyPods("ended", copies)
	for i := range junk {
		r.litter(i)
	}
	list, read := time.Duration(1<<62), time.Duration(1<<62)
	for range 3 {
		began := time.Now()
		got := r.list()
		list = min(list, time.Since(began))
		mustMatch(t, got, want)
		began = time.Now()
		for name := range want {
			if _, err := os.ReadFile(filepath.Join(r.Base, "."+name+".json")); err != nil {
				t.Fatal(err)
			}
		}
		read = min(read, time.Since(began))
	}
	t.Logf("%d pods in %v; to read a file of each takes %v", len(want), list, read)
	if list > 50*read {
		t.Errorf("to list %d pods took %v, which is %d times as long as to read a file of each", len(want), list, list/read)
	}
}

// list lists all pods, in order, and fails the test if there is an error.
func (r *rig) list() map[string]launcher.State {
	r.T.Helper()
	states, names := make(map[string]launcher.State), []string(nil)
	for s, err := range r.L.List(r.T.Context()) {
		if err != nil {
			r.T.Fatalf("%q: %v", s.Name, err)
		}
		states[s.Name] = s.State
		names = append(names, s.Name)
	}
	if !slices.IsSorted(names) {
		r.T.Error("they are not in the order of their names")
	}
	return states
}

// mustMatch fails the test unless the pods are those that are wanted.
func mustMatch(t *testing.T, got, want map[string]launcher.State) {
	t.Helper()
	for name, state := range want {
		if got[name] != state {
			t.Errorf("%s is %q, want %q", name, got[name], state)
		}
	}
	for name, state := range got {
		if _, ok := want[name]; !ok {
			t.Errorf("%q is listed, as %q, and is junk", name, state)
		}
	}
}

// copyPods makes copies of a pod that has ended: pods that have ended, too, and have
// removed their directories.
func (r *rig) copyPods(from string, to []string) {
	r.T.Helper()
	record, err := os.ReadFile(filepath.Join(r.Base, "."+from+".json"))
	if err != nil {
		r.T.Fatal(err)
	}
	for _, name := range to {
		for suffix, text := range map[string]string{
			".launch": "",
			".pod":    "",
			".json":   strings.ReplaceAll(string(record), `"`+from+`"`, `"`+name+`"`),
		} {
			if err := os.WriteFile(filepath.Join(r.Base, "."+name+suffix), []byte(text), 0o600); err != nil {
				r.T.Fatal(err)
			}
		}
	}
}

// litter puts junk of all kinds into the base directory, which differs for
// each i.
func (r *rig) litter(i int) {
	r.T.Helper()
	path := func(format string) string { return filepath.Join(r.Base, fmt.Sprintf(format, i)) }
	for _, err := range []error{
		os.Mkdir(path("directory%d"), 0o700),
		os.Mkdir(path(".directory%d.launch"), 0o700),
		os.WriteFile(path("file%d"), nil, 0o600),
		os.WriteFile(path("file%d.launch"), nil, 0o600),
		os.WriteFile(path(".record%d.json"), []byte("{}"), 0o600),
		os.WriteFile(path(".temporary%d.json.tmp"), []byte("{"), 0o600),
		os.WriteFile(path(".-dash%d.launch"), nil, 0o600),
		os.WriteFile(path(".\xff%d.launch"), nil, 0o600),
		os.WriteFile(path(".\n%d.launch"), nil, 0o600),
		syscall.Mkfifo(path(".fifo%d.launch"), 0o600),
		os.Symlink("nowhere", path(".link%d.launch")),
		// Claimed once, but the record is none.
		os.WriteFile(path(".torn%d.launch"), nil, 0o600),
		os.WriteFile(path(".torn%d.json"), []byte(`{"version": 1, "na`), 0o600),
	} {
		if err != nil {
			r.T.Fatal(err)
		}
	}
}
