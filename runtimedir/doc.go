// Package runtimedir decides where a pod keeps what it needs while it runs:
// its socket, its log, whatever else it writes there itself. One verb does
// it: [Resolver.RuntimeDir] turns a pod's name into a directory that exists
// and that only the current user may enter.
//
// [User] is the default, and its zero value works. It looks at four
// variables, in this order, and takes the first that is set:
//
//	$INSOMNIA_RUNTIME_DIR      the base itself
//	$INSOMNIA_HOME             base is run below it
//	$XDG_RUNTIME_DIR           base is insomnia below it
//	$HOME                      base is .insomnia/run below it
//
// [Dir] is a fixed base, for tests and for programs that keep their own.
//
// # Names
//
// A name becomes one element of a path and an argument of a command, so it is
// checked by [ValidateName] before the disk is touched. A name cannot leave
// its base.
//
// # Who may be trusted
//
// A base that belongs to somebody else is refused, and so is a pod's
// directory that is a symbolic link, a file, or another user's: whoever owns
// it could swap the socket that the launcher is about to trust. See
// [ErrInsecure]. What is ours but open too wide is narrowed instead.
//
// # Socket paths
//
// The path of a unix socket must fit into a field of 108 bytes on Linux and
// 104 elsewhere. A deep runtime directory breaks a pod in a way that is hard
// to see from its own error; [CheckSocketPath] says it beforehand.
package runtimedir
