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

// A podDir is the pod's runtime directory, held open. The launch works in this directory
// even if somebody renames or replaces it.
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

// openOutput opens what the pod writes to, completes p with it, and closes the directory,
// which only the log's source needs open.
func (n *attempt) openOutput(ctx context.Context, d podDir, p *plan) (err error) {
	defer d.root.Close()
	launch := logsource.Launch{Name: n.spec.Name, Dir: d.path, Root: d.root, ID: n.id}
	log, err := n.Log.Open(ctx, launch)
	if err == nil && log != nil {
		kept := log.Path
		if n.private {
			kept = keptLog(log.Path, d.path)
		}
		n.note(func(e *Error) { e.LogPath = kept })
	}
	if p.log, err = n.opened(log, err); err != nil {
		return err
	}
	if n.spec.wantsOwnStdout() {
		if p.stdout, err = n.opened(logsource.OpenStdout(ctx, n.Log, launch, log)); err != nil {
			return fmt.Errorf("Spec.Stdout: %w", err)
		}
	}
	return n.openStreams(ctx, p)
}

// opened returns log, which a source has just opened, after adding what closes it.
func (n *attempt) opened(log *logsource.Log, err error) (*logsource.Log, error) {
	switch {
	case err != nil:
		return nil, err
	case log == nil:
		return nil, errors.New("the log source returned neither a log nor an error")
	}
	n.made.add("the log is not closed yet: its filesystem does not answer", func() error { closeLog(log); return nil })
	if log.Follow == nil {
		return nil, errors.New("the log source returned a log that cannot be followed")
	}
	return log, nil
}

// openStreams opens what Spec.Stdout and Spec.Stderr get.
func (n *attempt) openStreams(ctx context.Context, p *plan) (err error) {
	var tend []*logsource.Log
	for _, log := range []*logsource.Log{p.log, p.stdout} {
		if log != nil && log.Tend != nil {
			tend = append(tend, log)
		}
	}
	if n.spec.Stdout == nil && n.spec.Stderr == nil && tend == nil {
		return nil
	}
	if n.spec.sameWriter() && p.log.Sink == nil {
		return fmt.Errorf("Spec.Stdout: one stream for both needs a log that the pod writes itself, and this one is delivered by other means: %w", errors.ErrUnsupported)
	}
	s := newStreams(ctx, n.log)
	s.tend = tend
	n.made.addSlow(drainPatience+3*callPatience+2*patience, "a writer of Spec has not returned", func() error {
		return s.finish(func(text string) {
			n.note(func(e *Error) { e.Notes = append(e.Notes, text) })
		})
	})
	if p.stdout != nil {
		if _, err = s.add("Spec.Stdout", n.spec.Stdout, p.stdout); err != nil {
			return err
		}
	}
	if n.spec.Stderr != nil {
		if s.stderr, err = s.add("Spec.Stderr", n.spec.Stderr, p.log); err != nil {
			return err
		}
	}
	p.streams = s
	return nil
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
