package ownership

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/google/uuid"

	"github.com/podlaunch/podlaunch/launcher/internal/osproc"
	"github.com/podlaunch/podlaunch/runtimedir"
)

// Free gives the name back, and leaves all that is kept of it. It ends the Claim.
func (c *Claim) Free() {
	c.pod.unlock()
	c.launch.unlock()
	c.place.Close()
}

// Remove removes what is kept of the name, and dir, the pod's runtime directory, with
// all that is in it; "" means that there is none. It ends the Claim. If it fails, what
// is left can be removed by another Claim.
//
// The file of the launch lock goes last, with both locks held: until then no other
// launcher gets on, and nothing is done after that. A launcher that has opened that file
// finds, once it has locked it, that it has lost its name, and takes the new one.
func (c *Claim) Remove(ctx context.Context, dir string) error {
	defer c.Free()
	p := c.place
	if err := p.removeDir(ctx, dir); err != nil {
		return err
	}
	if err := p.removeOverlay(); err != nil {
		return err
	}
	for _, name := range []string{p.nextName(), p.recordName(), p.podName(), p.launchName()} {
		if err := p.base.remove(name); err != nil {
			return err
		}
	}
	return nil
}

// removeDir removes dir, which is directly below the base. It refuses to if something is
// mounted in there, for that would be emptied. Links in it are not followed.
func (p *Place) removeDir(ctx context.Context, dir string) error {
	if dir == "" {
		return nil
	}
	if filepath.Dir(dir) != p.base.path {
		var err error
		if dir, err = p.movedDir(dir); dir == "" || err != nil {
			return err
		}
	}
	name := filepath.Base(dir)
	there, err := p.base.lstat(name)
	switch {
	case isMissing(err):
		return nil
	case err != nil:
		return err
	case !there.mode.IsDir():
		return fmt.Errorf("%w: the runtime directory %q is not a directory (%v)", runtimedir.ErrInsecure, dir, there.mode)
	}
	mounts, err := osproc.MountsBelow(dir)
	if err != nil {
		return fmt.Errorf("find out what is mounted in %q: %w", dir, err)
	}
	if len(mounts) > 0 {
		return fmt.Errorf("%q is mounted in the runtime directory: unmount it first", mounts[0])
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return p.base.removeAll(name, p.baseIs)
}

// movedDir returns the path below our base of dir, which is elsewhere by its own path; "" if it is
// not there. The base may have been moved, or be mounted at that path, too.
func (p *Place) movedDir(dir string) (string, error) {
	here := filepath.Join(p.base.path, filepath.Base(dir))
	parent, s, err := openBase(filepath.Dir(dir))
	if err == nil {
		parent.close()
		if s.same(p.baseIs) {
			return here, nil
		}
	}
	if _, lstatErr := os.Lstat(dir); !errors.Is(lstatErr, fs.ErrNotExist) {
		return "", fmt.Errorf("the runtime directory %q is not in the base directory %q: remove it, and then the name", dir, p.base.path)
	}
	if _, lstatErr := p.base.lstat(filepath.Base(here)); isMissing(lstatErr) {
		return "", nil
	}
	if errors.Is(err, fs.ErrNotExist) && filepath.Base(here) == p.name {
		return here, nil // it has the name of the pod, and came with the base
	}
	return "", fmt.Errorf("the runtime directory %q is not there, and %q may be what has become of it: remove that, and then the name", dir, here)
}

// Exists reports whether anything is kept of the name.
func (p *Place) Exists() (bool, error) {
	for _, name := range []string{p.launchName(), p.podName(), p.recordName()} {
		if _, err := p.base.lstat(name); !isMissing(err) {
			return err == nil, err
		}
	}
	return false, nil
}

// Dir returns the runtime directory of the earlier pod, according to its record, which
// the Claim has kept ([Place.KeepRecord]); "" if there is none.
func (c *Claim) Dir() string {
	r, err := c.place.read()
	if err != nil {
		return ""
	}
	return r.Dir
}

// HeldWithoutRecord returns who holds the name; nil if nobody does. The caller has found
// no record of the name a moment ago. If a launch has begun meanwhile, or has written a
// record, HeldWithoutRecord returns a HeldError that is Launching. It creates no file.
func (p *Place) HeldWithoutRecord(ctx context.Context) (*HeldError, error) {
	held, err := isLocked(p.base, p.podName())
	if !held || err != nil {
		return nil, err
	}
	holders, launching, err := p.holders(ctx, p.podName(), uuid.Nil)
	if err == nil && !launching {
		launching, err = p.Launching()
	}
	if err != nil {
		return nil, err
	}
	if _, err := p.read(); !errors.Is(err, ErrNoRecord) {
		launching = true
	}
	e := newHeldError(holders, launching, nil)
	e.NoRecord = true
	return e, nil
}
