// Package keeper ends pods with the program that has launched them, however that ends.
//
// A program that keeps pods has one child for it, the keeper: the program's own file,
// executed again. The init of this package knows it by its name (argv[0]) and never comes
// to main. The keeper is not the parent of the pods. It waits at one end of a socket, the
// lifeline, whose other end only the program has, and a child of it that has not come to
// its exec. When that end is closed the program is gone. Then the keeper ends, with
// SIGKILL, all that belongs to the pods it knows, and exits. A child that is
// about to come to its exec may be a pod: the keeper waits until it has.
//
// Goroutines: one for each keeper process, which waits for its end and starts another one
// if that came too early. Usually there is one such process, and none while no pod is kept.
package keeper
