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
	"github.com/podlaunch/podlaunch/launcher/internal/unixproc"
	"github.com/podlaunch/podlaunch/readiness"
	"github.com/podlaunch/podlaunch/runtimedir"
)

const (
	// firstFile is the first descriptor of a process after the standard ones.
	firstFile = 3

	// lockDescriptor is where the pod finds its lock, which it need not know
	// of: behind all that a program may expect at a fixed place. 3 belongs to
	// LISTEN_FDS and to s6, the single digits to shell scripts.
	lockDescriptor = 20
)

// own takes the pod's name, for this launch and for the pod.
func (n *launch) own(ctx context.Context, s *started) error {
	var place *ownership.Place
	var err error
	if s.base != "" {
		place, err = n.placeBelow(ctx, s.base, n.spec.Name)
	} else {
		place, err = n.place(ctx, n.spec.Name)
	}
	if err != nil {
		return err
	}
	s.claim, err = place.Claim(ctx)
	if err == nil {
		return nil
	}
	place.Close()
	var running *ownership.RunningError
	var held *ownership.HeldError
	switch {
	case errors.As(err, &running):
		return fmt.Errorf("%w: %w", ErrRunning, err)
	case errors.As(err, &held):
		held.Err = ended(ctx)
		return fmt.Errorf("%w: %w", ErrHeld, err)
	}
	return err
}

// place opens where the witnesses of the pod called name are kept.
func (l *Launcher) place(ctx context.Context, name string) (*ownership.Place, error) {
	base, err := l.base(ctx)
	if err != nil {
		return nil, err
	}
	return l.placeBelow(ctx, base, name)
}

// placeBelow is place where the base is known.
func (l *Launcher) placeBelow(ctx context.Context, base, name string) (*ownership.Place, error) {
	place, err := ownership.Open(base, name)
	if err == nil {
		place.Elsewhere = l.elsewhere(ctx)
	}
	return place, err
}

// elsewhere is who knows the processes of other machines; nil if nobody does.
func (l *Launcher) elsewhere(ctx context.Context) ownership.Elsewhere {
	finder, ok := l.Starter.(Finder)
	if !ok {
		return nil
	}
	return found{ctx, finder}
}

// found asks a Finder, for as long as ctx lasts.
type found struct {
	ctx context.Context
	Finder
}

// process returns that of r; the error is unixproc.ErrGone if there is none.
func (f found) process(r ownership.Record) (Process, error) {
	p, err := f.Find(f.ctx, r.Name, r.Launch)
	switch {
	case errors.Is(err, os.ErrProcessDone):
		return nil, fmt.Errorf("%w: %w", unixproc.ErrGone, err)
	case err != nil:
		return nil, fmt.Errorf("find launch %v of it: %w", r.Launch, err)
	case p == nil:
		return nil, errors.New("the starter's Find returned neither a process nor an error")
	}
	return p, nil
}

// Check implements [ownership.Elsewhere].
func (f found) Check(r ownership.Record) error {
	p, err := f.process(r)
	if err == nil {
		release(p)
	}
	return err
}

// End implements [ownership.Elsewhere].
func (f found) End(r ownership.Record) error {
	p, err := f.process(r)
	if err != nil {
		return err
	}
	defer release(p)
	if err := p.Signal(f.ctx, syscall.SIGKILL); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return nil
}

func release(p Process) {
	if r, ok := p.(Releaser); ok {
		r.Release()
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

// recordAhead writes down, before there is a process, that one will run elsewhere:
// it does not hold the name, as one of this machine does from its first instant.
func (n *launch) recordAhead(s *started) error {
	if _, ok := n.Starter.(Finder); !ok || s.claim == nil {
		return nil
	}
	s.record = n.newRecord(s)
	s.record.Elsewhere = true
	if err := s.claim.Record(s.record); err != nil {
		return fmt.Errorf("record launch %v: %w", n.id, err)
	}
	return nil
}

func (n *launch) newRecord(s *started) ownership.Record {
	command := redact(s.command, n.spec.Overlay)
	return ownership.Record{
		Launch:  n.id,
		Session: n.spec.Session,
		Command: append([]string{command.Path}, command.Args...),
		Dir:     s.dir,
		Log:     s.log.Path,
		Started: time.Now(),
	}
}

// recordStart writes down who the process is that was just started. One that
// has no pid here, or is gone already, is not written down.
func (n *launch) recordStart(s *started) error {
	id, err := unixproc.Identify(s.pod.PID())
	if err != nil {
		if s.pod.PID() == 0 || errors.Is(err, unixproc.ErrGone) {
			return nil
		}
		return fmt.Errorf("identify pid %d: %w", s.pod.PID(), err)
	}
	if s.pod.hasExited() {
		return nil // somebody else may have reaped it, and the pid be a stranger's
	}
	s.record = n.newRecord(s)
	s.record.Identity = id
	if err := s.claim.Record(s.record); err != nil {
		return fmt.Errorf("record pid %d: %w", id.PID, err)
	}
	return nil
}

// settle writes down that the pod is ready at e, and leaves the name to it. The
// claim is none any more if it succeeds.
func (s *started) settle(e readiness.Endpoint) error {
	if err := s.claim.RemoveOverlay(); err != nil {
		return err
	}
	if s.record.PID != 0 || s.record.Elsewhere {
		s.record.Answer = ownership.Answer{Ready: true, Network: e.Network, Address: e.Address}
		if err := s.claim.RecordReady(s.record); err != nil {
			return fmt.Errorf("record that launch %v is ready: %w", s.record.Launch, err)
		}
	}
	s.claim.Settle()
	return nil
}

// end ends the process, and gives its name back if it is gone. notes says what
// else was ended. A filesystem that does not answer may keep the name from being
// given back; that is done when it answers, by the goroutine that waits for it.
func (s *started) end() (notes []string, err error) {
	killErr := s.pod.kill()
	wait := killPatience + patience
	if s.settling != nil {
		wait = 0 // it has had its time
	}
	giving := spawn(func() ([]string, error) {
		if s.settling != nil {
			if o := <-s.settling; o.err == nil {
				return nil, nil
			}
		}
		if killErr != nil {
			err := s.claim.RemoveOverlay()
			s.claim.Settle() // the record stays, for whoever comes next
			return nil, err
		}
		return s.release(true)
	})
	given, ok := receive(giving, wait)
	switch {
	case !ok:
		given.err = errors.New("the name was not given back yet: the filesystem of its locks does not answer")
	case given.crash != nil:
		given.crash.resume()
	}
	return given.value, errors.Join(killErr, given.err)
}

// release gives the name back. What has left the pod's group is found by the
// pod lock, which it still holds, and ended.
func (s *started) release(processStarted bool) (notes []string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), killPatience)
	defer cancel()
	ended, err := s.claim.Abandon(ctx, processStarted)
	unixproc.ReapInherited(ctx, ended)
	if len(ended) > 0 {
		notes = []string{fmt.Sprintf("processes %v had left its group, still held its name, and were ended", ended)}
	}
	return notes, err
}

// clearSocket removes the socket that an earlier pod has left behind: only if it
// is a socket, and nobody listens on it. The name is ours.
func (n *launch) clearSocket(_ context.Context, s *started) error {
	const name = "sock"
	path := filepath.Join(s.dir, name)
	fi, err := s.root.Lstat(name)
	if err != nil || fi.Mode()&fs.ModeSocket == 0 {
		return nil // whatever it is, the pod or its probe will tell
	}
	conn, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		conn.Close()
		return nil
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return nil
	}
	if err := s.root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove the socket of an earlier pod: %w", err)
	}
	n.log.Debug("removed the socket of an earlier pod", "path", path)
	return nil
}

// endpoint is where the pod of r answers.
func endpoint(r ownership.Record) readiness.Endpoint {
	return readiness.Endpoint{Network: r.Network, Address: r.Address}
}
