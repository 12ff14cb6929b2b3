// Package endurance has only tests: those of package launcher that take a
// launch, or very many of them, through what a machine can do to it. Every system
// call fails, each in turn, with every error that it may give. Launches go on by
// the ten thousand. Callers ask for a thousand names at once. Every resource that
// has a limit is used up.
//
// They are apart from package launcher's other tests because they take long. None
// may run in parallel with another test of this package; go test tests packages at
// the same time.
package endurance
