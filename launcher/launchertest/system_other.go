//go:build !unix

package launchertest

import (
	"errors"
	"os"
	"syscall"
)

// sigCont is a signal that these systems do not have.
const sigCont = syscall.Signal(-1)

const shell = ""

func inheritable(*os.File) (int, func(), error) { return 0, nil, errors.ErrUnsupported }

func sessionAndGroup(int) (session, group int, err error) { return 0, 0, errors.ErrUnsupported }

func isThere(int) bool { return false }

func children() []string { return nil }

func isWritten(*os.File) bool { return false }
