package goplugin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin/runner"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/logsource"
)

// A Runner is one plugin, as [Plugin.Run] makes it.
type Runner struct {
	identity
	launcher launcher.Launcher
	spec     launcher.Spec
	path     string
	log      hclog.Logger
	tempDir  string  // go-plugin's, for the client's sockets
	said     *stream // the plugin's standard output
	early    lines   // what it wrote on its standard error before the handshake
	started  atomic.Bool

	pod    *launcher.Pod // nil before Start has returned, and if it has failed
	stderr io.ReadCloser
}

var _ runner.Runner = (*Runner)(nil)

// errStarted is for a second Start.
var errStarted = errors.New("a goplugin.Runner starts one plugin, and this one was started already")

// Start launches the plugin and returns once it has written its first line, the
// handshake. go-plugin judges that line. The error wraps a [*launcher.Error]; the plugin
// is gone then, and its output is in the log.
func (r *Runner) Start(ctx context.Context) error {
	if r.started.Swap(true) {
		return errStarted
	}
	pod, err := r.launcher.Launch(ctx, r.spec)
	if err == nil {
		r.stderr, err = pod.Follow(context.Background(), true)
		if err != nil {
			err = errors.Join(err, pod.Kill(context.Background()))
		}
	}
	if err != nil {
		return r.failed(err)
	}
	r.pod = pod
	r.early.drop()
	go func() { // ends once the plugin is gone, and its output was read; see Wait
		if err := pod.Drain(context.Background()); err != nil {
			r.log.Warn("not all of a plugin's standard output was read", "plugin", r.path, "error", err)
		}
		r.said.end()
	}()
	return nil
}

// failed returns err, the reason why the plugin does not run, with the plugin's output.
// It also cleans up for go-plugin: a client does not clean up after a runner without an
// ID.
func (r *Runner) failed(err error) error {
	r.said.Close()
	r.early.log(r.log.Named(filepath.Base(r.path)))
	removeEmpty(r.tempDir)
	if head := r.said.head(); head != "" {
		return fmt.Errorf("%w; its standard output began with %q", err, head[:min(len(head), 256)])
	}
	return err
}

// Diagnose describes a plugin whose first line was no handshake.
func (r *Runner) Diagnose(context.Context) string {
	if r.pod == nil {
		return ""
	}
	state := "it is running"
	now, cancel := context.WithCancel(context.Background())
	cancel()
	if exit, err := r.pod.Wait(now); err == nil {
		state = exit.String()
	}
	said := fmt.Sprintf("%s (pid %d): %s", r.path, r.pod.PID(), state)
	if last := r.lastLines(now); len(last) > 0 {
		said += "; its last lines: " + strings.Join(last, " | ")
	}
	return said
}

// lastLines returns the last lines of the plugin's standard error. The context done must
// be done.
func (r *Runner) lastLines(done context.Context) []string {
	log, err := r.pod.Follow(done, true)
	if err != nil {
		return nil
	}
	defer log.Close()
	var last []string
	for line, err := range logsource.Lines(log) {
		if err != nil {
			break
		}
		if last = append(last, strconv.QuoteToGraphic(string(line))); len(last) > 8 {
			last = last[1:]
		}
	}
	return last
}

// Stdout returns what the plugin writes on its standard output, from the first byte to
// the last.
func (r *Runner) Stdout() io.ReadCloser { return r.said }

// Stderr returns the same of its standard error. It is nil before Start has succeeded.
func (r *Runner) Stderr() io.ReadCloser { return r.stderr }

// Name returns the path of the program.
func (r *Runner) Name() string { return r.path }

// ID returns the plugin's pid; "" before Start has succeeded.
func (r *Runner) ID() string {
	if r.pod == nil {
		return ""
	}
	return idOf(r.pod)
}

// Wait waits until the plugin is gone and ends the processes that it has left behind, as
// [launcher.Spec.KillMode] says. If the exit status is not 0, the error is a
// [*launcher.ExitError]. go-plugin calls Wait when it no longer reads.
func (r *Runner) Wait(ctx context.Context) error {
	if r.pod == nil {
		return nil
	}
	err := wait(ctx, r.pod)
	if ctx.Err() == nil {
		r.said.Close()
		r.stderr.Close()
	}
	return err
}

// Kill ends the plugin and what belongs to it, with SIGKILL. go-plugin calls it when it
// has asked the plugin to end, and 2 s have passed. If [launcher.Spec.Grace], or that of
// the Launcher, is set, the plugin gets its stop signal first.
func (r *Runner) Kill(ctx context.Context) error {
	if r.pod == nil {
		return nil
	}
	return r.pod.Stop(ctx)
}

// An attached is a plugin that another client has launched.
type attached struct {
	identity
	pod *launcher.Pod
}

var _ runner.AttachedRunner = (*attached)(nil)

func (a *attached) Wait(ctx context.Context) error { return wait(ctx, a.pod) }
func (a *attached) Kill(ctx context.Context) error { return a.pod.Stop(ctx) }
func (a *attached) ID() string                     { return idOf(a.pod) }

// idOf returns what names pod for a person.
func idOf(pod *launcher.Pod) string {
	if pod.PID() == 0 { // it is elsewhere
		return pod.Name()
	}
	return strconv.Itoa(pod.PID())
}

// wait is Runner.Wait.
func wait(ctx context.Context, pod *launcher.Pod) error {
	exit, err := pod.Wait(ctx)
	if err != nil {
		return err
	}
	return errors.Join(exit.Err(), pod.Stop(ctx))
}

// An identity leaves addresses as they are: client and plugin are on one machine.
type identity struct{}

func (identity) PluginToHost(network, addr string) (string, string, error) { return network, addr, nil }
func (identity) HostToPlugin(network, addr string) (string, string, error) { return network, addr, nil }
