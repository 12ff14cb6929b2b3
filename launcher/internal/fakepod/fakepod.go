// Package fakepod is a pod for tests that behaves as its script says, well or
// badly. The script is its arguments, one step each: a verb and what the verb is
// about. Package launchertest lists the verbs, and makes a pod of any test binary.
// The project's own tests use a binary that is built for the purpose ([Build]).
package fakepod

import (
	"os"
)

// Main is the fake pod's main function.
func Main() { Play(os.Args[:1], os.Args[1:]) }

// Play follows the script that args hold, as from [Args], and exits. self is the
// beginning of the command, up to these arguments: it runs the same program again.
func Play(self, args []string) {
	p, steps, err := newPod(self, args)
	if err != nil {
		exit(err)
	}
	take, err := compile(steps)
	if err == nil {
		err = take(p)
	}
	exit(err)
}
