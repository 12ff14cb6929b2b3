package conformance_test

import (
	"os"
	"os/signal"
	"syscall"
)

// changesOfTheSystem are those that Linux shows.
func changesOfTheSystem() map[string]change {
	return map[string]change{
		"umask": {func() func() {
			was := syscall.Umask(0o017)
			return func() { syscall.Umask(was) }
		}, `Umask in /proc/self/status is "0017"`},
		"an ignored signal": {func() func() {
			signal.Ignore(syscall.SIGWINCH)
			return func() { signal.Reset(syscall.SIGWINCH) }
		}, "SigIgn in /proc/self/status is"},
		"a limit": {func() func() {
			var was syscall.Rlimit
			syscall.Getrlimit(syscall.RLIMIT_STACK, &was)
			syscall.Setrlimit(syscall.RLIMIT_STACK, &syscall.Rlimit{Cur: was.Cur - 4096, Max: was.Max})
			return func() { syscall.Setrlimit(syscall.RLIMIT_STACK, &was) }
		}, "Max stack size in /proc/self/limits is"},
		"oom_score_adj": {func() func() {
			const file = "/proc/self/oom_score_adj"
			was, _ := os.ReadFile(file)
			os.WriteFile(file, []byte("901"), 0)
			return func() { os.WriteFile(file, was, 0) }
		}, `/proc/self/oom_score_adj is "901"`},
	}
}
