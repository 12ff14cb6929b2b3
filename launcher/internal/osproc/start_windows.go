package osproc

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"
)

// Supported says whether processes can be started on this system.
const Supported = true

// PlacesFiles says whether a process finds the files of its Command by their numbers. Here it
// inherits handles, whose numbers it cannot know; the standard ones are the exception.
const PlacesFiles = false

// StopVariable is in the environment of each process with a Mark. Its value is the name
// of the event that asks the process to end. The process creates the event if it wants to
// be asked in this way (CreateEvent, with manual reset), and waits for it; else it gets
// CTRL_C.
const StopVariable = "POD_STOP_EVENT"

// Start is as on other systems: Prepare, Fork and Explain. The process has a console of its
// own, without a window, and is in a job of its own. It inherits the handles of its files and
// no other one.
func Start(ctx context.Context, c Command) (*Process, error) {
	s, err := Prepare(c)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	p, err := s.Fork(ctx)
	if err != nil {
		return nil, s.Explain(err)
	}
	return p, nil
}

// allowedFlags are what an Attr may have of CreationFlags: the priority of the process. The
// rest would take it out of its job or its console, or leave it suspended.
const allowedFlags = windows.IDLE_PRIORITY_CLASS | windows.BELOW_NORMAL_PRIORITY_CLASS | windows.NORMAL_PRIORITY_CLASS |
	windows.ABOVE_NORMAL_PRIORITY_CLASS | windows.HIGH_PRIORITY_CLASS

// CheckAttr returns an error if a Command cannot have attr: only HideWindow, CmdLine and a
// priority can be set.
func CheckAttr(attr *syscall.SysProcAttr) error {
	if attr == nil {
		return nil
	}
	fields := reflect.ValueOf(attr).Elem()
	for i := range fields.NumField() {
		switch name := fields.Type().Field(i).Name; name {
		case "HideWindow", "CmdLine", "CreationFlags":
		default:
			if !fields.Field(i).IsZero() {
				return fmt.Errorf("%s cannot be set: %w", name, syscall.EINVAL)
			}
		}
	}
	if other := attr.CreationFlags &^ allowedFlags; other != 0 {
		return fmt.Errorf("%s cannot have %#x, only a priority: %w", "CreationFlags", other, syscall.EINVAL)
	}
	return nil
}

// NamesCgroup returns false: there are none.
func NamesCgroup(*syscall.SysProcAttr) bool { return false }

// A Starting is a process that is about to be started. It is [Start] in parts.
type Starting struct {
	command   Command
	path, dir *uint16
	line, env []uint16
	null, job windows.Handle
}

// Prepare looks and makes all that is needed before the start. The caller calls Close when
// it is over.
func Prepare(c Command) (*Starting, error) {
	switch {
	case len(c.PIDEnv) > 0:
		return nil, fmt.Errorf("the process cannot find its id in %s on Windows, which starts it with its variables complete: %w", c.PIDEnv[0], errors.ErrUnsupported)
	case c.NoSession:
		return nil, fmt.Errorf("a process without a session of its own on Windows, which has no sessions of that kind: %w", errors.ErrUnsupported)
	}
	sweepJobs()
	s := &Starting{command: c}
	if err := s.encode(); err != nil {
		return nil, err
	}
	null, err := openNull()
	if err != nil {
		return nil, err
	}
	s.null = null
	if s.job, err = createJob(c.Mark); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// encode makes the texts of the process.
func (s *Starting) encode() (err error) {
	c := s.command
	name := c.Arg0
	if name == "" {
		name = c.Path
	}
	line := windows.ComposeCommandLine(append([]string{name}, c.Args...))
	if c.Attr != nil && c.Attr.CmdLine != "" {
		line = c.Attr.CmdLine
	} else if err := checkBatch(c.Path, c.Args); err != nil {
		return err
	}
	if s.path, err = windows.UTF16PtrFromString(c.Path); err != nil {
		return fmt.Errorf("the path %q: %w", c.Path, err)
	}
	if s.line, err = windows.UTF16FromString(line); err != nil {
		return fmt.Errorf("the arguments hold a NUL: %w", err)
	}
	if c.Dir != "" {
		if s.dir, err = windows.UTF16PtrFromString(c.Dir); err != nil {
			return fmt.Errorf("the directory %q: %w", c.Dir, err)
		}
	}
	env := c.Env
	if env == nil {
		env = os.Environ()
	}
	if event := eventName(c.Mark); event != "" {
		env = append(env[:len(env):len(env)], StopVariable+"="+event)
	}
	s.env, err = environmentBlock(env)
	return err
}

// environmentBlock returns env as CreateProcess wants it, with the last value of each
// variable, whose names are the same in any case, and with SYSTEMROOT, without which many
// programs do not start.
func environmentBlock(env []string) ([]uint16, error) {
	for _, e := range env {
		if strings.IndexByte(e, 0) >= 0 {
			return nil, fmt.Errorf("the variable %q holds a NUL: %w", e, syscall.EINVAL)
		}
	}
	var block []uint16
	for _, e := range (&exec.Cmd{Env: env}).Environ() {
		text, err := windows.UTF16FromString(e)
		if err != nil {
			return nil, err
		}
		if len(text) > 1 {
			block = append(block, text...)
		}
	}
	if len(block) == 0 {
		block = append(block, 0)
	}
	return append(block, 0), nil
}

// checkBatch refuses arguments that a batch file would not get as they are: the program
// that runs it, cmd.exe, takes its line apart by other rules, and could execute a part.
func checkBatch(path string, args []string) error {
	switch strings.ToLower(filepath.Ext(path)) {
	case ".bat", ".cmd":
	default:
		return nil
	}
	for i, arg := range args {
		if at := strings.IndexAny(arg, "\"%!^&|<>()\r\n"); at >= 0 {
			return fmt.Errorf("argument %d holds %q, which a batch file would not get as it is, but cmd.exe would act on it: use a program: %w", i+1, arg[at], syscall.EINVAL)
		}
	}
	return nil
}

func openNull() (windows.Handle, error) {
	name, _ := windows.UTF16PtrFromString(os.DevNull)
	null, err := windows.CreateFile(name, windows.GENERIC_READ|windows.GENERIC_WRITE,
		windows.FILE_SHARE_READ|windows.FILE_SHARE_WRITE, nil, windows.OPEN_EXISTING, 0, 0)
	if err != nil {
		return 0, fmt.Errorf("open the null device: %w", err)
	}
	return null, nil
}

// Explain says what the error of Fork means for the program.
func (s *Starting) Explain(err error) error { return explainStart(err, s.command) }

// Fork starts the process. The error is the system's own: see Explain. Fork is called once.
func (s *Starting) Fork(ctx context.Context) (p *Process, err error) {
	bound, cancel := context.WithTimeout(ctx, 250*time.Millisecond)
	defer cancel()
	// Somebody who has just written the program may have it open still.
	until(bound, func() bool {
		p, err = s.create()
		return !errors.Is(err, windows.ERROR_SHARING_VIOLATION)
	})
	runtime.KeepAlive(s.command.Files)
	return p, err
}

// create calls CreateProcess, with a list of the handles that the process inherits
// (PROC_THREAD_ATTRIBUTE_HANDLE_LIST) and the job that it is in (…_JOB_LIST).
func (s *Starting) create() (*Process, error) {
	// A handle that is open to inherit goes to each child that is started without a list
	// meanwhile. Package os starts none without.
	handles, err := s.inheritable()
	defer closeAll(handles)
	if err != nil {
		return nil, err
	}
	attributes, err := windows.NewProcThreadAttributeList(2)
	if err != nil {
		return nil, err
	}
	defer attributes.Delete()
	err = attributes.Update(windows.PROC_THREAD_ATTRIBUTE_HANDLE_LIST, unsafe.Pointer(&handles[0]), uintptr(len(handles))*unsafe.Sizeof(handles[0]))
	if err != nil {
		return nil, err
	}
	const jobList = 0x0002000D // PROC_THREAD_ATTRIBUTE_JOB_LIST, UpdateProcThreadAttribute
	job := s.job
	if err := attributes.Update(jobList, unsafe.Pointer(&job), unsafe.Sizeof(job)); err != nil {
		return nil, err
	}
	info := windows.StartupInfoEx{ProcThreadAttributeList: attributes.List()}
	info.Cb = uint32(unsafe.Sizeof(info))
	info.Flags = windows.STARTF_USESTDHANDLES
	info.StdInput, info.StdOutput, info.StdErr = handles[0], handles[1], handles[2]
	flags := uint32(windows.CREATE_NO_WINDOW | windows.CREATE_UNICODE_ENVIRONMENT | windows.EXTENDED_STARTUPINFO_PRESENT)
	if attr := s.command.Attr; attr != nil {
		flags |= attr.CreationFlags
		if attr.HideWindow {
			info.Flags |= windows.STARTF_USESHOWWINDOW
		}
	}
	var started windows.ProcessInformation
	// The end of a job that this program is in is not to be that of the process, if that job
	// lets it go. If not, the process is in both.
	for _, leave := range []uint32{windows.CREATE_BREAKAWAY_FROM_JOB, 0} {
		line := slices.Clone(s.line) // CreateProcess writes into it
		err = windows.CreateProcess(s.path, &line[0], nil, nil, true, flags|leave, &s.env[0], s.dir, &info.StartupInfo, &started)
		if !errors.Is(err, windows.ERROR_ACCESS_DENIED) {
			break
		}
	}
	if err != nil {
		return nil, err
	}
	windows.CloseHandle(started.Thread)
	p, err := newProcess(started.Process, int(started.ProcessId), s.job, s.command.Mark)
	if err == nil {
		s.job = 0
	}
	return p, err
}

// inheritable returns handles for the process to inherit: the standard ones, and then those
// of the other files. The process cannot know what these are for: it finds no file by a
// number.
func (s *Starting) inheritable() (handles []windows.Handle, err error) {
	self := windows.CurrentProcess()
	files := s.command.Files
	for i := range max(len(files), 3) {
		from := s.null
		switch {
		case i < len(files) && files[i] != nil:
			from = windows.Handle(files[i].Fd())
		case i >= 3:
			continue
		}
		var to windows.Handle
		if err := windows.DuplicateHandle(self, from, self, &to, 0, true, windows.DUPLICATE_SAME_ACCESS); err != nil {
			return handles, fmt.Errorf("have the process inherit its file %d: %w", i, err)
		}
		handles = append(handles, to)
	}
	return handles, nil
}

func closeAll(handles []windows.Handle) {
	for _, h := range handles {
		windows.CloseHandle(h)
	}
}

// Close frees what Prepare has made. More than once is the same as once.
func (s *Starting) Close() {
	if s.null != 0 {
		windows.CloseHandle(s.null)
	}
	if s.job != 0 {
		windows.CloseHandle(s.job)
	}
	s.null, s.job = 0, 0
}

// CheckArgumentSpace makes sure that the arguments fit into a command line, which has at
// most 32767 characters (CreateProcess). The error wraps E2BIG.
func CheckArgumentSpace(path string, args, _ []string) error {
	const limit = 32767
	line, err := windows.UTF16FromString(windows.ComposeCommandLine(append([]string{path}, args...)))
	if err != nil || len(line) <= limit {
		return nil // a NUL is refused elsewhere
	}
	return fmt.Errorf("the arguments take %d characters of a command line, and Windows allows %d: %w", len(line), limit, syscall.E2BIG)
}
