package readiness

import (
	"fmt"
	"net"
	"os"
)

// A Peer is the process that called listen on a unix socket, as the kernel recorded
// it at that moment (SO_PEERCRED; unix(7)). Another process may accept now, and the
// Peer may be gone.
type Peer struct {
	PID int // 0 if the system does not tell, or it lives in another pid namespace
	UID int // effective user
	GID int // effective group
}

// peerOf returns the process that called listen on the socket that conn is connected to.
func peerOf(conn *net.UnixConn) (Peer, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return Peer{}, err
	}
	var peer Peer
	if ctlErr := raw.Control(func(fd uintptr) { peer, err = peerOfFD(int(fd)) }); ctlErr != nil {
		return Peer{}, ctlErr
	}
	return peer, err
}

// peerOfFD is peerOf for a descriptor.
func peerOfFD(fd int) (Peer, error) {
	pid, uid, gid, err := credentials(fd)
	if err != nil {
		return Peer{}, err
	}
	return Peer{PID: pid, UID: uid, GID: gid}, nil
}

// SamePod accepts the pod itself: a process of our user that belongs to the pod's
// session or its process group. So a pod behind a shell wrapper passes. On Linux it
// also accepts a process of our user that descends from the pod by parents that all
// live. So a pod passes whose wrapper gives it a session of its own (setsid -w,
// dumb-init, node's detached). SamePod refuses every other process with
// [ErrForeignPeer], and every process if the pod's own pid is not known. Where the
// system does not report a peer's pid (freebsd), it accepts our user.
func SamePod(p Peer, t Target) error {
	if err := SameUser(p, t); err != nil {
		return err
	}
	switch {
	case p.PID == 0 && !tellsPID:
		return nil
	case t.PID <= 0:
		return foreign(p, "the pod's own pid is not known, so it cannot be told whether that is the pod", "readiness.SameUser")
	case p.PID > 0 && belongs(p.PID, t.PID):
		return nil
	}
	return foreign(p, fmt.Sprintf("that is not of the session or group of the pod, pid %d, and does not descend from it", t.PID), "readiness.SameUser")
}

// SameUser accepts every process of our effective user, and refuses all others with
// [ErrForeignPeer]. It is for a pod that daemonizes, or whose socket is served by a
// process that it did not start.
func SameUser(p Peer, _ Target) error {
	if uid := os.Geteuid(); p.UID != uid {
		return foreign(p, fmt.Sprintf("we are user %d", uid), "readiness.AnyPeer")
	}
	return nil
}

// AnyPeer accepts every process. It is for a pod that changes its user, in a
// directory that only trusted users may write to.
func AnyPeer(Peer, Target) error { return nil }

// foreign says who answered, why that is not good, and what allows it.
func foreign(p Peer, why, allow string) error {
	return &foreignError{peer: p, command: commandName(p.PID), why: why, allow: allow,
		is: ErrForeignPeer.Error(), does: "answers", may: "answer", field: "readiness.Socket.Peer"}
}

// A foreignError is a process that is not allowed to do something.
type foreignError struct {
	peer          Peer
	command       string // the peer's
	why, allow    string // why it may not, and the value of field with which it may
	is, does, may string // what this is, what the peer does, and what it may then do
	field         string // that decides
}

func (e *foreignError) Error() string {
	return fmt.Sprintf("%s: pid %d%s of user %d %s; %s; if it may %s, set %s to %s",
		e.is, e.peer.PID, e.command, e.peer.UID, e.does, e.why, e.may, e.field, e.allow)
}

func (e *foreignError) Unwrap() error { return ErrForeignPeer }

// A refusal is the error of Socket.Peer. It is final, no matter which error it wraps.
type refusal struct{ error }

func (r refusal) Unwrap() error { return r.error }
