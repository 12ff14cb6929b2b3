// Package readinesstest tests implementations of [readiness.Probe]. It also holds
// stand-ins for a pod or a probe in tests: a log in memory, a probe that never ends, a
// probe that ends when the test says so.
//
// # Testing a Probe
//
// One call checks everything that the contract asks for. A [Case] is the Probe
// and a pod that the test plays:
//
//	func TestMyProbe(t *testing.T) {
//		readinesstest.Test(t, func(t *testing.T) readinesstest.Case {
//			log := new(readinesstest.Log)
//			return readinesstest.Case{
//				Probe:  myprobe.Line{},
//				Target: readiness.Target{Name: "web", Lines: log.Lines},
//				Ready:  func(*readiness.Setup) { fmt.Fprintln(log, "listening on 127.0.0.1:80") },
//				Fail:   func(*readiness.Setup) { fmt.Fprintln(log, "address already in use") },
//				Want:   readiness.Endpoint{Network: "tcp", Address: "127.0.0.1:80"},
//			}
//		})
//	}
//
// Each rule is a subtest with pods of its own. The subtest of a broken rule fails with
// what the kit saw, and with the rule in words:
//
//	--- FAIL: TestMyProbe/lines-end
//	    my_test.go:20: the log ended without a line, and Wait returned tcp:127.0.0.1:80
//	        The rule: The end of Target.Lines without an error does not make a pod ready.
//
// If a Probe breaks a rule on purpose, leave the rule out by name, which also shows it
// to every reader of the command:
//
//	go test -skip '^TestMyProbe$/^owned$' ./myprobe
//
// # What a Probe is besides
//
// The kit looks at what the Probe implements, and asks no more of it. It skips the
// rules about lines if the Probe reads none. It skips the rules about
// [readiness.Preparer], [readiness.Composite], [readiness.LineOwner],
// [readiness.StatusReader] and [readiness.Verifier] if the Probe does not implement
// that interface. A skipped rule says so under -v.
//
// For a Preparer the kit does what the launcher does: it prepares the Probe for
// each pod, gives the [readiness.Setup] to Ready, which finds there what the
// pod would have got, and closes it when the wait is over.
//
// # Time
//
// A Probe may be slow, but a call that makes no progress for ten seconds has hung. A
// launcher has less patience: half a second after its ctx is done it goes on without
// the probe, and reports it. A rule about what must not happen looks on for a moment:
// it may overlook something, but it never complains of a Probe that is only slow.
//
// The kit marks its goroutines with a label, and ignores those of other tests. It only
// counts descriptors, where the system lists them in /dev/fd: tests that run in parallel
// and open dozens of files disturb that.
package readinesstest
