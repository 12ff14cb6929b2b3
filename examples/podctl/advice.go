package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/readiness"
	"github.com/podlaunch/podlaunch/runtimedir"
)

// An adviceRule says what a person can do about an error.
type adviceRule struct {
	about func(err error, e *launcher.Error) bool
	do    func(err error, e *launcher.Error) string
}

// adviceRules are tried in order; the first that is about an error counts. e is
// nil, or the error of a launch that is in err.
var adviceRules = []adviceRule{
	{is(context.Canceled), says("")},
	{is(launcher.ErrRunning), names("podctl stop %[1]s, and then again; or podctl restart %[1]s")},
	{isNoProgram, says("chmod +x that file, or see who may enter its directories")},
	{is(exec.ErrNotFound), findProgram},
	{is(readiness.ErrForeignPeer), says("find out who answers there, with ss -ltnp or podctl ls, and stop it, or give this program another address")},
	{isHeldByLauncher, names("podctl status %[1]s says whether it still is being launched; wait for it, or podctl stop %[1]s")},
	{is(launcher.ErrHeld), names("podctl stop %[1]s, and then again")},
	{is(readiness.ErrUnproven), says("look whose process that is, with ps -fp PID; the pid file may be another one, or old")},
	{is(launcher.ErrNotOurs), names("look at that process before anything else; podctl status %[1]s shows what was recorded")},
	{is(runtimedir.ErrInsecure), says("look who owns that directory; --runtime-dir D keeps pods elsewhere")},
	{is(runtimedir.ErrSocketPathTooLong), says("--runtime-dir D, with a D that is shorter")},
	{is(runtimedir.ErrUnavailable), says("--runtime-dir D says where to keep pods; see podctl help environment")},
	{saysAddressInUse, says("find out who has the address, with ss -ltnp or podctl ls, and stop it, or give this program another one")},
	{exitedWell, says("have it stay in the foreground; most daemons have an option for that; or say with --ready pidfile=PATH where it writes its pid")},
	{is(launcher.ErrExitedEarly), names("mend what it complains about; podctl logs %[1]s prints all that it said")},
	{isNotReady, names("if it needs longer, --timeout 1m; if --ready waits for the wrong thing, podctl help ready; podctl logs %[1]s prints all that it said")},
}

// advice is what to do about err; empty if nobody knows.
func advice(err error, e *launcher.Error) string {
	for _, r := range adviceRules {
		if r.about(err, e) {
			return r.do(err, e)
		}
	}
	return ""
}

func is(target error) func(error, *launcher.Error) bool {
	return func(err error, _ *launcher.Error) bool { return errors.Is(err, target) }
}

func says(text string) func(error, *launcher.Error) string {
	return func(error, *launcher.Error) string { return text }
}

// names is format with the pod's name in it.
func names(format string) func(error, *launcher.Error) string {
	return func(_ error, e *launcher.Error) string {
		if e == nil {
			return ""
		}
		return fmt.Sprintf(format, shown(e.Name))
	}
}

// isNoProgram is about a file that is there, and may not be executed.
func isNoProgram(err error, _ *launcher.Error) bool {
	return errors.Is(err, exec.ErrNotFound) && errors.Is(err, fs.ErrPermission)
}

func isHeldByLauncher(err error, e *launcher.Error) bool {
	return e != nil && e.Stage == launcher.StageOwn && errors.Is(err, launcher.ErrTimeout)
}

func exitedWell(err error, e *launcher.Error) bool {
	return errors.Is(err, launcher.ErrExitedEarly) && e != nil && e.Exit != nil && e.Exit.Success()
}

func isNotReady(err error, e *launcher.Error) bool {
	return e != nil && e.Stage == launcher.StageReady && errors.Is(err, launcher.ErrTimeout)
}

// addressInUse is what the system calls EADDRINUSE, and what programs make of it.
var addressInUse = regexp.MustCompile(`(?i)address (is )?already in use|EADDRINUSE|port \d+ is (already )?in use`)

func saysAddressInUse(_ error, e *launcher.Error) bool {
	if e == nil {
		return false
	}
	for _, line := range saidLines(e) {
		if addressInUse.MatchString(line) {
			return true
		}
	}
	return false
}

// findProgram names the place off PATH where distributions put daemons, if the
// program is there.
func findProgram(err error, _ *launcher.Error) string {
	var missing *launcher.NotFoundError
	if errors.As(err, &missing) && filepath.Base(missing.Program) == missing.Program {
		places := []string{"/usr/local/sbin", "/usr/sbin", "/sbin"}
		if more, err := filepath.Glob("/usr/lib/postgresql/*/bin"); err == nil {
			places = append(places, more...)
		}
		for _, dir := range places {
			path := filepath.Join(dir, missing.Program)
			if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
				return "it is not on PATH, and it is here: " + path
			}
		}
	}
	return "install it, or give the path of it after --"
}
