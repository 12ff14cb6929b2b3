// Package onepod has only tests: those of package launcher that show that one name has
// one pod. That holds no matter which process asks for it, how many ask, and which
// process dies meanwhile (Ensure, Attach, List, the locks and the record).
//
// They are apart from package launcher's other tests because many of them wait for
// processes, locks and deadlines. None may run in parallel with another test of this
// package, because each makes sure that nothing is left behind. go test tests two
// packages at the same time.
package onepod
