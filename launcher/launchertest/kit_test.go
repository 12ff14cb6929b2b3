//go:build unix

package launchertest_test

import (
	"context"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/uuid"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/launcher/launchertest"
)

// nowhere is the path of no program.
const nowhere = "/nowhere/no-such-program"

// Every command resolver of package launcher keeps the contract.
func TestResolvers(t *testing.T) {
	for name, c := range map[string]launchertest.CommandCase{
		"PodCommand":             {Resolver: launcher.PodCommand{Program: "sh"}, Missing: launcher.PodCommand{Program: "no-such-program"}},
		"PodCommand with a path": {Resolver: launcher.PodCommand{Program: "/bin/sh", Args: []string{"serve"}}, Missing: launcher.PodCommand{Program: nowhere}},
		"Path":                   {Resolver: launcher.Path("/bin/sh"), Missing: launcher.Path(nowhere)},
		"Self":                   {Resolver: launcher.Self{Args: []string{"pod"}}},
		"FromCmd":                {Resolver: fromCmd("sh", "-c", "exit"), Missing: fromCmd(nowhere)},
		"Exec":                   {Resolver: launcher.Exec("sh", "-c", "exit"), Missing: launcher.Exec("no-such-program")},
		"First": {
			Resolver: launcher.First{launcher.Path(nowhere), launcher.Exec("sh")},
			Missing:  launcher.First{launcher.Path(nowhere), launcher.Exec("no-such-program")},
		},
		"arguments last": {Resolver: launcher.CommandResolverFunc(argumentsLast)},
		"session as hex": {Resolver: launcher.CommandResolverFunc(sessionAsHex)},
		"variables":      {Resolver: launcher.CommandResolverFunc(byVariables)},
		"First of pods":  {Resolver: launcher.First{launcher.Path(nowhere), launcher.PodCommand{Program: "sh"}}},
	} {
		t.Run(name, func(t *testing.T) {
			launchertest.TestCommandResolver(t, func(*testing.T) launchertest.CommandCase { return c })
		})
	}
}

// fromCmd is the resolver of an exec.Cmd, whose program need not be there.
func fromCmd(program string, args ...string) launcher.CommandResolver {
	_, command, err := launcher.FromCmd(exec.Command(program, args...))
	if err != nil {
		panic(err)
	}
	return command
}

// argumentsLast refuses what its program does not know, and has arguments of its own.
func argumentsLast(_ context.Context, req launcher.Request) (launcher.Command, error) {
	if req.Spec.Overlay != "" || req.OverlayPath != "" || req.Spec.Session != uuid.Nil {
		return launcher.Command{}, fmt.Errorf("%w: the program takes neither an overlay nor a session", launcher.ErrInvalidSpec)
	}
	return launcher.Command{
		Path: "/bin/sh",
		Args: slices.Concat([]string{"serve", "--dir", req.RuntimeDir, ""}, req.Spec.Args),
		Env:  slices.Clone(req.Spec.Env),
	}, nil
}

// sessionAsHex passes the session without dashes.
func sessionAsHex(ctx context.Context, req launcher.Request) (launcher.Command, error) {
	session := req.Spec.Session
	req.Spec.Session = uuid.Nil
	cmd, err := launcher.Path("/bin/sh").ResolveCommand(ctx, req)
	if session != uuid.Nil {
		cmd.Args = slices.Concat([]string{"--resume=" + hex.EncodeToString(session[:])}, cmd.Args)
	}
	return cmd, err
}

// byVariables passes everything but the arguments in variables, and leaves it to env(1)
// to find the program.
func byVariables(_ context.Context, req launcher.Request) (launcher.Command, error) {
	env := req.Spec.Env
	if env == nil {
		env = os.Environ()
	}
	return launcher.Command{
		Path: "/usr/bin/env",
		Args: slices.Concat([]string{"-S", "sh -c"}, req.Spec.Args),
		Env: slices.Concat(env, []string{
			"POD_OVERLAY=" + req.Spec.Overlay,
			"POD_OVERLAY_FILE=" + req.OverlayPath,
			"POD_SESSION=" + req.Spec.Session.String(),
		}),
	}, nil
}

// A program that the variable names is resolved like any other.
func TestPodCommandFromEnvironment(t *testing.T) {
	program := filepath.Join(t.TempDir(), "pod")
	if err := os.WriteFile(program, nil, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("LAUNCHERTEST_COMMAND", program)
	t.Setenv("LAUNCHERTEST_MISSING", nowhere)
	launchertest.TestCommandResolver(t, func(*testing.T) launchertest.CommandCase {
		return launchertest.CommandCase{
			Resolver: launcher.PodCommand{Env: "LAUNCHERTEST_COMMAND"},
			Missing:  launcher.PodCommand{Env: "LAUNCHERTEST_MISSING"},
		}
	})
}

// The default Starter keeps the contract.
func TestLocal(t *testing.T) {
	launchertest.TestStarter(t, func(*testing.T) launchertest.StarterCase {
		return launchertest.StarterCase{Starter: launcher.Local{}}
	})
}

// A nice Starter puts a program in front of the pod's.
type nice struct{ launcher.Local }

func (n nice) Start(ctx context.Context, req launcher.StartRequest) (launcher.Process, error) {
	req.Command.Args = slices.Concat([]string{"-n", "5", req.Command.Path}, req.Command.Args)
	req.Command.Path = "/usr/bin/nice"
	return n.Local.Start(ctx, req)
}

// A Starter keeps the contract that starts another program, which becomes the pod's.
func TestNice(t *testing.T) {
	launchertest.TestStarter(t, func(*testing.T) launchertest.StarterCase {
		return launchertest.StarterCase{Starter: nice{}, Lacks: launchertest.StartErrors}
	})
}

// The Starter whose processes live in memory keeps the rules that apply to it.
func TestInMemory(t *testing.T) {
	launchertest.TestStarter(t, func(*testing.T) launchertest.StarterCase {
		return launchertest.StarterCase{Starter: new(launchertest.Starter), Lacks: launchertest.Programs}
	})
}
