//go:build !linux

package runtimedir

// hasNoLinks cannot tell here.
func hasNoLinks(string) bool { return false }
