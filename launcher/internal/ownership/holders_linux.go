package ownership

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/podlaunch/podlaunch/launcher/internal/proc"
)

// holders returns the processes of ours that hold the pod lock, but for this
// one. /proc/locks would only name who took the lock, not who inherited it.
func (p *Place) holders() ([]holder, error) {
	there, err := p.base.lstat(p.podName())
	if err != nil {
		return nil, err
	}
	pids, err := proc.All()
	if err != nil {
		return nil, err
	}
	var found []holder
	for _, pid := range pids {
		if pid == os.Getpid() || !holdsLock(pid, p.podName(), there) {
			continue
		}
		id, err := proc.Identify(pid)
		if err != nil {
			continue // it has just gone
		}
		if st, err := proc.ReadStat(pid); err == nil {
			found = append(found, holder{id, st.Forked})
		}
	}
	return found, nil
}

// holds reports whether the process still holds the pod lock.
func (p *Place) holds(id proc.Identity) bool {
	there, err := p.base.lstat(p.podName())
	return err == nil && holdsLock(id.PID, p.podName(), there)
}

// takerLives reports whether the process that took the pod lock is alive and
// still has it. That is a launcher, never a pod: a pod has inherited it.
func (p *Place) takerLives() (bool, error) {
	there, err := p.base.lstat(p.podName())
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	locks, err := os.ReadFile("/proc/locks")
	if err != nil {
		return false, fmt.Errorf("find out who has taken the lock: %w", err)
	}
	inode := ":" + strconv.FormatUint(there.ino, 10)
	for line := range strings.Lines(string(locks)) {
		// 1: FLOCK ADVISORY WRITE 4711 fe:00:131074 0 EOF; not all filesystems
		// give the device number here that stat(2) gives.
		f := strings.Fields(line)
		if len(f) != 8 || f[1] != "FLOCK" || !strings.HasSuffix(f[5], inode) {
			continue
		}
		if pid, err := strconv.Atoi(f[4]); err == nil && holdsLock(pid, p.podName(), there) {
			return true, nil
		}
	}
	return false, nil
}

// holdsLock reports whether the process holds the lock that is the file lock,
// called name. To have the file open is not enough: that may be a backup, or
// somebody who looks. It is false for a process that we may not look into: one
// of another user.
func holdsLock(pid int, name string, lock status) bool {
	dir := "/proc/" + strconv.Itoa(pid) + "/fd"
	fds, err := os.ReadDir(dir)
	if err != nil {
		return false
	}
	for _, fd := range fds {
		path := filepath.Join(dir, fd.Name())
		target, err := os.Readlink(path)
		if err != nil || !strings.HasSuffix(target, "/"+name) {
			continue
		}
		if got, err := os.Stat(path); err == nil && lock.is(got) && locked(pid, fd.Name()) {
			return true
		}
	}
	return false
}

// locked reports whether a descriptor shares a flock(2) lock that is held. Its
// entry in /proc/PID/fdinfo names the locks of the open file, whoever took them
// (proc_pid_fdinfo(5)).
func locked(pid int, fd string) bool {
	info, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/fdinfo/" + fd)
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(info)) {
		if strings.HasPrefix(line, "lock:") && strings.Contains(line, " FLOCK ") {
			return true
		}
	}
	return false
}

// endProcess sends SIGKILL to the process with the Identity, and to nobody
// else: the pidfd is opened first, and then refers to one process for ever,
// whichever the check finds it to be.
func endProcess(id proc.Identity) error {
	return endBy(id, func(pidfd int) error { return unix.PidfdSendSignal(pidfd, unix.SIGKILL, nil, 0) })
}

// endGroup is endProcess for the process and the group that it leads.
func endGroup(id proc.Identity) error {
	return endBy(id, func(pidfd int) error {
		// Since Linux 6.9. Before it, who of the group holds the lock is found
		// by that, and the rest stays.
		const processGroup = 1 << 2 // PIDFD_SIGNAL_PROCESS_GROUP
		err := unix.PidfdSendSignal(pidfd, unix.SIGKILL, nil, processGroup)
		if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ESRCH) {
			err = unix.PidfdSendSignal(pidfd, unix.SIGKILL, nil, 0)
		}
		return err
	})
}

func endBy(id proc.Identity, kill func(pidfd int) error) error {
	fd, err := unix.PidfdOpen(id.PID, 0)
	if errors.Is(err, unix.ESRCH) {
		return proc.ErrGone
	}
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := id.Check(); err != nil {
		return err
	}
	if err := kill(fd); err != nil && !errors.Is(err, unix.ESRCH) {
		return err
	}
	return nil
}
