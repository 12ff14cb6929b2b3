package ownership

import (
	"errors"
	"io/fs"
	"slices"

	"github.com/podlaunch/podlaunch/launcher/internal/unixproc"
)

// holders returns the processes of ours that hold the pod lock, but for this one.
func (p *Place) holders() ([]unixproc.LockHolder, error) {
	there, err := p.base.lstat(p.podName())
	if err != nil {
		return nil, err
	}
	return unixproc.LockHolders(p.podName(), there.is)
}

// holds reports whether the process still holds the pod lock.
func (p *Place) holds(id unixproc.Identity) bool {
	there, err := p.base.lstat(p.podName())
	return err == nil && unixproc.HoldsLock(id.PID, p.podName(), there.is)
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
	takers, err := unixproc.LockTakers(there.ino)
	return slices.ContainsFunc(takers, func(pid int) bool {
		return unixproc.HoldsLock(pid, p.podName(), there.is)
	}), err
}
