package runtimedirtest

import (
	"testing"
	"testing/synctest"

	"github.com/podlaunch/podlaunch/runtimedir"
)

// Broken returns what is wrong with a Resolver, by the name of the rule that
// says so. Each rule has a bubble of its own, in which it takes no time to wait.
func Broken(t *testing.T, newResolver func(t *testing.T) runtimedir.Resolver) map[string]error {
	broken := make(map[string]error)
	for i, r := range rules {
		synctest.Test(t, func(t *testing.T) {
			err := r.check(newSubject(newResolver(t), t.TempDir()))
			if _, ok := err.(inapplicable); err != nil && !ok {
				broken[r.name] = err
			}
		})
		if i == 0 && len(broken) > 0 {
			break
		}
	}
	return broken
}
