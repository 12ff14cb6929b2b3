//go:build linux && (amd64 || arm64)

package nofile

// rlimitNofile is RLIMIT_NOFILE (asm-generic/resource.h).
const rlimitNofile = 7

// getrlimit is prlimit64(0, resource, nil, l). It returns what the kernel does: 0, or
// a negative error number.
//
//go:noescape
func getrlimit(resource uintptr, l *limit) int

func read() (l limit, ok bool) {
	ok = getrlimit(rlimitNofile, &l) == 0
	return l, ok
}
