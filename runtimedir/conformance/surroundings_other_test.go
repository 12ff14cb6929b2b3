//go:build !linux

package conformance_test

// changesOfTheSystem are none.
func changesOfTheSystem() map[string]change { return nil }
