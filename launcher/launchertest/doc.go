// Package launchertest tests implementations of [launcher.CommandResolver] and
// [launcher.Starter], and holds a Starter whose processes live in memory, for
// tests of what launches pods.
//
// # Testing a CommandResolver
//
// One call checks everything that the contract asks for:
//
//	func TestMyCommand(t *testing.T) {
//		launchertest.TestCommandResolver(t, func(t *testing.T) launchertest.CommandCase {
//			return launchertest.CommandCase{
//				Resolver: mytool.Command{Program: "/bin/sh"},
//				Missing:  mytool.Command{Program: "/bin/no-such-program"},
//			}
//		})
//	}
//
// Each rule is a subtest with a Case of its own. One that is broken fails with
// what was seen, and with the rule in words:
//
//	--- FAIL: TestMyCommand/env-empty
//	    my_test.go:12: Spec.Env is empty and not nil, and Command.Env is nil: that is the caller's
//	        The rule: A Spec.Env that is empty, and not nil, leaves the pod without variables but for those of the resolver.
//
// A rule that cannot be kept on purpose is left out by name, which also shows
// it to whoever reads the command:
//
//	go test -skip '^TestMyCommand$/^session$' ./mytool
//
// # Testing a Starter
//
// [TestStarter] has the Starter run /bin/sh, and looks at what the script finds.
// A Starter that cannot do all of that says so with [StarterCase].Lacks; the
// rules that need it are then skipped, and the others hold as they are. One
// whose processes run no program lacks [Programs]:
//
//	launchertest.TestStarter(t, func(t *testing.T) launchertest.StarterCase {
//		return launchertest.StarterCase{Starter: new(simulated.Starter), Lacks: launchertest.Programs}
//	})
//
// The rules are about unix systems; elsewhere a Starter lacks Programs.
//
// # Launching without processes
//
// A [Starter] starts a [Process] that lives in memory: what it does is a
// function of the test, it gets signals, and it ends when it is told. With it,
// a log in memory and a directory of the test's own, a launch needs nothing of
// the system, and runs in a bubble of package synctest, where it takes no time.
package launchertest
