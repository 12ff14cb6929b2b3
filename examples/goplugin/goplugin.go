// Package goplugin runs the plugins of HashiCorp's go-plugin as pods: it is go-plugin's
// [runner.Runner] on podlaunch.
//
//	client := plugin.NewClient(&plugin.ClientConfig{
//		HandshakeConfig: handshake,
//		Plugins:         plugins,
//		RunnerFunc:      goplugin.Plugin{Cmd: exec.Command("./kv-plugin")}.Run,
//	})
//
// go-plugin's own runner is an exec.Cmd with two pipes. A plugin that runs as a pod
// differs in these points:
//
//   - A plugin that ends before its handshake is an error with its exit status, its last
//     lines and its pid ([launcher.Error], which errors.As finds in that of
//     Client.Start). All that it wrote by then is in the client's log.
//   - Client.Kill ends what the plugin has started, too, unless [launcher.Spec.KillMode] is
//     [launcher.KillFirst].
//   - With [launcher.WithParent] nothing of the plugin outlives this program, also if it
//     is killed with SIGKILL. Without it a plugin stays, and never gets SIGPIPE.
//   - A plugin with a name is found again by that name, also by another program
//     ([Plugin.Reattach]). No other process that has got its pid is ever taken for it.
//   - The plugin's sockets are in the pod's directory, and go with a private pod.
//
// # What go-plugin does not allow
//
// With a RunnerFunc, ClientConfig.Cmd must be nil. ClientConfig.SecureConfig checks the
// program of that Cmd, so it cannot be used: check the file before (SecureConfig.Check).
// Client.ReattachConfig has no Pid and no ReattachFunc: use [Plugin.Reattach].
package goplugin

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin/runner"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/readiness"
	"github.com/podlaunch/podlaunch/runtimedir"
)

// These are go-plugin's own variables (plugin.EnvUnixSocketDir and EnvUnixSocketGroup).
// They tell the plugin where to make its sockets, and for which group.
const (
	socketDirVariable   = "PLUGIN_UNIX_SOCKET_DIR"
	socketGroupVariable = "PLUGIN_UNIX_SOCKET_GROUP"
)

// A Plugin says which program a client of go-plugin gets, and how to launch it. Use does
// not change it; it may serve any number of clients.
type Plugin struct {
	// Cmd is the program, as [launcher.FromCmd] takes it. Required. It must not have
	// Stdout and Stderr, because go-plugin reads both. Its Env comes before the
	// environment that go-plugin makes. With a nil Stdin the plugin has this program's
	// standard input.
	Cmd *exec.Cmd

	// Launcher launches the plugin. Its Command must be nil. Its Dir may be nil: then a
	// plugin without a Name is private, with runtimedir.Temp{}. Its Ready, if it is set,
	// runs after the handshake: mind that a plugin with a multiplexed broker takes its
	// first connection for the client's. 0 as Timeout leaves the bound to go-plugin,
	// ClientConfig.StartTimeout. 0 as Grace means none, see [Runner.Kill].
	Launcher launcher.Launcher

	// Change changes the Spec before a launch: Name, Lifetime, StdinOpen, KillMode,
	// Grace. It must leave Stdout and Stderr nil. A nil Change changes nothing.
	Change func(*launcher.Spec)
}

// Run implements ClientConfig.RunnerFunc. It starts nothing: go-plugin calls Start.
func (p Plugin) Run(log hclog.Logger, cmd *exec.Cmd, tempDir string) (runner.Runner, error) {
	r, err := p.newRunner(log, cmd, tempDir)
	if err != nil {
		removeEmpty(tempDir)
		return nil, fmt.Errorf("goplugin.Plugin: %w", err)
	}
	return r, nil
}

// newRunner is Run.
func (p Plugin) newRunner(log hclog.Logger, cmd *exec.Cmd, tempDir string) (*Runner, error) {
	if p.Launcher.Command != nil {
		return nil, fmt.Errorf("%w: Launcher.Command is set, and the command is Cmd: leave it nil", launcher.ErrInvalidSpec)
	}
	cmd = p.merge(cmd)
	spec, command, err := launcher.FromCmd(cmd)
	if err != nil {
		return nil, err
	}
	if p.Change != nil {
		p.Change(&spec)
	}
	if spec.StdinOpen {
		spec.Stdin = nil // it is what go-plugin sets for every plugin
	}
	if spec.Stdout != nil || spec.Stderr != nil {
		return nil, fmt.Errorf("%w: Stdout or Stderr is set, and go-plugin reads both: use ClientConfig.Stderr and SyncStdout", launcher.ErrInvalidSpec)
	}
	r := &Runner{path: cmd.Path, log: log, tempDir: tempDir, said: newStream()}
	r.launcher = p.withDefaults()
	if p.Launcher.Dir == nil && spec.Name == "" {
		r.launcher.Dir = runtimedir.Temp{}
	}
	r.launcher.Command = inOwnDir{command}
	var ready readiness.Probe = handshake{r.said}
	if p.Launcher.Ready != nil {
		ready = readiness.Sequence{ready, p.Launcher.Ready}
	}
	r.launcher.Ready = ready
	spec.Stdout = r.said
	spec.Progress = r.early.add(spec.Progress)
	r.spec = spec
	return r, nil
}

// merge returns p.Cmd with the parts that go-plugin has put into cmd: the environment
// that the plugin needs, and a standard input. If p.Cmd is nil it returns cmd.
func (p Plugin) merge(cmd *exec.Cmd) *exec.Cmd {
	if p.Cmd == nil {
		return cmd
	}
	merged := *p.Cmd
	merged.Env = append(slices.Clone(p.Cmd.Env), cmd.Env...)
	if merged.Stdin == nil {
		merged.Stdin = cmd.Stdin
	}
	return &merged
}

// withDefaults returns p.Launcher with a plugin's defaults.
func (p Plugin) withDefaults() launcher.Launcher {
	l := p.Launcher
	l.Timeout = cmp.Or(l.Timeout, -1)
	l.Grace = cmp.Or(l.Grace, -1)
	return l
}

// Reattach finds a running plugin by its name. This program or another has launched it
// with that Name, set by [Plugin.Change]. Reattach returns the Addr and the ReattachFunc
// of a plugin.ReattachConfig. The caller has to know the Protocol:
//
//	addr, attach, err := p.Reattach(ctx, "kv")
//	…
//	config.Reattach = &plugin.ReattachConfig{Protocol: plugin.ProtocolGRPC, Addr: addr, ReattachFunc: attach}
//
// It needs the Dir of the Launcher, and no Cmd. The error wraps [io/fs.ErrNotExist] if
// there is no such plugin, and [launcher.ErrNotOurs] if another process answers at its
// address. The ReattachFunc returns the same errors.
func (p Plugin) Reattach(ctx context.Context, name string) (net.Addr, runner.ReattachFunc, error) {
	l := p.withDefaults()
	l.Timeout = p.Launcher.Timeout
	pod, err := attach(ctx, &l, name)
	if err != nil {
		return nil, nil, err
	}
	defer pod.Release()
	addr, err := addrOf(pod.Endpoint())
	if err != nil {
		return nil, nil, fmt.Errorf("reattach to plugin %s: %w", name, err)
	}
	return addr, func() (runner.AttachedRunner, error) {
		pod, err := attach(context.Background(), &l, name)
		if err != nil {
			return nil, err
		}
		if now, err := addrOf(pod.Endpoint()); err != nil || now.String() != addr.String() {
			pod.Release()
			return nil, fmt.Errorf("reattach to plugin %s: it was at %s, and another one has the name by now, at %s", name, addr, pod.Endpoint())
		}
		return &attached{pod: pod}, nil
	}, nil
}

// attach returns the pod of a name, if the pod itself answers.
func attach(ctx context.Context, l *launcher.Launcher, name string) (*launcher.Pod, error) {
	pod, err := l.Attach(ctx, name)
	if err != nil {
		return nil, err
	}
	if err := pod.Verify(ctx); err != nil {
		pod.Release()
		return nil, err
	}
	return pod, nil
}

// addrOf returns e as go-plugin takes it.
func addrOf(e readiness.Endpoint) (net.Addr, error) {
	switch e.Network {
	case "unix":
		return net.ResolveUnixAddr("unix", e.Address)
	case "tcp":
		return net.ResolveTCPAddr("tcp", e.Address)
	}
	return nil, fmt.Errorf("it is at %s, and a plugin is at unix or tcp", e)
}

// An inOwnDir makes the plugin create its sockets in the pod's directory, which is
// removed with the pod. go-plugin's own directory stays if the client does not end well.
type inOwnDir struct{ launcher.CommandResolver }

// ResolveCommand implements [launcher.CommandResolver].
func (d inOwnDir) ResolveCommand(ctx context.Context, req launcher.Request) (launcher.Command, error) {
	cmd, err := d.CommandResolver.ResolveCommand(ctx, req)
	if err != nil || forGroup(cmd.Env) {
		return cmd, err // a group cannot get into the pod's directory
	}
	if cmd.Env == nil {
		cmd.Env = os.Environ()
	}
	cmd.Env = append(slices.Clone(cmd.Env), socketDirVariable+"="+req.RuntimeDir)
	return cmd, nil
}

// forGroup reports whether the plugin's sockets are for a group.
func forGroup(env []string) bool {
	group := ""
	for _, v := range env {
		if value, ok := strings.CutPrefix(v, socketGroupVariable+"="); ok {
			group = value
		}
	}
	return group != ""
}

// removeEmpty removes the directory that go-plugin has made for a client's sockets, if
// nothing is in it: go-plugin leaves it behind when its Runner does not start.
func removeEmpty(dir string) {
	if dir != "" {
		os.Remove(dir)
	}
}
