//go:build !linux

package conformance

// InMemory does nothing here.
func InMemory() {}
