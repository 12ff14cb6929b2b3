package unixproc

import (
	"os"
	"syscall"
)

// A Command is what [Start] starts.
type Command struct {
	Path string   // of the program; it is not looked up
	Args []string // without the program's name, which is Path
	Env  []string // nil: this process's
	Dir  string   // "": this process's

	// Files are the descriptors, from 0 on. Where there is none, or it is nil, 0 to
	// 2 are the null device, and all others are closed. They stay the caller's.
	Files []*os.File

	// PIDEnv names variables whose value is the process's own id.
	PIDEnv []string

	// Attr is what else the process is to be, or nil. CheckAttr has to accept it.
	Attr *syscall.SysProcAttr

	// NoSession starts the process in this program's session and group.
	NoSession bool
}

// An Exit is how a process ended.
type Exit struct {
	Code       int            // exit status; meaningless if a signal ended it
	Signal     syscall.Signal // that ended it; 0 if it exited by itself
	CoreDumped bool
	Known      bool // false: it is gone, and the system does not tell how
}
