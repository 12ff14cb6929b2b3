package osproc

import (
	"os/exec"
	"strings"
)

// Environ returns env with the last value of each variable, as package os/exec does. It
// returns env itself if that has no variable twice. A nil env stands for the caller's
// environment, with dir as PWD; Environ leaves PWD alone if dir is empty.
func Environ(env []string, dir string) []string {
	if env != nil && !mayRepeat(env) {
		return env
	}
	return (&exec.Cmd{Env: env, Dir: dir}).Environ()
}

// mayRepeat reports whether env may have two values of one variable, or an entry that is
// not a variable. It allocates nothing, compares each entry with all others, and so
// reports true for a long env without a look.
func mayRepeat(env []string) bool {
	if len(env) > 100 {
		return true
	}
	for i, e := range env {
		end := strings.IndexByte(e, '=') + 1
		if end <= 1 || strings.IndexByte(e, 0) >= 0 {
			return true
		}
		for _, other := range env[:i] {
			if strings.HasPrefix(other, e[:end]) {
				return true
			}
		}
	}
	return false
}
