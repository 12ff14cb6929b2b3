package launcher

import (
	"errors"
	"fmt"

	"github.com/podlaunch/podlaunch/launcher/internal/ownership"
)

// Differs tells whether the pod is still what spec asks for. It returns the names of the
// parts that a launch of spec would make different, in this order, or nil if there are
// none:
//
//	command      the path of the program
//	arguments    those of the program, with the session and without the overlay's text
//	overlay      Spec.Overlay
//	environment  the variables that the command or Spec.Env has, or else the caller's
//	directory    the working directory
//	program      the file of the program: another build of it, or a script that was edited
//
// Differs changes nothing. To replace the pod, call Stop, and then [Launcher.Ensure].
//
// Differs resolves spec as a launch would do it now, with the strategies of the Launcher
// that has launched the pod or attached to it. It compares the result with the record of
// the launch. It does not ask the process, which may be gone. spec.Name may be empty.
// Differs does not compare what the record does not hold: Files, Stdin, StdinOpen, LogStdout,
// Stdout, Stderr and Progress; nor how the pod ends: Grace, StopSignal, KillMode and Lifetime.
//
// What is new in every launch is no difference: what the launcher or a probe adds, and
// where an overlay's file is. Nor is the order of the variables, or what a shell or
// systemd says about the caller: PWD, OLDPWD, SHLVL, _, INVOCATION_ID, JOURNAL_STREAM and
// SYSTEMD_EXEC_PID. An overlay passed as an argument and an overlay passed as a path are
// different arguments. An empty overlay is always passed as an argument, so it also
// differs from an overlay passed as a path.
//
// Two programs that have a build id (a note of the linker or of the go command in an ELF
// file) are the same if the build ids are equal. Copying, touching or stripping a
// program, or adding to its file after it was linked, does not make it different. Without
// a build id the size and the time of the file decide; scripts have none. If somebody
// replaces the program while it is being launched, Differs may name it without need.
// Differs looks at the file on this machine, even if the pod runs on another.
//
// Launcher.Timeout bounds Differs; if it is negative nothing does. When the time is over,
// errors.Is finds [context.DeadlineExceeded]. It finds [ErrInvalidSpec] if spec is of
// another pod or cannot be launched. It finds [errors.ErrUnsupported] if an earlier
// version of this library has launched the pod, whose record lacks what Differs compares.
// A strategy's own error comes back wrapped. If a strategy panics, Differs panics.
func (p *Pod) Differs(spec Spec) ([]string, error) {
	parts, err := p.differs(spec)
	if err != nil {
		return nil, fmt.Errorf("compare pod %s with a spec: %w", printable(p.name, 256), err)
	}
	return parts, nil
}

func (p *Pod) differs(spec Spec) ([]string, error) {
	if spec.Name != "" && spec.Name != p.name {
		return nil, fmt.Errorf("%w: Name is %q, and that is another pod", ErrInvalidSpec, spec.Name)
	}
	was := p.digests
	if was == nil || was.Command == "" || was.Arguments == "" || was.Overlay == "" || was.Environment == "" || was.Directory == "" {
		return nil, fmt.Errorf("its record does not say how it was launched, for another version of this library has written it: %w", errors.ErrUnsupported)
	}
	is, err := p.asked(spec)
	if err != nil {
		return nil, err
	}
	var parts []string
	for _, part := range []struct {
		name string
		same bool
	}{
		{"command", was.Command == is.Command},
		{"arguments", was.Arguments == is.Arguments},
		{"overlay", was.Overlay == is.Overlay},
		{"environment", was.Environment == is.Environment},
		{"directory", was.Directory == is.Directory},
		{"program", sameProgram(was, is)},
	} {
		if !part.same {
			parts = append(parts, part.name)
		}
	}
	return parts, nil
}

// sameProgram reports whether both are of the same program.
func sameProgram(a, b *ownership.Digests) bool {
	if a.Build != "" && b.Build != "" {
		return a.Build == b.Build
	}
	return a.File == b.File
}
