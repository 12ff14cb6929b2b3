package osproc

import (
	"os"
	"syscall"
)

// A Command is what [Start] starts.
type Command struct {
	Path string   // of the program; it is not looked up
	Arg0 string   // the program's name; "": Path. It cannot be set with PIDEnv
	Args []string // without the program's name
	Env  []string // nil: this process's
	Dir  string   // "": this process's

	// Files are the descriptors, from 0 on. Where there is none, or it is nil, 0 to
	// 2 are the null device, and all others are closed. They stay the caller's.
	Files []*os.File

	// PIDEnv names variables whose value is the process's own id. With LISTEN_PID
	// among them SIGPIPE is ignored in the process.
	PIDEnv []string

	// Attr is what else the process is to be, or nil. CheckAttr has to accept it.
	Attr *syscall.SysProcAttr

	// NoSession starts the process in this program's session and group.
	NoSession bool

	// Cgroup, which is made by then, is where the process starts; nil: this program's.
	Cgroup *Cgroup

	// Mark is the variable, with its value, by which who belongs to the process is
	// found: see NewFamily. On Windows it names the job of the process, and without it
	// the job has no name. Other systems do not look at it: it is in Env.
	Mark string
}
