package launcher

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/podlaunch/podlaunch/launcher/internal/ownership"
	"github.com/podlaunch/podlaunch/runtimedir"
)

// findSite finds out where the pod will be.
func (n *attempt) findSite(ctx context.Context) (site, error) {
	at, err := n.site(ctx, n.spec.Name)
	if err != nil {
		return at, err
	}
	return at, n.checkSocket(at.dir)
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
	cmd.overlayPath = n.overlayPath(at.base)
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
	if err := n.checkStarter(cmd.Command); err != nil {
		return cmd, err
	}
	return cmd, checkOverlayPassed(cmd.Command, cmd.overlayPath)
}

// checkStarter makes sure that the Starter can start cmd: only Local knows of Arg0 and
// Attr.
func (n *attempt) checkStarter(cmd Command) error {
	if cmd.Arg0 == "" && cmd.Attr == nil {
		return nil
	}
	local, ok := localOf(n.Starter)
	if !ok {
		return fmt.Errorf("%w: the resolver returned a Command with Arg0 or Attr, and Launcher.Starter is a %T, which knows neither; use a Local", ErrInvalidSpec, n.Starter)
	}
	_, err := local.attrFor(cmd)
	return err
}

// overlayPath returns where the pod finds its overlay, or "" if the text itself
// is to be passed.
func (n *attempt) overlayPath(base string) string {
	switch {
	case n.spec.Overlay == "":
		return ""
	case n.OverlayTransport == OverlayAsDescriptor:
		return fmt.Sprintf("/dev/fd/%d", overlayDescriptor)
	case n.OverlayTransport != OverlayAsFile:
		return ""
	}
	return filepath.Join(base, ownership.OverlayName(n.spec.Name))
}
