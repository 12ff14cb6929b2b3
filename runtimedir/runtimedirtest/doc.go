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
// Each rule is a subtest that gets a Resolver of its own. One that is broken
// fails with what was seen, and with the rule in words:
//
//	--- FAIL: TestMyResolver/private
//	    /srv/pods/web has mode drwxr-xr-x, want drwx------
//	        The rule: Only the current user may enter the directory.
//
// A rule that cannot be kept on purpose is left out by name:
//
//	go test -skip '^TestMyResolver$/^narrows$' ./myresolver
//
// # What the kit does to the disk
//
// It does what others may have done: it replaces a pod's directory by a
// symbolic link, opens the base to everybody, moves it aside, and puts it back.
// So each Resolver should have a base of its own, below t.TempDir; one that is
// found through the environment gets it by t.Setenv.
//
// What only root can do (give a directory to somebody else) is tried as root,
// and otherwise the rule is skipped with that reason. Owners and modes are not
// looked at on systems that have none.
//
// # Names
//
// The kit's pods are called as anybody's might be: "web", "my pod", "grüße". A
// Resolver may refuse more than [runtimedir.ValidateName] does, and one whose
// names have a form of their own is wrapped for the test:
//
//	runtimedir.ResolverFunc(func(ctx context.Context, name string) (string, error) {
//		return tenants.RuntimeDir(ctx, "acme@"+name)
//	})
//
// That hides a Base. If there is one, let the wrapper be a type with both
// methods.
package runtimedirtest
