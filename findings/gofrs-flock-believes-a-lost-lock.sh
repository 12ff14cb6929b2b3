#!/usr/bin/env bash
# Subject:  github.com/gofrs/flock v0.13.2, on flock(2) of Linux (seen with 6.18).
# Expected: who holds a shared lock and fails to get an exclusive one still holds the shared
#           one. TryLock returns false without an error, RLocked goes on to say true, and
#           so does TryRLock.
# Seen:     the shared lock is gone. flock(2) converts a lock by giving it up first, and does
#           not take it back when it fails. The library's own record of the lock stays as it
#           was, so that even TryRLock, which would take it again, returns without a call.
#           The comment on Lock names only a conversion that succeeds.
# Output:   a holds a shared lock; b tries the exclusive one: false
#           a and b hold a shared lock; a tries the exclusive one: false
#           a: RLocked: true, TryRLock: true
#           b tries the exclusive one: true
#           a: RLocked: true, TryRLock: true
# Hurts:    who tells "in use" from "to be changed" by one lock file: a server that tries to
#           become the writer and goes on as a reader reads what another one is writing.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export GOFLAGS='-mod=mod -modcacherw' GOMODCACHE=$work/mod
printf 'module finding\n\ngo 1.24\n\nrequire github.com/gofrs/flock v0.13.2\n' >go.mod
cat >main.go <<'END'
package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"

	"github.com/gofrs/flock"
)

// serve locks the file as the lines of its input say, and answers each with a line.
func serve(path string) {
	lock := flock.New(path)
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		switch in.Text() {
		case "shared":
			fmt.Println(lock.TryRLock())
		case "exclusive":
			fmt.Println(lock.TryLock())
		case "state":
			held := lock.RLocked()
			ok, err := lock.TryRLock()
			fmt.Println("RLocked:", held, "TryRLock:", ok, err)
		}
	}
}

// A process holds its own Flock of the file.
type process struct {
	in  io.Writer
	out *bufio.Scanner
}

func start(path string) (p process, end func()) {
	cmd := exec.Command("/proc/self/exe", path)
	in, _ := cmd.StdinPipe()
	out, _ := cmd.StdoutPipe()
	if err := cmd.Start(); err != nil {
		panic(err)
	}
	return process{in, bufio.NewScanner(out)}, func() { in.Close(); cmd.Wait() }
}

// ask sends a line, and ends the run if the answer is not the wanted one.
func (p process) ask(what, want string) {
	fmt.Fprintln(p.in, what)
	if !p.out.Scan() {
		panic("no answer")
	}
	if answer := p.out.Text(); answer != want {
		fmt.Printf("changed: %q is answered by %q\n", what, answer)
		os.Exit(1)
	}
}

func main() {
	if len(os.Args) > 1 {
		serve(os.Args[1])
		return
	}
	const yes, no, both = "true <nil>", "false <nil>", "RLocked: true TryRLock: true <nil>"
	a, endA := start("lock")
	b, endB := start("lock")
	defer endA()
	defer endB()

	a.ask("shared", yes)
	b.ask("exclusive", no)
	fmt.Println("a holds a shared lock; b tries the exclusive one: false")
	b.ask("shared", yes)
	a.ask("exclusive", no)
	fmt.Println("a and b hold a shared lock; a tries the exclusive one: false")
	a.ask("state", both)
	fmt.Println("a: RLocked: true, TryRLock: true")
	b.ask("exclusive", yes)
	fmt.Println("b tries the exclusive one: true")
	a.ask("state", both)
	fmt.Println("a: RLocked: true, TryRLock: true")
}
END
go build -o finding . 2>build.log || { cat build.log; exit 1; }
timeout 40 ./finding
