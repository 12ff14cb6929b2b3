//go:build linux

package onepod_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/launcher/internal/crashpoint"
	"github.com/podlaunch/podlaunch/launcher/internal/podrig"
	"github.com/podlaunch/podlaunch/runtimedir"
)

// privateOnce launches a private pod, and leaves it.
func privateOnce(l launcher.Launcher, _ role) error {
	l.Dir = runtimedir.Temp{}
	crashpoint.Begin()
	pod, err := l.Launch(context.Background(), launcher.Spec{})
	crashpoint.End()
	if err == nil {
		pod.Release()
	}
	return err
}

// Wherever the launcher of a private pod is killed, the next launch leaves alone what a
// pod uses that runs, and removes the rest: when the pod has gone, too, nothing is left.
// It is so whether there is a base already, or the launcher has to make it.
func TestPrivateCrashPoints(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped with -short: it kills a launcher at many points")
	}
	for name, steps := range map[string][]string{
		"lock": {"listen", "ready", "hang"},
		"mark": {"closefrom 20", "listen", "ready", "hang"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, podrig.Serve...)
			t.Setenv("XDG_RUNTIME_DIR", r.Base)
			r.L.Dir = runtimedir.Temp{}
			c := privateCrash{r, filepath.Join(r.Base, "podlaunch"), steps}
			total := c.try(0)
			count := podrig.Size(t, 0, 25, 200)
			for i := range count {
				c.try(1 + i*total/count)
			}
		})
	}
}

// A privateCrash kills launchers of private pods.
type privateCrash struct {
	*rig
	base  string // of Temp
	steps []string
}

// try kills a launcher at its nth point, or not at all if n is 0. It returns how many
// points there were.
func (c *privateCrash) try(n int) int {
	r := role{Play: "private", Base: c.Base, Pod: podrig.Pod, Steps: c.steps}
	result, err := crashpoint.Run(crashpoint.Program{
		Path:   os.Args[0],
		Env:    r.env(c.T),
		Stderr: os.Stderr,
		Count:  changes,
	}, n)
	if err == nil && !result.Killed && result.Status != 0 {
		err = fmt.Errorf("the launcher, which was not killed, has failed: %#x", result.Status)
	}
	live := c.live()
	err = errors.Join(err, c.launchAndStop())
	for dir := range live {
		if _, statErr := os.Stat(dir); statErr != nil {
			err = errors.Join(err, fmt.Errorf("a pod runs in a directory that is gone: %w", statErr))
		}
	}
	// A child that the launcher has forked may come to its exec only now.
	for end := time.Now().Add(podrig.Late); ; {
		for _, pids := range c.live() {
			for _, pid := range pids {
				c.kill(pid)
			}
		}
		err = errors.Join(err, c.launchAndStop())
		entries, dirErr := os.ReadDir(c.base)
		if errors.Is(dirErr, fs.ErrNotExist) {
			break
		}
		if err != nil || time.Now().After(end) {
			err = errors.Join(err, dirErr, fmt.Errorf("there is still %q", entries))
			break
		}
	}
	if err != nil {
		c.T.Errorf("launcher killed at point %d (%v): %v", n, result.At, err)
	}
	return result.Points
}

// live are the fake pods that run, by their directories.
func (c *privateCrash) live() map[string][]int {
	live := make(map[string][]int)
	entries, err := os.ReadDir(c.base)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		c.T.Error(err)
	}
	for _, e := range entries {
		dir := filepath.Join(c.base, e.Name())
		if pids := podrig.Alive(c.T, dir); len(pids) > 0 && !strings.HasPrefix(e.Name(), ".") {
			live[dir] = pids
		}
	}
	return live
}

// launchAndStop launches another private pod, and stops it.
func (c *privateCrash) launchAndStop() error {
	pod, err := c.L.Launch(c.T.Context(), launcher.Spec{})
	if err != nil {
		return fmt.Errorf("the next launch: %w", err)
	}
	return errors.Join(podrig.Answers(c.T.Context(), pod), pod.Stop(c.T.Context()))
}

// kill ends a fake pod, and waits until it has closed everything.
func (c *privateCrash) kill(pid int) {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		c.T.Error(err)
		return
	}
	defer unix.Close(fd)
	if err := unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0); err != nil {
		c.T.Error(err)
	}
	for {
		_, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, -1)
		if err != unix.EINTR {
			return
		}
	}
}
