//go:build linux

package endurance_test

import (
	"flag"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/podlaunch/podlaunch/launcher/internal/crashpoint"
)

var hangCount = flag.String("hangs", "", "how many `injections` TestHang makes, or \"all\"; default 8, and with -soak 60")

// B33: whichever call of a launch about a file hangs, as one of a filesystem does
// whose server is away, the launch returns soon after its deadline, with what is
// left in the error; once the call returns that is cleared away, too, and in the
// same program the name can be launched again. So it is for Attach.
// TestHangOfList is about List, which has no deadline but its own.
//
// The call is held at its entry, by the kernel, until the launch has returned:
// there is no need for such a filesystem, nor for the right to mount one. As with
// TestErrno, all of it takes some minutes:
//
//	go test ./launcher/internal/endurance -run TestHang -hangs all -timeout 1h -v
func TestHang(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped with -short: each of many calls hangs in a program of its own, until its deadline")
	}
	j := newInjector(t)
	all := j.list([]string{"attach", "launch", "launch that fails"}, *hangCount == everything, func(c crashpoint.Call) []syscall.Errno {
		if mayHang(c) {
			return []syscall.Errno{0}
		}
		return nil
	})
	j.inject(j.choose(all, *hangCount, 8, 60), 8)
	for o := range j.outcomes {
		if o.act == "launch" && o.what != "success" {
			return
		}
	}
	t.Error("no launch has failed: did anything hang?")
}

// B33: whichever look at a file hangs, List returns, and yields an error. It calls the
// pod neither gone nor unreachable.
func TestHangOfList(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped with -short: each of many calls hangs in a program of its own, until List gives up")
	}
	j := newInjector(t)
	all := j.list([]string{"list"}, true, func(c crashpoint.Call) []syscall.Errno {
		if mayHang(c) {
			return []syscall.Errno{0}
		}
		return nil
	})
	chosen := j.choose(all, *hangCount, 8, 60)
	j.inject(chosen, 8)
	for _, i := range chosen {
		if j.succeeded(i) {
			t.Errorf("a call hangs, and List does not say so: %v", i)
		}
	}
}

// succeeded reports whether an injection into List has had no effect.
func (j *injector) succeeded(i injection) bool {
	return slices.Contains(j.outcomes[outcome{act: i.act, call: i.call.String(), errno: i.fate(), what: "success"}], i.n)
}

// B33: whichever lock hangs, Pod.Stop returns soon after its deadline, also if the first process
// has ended long ago. Once the call returns nobody has the name, and another Stop ends who is left.
// Only the locks are on a filesystem for sure: what else Stop opens may be of /proc.
func TestHangOfStop(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped with -short: each of many calls hangs in a program of its own, until Stop gives up")
	}
	j := newInjector(t)
	all := j.list([]string{"stop", "stop gone"}, false, func(c crashpoint.Call) []syscall.Errno {
		if c == (crashpoint.Call{Name: "flock", On: "file"}) {
			return []syscall.Errno{0}
		}
		return nil
	})
	j.inject(all, 8)
	for _, act := range []string{"stop", "stop gone"} {
		if !slices.ContainsFunc(all, func(i injection) bool { return i.act == act && !j.succeeded(i) }) {
			t.Errorf("%s: nothing has failed: did anything hang?", act)
		}
	}
}

// All that is opened hangs once List has the names: List goes on until three looks hang,
// and then ends, so that ten thousand pods do not keep ten thousand threads. When the
// calls return nothing is left.
func TestHangOfAllLooks(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped with -short: List waits for three looks, two seconds each")
	}
	j := newInjector(t)
	_, made, r := j.run(injection{act: "list", call: crashpoint.Call{Name: "openat"}, n: 2, on: true})
	if !made || len(r.Faults) > 0 {
		t.Fatalf("made %v, faults %q", made, r.Faults)
	}
	const did = "the filesystem of its files did not answer within 2s"
	lines := strings.Split(r.Err, "\n")
	if len(lines) != 4 || lines[0] != `"alice": `+did || lines[1] != `"bob": `+did || lines[2] != `"carol": `+did ||
		!strings.HasPrefix(lines[3], `"": list pods: `) || !strings.Contains(lines[3], "3 looks at its files have not returned") {
		t.Errorf("List yields %q", lines)
	}
}

// At the end of a launch three kinds of calls differ from those before, and each time all of
// these hang in turn:
//
//   - A pod whose launch is given up on before it is recorded as ready is ended when the call
//     returns. There is a look at a file just before the record is written.
//   - A pod whose launch is given up on while it is being recorded as ready stays, for others
//     may have it: Attach gives it, and nothing is held for it in the program that launched it.
//   - A launch that has failed looks for the reason: whether the filesystem of the log is full,
//     and who may enter the runtime directory. It gives up what hangs, and the error says so.
func TestHangAtTheEnd(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped with -short: each of many calls hangs in a program of its own, until its launch gives up")
	}
	j := newInjector(t)
	hang := func(act string, which ...crashpoint.Call) []injection {
		all := j.list([]string{act}, true, func(c crashpoint.Call) []syscall.Errno {
			if mayHang(c) && slices.Contains(which, c) {
				return []syscall.Errno{0}
			}
			return nil
		})
		for _, c := range which {
			if !slices.ContainsFunc(all, func(i injection) bool { return i.call == c }) {
				t.Fatalf("%s: no %v", act, c)
			}
		}
		return all
	}
	looked := hang("launch", crashpoint.Call{Name: "fstat", On: "file"})
	slices.SortFunc(looked, func(a, b injection) int { return a.n - b.n })
	recorded := hang("launch", crashpoint.Call{Name: "write", On: "file"})
	failed := hang("launch that fails", crashpoint.Call{Name: "fstat", On: "file"}, crashpoint.Call{Name: "statfs"})
	j.inject(slices.Concat(looked[max(0, len(looked)-4):], recorded, failed), 16)
}

// mayHang reports whether a filesystem may let a call hang. inotify_add_watch(2) cannot:
// it gets the log's descriptor, as a link in /proc, and the kernel only checks the
// permissions of the open file. NFS may ask its server even for those; that is left out,
// because a base does not belong on NFS (docs/lifecycle.md). The calls of the forked child
// are left out, too: until the program's filesystem answers, the child holds all that its
// launcher held.
func mayHang(c crashpoint.Call) bool {
	if c.On == "proc" {
		return false // the kernel answers itself
	}
	switch c.Name {
	case "faccessat2", "mkdirat", "newfstatat", "openat", "openat2", "readlinkat", "renameat", "renameat2", "statfs", "statx", "unlinkat":
		return !c.Child
	case "close", "fchmod", "flock", "fstat", "getdents64", "pread64", "read", "write":
		return !c.Child && (c.On == "file" || c.On == "directory")
	}
	return false
}
