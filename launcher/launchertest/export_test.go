package launchertest

import (
	"errors"
	"testing"
	"testing/synctest"
)

// BrokenCommand returns what is wrong with a CommandResolver, by the name of
// the rule that says so.
func BrokenCommand(t *testing.T, newCase func(t *testing.T) CommandCase) map[string]error {
	return broken(t, commandRules, func(t *testing.T, r rule[resolving]) error { return checkCommand(t, r, newCase) })
}

// BrokenStarter is the same for a Starter.
func BrokenStarter(t *testing.T, newCase func(t *testing.T) StarterCase) map[string]error {
	return broken(t, starterRules, func(t *testing.T, r rule[starting]) error { return checkStarter(t, r, newCase) })
}

// BrokenInMemory is the same for a Starter without Programs. Each rule has a
// bubble of its own, in which it takes no time to wait.
func BrokenInMemory(t *testing.T, newCase func(t *testing.T) StarterCase) map[string]error {
	return broken(t, starterRules, func(t *testing.T, r rule[starting]) (err error) {
		synctest.Test(t, func(t *testing.T) { err = checkStarter(t, r, newCase) })
		return err
	})
}

func broken[S any](t *testing.T, rules []rule[S], check func(t *testing.T, r rule[S]) error) map[string]error {
	found := make(map[string]error)
	for i, r := range rules {
		err := check(t, r)
		var why inapplicable
		if err != nil && !errors.As(err, &why) {
			found[r.name] = err
		}
		if i == 0 && len(found) > 0 {
			break
		}
	}
	return found
}
