// Package endurance has only tests: those of package launcher that take a
// launch, or very many of them, through what a machine can do to it. Every system
// call fails, each in turn, with every error that it may give; launches go on by
// the ten thousand; a thousand names are asked for at once; and whatever there is
// a limit on is used up.
//
// They are apart from package launcher's other tests because they take long, and
// none may run in parallel with another of its package. Packages are tested at
// the same time.
package endurance
