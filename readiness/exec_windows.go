package readiness

import (
	"context"
	"fmt"
	"os/exec"
	"syscall"
	"unsafe"

	"golang.org/x/sys/windows"
)

// ntResumeProcess begins a process that was created suspended. ResumeThread would need the
// handle of its thread, which package os/exec closes. It is not documented; debuggers and
// Go's own tests use it.
var ntResumeProcess = windows.NewLazySystemDLL("ntdll.dll").NewProc("NtResumeProcess")

// runGroup runs cmd in a job of its own, and ends all that is in it when cmd has exited, or
// ctx is done. The process is created suspended, so that all that it starts is in the job.
// Its console has no window.
func runGroup(ctx context.Context, cmd *exec.Cmd) error {
	job, err := newJob()
	if err != nil {
		return err
	}
	defer windows.CloseHandle(job)
	cmd.SysProcAttr = &syscall.SysProcAttr{CreationFlags: windows.CREATE_SUSPENDED | windows.CREATE_NO_WINDOW}
	if err := cmd.Start(); err != nil {
		return err
	}
	process, err := begin(cmd.Process.Pid, job)
	if err != nil {
		cmd.Process.Kill()
		cmd.Wait()
		return err
	}
	defer windows.CloseHandle(process)
	kill := func() { windows.TerminateJobObject(job, 1) }
	killed := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		kill()
		close(killed)
	})
	windows.WaitForSingleObject(process, windows.INFINITE)
	if !stop() {
		<-killed
	}
	kill()
	return cmd.Wait()
}

// newJob makes a job that ends with this process, if nothing ends it before.
func newJob() (windows.Handle, error) {
	job, err := windows.CreateJobObject(nil, nil)
	if err != nil {
		return 0, fmt.Errorf("make a job for the command: %w", err)
	}
	var limits windows.JOBOBJECT_EXTENDED_LIMIT_INFORMATION
	limits.BasicLimitInformation.LimitFlags = windows.JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE
	if _, err := windows.SetInformationJobObject(job, windows.JobObjectExtendedLimitInformation, uintptr(unsafe.Pointer(&limits)), uint32(unsafe.Sizeof(limits))); err != nil {
		windows.CloseHandle(job)
		return 0, fmt.Errorf("make a job for the command: %w", err)
	}
	return job, nil
}

// begin puts the process pid, which is suspended, into job, and begins it. The process is
// not reaped, so nobody else has its pid.
func begin(pid int, job windows.Handle) (windows.Handle, error) {
	const rights = windows.PROCESS_SET_QUOTA | windows.PROCESS_TERMINATE | windows.PROCESS_SUSPEND_RESUME | windows.SYNCHRONIZE
	process, err := windows.OpenProcess(rights, false, uint32(pid))
	if err != nil {
		return 0, fmt.Errorf("open the process of the command: %w", err)
	}
	if err := windows.AssignProcessToJobObject(job, process); err != nil {
		windows.CloseHandle(process)
		return 0, fmt.Errorf("put the command into a job: %w", err)
	}
	if status, _, _ := ntResumeProcess.Call(uintptr(process)); status != 0 {
		windows.CloseHandle(process)
		return 0, fmt.Errorf("begin the command: %w", windows.NTStatus(status))
	}
	return process, nil
}
