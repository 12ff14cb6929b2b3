//go:build linux

package onepod_test

import (
	"context"
	"testing"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/launcher/internal/podrig"
)

func TestMain(m *testing.M) { podrig.Main(m) }

// A rig is what most tests launch their pods with, and has the methods that
// only tests of this package need.
type rig struct{ podrig.Rig }

// newRig returns a rig whose pods follow steps.
func newRig(t *testing.T, steps ...string) *rig {
	t.Helper()
	return &rig{*podrig.New(t, steps...)}
}

// behind has a shell run a script, in which "$0" "$@" is what l has launched so far.
func behind(l *launcher.Launcher, script string) {
	pod := l.Command
	l.Command = launcher.CommandResolverFunc(func(ctx context.Context, req launcher.Request) (launcher.Command, error) {
		cmd, err := pod.ResolveCommand(ctx, req)
		cmd.Args = append([]string{"-c", script, cmd.Path}, cmd.Args...)
		cmd.Path = "/bin/sh"
		return cmd, err
	})
}
