package readiness

import "bytes"

// pidText returns what stands for a pid in content. Some programs write the NUL that ends a
// string in C (pgpool 4.3).
func pidText(content []byte) string {
	return string(bytes.TrimSpace(bytes.TrimRight(content, "\x00")))
}
