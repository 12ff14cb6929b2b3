package readiness

import (
	"fmt"
	"net"
	"os"
)

// A Peer is the process that made a unix socket one that listens, as the
// kernel recorded it at that moment (SO_PEERCRED; unix(7)). It need not be the
// one that accepts now, and it may be gone.
type Peer struct {
	PID int // 0 if the system does not tell, or it lives in another pid namespace
	UID int // effective user
	GID int // effective group
}

// peerOf returns who made the socket listen to which conn is connected.
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

// SamePod accepts the pod itself: a process of our user that belongs to the
// pod's session or its process group, so that a pod behind a shell wrapper
// passes. Everybody else is refused with [ErrForeignPeer], and so is everybody
// if the pod's own pid is not known. Where the system does not tell a peer's
// pid (freebsd), it accepts our user.
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
	return foreign(p, fmt.Sprintf("that is not of the session or group of the pod, pid %d", t.PID), "readiness.SameUser")
}

// SameUser accepts every process of our effective user, and refuses everybody
// else with [ErrForeignPeer]. For a pod that daemonizes, or is served by a
// process that it did not start.
func SameUser(p Peer, _ Target) error {
	if uid := os.Geteuid(); p.UID != uid {
		return foreign(p, fmt.Sprintf("we are user %d", uid), "readiness.AnyPeer")
	}
	return nil
}

// AnyPeer accepts everybody. For a pod that changes its user, in a directory
// that only trusted users may write to.
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
