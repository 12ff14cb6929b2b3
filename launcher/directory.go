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

	"github.com/podlaunch/podlaunch/logsource"
)

// A podDir is the pod's runtime directory, open: what is done in it is done in
// this one, whatever becomes of its name.
type podDir struct {
	path string
	root *os.Root
}

// makeDirectory makes the pod's directory and opens it. The name is ours, so no
// earlier pod removes it any more. The socket that such a pod has left behind goes.
//
// The Resolver knows the base by its path. So this first makes sure that the path
// still leads to the base in which the name was claimed.
func (n *attempt) makeDirectory(ctx context.Context, name *claimed) (d podDir, err error) {
	if err := name.CheckBase(); err != nil {
		return d, err
	}
	if d.path, err = n.makeDir(ctx, n.spec.Name); err != nil {
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
func (n *attempt) clearSocket(d podDir) error {
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
func (n *attempt) openLog(ctx context.Context, d podDir) (*logsource.Log, error) {
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
