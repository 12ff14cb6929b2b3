package launcher

import (
	"os"
	"os/exec"
	"slices"
	"strings"
)

// managerVariables are what a service manager, systemd(1) or s6, tells the one
// process that it has started, and nobody that this starts in turn
// (sd_notify(3), sd_listen_fds(3), sd_watchdog_enabled(3)).
var managerVariables = []string{"NOTIFY_SOCKET", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "WATCHDOG_USEC", "WATCHDOG_PID"}

// podEnviron returns env, which is nil for the caller's, with more appended; nil
// if it is just the caller's. What the caller's own service manager has told
// the caller is left out: a pod that found it would report to that manager. A
// variable that has another value was meant for the pod, and stays.
func podEnviron(env []string, workDir string, more []string) []string {
	inherited := func(e string) bool {
		name, value, _ := strings.Cut(e, "=")
		own, set := os.LookupEnv(name)
		return slices.Contains(managerVariables, name) && set && own == value
	}
	if env == nil && more == nil && !slices.ContainsFunc(os.Environ(), inherited) {
		return nil
	}
	if env == nil {
		env = (&exec.Cmd{Dir: workDir}).Environ() // it sets PWD
	}
	return append(slices.DeleteFunc(slices.Clone(env), inherited), more...)
}
