//go:build linux

package ending_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/launcher/internal/osproc"
	"github.com/podlaunch/podlaunch/launcher/internal/podrig"
	"github.com/podlaunch/podlaunch/readiness"
)

func TestMain(m *testing.M) { podrig.Main(m) }

// A rig is what the tests launch their pods with.
type rig struct{ podrig.Rig }

func newRig(t *testing.T, steps ...string) *rig {
	t.Helper()
	return &rig{*podrig.New(t, steps...)}
}

// shell has a shell run script, in which "$0" "$@" is the fake pod with steps. $OUT is a
// directory.
func (r *rig) shell(script string, steps ...string) {
	pod := podrig.Script(steps...)
	r.L.Command = launcher.CommandResolverFunc(func(ctx context.Context, req launcher.Request) (launcher.Command, error) {
		cmd, err := pod.ResolveCommand(ctx, req)
		cmd.Args = append([]string{"-c", script, cmd.Path}, cmd.Args...)
		cmd.Path = "/bin/sh"
		if cmd.Env == nil {
			cmd.Env = os.Environ()
		}
		cmd.Env = append(cmd.Env, "OUT="+r.Base)
		return cmd, err
	})
}

// path is that of a file in $OUT.
func (r *rig) path(name string) string { return filepath.Join(r.Base, name) }

// written is a probe that waits for a line in a file in $OUT.
func (r *rig) written(name string) readiness.Probe {
	return readiness.File{Path: r.path(name), Match: regexp.MustCompile(`\n`)}
}

// await waits until there are n pids in $OUT/pids, and returns them.
func (r *rig) await(n int) (pids []int) {
	r.T.Helper()
	for end := time.Now().Add(podrig.Ample); time.Now().Before(end); time.Sleep(time.Millisecond) {
		text, _ := os.ReadFile(r.path("pids"))
		if words := strings.Fields(string(text)); len(words) >= n && strings.HasSuffix(string(text), "\n") {
			for _, word := range words {
				pid, err := strconv.Atoi(word)
				if err != nil {
					r.T.Fatal(err)
				}
				pids = append(pids, pid)
			}
			return pids
		}
	}
	r.T.Fatalf("there are not %d pids", n)
	return nil
}

// failWith has a launch fail once n pids are in the file.
func (r *rig) failWith(n int) {
	r.L.Ready = readiness.ProbeFunc(func(context.Context, readiness.Target) (readiness.Endpoint, error) {
		r.await(n)
		return readiness.Endpoint{}, errors.New("it is not to become ready")
	})
}

// lives reports whether a process has not ended.
func lives(pid int) bool {
	st, err := osproc.ReadStat(pid)
	return err == nil && !st.Dead()
}

// mustBeGone fails the test if one of pids lives.
func (r *rig) mustBeGone(pids []int) {
	r.T.Helper()
	for _, pid := range pids {
		if lives(pid) {
			r.T.Errorf("pid %d (%s) is still there", pid, osproc.CommandName(pid))
		}
	}
}
