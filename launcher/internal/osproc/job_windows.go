package osproc

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"unsafe"

	"golang.org/x/sys/windows"
)

// A pod's processes are in a job (Job Objects): the first one from its first instruction
// on, and all that come of it, for the job allows no breakaway. The name of the
// job follows from the launch. It lasts as long as anybody has a handle: this program, or
// the first process, once this program has given it one.

const (
	// killCode is the exit code of a process that was ended in place of SIGKILL. It is
	// one of those that are left to programs (the customer bit of NTSTATUS is set).
	killCode = 0xE0000009

	jobObjectQuery         = 0x0004 // JOB_OBJECT_QUERY
	jobObjectTerminate     = 0x0008 // JOB_OBJECT_TERMINATE
	jobObjectSetAttributes = 0x0002 // JOB_OBJECT_SET_ATTRIBUTES
)

var (
	kernel32         = windows.NewLazySystemDLL("kernel32.dll")
	procOpenJob      = kernel32.NewProc("OpenJobObjectW")
	procAttach       = kernel32.NewProc("AttachConsole")
	procFree         = kernel32.NewProc("FreeConsole")
	procCtrlHandler  = kernel32.NewProc("SetConsoleCtrlHandler")
	errNoJob         = errors.New("there is no such job any more")
	jobNames         = `Global\podlaunch-job-`
	eventNames       = `Global\podlaunch-stop-`
	basicAccounting  = int32(windows.JobObjectBasicAccountingInformation)
	extendedLimits   = int32(windows.JobObjectExtendedLimitInformation)
	processesOfClass = int32(windows.JobObjectBasicProcessIdList)
)

// valueOf returns the value of a mark, which is a variable with its value.
func valueOf(mark string) string {
	_, value, _ := strings.Cut(mark, "=")
	return value
}

// jobName returns the name of the job of a process with the mark; "" if it has none. It is
// global, so that a program in another session can find it.
func jobName(mark string) string {
	if valueOf(mark) == "" {
		return ""
	}
	return jobNames + valueOf(mark)
}

// createJob creates a job that ends all that is in it once nobody has a handle of it. It
// must be new: what has the name already is not ours.
func createJob(mark string) (windows.Handle, error) {
	var name *uint16
	if jobName(mark) != "" {
		name, _ = windows.UTF16PtrFromString(jobName(mark)) // see Prepare, which has looked for a NUL
	}
	job, err := windows.CreateJobObject(nil, name)
	if job != 0 && errors.Is(err, windows.ERROR_ALREADY_EXISTS) {
		windows.CloseHandle(job)
		job = 0
	}
	if job == 0 {
		return 0, fmt.Errorf("create a job for the process: %w", err)
	}
	if err := setKillOnClose(job, true); err != nil {
		windows.CloseHandle(job)
		return 0, err
	}
	return job, nil
}

// setKillOnClose sets whether the end of the last handle of the job ends all that is in it.
func setKillOnClose(job windows.Handle, on bool) error {
	var limits windows.JOBOBJECT_EXTENDED_LIMIT_INFORMATION
	if on {
		limits.BasicLimitInformation.LimitFlags = windows.JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE
	}
	_, err := windows.SetInformationJobObject(job, uint32(extendedLimits), uintptr(unsafe.Pointer(&limits)), uint32(unsafe.Sizeof(limits)))
	if err != nil {
		return fmt.Errorf("set whether a job ends with its last handle: %w", err)
	}
	return nil
}

// openJob opens the job of a process with the mark, or returns errNoJob.
func openJob(mark string) (windows.Handle, error) {
	if jobName(mark) == "" {
		return 0, errNoJob
	}
	name, err := windows.UTF16PtrFromString(jobName(mark))
	if err != nil {
		return 0, errNoJob
	}
	h, _, err := procOpenJob.Call(jobObjectQuery|jobObjectTerminate|jobObjectSetAttributes, 0, uintptr(unsafe.Pointer(name)))
	switch {
	case h != 0:
		return windows.Handle(h), nil
	case errors.Is(err, windows.ERROR_FILE_NOT_FOUND):
		return 0, errNoJob
	}
	return 0, fmt.Errorf("open the job %s: %w", jobName(mark), err)
}

// activeIn returns how many processes are in the job.
func activeIn(job windows.Handle) (int, error) {
	var counts struct {
		TotalUserTime, TotalKernelTime, PeriodUserTime, PeriodKernelTime int64
		PageFaults, Total, Active, Terminated                            uint32
	}
	err := windows.QueryInformationJobObject(job, basicAccounting, uintptr(unsafe.Pointer(&counts)), uint32(unsafe.Sizeof(counts)), nil)
	if err != nil {
		return 0, fmt.Errorf("count the processes in a job: %w", err)
	}
	return int(counts.Active), nil
}

// membersOf returns the processes in the job that have not ended, without the hosts of
// their consoles, which the system starts, and which end with them.
func membersOf(job windows.Handle) (members []Identity, err error) {
	pids, err := pidsIn(job)
	if err != nil {
		return nil, err
	}
	for _, pid := range pids {
		h, err := openProcess(pid, 0)
		if errors.Is(err, ErrGone) {
			continue
		}
		if err != nil {
			return nil, err
		}
		defer windows.CloseHandle(h) // until then its number is its own
		id, err := identityOf(pid, h)
		if err != nil {
			return nil, err
		}
		if !hasEnded(h) && !isConsoleHost(h) {
			members = append(members, id)
		}
	}
	// The number may have become another's before its process was opened.
	still, err := pidsIn(job)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(members, func(id Identity) bool { return !slices.Contains(still, id.PID) }), nil
}

// isConsoleHost reports whether the system's own host of a console is the program of a
// process.
func isConsoleHost(h windows.Handle) bool {
	system, err := windows.GetSystemDirectory()
	return err == nil && strings.EqualFold(imageOf(h), system+`\conhost.exe`)
}

// pidsIn returns the numbers of the processes in the job.
func pidsIn(job windows.Handle) ([]int, error) {
	const head = 8 // two numbers: those in the job, and those in the list
	for room := 64; ; room *= 2 {
		buf := make([]uintptr, room)
		size := uint32(uintptr(room) * unsafe.Sizeof(buf[0]))
		err := windows.QueryInformationJobObject(job, processesOfClass, uintptr(unsafe.Pointer(&buf[0])), size, nil)
		if errors.Is(err, windows.ERROR_MORE_DATA) && room < 1<<20 {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("list the processes in a job: %w", err)
		}
		listed := int((*[2]uint32)(unsafe.Pointer(&buf[0]))[1])
		first := head / int(unsafe.Sizeof(buf[0]))
		var pids []int
		for _, pid := range buf[first:min(first+listed, room)] {
			pids = append(pids, int(pid))
		}
		return pids, nil
	}
}

// killJob ends all that is in the job. It does not wait for that.
func killJob(job windows.Handle) error {
	if err := windows.TerminateJobObject(job, killCode); err != nil {
		return fmt.Errorf("end the processes in a job: %w", err)
	}
	return nil
}

// kept are the jobs of processes that have ended, or were released, and left others: without
// a handle nobody would find these any more, and those that are to end with this program
// would end now.
var kept struct {
	sync.Mutex
	jobs []windows.Handle
}

// keepJob takes the handle of a job, and closes it once the job is empty.
func keepJob(job windows.Handle) {
	kept.Lock()
	kept.jobs = append(kept.jobs, job)
	kept.Unlock()
	sweepJobs()
}

// sweepJobs closes the jobs that are empty by now.
func sweepJobs() {
	kept.Lock()
	defer kept.Unlock()
	left := kept.jobs[:0]
	for _, job := range kept.jobs {
		if active, err := activeIn(job); err == nil && active == 0 {
			windows.CloseHandle(job)
			continue
		}
		left = append(left, job)
	}
	kept.jobs = left
}
