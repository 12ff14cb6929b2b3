package logsource

import (
	"os"
	"strconv"
	"syscall"
)

// nonblock keeps an open from waiting for the other end of a FIFO that was put
// there in the meantime.
const nonblock = syscall.O_NONBLOCK

// watchPaths returns the names under which file may be watched, best first. The
// one in /proc (proc_pid_fd(5)) leads to the very file that is open, whatever
// has become of its name; it does not depend on the directory, and no two
// files share it. The other is for when /proc is not mounted.
func watchPaths(file *os.File) []string {
	return []string{"/proc/self/fd/" + strconv.Itoa(int(file.Fd())), file.Name()}
}
