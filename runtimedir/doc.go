// Package runtimedir decides where a pod keeps what it needs while it runs:
// its socket, its log, and other files that it writes there itself. One verb does
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
// On Windows the last one is %LOCALAPPDATA%, and the base is insomnia\run below it.
//
// [Dir] is a fixed base, for tests and for programs that keep their own. [Temp] is for
// private pods, whose directory goes with them.
//
// # Names
//
// A name becomes one element of a path and an argument of a command, so
// [ValidateName] checks it before the disk is touched. A name cannot leave its base.
//
// # Who may be trusted
//
// A Resolver refuses a base that belongs to another user. It also refuses a pod's
// directory that is a symbolic link, a file, or another user's: its owner could
// swap the socket that the launcher is about to trust. See [ErrInsecure]. If a
// directory is ours but open too wide, the Resolver narrows its mode instead.
//
// On Windows a directory has a list of rights instead of a mode: all of them for the user,
// SYSTEM and the administrators, and nothing for others. A Resolver narrows the list of a
// pod's directory, and refuses a base to which others may write.
//
// # Socket paths
//
// The path of a unix socket must fit into a field of 108 bytes on Linux and
// 104 elsewhere. A deep runtime directory breaks a pod in a way that is hard
// to see from its own error; [CheckSocketPath] says it beforehand.
package runtimedir
