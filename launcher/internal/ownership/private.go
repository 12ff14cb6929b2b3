package ownership

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"syscall"

	"github.com/podlaunch/podlaunch/launcher/internal/osproc"
)

// RandomName returns the name of a private pod. It has 130 random bits, so no two are the
// same, and is short, for it is in the path of a socket.
func RandomName() string { return strings.ToLower(rand.Text()) }

// isRandom reports whether RandomName may have returned name.
func isRandom(name string) bool {
	return len(name) == 26 && strings.Trim(name, "abcdefghijklmnopqrstuvwxyz234567") == ""
}

// maxNote is how long a privateNote can be: a path has 4096 bytes (PATH_MAX), and JSON may
// take six for one.
const maxNote = 32 << 10

// readNote returns what is in the lock of p; nothing if the file is empty: a Sweep that comes
// too late makes a new one.
func (p *Place) readNote() (n privateNote, err error) {
	data, s, err := p.base.read(p.podName(), maxNote)
	if err == nil && s.size > 0 {
		err = json.Unmarshal(data, &n)
	}
	if err == nil {
		n.Cgroup, err = decodeText(n.Cgroup)
	}
	return n, err
}

// clearCgroup removes the pod's cgroup if nobody is in it, and reports whether there is
// none now.
func (n privateNote) clearCgroup() (cleared bool, err error) {
	if n.Cgroup == "" || !n.IsOfThisBoot() {
		return true, nil
	}
	c, err := osproc.FindCgroup(n.Cgroup, n.Launch.String())
	if err != nil {
		return false, err
	}
	_, cleared, err = removeEmpty(c)
	return cleared, err
}

// Private is Claim for a name that was drawn at random. It waits, within ctx, for a Sweep
// that looks at the new lock. The error wraps [fs.ErrNotExist] if the base was removed,
// and else is as for Claim.
func (p *Place) Private(ctx context.Context) (*Claim, error) {
	if err := p.checkBase(); err != nil {
		return nil, err
	}
	owner, err := self()
	if err != nil {
		return nil, err
	}
	data, err := json.Marshal(owner)
	if err != nil {
		return nil, err
	}
	p.private = true
	pod, err := tryLock(p.base, p.podName(), true)
	for delay := firstLook; err == errBusy && pause(ctx, delay); delay = pauseAfter(delay) {
		pod, err = tryLock(p.base, p.podName(), true)
	}
	switch {
	case err == errBusy || err == nil && pod.was.size != 0:
		pod.unlock()
		return nil, fmt.Errorf("the name %q was drawn at random, and is another pod's: %w", p.name, fs.ErrExist)
	case err != nil:
		return nil, err
	}
	if _, err := pod.asFile().WriteAt(data, 0); err != nil {
		err = errors.Join(err, p.base.remove(p.podName()))
		pod.unlock()
		return nil, err
	}
	private.Store(p.name, true)
	return &Claim{place: p, pod: pod, clear: p.removePrivate}, nil
}

// RemovePrivate removes the directory of a private pod that is gone, its lock, and the
// base if nothing else is in there. It is no error if somebody has done it before.
func RemovePrivate(ctx context.Context, base, name string) error {
	defer LeavePrivate(name)
	p, err := Open(base, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer p.Close()
	p.private = true
	return p.removePrivate(ctx)
}

// removePrivate is RemovePrivate. It removes the lock after the directory and the cgroup:
// Sweep finds by the lock what is left. If a process is in the cgroup, the cgroup and the
// lock stay; that is no error. Processes that outlive the pod may still make files, so
// removePrivate tries again until ctx is done.
func (p *Place) removePrivate(ctx context.Context) error {
	err := p.removePrivateDir(ctx)
	for delay := firstLook; isNotEmpty(err) && pause(ctx, delay); delay = pauseAfter(delay) {
		err = p.removePrivateDir(ctx)
	}
	if err == nil {
		err = p.removeOverlay()
	}
	if err == nil {
		err = p.removeNote()
	}
	if err != nil {
		return fmt.Errorf("remove the directory of a private pod: %w", err)
	}
	p.base.removeSelf()
	return nil
}

// removePrivateDir removes the directory. Another launch's Sweep may do so at the same time,
// and remove the base, and its launch make another one: then nothing is left to remove.
func (p *Place) removePrivateDir(ctx context.Context) error {
	err := p.removeDir(ctx, p.path(p.name))
	if err != nil {
		if _, lstatErr := p.base.lstat(p.name); isMissing(lstatErr) {
			return nil
		}
	}
	return err
}

// removeNote removes the cgroup of p, and then its lock. If the lock's file is empty,
// there is no cgroup: see sweepUnused.
func (p *Place) removeNote() error {
	n, err := p.readNote()
	if isMissing(err) {
		return nil
	}
	if err != nil {
		return err
	}
	if cleared, err := n.clearCgroup(); !cleared || err != nil {
		return err
	}
	return p.base.remove(p.podName())
}

// Sweep removes the directories of private pods that are not used any more: their
// launcher died, or released them. It returns the names of the pods. Sweep removes a
// directory only if it can prove three things. No process holds its lock. No process has
// variable, with the pod's name as its value, in the environment: a pod may have closed
// its descriptors. And no process is in its cgroup, if it has one; Sweep removes that, too.
// If Sweep cannot prove that, the directory stays, and the error says why.
//
// As anywhere, Sweep does not find a process that has neither descriptor nor environment
// of the pod.
func Sweep(ctx context.Context, base, variable string) (swept []string, err error) {
	entries, err := entriesOf(base)
	if err != nil {
		return nil, err
	}
	var kept []error
	for _, name := range privateNames(entries) {
		if ctx.Err() != nil {
			return swept, context.Cause(ctx)
		}
		if _, ours := private.Load(name); ours {
			continue
		}
		removed, err := sweepOne(ctx, base, name, variable)
		switch {
		case err != nil:
			kept = append(kept, err)
		case removed:
			swept = append(swept, name)
		}
	}
	return swept, errors.Join(kept...)
}

// privateNames returns the names of the private pods that have a lock or a directory, in order.
func privateNames(entries []os.DirEntry) (names []string) {
	for _, e := range entries {
		name := e.Name()
		if lock, ok := strings.CutSuffix(name, privateSuffix); ok && e.Type().IsRegular() {
			name = strings.TrimPrefix(lock, ".")
		} else if !e.IsDir() {
			continue
		}
		if isRandom(name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// sweepOne is Sweep for one pod.
func sweepOne(ctx context.Context, base, name, variable string) (removed bool, err error) {
	p, err := Open(base, name)
	if err != nil {
		return false, err
	}
	defer p.Close()
	if err := p.checkBase(); err != nil {
		return false, err
	}
	p.private = true
	pod, err := tryLock(p.base, p.podName(), true)
	if err == errBusy {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer pod.unlock()
	if _, err := p.base.lstat(name); isMissing(err) {
		return true, p.removePrivate(ctx) // there was no pod yet, or there is none any more
	}
	if pod.was.size == 0 {
		return p.sweepUnused(ctx)
	}
	by, err := p.readNote()
	if isMissing(err) {
		return false, nil // somebody removes it just now, the directory before that
	}
	if err != nil || by.PID == 0 {
		return false, fmt.Errorf("%q does not tell who launched the pod (%v); remove it, and %q, if nobody uses that", p.path(p.podName()), err, p.path(name))
	}
	if used, err := osproc.HasMark(ctx, variable+"="+name, by.Identity); used || err != nil {
		return false, err
	}
	if cleared, err := by.clearCgroup(); !cleared || err != nil {
		return false, err
	}
	return true, p.removePrivate(ctx)
}

// sweepUnused removes a directory whose lock nobody has ever had: a launcher died just
// after it had made the base, and that with it. Such a directory is empty, and nothing
// else is removed.
func (p *Place) sweepUnused(ctx context.Context) (removed bool, err error) {
	if err := syscall.Rmdir(p.path(p.name)); err != nil {
		return false, errors.Join(fmt.Errorf("remove %q, which no private pod has used: %w", p.path(p.name), err), p.base.remove(p.podName()))
	}
	return true, p.removePrivate(ctx)
}
