//go:build !linux

package conformance

// ofTheSystem returns nothing: there is no file to ask here.
func ofTheSystem() map[string]string { return nil }
