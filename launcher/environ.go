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

// callersVariables say who calls, and where from, and nothing of what is asked for. PWD
// is the launcher's own as well, see podEnviron; the shell has the other ones of the
// first line, and systemd gives each start of a service those of the second
// (systemd.exec(5)). A caller that is a pod has those of the third, and its pods have
// their own.
var callersVariables = []string{
	"PWD", "OLDPWD", "SHLVL", "_",
	"INVOCATION_ID", "JOURNAL_STREAM", "SYSTEMD_EXEC_PID",
	"POD_NAME", "POD_RUNTIME_DIR", launchVariable,
}

// askedEnviron returns what was asked for of the environment that a pod gets by env,
// which is nil for the caller's: the last value of each variable, in the order of their
// names.
func askedEnviron(env []string) []string {
	env = (&exec.Cmd{Env: podEnviron(env, "", nil)}).Environ()
	env = slices.DeleteFunc(env, func(e string) bool {
		name, _, _ := strings.Cut(e, "=")
		return slices.Contains(callersVariables, name)
	})
	slices.Sort(env)
	return env
}
