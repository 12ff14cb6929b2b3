// Package vfork starts programs on Linux, as package syscall does, but so that a child
// has the descriptors that it was given and no other one.
//
// With package syscall the parent has to know what to close in the child. It has to ask
// about each of its descriptors, because other code than Go may have opened them. Here the
// child closes all others itself, by close_range(2). Their number does not matter, and the
// child does not inherit what another thread opens meanwhile.
package vfork

// A Program is what a child is to become.
type Program struct {
	Path string
	Argv []string // with the program's name
	Env  []string
	Dir  string // the working directory; empty: the parent's

	Setsid bool // in a session of its own

	// Files are the child's descriptors, from 0 on, by the parent's numbers; -1 means
	// that the descriptor is closed in the child. The child closes all others.
	Files []int
}

// Start starts p as a child of the calling thread. Once the exec has succeeded, it returns
// the child's pid and a pidfd, which is closed on exec.
//
// The error is a [syscall.Errno] if execve(2) or chdir(2) fails; then nothing is left. It is
// an [os.SyscallError] if a filter of system calls refuses a call before the exec that
// package syscall would make too. It wraps [errors.ErrUnsupported] if this system, or a
// filter, does not allow this way; then package syscall may be able to start p.
func Start(p *Program) (pid, pidfd int, err error) { return start(p) }

// Kept returns the descriptors that this program keeps for its later forks. There are two once
// it has had some hundreds, and none before.
func Kept() []int { return kept() }
