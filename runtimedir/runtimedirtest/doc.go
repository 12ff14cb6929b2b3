// Package runtimedirtest tests implementations of [runtimedir.Resolver], and of
// [runtimedir.Baser] where they are that too.
//
// One call checks everything that the contract asks for:
//
//	func TestMyResolver(t *testing.T) {
//		runtimedirtest.Test(t, func(t *testing.T) runtimedir.Resolver {
//			return myresolver.PerTenant{Root: t.TempDir()}
//		})
//	}
//
// Each rule is a subtest that gets a Resolver of its own. The subtest of a broken rule
// fails with what the kit saw, and with the rule in words:
//
//	--- FAIL: TestMyResolver/private
//	    /srv/pods/web has mode drwxr-xr-x, want drwx------
//	        The rule: Only the current user may enter the directory.
//
// If a Resolver breaks a rule on purpose, leave the rule out by name:
//
//	go test -skip '^TestMyResolver$/^narrows$' ./myresolver
//
// # What the kit does to the disk
//
// It does what others may have done: it replaces a pod's directory by a
// symbolic link, opens the base to everybody, moves it aside, and puts it back.
// So each Resolver should have a base of its own, below t.TempDir. Set the base with
// t.Setenv if the Resolver finds it through the environment.
//
// Only root can give a directory to another user. As another user the kit skips the
// rule, with that reason. It does not look at owners and modes on systems that have
// none.
//
// # Names
//
// The kit's pods have ordinary names: "web", "my pod", "grüße". A Resolver may refuse
// more than [runtimedir.ValidateName] does. If its names have a form of their own, wrap
// it for the test:
//
//	runtimedir.ResolverFunc(func(ctx context.Context, name string) (string, error) {
//		return tenants.RuntimeDir(ctx, "acme@"+name)
//	})
//
// That hides a Base. If there is one, let the wrapper be a type with both
// methods.
package runtimedirtest
