package osproc_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/podlaunch/podlaunch/launcher/internal/crashpoint"
	"github.com/podlaunch/podlaunch/launcher/internal/osproc"
)

// A process is proven to be the right one after its pidfd was opened. The other way
// round its number may become another's in between, and the pidfd is that one's.
func TestPidfdComesBeforeTheProof(t *testing.T) {
	for _, role := range []string{"Kill", "KillGroup", "Adopt", "Start"} {
		var calls []string
		result, err := crashpoint.Run(crashpoint.Program{
			Path:   os.Args[0],
			Env:    append(os.Environ(), roleVariable+"="+role),
			Stderr: os.Stderr,
			Count: func(p crashpoint.Point) bool {
				if p.Where == "entry" {
					calls = append(calls, p.Call)
				}
				return true
			},
		}, 0)
		if err != nil || result.Status != 0 {
			t.Fatalf("%s: %v, %#x", role, err, result.Status)
		}
		opened, read := slices.Index(calls, "pidfd_open"), slices.Index(calls, "openat")
		if opened < 0 || read < 0 || opened > read {
			t.Errorf("%s: its calls are %q, want pidfd_open before the openat of /proc/PID/stat", role, calls)
		}
	}
}

// traced is a role: it calls what role names, about a child. Start reaps a child that
// was released and has ended.
func traced(role string) error {
	ctx := context.Background()
	if role == "Start" {
		p, err := osproc.Start(ctx, osproc.Command{Path: "/bin/true"})
		if err != nil {
			return err
		}
		p.Release()
		if err := unix.Waitid(unix.P_PID, p.PID(), nil, unix.WEXITED|unix.WNOWAIT, nil); err != nil {
			return err
		}
		crashpoint.Begin()
		_, err = osproc.Start(ctx, osproc.Command{Path: "/bin/true"})
		crashpoint.End()
		return err
	}
	c := exec.Command("/bin/sleep", "1000")
	if err := c.Start(); err != nil {
		return err
	}
	defer c.Wait()
	defer c.Process.Kill()
	id, err := osproc.Identify(c.Process.Pid)
	if err != nil {
		return err
	}
	crashpoint.Begin()
	switch role {
	case "Kill":
		err = osproc.Kill(id)
	case "KillGroup":
		err = osproc.KillGroup(id)
	case "Adopt":
		_, err = osproc.Adopt(id)
	default:
		err = fmt.Errorf("unknown role %q", role)
	}
	crashpoint.End()
	return err
}
