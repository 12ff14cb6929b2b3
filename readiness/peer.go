package readiness

import (
	"context"
	"fmt"
	"net"
	"os"
	"strings"
	"time"
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
// [ErrForeignPeer], and every process if the pod's own pid is not known. It also refuses the
// pod's first process once that has another user; see [FirstProcess]. Where the system does
// not report a peer's pid (freebsd), SamePod accepts our user.
func SamePod(p Peer, t Target) error {
	if err := SameUser(p, t); err != nil {
		if p.PID > 0 && p.PID == t.PID {
			return own(p, "the pod as another user", fmt.Sprintf("that is its first process, which has changed its user; we are user %d", os.Geteuid()), "readiness.FirstProcess")
		}
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
	if isKin(p, t) {
		return own(p, "a process that the pod has sent to the background", "that is proven to be the pod's, and is in a session of its own: "+
			"have the program stay in the foreground, or have that process adopted (readiness.PIDFile)", "readiness.SameUser")
	}
	return foreign(p, fmt.Sprintf("that is not of the session or group of the pod, pid %d, and does not descend from it", t.PID), "readiness.SameUser")
}

// kinPatience is how long it may take to find out that a process is of the pod.
const kinPatience = 2 * time.Second

// isKin reports whether p is proven to be of the pod, no matter where it has gone.
func isKin(p Peer, t Target) bool {
	if t.Kin == nil || p.PID <= 0 {
		return false
	}
	ctx, cancel := context.WithTimeout(context.Background(), kinPatience)
	defer cancel()
	return t.Kin.Prove(ctx, p.PID) == nil
}

// FirstProcess accepts the pod's first process alone, no matter which user that has become,
// and refuses every other process with [ErrForeignPeer]. It is for a pod that changes its
// user and listens on the socket itself. It stands on the pid: no other process can have
// that as long as the pod lives. The launcher
// gives no pid once that of a pod that has ended is another's, and then nobody is accepted. It needs a system that reports a peer's pid.
func FirstProcess(p Peer, t Target) error {
	if p.PID > 0 && p.PID == t.PID {
		return nil
	}
	return foreign(p, fmt.Sprintf("that is not the pod's first process, pid %d", t.PID), "readiness.SamePod")
}

// SameUser accepts every process of our effective user, and refuses all others with
// [ErrForeignPeer]. It is for a pod whose socket is served by a process that it did not
// start.
func SameUser(p Peer, _ Target) error {
	if uid := os.Geteuid(); p.UID != uid {
		return foreign(p, fmt.Sprintf("we are user %d", uid), "readiness.AnyPeer")
	}
	return nil
}

// AnyPeer accepts every process. It is for a pod whose socket is served by a process of
// another user that is not the pod's first ([FirstProcess]), in a directory that only trusted
// users may write to.
func AnyPeer(Peer, Target) error { return nil }

// foreign says who answered, why that is not good, and what allows it.
func foreign(p Peer, why, allow string) error {
	return &foreignError{peer: p, command: commandName(p.PID), why: why, allow: allow,
		is: ErrForeignPeer.Error(), does: "answers", may: "answer", field: "readiness.Socket.Peer"}
}

// own is foreign for a process of the pod, which is what.
func own(p Peer, what, why, allow string) error {
	err := foreign(p, why, allow).(*foreignError)
	err.own = what
	return err
}

// A foreignError is a process that is not allowed to do something.
type foreignError struct {
	peer          Peer
	command       string // the peer's
	why, allow    string // why it may not, and the value of field with which it may
	is, does, may string // what this is, what the peer does, and what it may then do
	field         string // that decides
	own           string // what it is in place of a stranger; "": it is one
}

func (e *foreignError) Error() string {
	is := e.is
	if e.own != "" {
		is = strings.Replace(is, "a stranger", e.own, 1)
	}
	return fmt.Sprintf("%s: pid %d%s of user %d %s; %s; if it may %s, set %s to %s",
		is, e.peer.PID, e.command, e.peer.UID, e.does, e.why, e.may, e.field, e.allow)
}

func (e *foreignError) Unwrap() error { return ErrForeignPeer }

// A refusal is the error of Socket.Peer. It is final, no matter which error it wraps.
type refusal struct{ error }

func (r refusal) Unwrap() error { return r.error }
