//go:build linux || darwin || freebsd

package osproc

import "os"

// argumentSizes returns how many bytes of a new process's stack its arguments
// and its environment take, pointers included (execve(2)).
func argumentSizes(path string, args, env []string) (argBytes, envBytes int) {
	const pointer = 4 << (^uintptr(0) >> 63) // 4 or 8 bytes
	argBytes = 2*(len(path)+1) + pointer     // the path counts once more, as itself
	for _, a := range args {
		argBytes += len(a) + 1 + pointer
	}
	if env == nil {
		env = os.Environ()
	}
	for _, e := range env {
		envBytes += len(e) + 1 + pointer
	}
	return argBytes, envBytes
}
