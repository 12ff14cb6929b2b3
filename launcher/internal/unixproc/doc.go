// Package unixproc starts, watches, signals and reaps Unix processes, and
// proves that a process is the one that it was.
//
// A process that [Start] starts leads a session and a process group, and gets no
// descriptor but those of its [Command]. A pid is used again, so nobody is
// signalled by a number alone: the number of a child is its own until it is
// reaped, and any other process is proven by its [Identity], through a pidfd.
//
// On darwin and freebsd an Identity is no proof: nobody is adopted or ended by
// it. Elsewhere nothing works, and what can fail returns [errors.ErrUnsupported].
package unixproc
