package launcher

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"

	"github.com/podlaunch/podlaunch/launcher/internal/unixproc"
)

// start starts the process and records it. It closes the log's Sink and the
// probe's files, whether it worked or not: a process that was started has its own.
func (n *attempt) start(ctx context.Context, p *plan) (*Pod, error) {
	defer p.probe.setup.CloseFiles()
	if p.log.Sink != nil {
		defer p.log.Sink.Close()
	}
	if ctx.Err() != nil {
		return nil, whyOver(ctx)
	}
	req := n.request(p)
	overlay, err := n.placeOverlay(p.name, p.cmd)
	if err != nil {
		return nil, err
	}
	if overlay != nil {
		defer overlay.Close()
		req.Files = append(req.Files, overlay) // it is overlayDescriptor
	}
	if err := p.name.Intend(n.intent(p)); err != nil {
		return nil, fmt.Errorf("record launch %v: %w", n.id, err)
	}
	p.name.forked = true
	proc, err := n.Starter.Start(ctx, req)
	switch {
	case err != nil:
		return nil, err
	case proc == nil:
		return nil, errors.New("the starter returned neither a process nor an error")
	}
	pod := newPod(n.podConfig(n.spec.Name, p.dir, p.log.Path), proc)
	n.started = true
	n.note(func(e *Error) { e.PID = pod.PID() })
	p.name.lives.Store(true) // also if kill panics, or does not return
	n.made.addSlow(2*killPatience, "its process may still be running", func() error {
		err := pod.kill()
		p.name.lives.Store(err != nil)
		return err
	})
	return pod, p.name.recordStart(pod)
}

// request returns the request for the Starter, without the overlay.
func (n *attempt) request(p *plan) StartRequest {
	req := StartRequest{
		Name:       n.spec.Name,
		ID:         n.id,
		Command:    p.cmd.Command,
		WorkDir:    p.workDir,
		RuntimeDir: p.dir,
		Stderr:     p.log.Sink,
		Files:      make([]*os.File, lockDescriptor-firstFile+1),
		PIDEnv:     p.probe.setup.PIDEnv,
	}
	req.Command.Env = podEnviron(p.cmd.Env, p.workDir, slices.Concat(p.probe.setup.Env, n.facts(p)))
	if n.spec.LogStdout {
		req.Stdout = p.log.Sink
	}
	copy(req.Files, p.probe.setup.Files)
	req.Files[lockDescriptor-firstFile] = p.name.File()
	return req
}

// facts are the variables by which a pod learns what it is. They come last, and so
// count before others of the same name: this program may be a pod itself.
func (n *attempt) facts(p *plan) []string {
	return []string{
		"POD_NAME=" + n.spec.Name,
		"POD_RUNTIME_DIR=" + p.dir,
	}
}

// podConfig is what does not change in the life of the pod called name.
func (n *attempt) podConfig(name, dir, logPath string) podConfig {
	return podConfig{name: name, dir: dir, logPath: logPath, ready: n.Ready, grace: n.Grace, log: n.log}
}

// placeOverlay puts the overlay where cmd says. It returns the file that the pod
// has to inherit, if it is one; the caller closes it.
func (n *attempt) placeOverlay(name *claimed, cmd resolved) (*os.File, error) {
	if cmd.overlayPath == "" {
		n.warnOfSecret(cmd.Command)
		return nil, nil
	}
	if n.OverlayTransport == OverlayAsDescriptor {
		f, err := unixproc.MemoryFile("overlay", n.spec.Overlay)
		if !errors.Is(err, errors.ErrUnsupported) {
			return f, err
		}
	}
	f, err := name.WriteOverlay(n.spec.Overlay)
	if err != nil {
		return nil, err
	}
	if n.OverlayTransport == OverlayAsFile {
		return nil, f.Close()
	}
	if err := name.RemoveOverlay(); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// warnOfSecret warns of an overlay that everybody can read, and that looks as
// if it were not for everybody. Nothing of the overlay itself is logged.
func (n *attempt) warnOfSecret(cmd Command) {
	if n.spec.Overlay == "" || !n.log.IsWarn() {
		return
	}
	if !slices.ContainsFunc(cmd.Args, func(arg string) bool { return strings.Contains(arg, n.spec.Overlay) }) {
		return
	}
	if line, what := findSecret(n.spec.Overlay); what != "" {
		n.log.Warn("the overlay is an argument, which every user of the machine can read, and it looks as if it held a secret; set Launcher.OverlayTransport",
			"line", line, "looks-like", what)
	}
}

// managerVariables are what a service manager, systemd(1) or s6, tells the one
// process that it has started, and nobody that this starts in turn
// (sd_notify(3), sd_listen_fds(3), sd_watchdog_enabled(3)).
var managerVariables = []string{"NOTIFY_SOCKET", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "WATCHDOG_USEC", "WATCHDOG_PID"}

// podEnviron returns env, which is nil for the caller's, with more appended. What the caller's own service manager has told
// the caller is left out: a pod that found it would report to that manager. A
// variable that has another value was meant for the pod, and stays.
func podEnviron(env []string, workDir string, more []string) []string {
	inherited := func(e string) bool {
		name, value, _ := strings.Cut(e, "=")
		own, set := os.LookupEnv(name)
		return slices.Contains(managerVariables, name) && set && own == value
	}
	if env == nil {
		env = (&exec.Cmd{Dir: workDir}).Environ() // it sets PWD
	}
	return append(slices.DeleteFunc(slices.Clone(env), inherited), more...)
}
