// Package logsourcetest tests implementations of [logsource.Source]. It also holds a
// Source that keeps its logs in memory, for tests of code that reads logs.
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
// Each rule is a subtest that gets a Source of its own. The subtest of a broken rule
// fails with what the kit saw, and with the rule in words:
//
//	--- FAIL: TestMySource/waits
//	    Read returned "", EOF although there may be more
//	        The rule: Read blocks until there is more.
//
// If a Source breaks a rule on purpose, leave the rule out by name, which also shows
// it to every reader of the command:
//
//	go test -skip '^TestMySource$/^path$' ./mylog
//
// A Source may be slow, but a rule that makes no progress for a minute ends, and says
// which calls have not returned. A rule about what must not happen looks on for a
// moment: it may overlook something, but it never complains of a Source that is only
// slow.
//
// # A Source without a Sink
//
// The kit plays the process: it writes into the Sink, and closes it. The logs of some
// Sources have no Sink, because the code that starts the process delivers its output.
// Such a Source tells the kit how to write by one more method, see [Deliverer]. A test
// can add it to a Source that does not have it:
//
//	type delivered struct{ *mylog.Source }
//
//	func (d delivered) Deliver(launch logsource.Launch) (io.WriteCloser, error) {
//		return d.newStream(launch.ID)
//	}
//
// # A log that is followed later
//
// The rules about a [logsource.Refollower] ask the Source that has opened the log. Another
// program has another Source, which the kit cannot make: a second call of the function
// given to [Test] may lead to another server or directory. So these rules do not find a
// Refollow that needs what Open has left in memory. Test that with two Sources that are
// made alike.
//
// # Logs in memory
//
// An [Output] is what one pod writes, and the test is the pod. Its Lines can be
// a readiness.Target's, so that a probe is tested without a file, without a
// process and, in a bubble of package synctest, without waiting. [Memory] is a
// whole Source of them, for tests of a launcher.
package logsourcetest
