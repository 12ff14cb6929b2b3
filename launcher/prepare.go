package launcher

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/podlaunch/podlaunch/launcher/internal/osproc"
	"github.com/podlaunch/podlaunch/logsource"
	"github.com/podlaunch/podlaunch/readiness"
	"github.com/podlaunch/podlaunch/runtimedir"
)

// A prepared is the probe of one launch, with what it has put in place.
type prepared struct {
	readiness.Probe
	setup    readiness.Setup
	progress *progress // gets setup.Status

	adopts bool // see newSuccession
	word   word // see stays
}

// close frees what the probe has put in place.
func (p *prepared) close() {
	p.setup.CloseFiles()
	p.setup.Close()
}

// A plan is all that a launch has resolved and made before its process.
type plan struct {
	workDir string
	dir     string // the runtime directory
	cmd     resolved
	name    *claimed
	cgroup  *osproc.Cgroup // of the process; nil: none of its own
	log     *logsource.Log
	stdout  *logsource.Log // of the standard output alone; nil if it has no place of its own
	streams *podStreams    // nil: there are no writers
	probe   *prepared
}

// prepareProbe puts in place what the probe needs before the process starts.
func (n *attempt) prepareProbe(ctx context.Context, dir string) (*prepared, error) {
	p := &prepared{progress: newProgress(n.spec.Progress), adopts: readiness.Adopts(n.Ready), word: wordOf(n.Ready)}
	p.setup.Name, p.setup.RuntimeDir = n.spec.Name, dir
	p.setup.Status = p.progress.status
	p.setup.Extend = func(d time.Duration) {
		if n.deadline != nil {
			n.deadline.extend(d)
		}
	}
	if p.adopts && !osproc.Proves {
		return nil, fmt.Errorf("%w: Launcher.Ready (%s) adopts another process, and here none is proven to be of the pod: %w",
			ErrInvalidSpec, readiness.Describe(n.Ready), errors.ErrUnsupported)
	}
	n.made.add("what the probe had put in place is not cleared", func() error { p.close(); return nil })
	var err error
	if p.Probe, err = readiness.Prepare(ctx, n.Ready, &p.setup); err != nil {
		return nil, fmt.Errorf("prepare %s: %w", readiness.Describe(n.Ready), socketPathError(err))
	}
	if len(p.setup.Files) > readiness.MaxFiles {
		return nil, fmt.Errorf("the probe %s hands over %d files, the limit is %d", readiness.Describe(n.Ready), len(p.setup.Files), readiness.MaxFiles)
	}
	if len(p.setup.Files) > 0 && !osproc.PlacesFiles {
		return nil, fmt.Errorf("the probe %s hands over %d files, and a program finds no file by its number on this system: %w", readiness.Describe(n.Ready), len(p.setup.Files), errors.ErrUnsupported)
	}
	if err := n.spec.checkApart(p.setup.Files); err != nil {
		return nil, err
	}
	if err := checkStrings("readiness.Setup.Env", p.setup.Env); err != nil {
		return nil, err
	}
	return p, checkVariables("readiness.Setup.PIDEnv", p.setup.PIDEnv)
}

// checkApart makes sure that the files of the probe want other places than s.Files.
func (s *Spec) checkApart(probes []*os.File) error {
	for i, f := range s.Files {
		if f != nil && i < len(probes) && probes[i] != nil {
			return fmt.Errorf("%w: Files[%d] is to be descriptor %d of the pod, where the probe has put a file; leave it nil, and go on after it", ErrInvalidSpec, i, firstFile+i)
		}
	}
	return nil
}

// checkVariables makes sure that a shell can set each of names, the field
// called what.
func checkVariables(what string, names []string) error {
	for _, name := range names {
		letter := func(r rune) bool {
			return r == '_' || 'A' <= r && r <= 'Z' || 'a' <= r && r <= 'z'
		}
		if name == "" || !letter(rune(name[0])) || strings.ContainsFunc(name, func(r rune) bool { return !letter(r) && (r < '0' || r > '9') }) {
			return fmt.Errorf("%s: %q is not the name of a variable", what, name)
		}
	}
	return nil
}

// socketPathError adds the sentinel of package runtimedir to what a probe says
// of a path that is too long; readiness does not know that package.
func socketPathError(err error) error {
	if errors.Is(err, syscall.ENAMETOOLONG) && !errors.Is(err, runtimedir.ErrSocketPathTooLong) {
		return fmt.Errorf("%w: %w", runtimedir.ErrSocketPathTooLong, err)
	}
	return err
}
