package launchertest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/launcher/internal/fakepod"
)

// FakePodFailed is the exit code of a fake pod that could not take a step of its
// script.
const FakePodFailed = fakepod.Failed

// role is the first argument of a test binary that is a fake pod.
const role = "podlaunch-fake-pod"

// ready is set once this program is known to play a pod when it is asked to.
var ready atomic.Bool

// Main is a TestMain for packages that use [FakePod] and need no other: it calls
// [PlayPod], runs the tests, and exits.
func Main(m *testing.M) {
	PlayPod()
	os.Exit(m.Run())
}

// PlayPod plays the pod, and does not return, if this process was launched to
// be one by [FakePod]. Otherwise it returns at once. It has to be called in
// every program that launches fake pods, first thing in TestMain or main, before
// the flags are parsed.
func PlayPod() {
	if len(os.Args) > 1 && os.Args[1] == role {
		fakepod.Play(os.Args[:2], os.Args[2:])
	}
	ready.Store(true)
}

// FakePod resolves to a pod that takes steps, which the package documentation
// lists. This program plays the pod. After the script the pod gets the arguments
// that every pod gets ([launcher.PodCommand]), and ignores them. Its environment is
// that of Spec.Env, or of the caller, except GORACE: the race detector would keep a
// pod for a second after its end.
//
// The launch fails if the program does not call [PlayPod], or if a step is unknown.
func FakePod(steps ...string) launcher.CommandResolver { return fakePod(slices.Clone(steps)) }

type fakePod []string

func (f fakePod) ResolveCommand(ctx context.Context, req launcher.Request) (launcher.Command, error) {
	if !ready.Load() {
		return launcher.Command{}, errors.New("launchertest.FakePod: this program would not play the pod, but run its tests again: let TestMain call launchertest.Main, or launchertest.PlayPod first")
	}
	if err := fakepod.Check(f); err != nil {
		return launcher.Command{}, fmt.Errorf("launchertest.FakePod: %w", err)
	}
	self := launcher.Self{Args: append([]string{role}, fakepod.Args(req.Spec.Name, req.RuntimeDir, f, nil)...)}
	c, err := self.ResolveCommand(ctx, req)
	c.Env = withoutLinger(c.Env)
	return c, err
}

// withoutLinger returns env with a setting that stops the race detector, if it is in this
// program, from keeping the pod after its end. A nil env means the caller's.
func withoutLinger(env []string) []string {
	if env == nil {
		env = os.Environ()
	}
	const variable = "GORACE="
	value := "atexit_sleep_ms=0"
	env = slices.DeleteFunc(slices.Clone(env), func(e string) bool {
		set, found := strings.CutPrefix(e, variable)
		if found {
			value = set + " " + value // of two, the later one counts
		}
		return found
	})
	return append(env, variable+value)
}
