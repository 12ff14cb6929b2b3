package launcher

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/podlaunch/podlaunch/launcher/internal/ownership"
	"github.com/podlaunch/podlaunch/logsource"
	"github.com/podlaunch/podlaunch/runtimedir"
)

// A site is where a launch takes place.
type site struct {
	base string // of all runtime directories; "" if the Resolver cannot tell
	dir  string // the pod's runtime directory, or where it will be
}

// findSite finds out where the pod's directory will be. A Resolver that cannot
// tell that beforehand has to make the directory now.
func (n *launch) findSite(ctx context.Context) (at site, err error) {
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
func (n *launch) makeDir(ctx context.Context) (string, error) {
	dir, err := n.Dir.RuntimeDir(ctx, n.spec.Name)
	if err == nil && !filepath.IsAbs(dir) {
		err = fmt.Errorf("the resolver returned the directory %q: it must be absolute", dir)
	}
	return dir, err
}

// checkSocket makes sure that the default probe's socket can be bound.
func (n *launch) checkSocket(dir string) error {
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
func (n *launch) resolve(ctx context.Context, at site) (cmd resolved, err error) {
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

// A directory is the pod's runtime directory, open: what is done in it is done in
// this one, whatever becomes of its name.
type directory struct {
	path string
	root *os.Root
}

// makeDirectory makes the pod's directory and opens it. The name is ours, so no
// earlier pod removes it any more. The socket that such a pod has left behind goes.
//
// The Resolver knows the base by its path. So this first makes sure that the path
// still leads to the base in which the name was claimed.
func (n *launch) makeDirectory(ctx context.Context, name *claimed) (d directory, err error) {
	if err := name.CheckBase(); err != nil {
		return d, err
	}
	if d.path, err = n.makeDir(ctx); err != nil {
		return d, err
	}
	if err := n.checkSocket(d.path); err != nil {
		return d, err
	}
	if d.root, err = name.OpenDir(d.path); err != nil {
		return d, err
	}
	n.made.add("the runtime directory is not closed", d.root.Close)
	return d, n.clearSocket(d)
}

// clearSocket removes the socket that an earlier pod has left behind: only if it
// is a socket, and nobody listens on it.
func (n *launch) clearSocket(d directory) error {
	const name = "sock"
	path := filepath.Join(d.path, name)
	fi, err := d.root.Lstat(name)
	if err != nil || fi.Mode()&fs.ModeSocket == 0 {
		return nil // the pod or its probe will tell what it is
	}
	conn, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		conn.Close()
		return nil
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return nil
	}
	if err := d.root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove the socket of an earlier pod: %w", err)
	}
	n.log.Debug("removed the socket of an earlier pod", "path", path)
	return nil
}

// openLog opens the log, and closes the directory, which only the log's source
// needs open.
func (n *launch) openLog(ctx context.Context, d directory) (*logsource.Log, error) {
	defer d.root.Close()
	log, err := n.Log.Open(ctx, logsource.Launch{Name: n.spec.Name, Dir: d.path, Root: d.root, ID: n.id})
	switch {
	case err != nil:
		return nil, err
	case log == nil:
		return nil, errors.New("the log source returned neither a log nor an error")
	}
	n.note(func(e *Error) { e.LogPath = log.Path })
	n.made.add("the log is not closed yet: its filesystem does not answer", func() error { closeLog(log); return nil })
	if log.Follow == nil {
		return nil, errors.New("the log source returned a log that cannot be followed")
	}
	return log, nil
}

// closeLog closes the log, its Sink too. A process that was started has its own.
func closeLog(log *logsource.Log) {
	if log.Sink != nil {
		log.Sink.Close()
	}
	if log.Close != nil {
		log.Close()
	}
}

// base returns the directory of all runtime directories.
func (l *Launcher) base(ctx context.Context) (string, error) {
	baser, ok := l.Dir.(runtimedir.Baser)
	if !ok {
		return "", fmt.Errorf("Launcher.Dir is a %T, which is no runtimedir.Baser: pods cannot be locked or listed without a base directory: %w", l.Dir, errors.ErrUnsupported)
	}
	return baser.Base(ctx)
}

// overlayPath returns where the pod finds its overlay, or "" if the text itself
// is to be passed. base is "" if it is not known.
func (n *launch) overlayPath(ctx context.Context, base string) (_ string, err error) {
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
