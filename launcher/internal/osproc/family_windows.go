package osproc

import (
	"context"
	"errors"
	"os"
	"syscall"

	"golang.org/x/sys/windows"
)

// A Family is who belongs to a process: the members of its job, as long as anybody has a
// handle of that, and else the tree of its descendants, as long as it lives.
type Family struct {
	first Identity
	mark  string
}

// NewFamily returns the Family of the process, by its mark.
func NewFamily(first Identity, mark string) *Family { return &Family{first, mark} }

// Add does nothing: the job knows its members.
func (*Family) Add([]Identity) {}

// Known returns nil: nobody is remembered.
func (*Family) Known() []Identity { return nil }

// SetSince does nothing: nobody is asked for the mark.
func (*Family) SetSince(Identity, bool) {}

// SetHeirs does nothing: the job knows its members.
func (*Family) SetHeirs(func(LockHolder) (bool, error)) {}

// SetLock does nothing: nobody is found by a lock.
func (*Family) SetLock(LockFile, int) {}

// Left returns who belongs to it and has not ended.
func (f *Family) Left(context.Context, bool) ([]Identity, error) {
	job, err := openJob(f.mark)
	switch {
	case errors.Is(err, errNoJob):
		return f.tree()
	case err != nil:
		return nil, err
	}
	defer windows.CloseHandle(job)
	return membersOf(job)
}

func (f *Family) tree() ([]Identity, error) {
	if f.first.PID == 0 {
		return nil, nil
	}
	tree, err := treeOf(f.first)
	if ProvesEnd(err) {
		return nil, nil
	}
	return tree, err
}

// Deserted returns [errors.ErrUnsupported].
func (*Family) Deserted(context.Context, bool) (bool, error) { return false, errors.ErrUnsupported }

// Has reports false.
func (*Family) Has(int) bool { return false }

// Kill ends all of them, and returns them.
func (f *Family) Kill(ctx context.Context, pinned bool) ([]Identity, error) {
	left, err := f.Left(ctx, pinned)
	if err != nil || len(left) == 0 {
		return nil, err
	}
	job, err := openJob(f.mark)
	switch {
	case err == nil:
		defer windows.CloseHandle(job)
		return left, killJob(job)
	case !errors.Is(err, errNoJob):
		return left, err
	}
	var errs []error
	for _, id := range left {
		if err := Kill(id); err != nil && !ProvesEnd(err) {
			errs = append(errs, err)
		}
	}
	return left, errors.Join(errs...)
}

// ReapInherited does nothing: a process that has ended is nobody's to reap.
func (*Family) ReapInherited(context.Context) {}

// ReapInherited does nothing.
func ReapInherited(context.Context, []Identity) {}

// SignalEach is [Signal] for each.
func SignalEach(ids []Identity, sig syscall.Signal) error {
	var errs []error
	for _, id := range ids {
		errs = append(errs, Signal(id, sig))
	}
	return errors.Join(errs...)
}

// Lineage returns this program and its parent. Windows goes on to tell the pid of a parent that
// has ended, which may be that of a younger process by now.
func Lineage() (map[int]bool, error) {
	all := map[int]bool{os.Getpid(): true}
	us, err := Identify(os.Getpid())
	if err != nil {
		return nil, err
	}
	if parent, err := Identify(os.Getppid()); err != nil || parent.Start <= us.Start {
		all[os.Getppid()] = true
	}
	return all, nil
}

// Hindrance knows nothing.
func Hindrance(int) string { return "" }

// IsInGroup reports true: all who belong to a process are in its job.
func IsInGroup(Identity, int) bool { return true }

// HasVariable cannot tell, and says no.
func HasVariable(int, string, string) bool { return false }

// LockHolders finds nobody: there is no way to ask here.
func LockHolders(context.Context, LockFile) ([]LockHolder, error) { return nil, nil }

// LockHolderOf finds nobody.
func LockHolderOf(int, LockFile) (h LockHolder, ok bool, err error) { return h, false, nil }

// theirSession is the session of every LockHolder here; that of a launcher is 0.
const theirSession = 1

// MarkHolders returns who is in the job of a process with the mark: nobody if nobody has a
// handle of it. Such a process was given the lock of the first process, or may have been.
func MarkHolders(mark string) ([]LockHolder, error) {
	job, err := openJob(mark)
	switch {
	case errors.Is(err, errNoJob):
		return nil, nil
	case err != nil:
		return nil, err
	}
	defer windows.CloseHandle(job)
	members, err := membersOf(job)
	var holders []LockHolder
	for _, id := range members {
		holders = append(holders, LockHolder{Identity: id, Session: theirSession, Given: true})
	}
	return holders, err
}

// MountsBelow finds nothing. A mounted folder is a reparse point, and those are not followed.
func MountsBelow(string) ([]string, error) { return nil, nil }

// WorkDirIsGone says no: a directory that a process is in cannot be removed.
func WorkDirIsGone(int) bool { return false }

// MemoryFile returns [errors.ErrUnsupported]: this system has no such files.
func MemoryFile(string, string) (*os.File, error) { return nil, errors.ErrUnsupported }
