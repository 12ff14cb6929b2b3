package readiness

import (
	"bytes"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// tellsPID says whether peerOfFD learns the peer's pid on this system.
const tellsPID = true

// credentials asks for SO_PEERCRED (unix(7)).
func credentials(fd int) (pid, uid, gid int, err error) {
	cred, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return 0, 0, 0, os.NewSyscallError("getsockopt", err)
	}
	return int(cred.Pid), int(cred.Uid), int(cred.Gid), nil
}

// commandName returns the name of a process in brackets, for an error.
func commandName(pid int) string {
	name, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/comm")
	if err != nil {
		return ""
	}
	return fmt.Sprintf(" (%q)", bytes.TrimSuffix(name, []byte{'\n'}))
}
