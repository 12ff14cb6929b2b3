package launcher

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"github.com/google/uuid"

	"github.com/podlaunch/podlaunch/launcher/internal/keeper"
	"github.com/podlaunch/podlaunch/launcher/internal/osproc"
	"github.com/podlaunch/podlaunch/launcher/internal/ownership"
	"github.com/podlaunch/podlaunch/runtimedir"
)

// base returns the directory of all runtime directories.
func (l *Launcher) base(ctx context.Context) (string, error) {
	baser, ok := l.Dir.(runtimedir.Baser)
	if !ok {
		return "", fmt.Errorf("Launcher.Dir is a %T, which is no runtimedir.Baser: pods cannot be listed without a base directory: %w", l.Dir, errors.ErrUnsupported)
	}
	return baser.Base(ctx)
}

// site finds out where the pod called name has its locks and its directory. A
// Resolver that cannot tell its base has to make the directory for that. The base is
// the directory above.
func (l *Launcher) site(ctx context.Context, name string) (at site, err error) {
	if _, ok := l.Dir.(runtimedir.Baser); ok {
		at.base, err = l.base(ctx)
		at.dir = filepath.Join(at.base, name)
		return at, err
	}
	if at.dir, err = l.makeDir(ctx, name); err == nil {
		at.base, err = filepath.EvalSymlinks(filepath.Dir(at.dir)) // as a Baser has it
	}
	return at, err
}

// A site is where a pod is.
type site struct {
	base string // of its locks
	dir  string // its runtime directory, or where that will be
}

// makeDir has the Resolver make the directory of the pod called name.
func (l *Launcher) makeDir(ctx context.Context, name string) (string, error) {
	dir, err := l.Dir.RuntimeDir(ctx, name)
	if err == nil && !filepath.IsAbs(dir) {
		err = fmt.Errorf("the resolver returned the directory %q: it must be absolute", dir)
	}
	return dir, err
}

// place opens where the witnesses of the pod called name are kept.
func (l *Launcher) place(ctx context.Context, name string) (*ownership.Place, error) {
	at, err := l.site(ctx, name)
	if err != nil {
		return nil, err
	}
	return l.placeBelow(ctx, at.base, name)
}

// placeBelow is place where the base is known.
func (l *Launcher) placeBelow(ctx context.Context, base, name string) (*ownership.Place, error) {
	place, err := ownership.Open(base, name)
	if err == nil {
		place.Elsewhere = l.elsewhere(ctx)
		place.Kept = func(launch uuid.UUID) bool { return keeper.Has(launch.String()) }
	}
	return place, err
}

// elsewhere is who knows the processes of other machines; nil if nobody does.
func (l *Launcher) elsewhere(ctx context.Context) ownership.Elsewhere {
	finder, ok := l.Starter.(Finder)
	if !ok {
		return nil
	}
	return finderIn{ctx, finder}
}

// A finderIn asks a Finder, for as long as ctx lasts.
type finderIn struct {
	ctx context.Context
	Finder
}

// process returns that of r; the error is osproc.ErrGone if there is none.
func (f finderIn) process(r ownership.Record) (Process, error) {
	p, err := f.Find(f.ctx, r.Name, r.Launch)
	switch {
	case errors.Is(err, os.ErrProcessDone):
		return nil, fmt.Errorf("%w: %w", osproc.ErrGone, err)
	case err != nil:
		return nil, fmt.Errorf("find launch %v of it: %w", r.Launch, err)
	case p == nil:
		return nil, errors.New("the starter's Find returned neither a process nor an error")
	}
	return p, nil
}

// Check implements [ownership.Elsewhere].
func (f finderIn) Check(r ownership.Record) error {
	p, err := f.process(r)
	if err == nil {
		forgetProcess(p)
	}
	return err
}

// End implements [ownership.Elsewhere].
func (f finderIn) End(r ownership.Record) error {
	p, err := f.process(r)
	if err != nil {
		return err
	}
	defer forgetProcess(p)
	if err := p.Signal(f.ctx, syscall.SIGKILL); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return nil
}

func forgetProcess(p Process) {
	if r, ok := p.(Releaser); ok {
		r.Release()
	}
}
