//go:build !linux

package readiness

import "io"

// clearPIDFile does nothing: there is no PIDFile here.
func clearPIDFile(string) {}

// namesNobody reports false: it is not asked here.
func namesNobody(io.Reader) bool { return false }
