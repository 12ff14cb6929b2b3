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

// Args returns the arguments that make the fake pod follow script, followed by
// rest.
func Args(name, dir string, script, rest []string) []string {
	args := append([]string{name, dir, strconv.Itoa(len(script))}, script...)
	return append(args, rest...)
}

// Failed is the exit code of a fake pod that could not take a step.
const Failed = 99

// exit ends the program at the end of its script, or because of err.
func exit(err error) {
	if err != nil {
		fmt.Fprintf(os.Stderr, "fakepod: %v\n", err)
		os.Exit(Failed)
	}
	os.Exit(0)
}
