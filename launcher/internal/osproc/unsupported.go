//go:build !linux && !darwin && !freebsd && !windows

package osproc

import (
	"context"
	"errors"
	"os"
	"syscall"
)

// Supported says whether processes can be started on this system.
const Supported = false

// PlacesFiles says whether a process finds the files of its Command by their numbers.
const PlacesFiles = false

// CanSend returns [errors.ErrUnsupported].
func CanSend(syscall.Signal) error { return errors.ErrUnsupported }

// SIGCONT has no meaning here.
const SIGCONT = syscall.Signal(0)

// A Process cannot be had here.
type Process struct{}

// Start returns [errors.ErrUnsupported].
func Start(context.Context, Command) (*Process, error) { return nil, errors.ErrUnsupported }

// A Starting cannot be had here.
type Starting struct{}

// Prepare returns [errors.ErrUnsupported].
func Prepare(Command) (*Starting, error) { return nil, errors.ErrUnsupported }

// Fork returns [errors.ErrUnsupported].
func (*Starting) Fork(context.Context) (*Process, error) { return nil, errors.ErrUnsupported }

// Explain returns err.
func (*Starting) Explain(err error) error { return err }

// Close does nothing.
func (*Starting) Close() {}

// CheckAttr leaves it to Start.
func CheckAttr(*syscall.SysProcAttr) error { return nil }

// NamesCgroup returns false: there are none.
func NamesCgroup(*syscall.SysProcAttr) bool { return false }

// PID returns 0.
func (*Process) PID() int { return 0 }

// Wait returns [errors.ErrUnsupported].
func (*Process) Wait(context.Context) (Exit, error) { return Exit{}, errors.ErrUnsupported }

// Signal returns [errors.ErrUnsupported].
func (*Process) Signal(context.Context, os.Signal) error { return errors.ErrUnsupported }

// SignalFirst returns [errors.ErrUnsupported].
func (*Process) SignalFirst(context.Context, os.Signal) error { return errors.ErrUnsupported }

// Pinned returns false.
func (*Process) Pinned() bool { return false }

// GroupPinned returns false.
func (*Process) GroupPinned() bool { return false }

// Reap returns [errors.ErrUnsupported].
func (*Process) Reap(context.Context) error { return errors.ErrUnsupported }

// Release does nothing.
func (*Process) Release() {}

// Outlook and HasChildren cannot tell, and say that it stays as it is.
func (*Process) Outlook() (runs, ending bool) { return false, false }

// HasChildren is as Outlook.
func (*Process) HasChildren() bool { return false }

// Notes returns nothing.
func (*Process) Notes() []string { return nil }

// MayEnter leaves it to the system.
func MayEnter(string) error { return nil }

// IsFull cannot tell, and says no.
func IsFull(string) bool { return false }

func lifeOf(int) (start uint64, dead bool, err error) { return 0, false, errors.ErrUnsupported }

func vanished(int) bool { return false }

func here() (boot, namespace string, err error) { return "", "", errors.ErrUnsupported }
