//go:build !linux && !windows

package osproc

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
)

// Adopt needs a pidfd.
func Adopt(Identity) (*Process, error) {
	return nil, fmt.Errorf("attach to a process on this system: %w", errors.ErrUnsupported)
}

// Signal signals nobody: an Identity is no proof here. It returns the error of
// [Identity.Check], or [errors.ErrUnsupported].
func Signal(id Identity, _ syscall.Signal) error {
	if err := id.Check(); err != nil {
		return err
	}
	return errors.ErrUnsupported
}

// Kill is [Signal] with SIGKILL.
func Kill(id Identity) error { return Signal(id, syscall.SIGKILL) }

// KillGroup is [Kill].
func KillGroup(id Identity) error { return Kill(id) }

// ReapInherited has nobody to reap: nobody is ended by an Identity here.
func ReapInherited(context.Context, []Identity) {}

// LockHolders finds nobody: there is no way to ask here.
func LockHolders(context.Context, LockFile) ([]LockHolder, error) { return nil, nil }

// LockHolderOf finds nobody.
func LockHolderOf(int, LockFile) (h LockHolder, ok bool, err error) { return h, false, nil }

// MarkHolders finds nobody: there is no way to ask here.
func MarkHolders(string) ([]LockHolder, error) { return nil, nil }

// MountsBelow finds nothing: there is no file to ask here.
func MountsBelow(string) ([]string, error) { return nil, nil }

// WorkDirIsGone cannot tell, and says no.
func WorkDirIsGone(int) bool { return false }

// Lineage returns this program and its parent.
func Lineage() (map[int]bool, error) {
	return map[int]bool{os.Getpid(): true, os.Getppid(): true}, nil
}

// Hindrance knows nothing.
func Hindrance(int) string { return "" }

// CommandName knows no names.
func CommandName(int) string { return "" }

// MemoryFile returns [errors.ErrUnsupported]: this system has no such files.
func MemoryFile(string, string) (*os.File, error) { return nil, errors.ErrUnsupported }

// CheckArgumentSpace leaves it to the system.
func CheckArgumentSpace(string, []string, []string) error { return nil }
