//go:build darwin || freebsd

package readiness

import (
	"os"

	"golang.org/x/sys/unix"
)

// credentials asks for LOCAL_PEERCRED, which has no pid.
func credentials(fd int) (pid, uid, gid int, err error) {
	cred, err := unix.GetsockoptXucred(fd, 0, unix.LOCAL_PEERCRED)
	if err != nil {
		return 0, 0, 0, os.NewSyscallError("getsockopt", err)
	}
	return 0, int(cred.Uid), int(cred.Groups[0]), nil
}

// tellsPID says whether peerOfFD learns the peer's pid on this system.
const tellsPID = false

func commandName(int) string { return "" }
