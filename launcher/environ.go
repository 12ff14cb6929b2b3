package launcher

import (
	"os"
	"slices"
	"strings"

	"github.com/podlaunch/podlaunch/launcher/internal/osproc"
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
	if env == nil && more == nil && !slices.ContainsFunc(os.Environ(), isManagers) {
		return nil
	}
	if env == nil {
		env = os.Environ()
		if workDir != "" {
			env = append(env, "PWD="+workDir) // as os/exec has it
		}
	} else {
		env = append(make([]string, 0, len(env)+len(more)), env...) // they are the caller's
	}
	return append(slices.DeleteFunc(env, isManagers), more...)
}

// isManagers reports whether e is what the caller's own service manager has told the
// caller.
func isManagers(e string) bool {
	name, value, _ := strings.Cut(e, "=")
	if !slices.Contains(managerVariables, name) {
		return false
	}
	own, set := os.LookupEnv(name)
	return set && own == value
}

// nameVariable is in the environment of each pod, with its name.
const nameVariable = "POD_NAME"

// callersVariables say who calls, and where from, and nothing of what is asked for. PWD
// is the launcher's own as well, see podEnviron; the shell has the other ones of the
// first line, and systemd gives each start of a service those of the second
// (systemd.exec(5)). A caller that is a pod has those of the third, and its pods have
// their own.
var callersVariables = []string{
	"PWD", "OLDPWD", "SHLVL", "_",
	"INVOCATION_ID", "JOURNAL_STREAM", "SYSTEMD_EXEC_PID",
	nameVariable, "POD_RUNTIME_DIR", launchVariable,
}

// askedEnviron returns what was asked for of the environment env of a pod: the last value of
// each variable, in the order of their names.
func askedEnviron(env []string) []string {
	env = slices.DeleteFunc(slices.Clone(env), func(e string) bool {
		name, _, _ := strings.Cut(e, "=")
		return slices.Contains(callersVariables, name) || isManagers(e)
	})
	env = osproc.Environ(env, "")
	slices.Sort(env)
	return env
}
