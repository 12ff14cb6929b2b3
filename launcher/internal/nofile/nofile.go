// Package nofile knows which limit on descriptors a child of this program is to have.
//
// When a program begins, package syscall raises its soft limit to the hard limit less 1.
// It gives the old soft limit back to the children that it forks, unless the limit was
// changed since (golang.org/issue/46279, golang.org/issue/66797). It does not export the
// old limit, so this package reads that before package syscall changes it. The Go runtime
// initializes packages that are ready in the order of their import paths (The Go
// Programming Language Specification, "Program initialization"). So a package that imports
// nothing, and whose path sorts before "syscall", comes first.
package nofile

// A limit is one of struct rlimit (getrlimit(2)).
type limit struct{ soft, hard uint64 }

// first is the limit at the start, if isKnown.
var first, isKnown = read()

// OfChild returns the soft limit of a child of this program, whose own limits are soft
// and hard now. known is false if this package does not know it: on systems where it read
// nothing at the start, and in a plugin (package plugin), where it was too late.
func OfChild(soft, hard uint64) (ofChild uint64, known bool) {
	return first.ofChild(limit{soft, hard}, isKnown)
}

// ofChild is OfChild in a program that was started with the limit l, and has now.
func (l limit) ofChild(now limit, known bool) (ofChild uint64, ok bool) {
	raised := limit{l.hard - 1, l.hard}
	switch {
	case !known || l == raised:
		return 0, false
	case l.soft < raised.soft && now == raised:
		return l.soft, true
	}
	return now.soft, true
}
