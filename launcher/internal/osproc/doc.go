// Package osproc starts, watches, signals and reaps processes, and
// proves that a process is still the same.
//
// A process that [Start] starts leads a session and a process group, and gets only
// the descriptors of its [Command]. The system uses a pid again, so this package
// signals no process by its number alone. A child keeps its number until it is
// reaped. Any other process proves by its [Identity], through a pidfd, which it is.
//
// On darwin and freebsd an Identity is no proof: this package adopts and ends no
// process by it.
//
// On Windows a process is in a job of its own instead of a session, and gets the handles of
// its files instead of descriptors. Its Identity is a proof, by the time of its creation.
// This is tested under Wine 8, not on Windows itself.
//
// On other systems nothing works, and every function that can fail
// returns [errors.ErrUnsupported].
package osproc
