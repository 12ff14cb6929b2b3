//go:build !linux

package readiness

// hasEnded reports false: it is not asked here.
func hasEnded(int) bool { return false }
