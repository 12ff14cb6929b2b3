package osproc

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/windows"
)

// SIGCONT has no meaning here: nobody is stopped by a signal.
const SIGCONT = syscall.Signal(0)

// terminate ends a process.
func terminate(h windows.Handle, pid int) error {
	err := windows.TerminateProcess(h, killCode)
	if err != nil && hasEnded(h) {
		return os.ErrProcessDone
	}
	if err != nil {
		return fmt.Errorf("end process %d: %w", pid, err)
	}
	return nil
}

// CanSend returns nil if sig, or what stands for it here, can be sent to a process, and else
// an [errors.ErrUnsupported].
func CanSend(sig syscall.Signal) error {
	switch sig {
	case syscall.SIGKILL, syscall.SIGTERM, syscall.SIGINT:
		return nil
	}
	return fmt.Errorf("there are only SIGKILL, SIGTERM and SIGINT on Windows, and not signal %d (%v): %w", int(sig), sig, errors.ErrUnsupported)
}

// Signal ends the process with SIGKILL, and sends it CTRL_C for SIGTERM and SIGINT, as all who
// share its console. Who cannot be asked in this way gets nothing. The error is as of [Identity.Check], or [errors.ErrUnsupported] for any
// other signal. SIGCONT does nothing.
func Signal(id Identity, sig syscall.Signal) error {
	switch sig {
	case syscall.SIGKILL:
		return Kill(id)
	case syscall.SIGTERM, syscall.SIGINT:
		if err := interrupt(context.Background(), id); !errors.Is(err, ErrUngentle) {
			return err
		}
		return nil
	case SIGCONT:
		return id.Check()
	}
	return fmt.Errorf("signal process %d: %w", id.PID, CanSend(sig))
}

// Kill ends the process. The error is as of [Identity.Check] if there is none.
func Kill(id Identity) error {
	h, err := openIdentity(id, windows.PROCESS_TERMINATE)
	if err != nil {
		return err
	}
	defer windows.CloseHandle(h)
	if err := terminate(h, id.PID); errors.Is(err, os.ErrProcessDone) {
		return ErrGone
	} else if err != nil {
		return err
	}
	return nil
}

// KillGroup is [Kill] for the process and all that descend from it. The job of a process
// that was not ready when its launcher died ends with that launcher, or with the process.
func KillGroup(id Identity) error {
	tree, err := treeOf(id)
	if err != nil {
		return err
	}
	var errs []error
	for i, member := range tree {
		if err := Kill(member); err != nil && (i == 0 || !ProvesEnd(err)) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
