// Package fakepod is a pod for tests that behaves as it is told, well or
// badly. Its script is its arguments, one step each: a verb and what it is
// about. Package launchertest lists them, and makes a pod of any test binary;
// the project's own tests use a binary that is built for the purpose
// ([Build]).
package fakepod

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
)

// Args returns the arguments that make the fake pod follow script, followed by
// rest.
func Args(name, dir string, script, rest []string) []string {
	args := append([]string{name, dir, strconv.Itoa(len(script))}, script...)
	return append(args, rest...)
}

// Main is the fake pod's main function.
func Main() { Play(os.Args[:1], os.Args[1:]) }

// Failed is the exit code of a fake pod that could not do what it was told.
const Failed = 99

// Play follows the script that args hold, as from [Args], and exits. self is
// the beginning of the command, up to these arguments, with which the same
// program is run again.
func Play(self, args []string) {
	p, steps, err := newPod(self, args)
	if err == nil {
		err = Check(steps)
	}
	if err == nil {
		err = p.follow(steps)
	}
	exit(err)
}

// A pod is one run of a script.
type pod struct {
	self      []string // the beginning of the command that runs it
	name, dir string
	rest      []string // arguments that are not the script's
	addr      atomic.Pointer[string]
	held      []any // kept open until the end
}

func newPod(self, args []string) (*pod, []string, error) {
	if len(args) < 3 {
		return nil, nil, fmt.Errorf("it is run with %d arguments, want its name, its directory, the number of its steps, and the steps", len(args))
	}
	n, err := strconv.Atoi(args[2])
	if err != nil || n < 0 || n > len(args)-3 {
		return nil, nil, fmt.Errorf("the number of steps is %q, with %d arguments after it", args[2], len(args)-3)
	}
	return &pod{self: self, name: args[0], dir: args[1], rest: args[3+n:]}, args[3 : 3+n], nil
}

// follow takes steps, one after another.
func (p *pod) follow(steps []string) error {
	for _, s := range steps {
		do, err := parse(s)
		if err != nil {
			return err
		}
		if err := do(p); err != nil {
			return fmt.Errorf("step %q: %w", s, err)
		}
	}
	return nil
}

// exit ends the program at the end of its script, or because of err.
func exit(err error) {
	if err != nil {
		fmt.Fprintf(os.Stderr, "fakepod: %v\n", err)
		os.Exit(Failed)
	}
	os.Exit(0)
}

// expand replaces what a step can say of the pod.
func (p *pod) expand(text string) string {
	if !strings.Contains(text, "{") {
		return text
	}
	addr := "{addr}"
	if a := p.addr.Load(); a != nil {
		addr = *a
	}
	return strings.NewReplacer("{name}", p.name, "{dir}", p.dir, "{sock}", p.sock(), "{addr}", addr).Replace(text)
}

func (p *pod) sock() string { return filepath.Join(p.dir, "sock") }

func (p *pod) log() string { return filepath.Join(p.dir, "stderr.log") }

// again is this program with other steps.
func (p *pod) again(steps []string) *exec.Cmd {
	c := exec.Command(p.self[0], append(p.self[1:len(p.self):len(p.self)], Args(p.name, p.dir, steps, p.rest)...)...)
	c.Stdout, c.Stderr = os.Stdout, os.Stderr
	return c
}
