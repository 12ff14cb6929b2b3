package launcher

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/podlaunch/podlaunch/readiness"
)

// prepareProbe puts in place what the probe needs before the process starts.
func (n *launch) prepareProbe(ctx context.Context, s *started) (err error) {
	s.setup.Name, s.setup.RuntimeDir = n.spec.Name, s.dir
	s.setup.Extend = func(d time.Duration) {
		if n.deadline != nil {
			n.deadline.extend(d)
		}
	}
	s.progress = &progress{call: n.spec.Progress}
	s.setup.Status = s.progress.status
	if s.probe, err = readiness.Prepare(ctx, n.Ready, &s.setup); err != nil {
		return fmt.Errorf("prepare %s: %w", readiness.Describe(n.Ready), socketPathError(err))
	}
	if len(s.setup.Files) > readiness.MaxFiles {
		return fmt.Errorf("the probe %s hands over %d files, the limit is %d", readiness.Describe(n.Ready), len(s.setup.Files), readiness.MaxFiles)
	}
	if err := checkStrings("readiness.Setup.Env", s.setup.Env); err != nil {
		return err
	}
	return checkVariables("readiness.Setup.PIDEnv", s.setup.PIDEnv)
}

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

// checkVariables makes sure that a shell can set each of names, the field
// called what.
func checkVariables(what string, names []string) error {
	for _, name := range names {
		letter := func(r rune) bool {
			return r == '_' || 'A' <= r && r <= 'Z' || 'a' <= r && r <= 'z'
		}
		if name == "" || !letter(rune(name[0])) || strings.ContainsFunc(name, func(r rune) bool { return !letter(r) && (r < '0' || r > '9') }) {
			return fmt.Errorf("%s: %q is not the name of a variable", what, name)
		}
	}
	return nil
}
