package launcher

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/podlaunch/podlaunch/launcher/internal/ownership"
	"github.com/podlaunch/podlaunch/runtimedir"
)

// A site is where a launch takes place.
type site struct {
	base string // of all runtime directories; "" if the Resolver cannot tell
	dir  string // the pod's runtime directory, or where it will be
}

// findSite finds out where the pod's directory will be. A Resolver that cannot
// tell that beforehand has to make the directory now.
func (n *attempt) findSite(ctx context.Context) (at site, err error) {
	if _, ok := n.Dir.(runtimedir.Baser); ok {
		if at.base, err = n.base(ctx); err != nil {
			return at, err
		}
		at.dir = filepath.Join(at.base, n.spec.Name)
	} else if at.dir, err = n.makeDir(ctx); err != nil {
		return at, err
	}
	return at, n.checkSocket(at.dir)
}

// makeDir has the Resolver make the pod's directory.
func (n *attempt) makeDir(ctx context.Context) (string, error) {
	dir, err := n.Dir.RuntimeDir(ctx, n.spec.Name)
	if err == nil && !filepath.IsAbs(dir) {
		err = fmt.Errorf("the resolver returned the directory %q: it must be absolute", dir)
	}
	return dir, err
}

// checkSocket makes sure that the default probe's socket can be bound.
func (n *attempt) checkSocket(dir string) error {
	if !n.defaultReady {
		return nil
	}
	return runtimedir.CheckSocketPath(filepath.Join(dir, "sock"))
}

// A resolved is the command of a launch.
type resolved struct {
	Command
	overlayPath string // where it says that the overlay is; "": in itself
}

// resolve resolves the command for the directory of at, which need not exist.
func (n *attempt) resolve(ctx context.Context, at site) (cmd resolved, err error) {
	if cmd.overlayPath, err = n.overlayPath(ctx, at.base); err != nil {
		return cmd, err
	}
	req := Request{Spec: n.spec, RuntimeDir: at.dir, OverlayPath: cmd.overlayPath}
	if cmd.overlayPath != "" {
		req.Spec.Overlay = "" // what a resolver does not know it puts into no argument
	}
	if cmd.Command, err = n.Command.ResolveCommand(ctx, req); err != nil {
		return cmd, err
	}
	n.note(func(e *Error) { e.Command = redact(cmd.Command, n.spec.Overlay) })
	if err := cmd.validate(); err != nil {
		return cmd, err
	}
	return cmd, checkOverlayPassed(cmd.Command, cmd.overlayPath)
}

// overlayPath returns where the pod finds its overlay, or "" if the text itself
// is to be passed. base is "" if it is not known.
func (n *attempt) overlayPath(ctx context.Context, base string) (_ string, err error) {
	switch {
	case n.spec.Overlay == "":
		return "", nil
	case n.OverlayTransport == OverlayAsDescriptor:
		return fmt.Sprintf("/dev/fd/%d", overlayDescriptor), nil
	case n.OverlayTransport != OverlayAsFile:
		return "", nil
	}
	if base == "" {
		if base, err = n.base(ctx); err != nil {
			return "", err
		}
	}
	return filepath.Join(base, ownership.OverlayName(n.spec.Name)), nil
}
