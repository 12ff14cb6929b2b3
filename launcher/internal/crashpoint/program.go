//go:build linux

package crashpoint

import (
	"os"
	"syscall"
)

// A Program is what Run runs.
type Program struct {
	Path   string
	Args   []string // without argv[0]
	Env    []string // besides which it gets what keeps the Go runtime quiet
	Stderr *os.File // nil: null

	// Count says which points count. Nil: all of them.
	Count func(Point) bool

	// Fail, if it is not nil, is asked about every system call between Begin and
	// End, one after the other, and says with which error it fails; 0: with none.
	// It needs [CanFail].
	Fail func(Call) syscall.Errno

	// Hang, if it is not nil, is asked about the calls that are not to fail, but
	// not about those of the child, and says which are not made before End.
	Hang func(Call) bool

	// Held is called, if it is not nil, when the program was killed and is
	// gone, while the child that it had forked, if any, is kept where it is:
	// between its fork and its exec. The child goes on when Held returns.
	Held func()
}

// quiet keeps the Go runtime from calls of its own that depend on the time: a signal to
// a goroutine that runs long, a collection, a look, each second, at how many processors
// the cgroup may use (not with GOMAXPROCS; Go 1.25). The race detector sleeps for a
// second before a program ends. glibc opens a file of /sys in the ninth thread or a later
// one, to see how many arenas it may have (mallopt(3)). They come first in the environment:
// of two values the runtime takes the first.
var quiet = []string{"GOMAXPROCS=2", "GODEBUG=asyncpreemptoff=1", "GOGC=off", "GORACE=atexit_sleep_ms=0", "MALLOC_ARENA_MAX=1"}

// A Point is where a program was killed.
type Point struct {
	Call  string // the system call, by its name
	Where string // "entry", "exit", or "child": it has made one
	Child bool   // it is a call of the child that the program had forked
}

func (p Point) String() string {
	if p.Child {
		return p.Call + " " + p.Where + " in the child"
	}
	return p.Call + " " + p.Where
}

// A Result is what became of a program.
type Result struct {
	Points int   // that were counted
	Killed bool  // it did not get to End before
	At     Point // where, if Killed
	Status syscall.WaitStatus
}
