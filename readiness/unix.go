package readiness

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
)

// Unix dials a unix socket at a path that is known beforehand, until a process
// answers. It is for a pod that says nothing when it is ready. The endpoint it learns
// is that socket. The zero value dials sock in the pod's runtime directory. It tries
// again as [Socket] does.
type Unix struct {
	// Path of the socket; a relative path is taken from the pod's runtime directory.
	// Empty means sock. Prepare removes a socket there that an earlier pod left.
	Path string

	// Peer decides who may answer, as [Socket.Peer] does. Nil means [SamePod].
	Peer func(p Peer, t Target) error

	// NoConnect makes the probe look whether a process listens, without connecting,
	// as [Socket.NoConnect] does.
	NoConnect bool
}

var (
	_ Probe    = Unix{}
	_ Preparer = Unix{}
	_ Verifier = Unix{}
)

// Prepare implements [Preparer]: it makes sure that there can be a socket at Path. It
// removes a socket there that an earlier pod left and that no process has open, for
// most programs refuse to bind a path that is taken. Outside of the runtime directory it
// removes only a socket of this user.
func (u Unix) Prepare(_ context.Context, s *Setup) (Probe, error) {
	e, err := u.endpoint(s.RuntimeDir)
	if err == nil {
		err = checkNoConnect("readiness.Unix.NoConnect", u.NoConnect)
	}
	if err != nil {
		return u, err
	}
	if err := clearSocket(s.RuntimeDir, e.Address); err != nil {
		return u, fmt.Errorf("readiness.Unix.Path: remove the socket of an earlier pod: %w", err)
	}
	return u, nil
}

// Wait implements [Probe]. The error is a [*PendingError] once ctx is done.
func (u Unix) Wait(ctx context.Context, t Target) (_ Endpoint, err error) {
	if t.Endpoint, err = u.endpoint(t.RuntimeDir); err != nil {
		return Endpoint{}, err
	}
	return u.socket().Wait(ctx, t)
}

// Verify implements [Verifier].
func (u Unix) Verify(ctx context.Context, t Target) error { return u.socket().Verify(ctx, t) }

// CheckPeer implements [PeerChecker].
func (u Unix) CheckPeer(p Peer, t Target) error { return u.socket().CheckPeer(p, t) }

// String describes the probe.
func (u Unix) String() string { return "an answer on the socket " + u.path() }

func (u Unix) socket() Socket {
	s := socketWith(u.Peer, SamePod, "readiness.Unix.Peer")
	s.NoConnect = u.NoConnect
	return s
}

func (u Unix) path() string {
	if u.Path == "" {
		return "sock"
	}
	return u.Path
}

func (u Unix) endpoint(runtimeDir string) (Endpoint, error) {
	path := u.path()
	if strings.HasPrefix(path, "@") {
		return Endpoint{}, fmt.Errorf("readiness.Unix.Path: %q is an abstract socket, which anybody may take; a path is needed; a file of that name is ./%[1]s", path)
	}
	if runtimeDir == "" && !filepath.IsAbs(path) {
		return Endpoint{}, errors.New("readiness.Unix.Path: it is relative, and the pod has no runtime directory")
	}
	if err := checkDrive(path); err != nil {
		return Endpoint{}, fmt.Errorf("readiness.Unix.Path: %w", err)
	}
	e := Endpoint{Network: "unix", Address: absolute(path, runtimeDir)}
	if err := checkUnixPath(e); err != nil {
		return Endpoint{}, fmt.Errorf("readiness.Unix.Path: %w", err)
	}
	return e, nil
}
