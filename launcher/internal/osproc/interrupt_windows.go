package osproc

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"strconv"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"
)

// eventName returns the name of the event that asks a process with the mark to end; "" if it
// has none.
func eventName(mark string) string {
	if valueOf(mark) == "" {
		return ""
	}
	return eventNames + valueOf(mark)
}

// setEvent sets the stop event of a process, and reports whether there is one: the process
// has created it.
func setEvent(mark string) (set bool, err error) {
	if eventName(mark) == "" {
		return false, nil
	}
	name, err := windows.UTF16PtrFromString(eventName(mark))
	if err != nil {
		return false, nil
	}
	event, err := windows.OpenEvent(windows.EVENT_MODIFY_STATE, false, name)
	switch {
	case errors.Is(err, windows.ERROR_FILE_NOT_FOUND):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("open the event %s: %w", eventName(mark), err)
	}
	defer windows.CloseHandle(event)
	if err := windows.SetEvent(event); err != nil {
		return false, fmt.Errorf("set the event %s: %w", eventName(mark), err)
	}
	return true, nil
}

// CTRL_C goes to all processes of the sender's console (GenerateConsoleCtrlEvent). So the
// sender has to join the console of the process, which takes this program's own from it. A
// helper does that: this program's own file, executed again under another name. It ends in
// the init below, before main is called. There is one for each signal: a program that has
// once ignored CTRL_C passes that on to its children.

// helperName is argv[0] of the helper.
const helperName = "podlaunch-interrupt"

// helperTime is how long the helper may take.
const helperTime = 10 * time.Second

func init() {
	if len(os.Args) == 3 && os.Args[0] == helperName {
		os.Exit(helperMain(os.Args[1], os.Args[2]))
	}
}

// The exit codes of the helper are 0, and helperFailed with the number of a system error.
const helperFailed = 0xA0000000

// helperMain sends CTRL_C to the process that its arguments name.
func helperMain(pid, start string) int {
	err := sendInterrupt(pid, start)
	var number syscall.Errno
	switch {
	case err == nil:
		return 0
	case errors.As(err, &number):
		return helperFailed | int(number&0xFFFF)
	}
	return helperFailed
}

func sendInterrupt(pidText, startText string) error {
	pid, err := strconv.Atoi(pidText)
	if err != nil {
		return err
	}
	start, err := strconv.ParseUint(startText, 10, 64)
	if err != nil {
		return err
	}
	h, err := openIdentity(Identity{PID: pid, Start: start, Boot: timeless}, 0)
	if err != nil {
		return windows.ERROR_NOT_FOUND
	}
	defer windows.CloseHandle(h) // until then the number is its own
	_, _, _ = procFree.Call()    // there is none, unless this system has made one
	if ok, _, err := procAttach.Call(uintptr(pid)); ok == 0 {
		return err
	}
	if ok, _, err := procCtrlHandler.Call(0, 1); ok == 0 { // the helper gets it as well
		return err
	}
	return windows.GenerateConsoleCtrlEvent(windows.CTRL_C_EVENT, 0)
}

// interrupt sends CTRL_C to the process, and to all who share its console. Its error wraps
// ErrUngentle if the process has no console, or the helper cannot be had.
func interrupt(ctx context.Context, id Identity) error {
	if err := id.Check(); err != nil {
		return err
	}
	code, err := runHelper(ctx, id)
	switch {
	case err != nil:
		return fmt.Errorf("send CTRL_C to process %d: %w: %w", id.PID, ErrUngentle, err)
	case code == 0:
		return nil
	}
	if err := id.Check(); err != nil {
		return err
	}
	if code == helperFailed|uint32(windows.ERROR_INVALID_HANDLE) || code == helperFailed|uint32(windows.ERROR_GEN_FAILURE) {
		return fmt.Errorf("send CTRL_C to process %d: %w: it has no console", id.PID, ErrUngentle)
	}
	return fmt.Errorf("send CTRL_C to process %d: %w: the helper ended with %#x: %w", id.PID, ErrUngentle, code, syscall.Errno(code&0xFFFF))
}

// errNoHelper says that this program's file does not become the helper.
var errNoHelper = errors.New("this program is a library of another one, whose file is not this program's")

// runHelper runs the helper, and returns its exit code.
func runHelper(ctx context.Context, id Identity) (code uint32, err error) {
	if isLibrary() {
		return 0, errNoHelper
	}
	path, err := os.Executable()
	if err != nil {
		return 0, err
	}
	name, err := windows.UTF16PtrFromString(path)
	if err != nil {
		return 0, err
	}
	line, err := windows.UTF16PtrFromString(windows.ComposeCommandLine([]string{helperName, strconv.Itoa(id.PID), strconv.FormatUint(id.Start, 10)}))
	if err != nil {
		return 0, err
	}
	var info windows.StartupInfo
	info.Cb = uint32(unsafe.Sizeof(info))
	var started windows.ProcessInformation
	if err := windows.CreateProcess(name, line, nil, nil, false, windows.DETACHED_PROCESS, nil, nil, &info, &started); err != nil {
		return 0, fmt.Errorf("start %s again: %w", path, err)
	}
	windows.CloseHandle(started.Thread)
	h := started.Process
	defer windows.CloseHandle(h)
	bound, cancel := context.WithTimeout(ctx, helperTime)
	defer cancel()
	if !until(bound, func() bool { return hasEnded(h) }) {
		_ = windows.TerminateProcess(h, killCode)
		return 0, fmt.Errorf("the helper has not ended: %w", context.Cause(bound))
	}
	err = windows.GetExitCodeProcess(h, &code)
	return code, err
}

// isLibrary reports whether this program is built as a library.
func isLibrary() bool {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return false
	}
	for _, s := range info.Settings {
		if s.Key == "-buildmode" && (s.Value == "c-shared" || s.Value == "c-archive") {
			return true
		}
	}
	return false
}
