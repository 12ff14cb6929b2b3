package readiness

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// tellsPID says whether peerOf learns the peer's pid on this system.
const tellsPID = true

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

// peerOfFD asks for SO_PEERCRED (unix(7)).
func peerOfFD(fd int) (Peer, error) {
	cred, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return Peer{}, os.NewSyscallError("getsockopt", err)
	}
	return Peer{PID: int(cred.Pid), UID: int(cred.Uid), GID: int(cred.Gid)}, nil
}

// commandName returns the name of a process in brackets, for an error.
func commandName(pid int) string {
	name, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/comm")
	if err != nil {
		return ""
	}
	return fmt.Sprintf(" (%q)", bytes.TrimSuffix(name, []byte{'\n'}))
}
