//go:build darwin || freebsd

package readiness

import (
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// peerOf asks for LOCAL_PEERCRED, which has no pid.
func peerOf(conn *net.UnixConn) (Peer, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return Peer{}, err
	}
	var cred *unix.Xucred
	if ctlErr := raw.Control(func(fd uintptr) {
		cred, err = unix.GetsockoptXucred(int(fd), 0, unix.LOCAL_PEERCRED)
	}); ctlErr != nil {
		return Peer{}, ctlErr
	}
	if err != nil {
		return Peer{}, os.NewSyscallError("getsockopt", err)
	}
	return Peer{UID: int(cred.Uid), GID: int(cred.Groups[0])}, nil
}

// tellsPID says whether peerOf learns the peer's pid on this system.
const tellsPID = false

func commandName(int) string { return "" }
