// Package onepod has only tests: those of package launcher that are about one
// name having one pod, whoever asks for it, however many ask, and whatever dies
// meanwhile (Ensure, Attach, List, the locks and the record).
//
// They are apart from package launcher's other tests because many of them wait
// for processes, locks and deadlines, and none may run in parallel with another
// of its package: each makes sure that nothing is left behind. Two packages are
// tested at the same time.
package onepod
