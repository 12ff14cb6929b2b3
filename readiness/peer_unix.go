//go:build unix

package readiness

import "golang.org/x/sys/unix"

// belongs reports whether the process pid is of the session or the process
// group that leader leads, or descends from leader.
func belongs(pid, leader int) bool {
	if pid == leader {
		return true
	}
	if sid, err := unix.Getsid(pid); err == nil && sid == leader {
		return true
	}
	pgid, err := unix.Getpgid(pid)
	return err == nil && pgid == leader || descends(pid, leader)
}
