// Package logsourcetest tests implementations of [logsource.Source], and holds
// one that keeps its logs in memory, for tests of what reads logs.
//
// # Testing a Source
//
// One call checks everything that the contract asks for:
//
//	func TestMySource(t *testing.T) {
//		logsourcetest.Test(t, func(t *testing.T) logsource.Source {
//			return mylog.Source{Server: newServer(t)}
//		})
//	}
//
// Each rule is a subtest that gets a Source of its own. One that is broken
// fails with what was seen, and with the rule in words:
//
//	--- FAIL: TestMySource/waits
//	    Read returned "", EOF although there may be more
//	        The rule: Read blocks until there is more.
//
// A rule that cannot be kept on purpose is left out by name, which also shows
// it to whoever reads the command:
//
//	go test -skip '^TestMySource$/^path$' ./mylog
//
// Nothing is asked of how fast a Source is, but a rule that makes no progress
// for a minute ends, and says which calls have not returned. A rule about what
// must not happen looks on for a moment: it may overlook something, but it
// never complains of a Source that is only slow.
//
// # A Source without a Sink
//
// The kit plays the process: it writes into the Sink, and closes it. A Source
// whose logs have none, because whoever starts the process delivers its
// output, must tell the kit how to write. It does so with one more method, see
// [Deliverer]. A test can add that to a Source which does not have it:
//
//	type delivered struct{ *mylog.Source }
//
//	func (d delivered) Deliver(launch logsource.Launch) (io.WriteCloser, error) {
//		return d.newStream(launch.ID)
//	}
//
// # Logs in memory
//
// An [Output] is what one pod writes, and the test is the pod. Its Lines can be
// a readiness.Target's, so that a probe is tested without a file, without a
// process and, in a bubble of package synctest, without waiting. [Memory] is a
// whole Source of them, for tests of a launcher.
package logsourcetest
