package launcher

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/podlaunch/podlaunch/launcher/internal/osproc"
	"github.com/podlaunch/podlaunch/launcher/internal/ownership"
)

// start starts the process of s, which begin has prepared, and records it. If the process is
// a child of ours, start forks in this goroutine, on the thread of Launch's caller, as os/exec
// does. If the caller's goroutine is locked to a thread, the process gets that thread's
// namespaces, rights and filters. A watchdog watches what may hang in a filesystem after the
// fork, and a Starter that is not ours. start closes the log's Sink and the probe's files: a
// process that was started has its own.
func (n *attempt) start(ctx context.Context, p *plan, s *starting) (*Pod, error) {
	if s.local != nil {
		forked, err := s.local.Fork(ctx)
		s.process, s.err = asChild(forked, p.cgroup, err)
	}
	pod, err := n.watched(ctx, func() (*Pod, error) { return n.finishStart(ctx, p, s) })
	n.leave(stepProcess, s.began, err)
	return pod, err
}

// A starting is a process that is about to be started, and then how that went.
type starting struct {
	began   time.Time
	request StartRequest
	overlay *os.File         // nil, or what the process inherits
	stdin   *os.File         // nil, or what was made for Spec.StdinOpen
	local   *osproc.Starting // nil: a Starter starts it that is not ours
	intent  ownership.Intent
	digests func() *ownership.Digests // of what is started

	process Process
	err     error
}

// close frees what only the start needs, the memory too: a pod may take long to become
// ready. More than once is the same as once.
func (s *starting) close() {
	if s.local != nil {
		s.local.Close()
	}
	s.overlay.Close() // also of nil
	s.stdin.Close()
	s.local, s.request, s.intent, s.digests = nil, StartRequest{}, ownership.Intent{}, nil
}

// prepareStart makes s, and records that there will be a process.
func (n *attempt) prepareStart(ctx context.Context, p *plan, s *starting) (err error) {
	if ctx.Err() != nil {
		return whyOver(ctx)
	}
	n.made.add("what the start of its process needed is not closed", func() error { s.close(); return nil })
	s.request = n.request(p)
	if s.overlay, err = n.placeOverlay(p.name, p.cmd); err != nil {
		return err
	}
	if s.overlay != nil {
		s.request.Files = append(s.request.Files, s.overlay) // it is overlayDescriptor
	}
	if n.spec.StdinOpen {
		if s.stdin, err = osproc.Endless(); err != nil {
			return fmt.Errorf("make a standard input that stays open: %w", err)
		}
		s.request.Stdin = s.stdin
	}
	if local, ok := localOf(n.Starter); ok { // another may hang
		if p.cgroup, err = local.planCgroup(s.request); err != nil {
			return err
		}
		if s.local, err = local.prepare(s.request, p.cgroup); err != nil {
			return err
		}
	}
	if err := n.keepProcess(ctx, p.name, p.cgroup); err != nil {
		return err
	}
	s.digests, _ = n.digests(n.id, p.workDir, p.cmd)
	s.intent = n.intent(p)
	if s.local == nil { // it gets what they are of, and may change that
		s.intent.Digests = s.digests()
	}
	if err := p.name.Intend(s.intent); err != nil {
		return fmt.Errorf("record launch %v: %w", n.id, err)
	}
	p.name.forked = true
	if p.cgroup == nil {
		return nil
	}
	n.made.add("its cgroup is not removed", p.cgroup.Remove)
	if err := p.cgroup.Make(); err != nil {
		return fmt.Errorf("Local.Cgroup: %w", err)
	}
	return nil
}

// finishStart records the process of s.
func (n *attempt) finishStart(ctx context.Context, p *plan, s *starting) (*Pod, error) {
	defer s.close()
	defer p.probe.setup.CloseFiles()
	if p.log.Sink != nil {
		defer p.log.Sink.Close()
	}
	if p.stdout != nil && p.stdout.Sink != nil {
		defer p.stdout.Sink.Close()
	}
	switch {
	case s.local == nil:
		s.process, s.err = n.Starter.Start(ctx, s.request)
	case s.err != nil:
		s.err = s.local.Explain(s.err)
	}
	switch {
	case s.err != nil:
		return nil, s.err
	case s.process == nil:
		return nil, errors.New("the starter returned neither a process nor an error")
	}
	s.process = n.countMemory(p, s.process)
	if s.local != nil { // the program is being loaded meanwhile
		s.intent.Digests = s.digests()
	}
	config := n.podConfig(n.spec.Name, s.intent)
	config.base, config.heirs = p.name.Base(), p.name.Heirs()
	config.grace = cmp.Or(n.spec.Grace, n.Grace)
	pod := newPod(config, s.process)
	pod.streams, pod.forked = p.streams, s.local != nil
	p.streams.start(pod.watching)
	n.started = true
	n.note(func(e *Error) { e.PID = pod.PID() })
	p.name.lives.Store(true) // also if kill panics, or does not return
	n.made.addSlow(withGrace(n.AbortGrace, 2*killPatience), "its process may still be running", func() error {
		killed, err := pod.kill(n.AbortGrace)
		if len(killed) > 0 {
			n.note(func(e *Error) {
				e.Notes = append(e.Notes, fmt.Sprintf("processes %v had left its group, and were ended", killed))
			})
		}
		p.name.lives.Store(err != nil)
		return err
	})
	if err := p.name.recordStart(pod); err != nil {
		return pod, err
	}
	return pod, n.knowProcess(ctx, pod)
}

// countMemory returns process, which has just started, with what its memory is counted by.
// That is read here, while the process begins, and not before the fork: it takes as long as
// to look at a file in /proc. A kill before this is not told.
func (n *attempt) countMemory(p *plan, process Process) Process {
	c, ours := process.(child)
	local, ok := localOf(n.Starter)
	if !ours || !ok {
		return process
	}
	attr, _ := local.attrFor(p.cmd.Command) // it has been looked at
	c.memory = osproc.CountMemoryKills(p.cgroup != nil || osproc.NamesCgroup(attr))
	return c
}

// request returns the request for the Starter, without the overlay.
func (n *attempt) request(p *plan) StartRequest {
	req := StartRequest{
		Name:       n.spec.Name,
		ID:         n.id,
		Command:    p.cmd.Command,
		WorkDir:    p.workDir,
		RuntimeDir: p.dir,
		Stdin:      n.spec.Stdin,
		Stderr:     p.log.Sink,
		Files:      make([]*os.File, lockDescriptor-firstFile+1),
		PIDEnv:     p.probe.setup.PIDEnv,
	}
	req.Command.Env = podEnviron(p.cmd.Env, p.workDir, slices.Concat(p.probe.setup.Env, n.facts(p)))
	switch {
	case p.stdout != nil:
		req.Stdout = p.stdout.Sink
	case n.spec.LogStdout || n.spec.sameWriter():
		req.Stdout = p.log.Sink
	}
	copy(req.Files, p.probe.setup.Files)
	for i, f := range n.spec.Files { // they want other places, see checkApart
		if f != nil {
			req.Files[i] = f
		}
	}
	req.Files[lockDescriptor-firstFile] = p.name.File()
	return req
}

// facts are the variables by which a pod learns what it is. They come last, and so
// count before others of the same name: this program may be a pod itself.
func (n *attempt) facts(p *plan) []string {
	return []string{
		nameVariable + "=" + n.spec.Name,
		"POD_RUNTIME_DIR=" + p.dir,
		launchVariable + "=" + n.id.String(),
	}
}

// podConfig is what does not change in the life of the pod called name, which was
// launched by i.
func (n *attempt) podConfig(name string, i ownership.Intent) podConfig {
	return podConfig{
		name:    name,
		id:      i.Launch,
		dir:     i.Dir,
		logPath: i.Log,
		source:  n.Log,
		ready:   n.Ready,
		grace:   n.Grace,
		mode:    KillMode(i.KillMode),
		signal:  cmp.Or(syscall.Signal(i.StopSignal), syscall.SIGTERM),
		lasts:   Lifetime(i.Lifetime),
		log:     n.log,
		digests: i.Digests,
		asked:   askedOf(n.Launcher, name, i),
	}
}

// placeOverlay puts the overlay where cmd says. It returns the file that the pod
// has to inherit, if it is one; the caller closes it.
func (n *attempt) placeOverlay(name *claimed, cmd resolved) (*os.File, error) {
	if cmd.overlayPath == "" {
		n.warnOfSecret(cmd.Command)
		return nil, nil
	}
	if n.OverlayTransport == OverlayAsDescriptor {
		f, err := osproc.MemoryFile("overlay", n.spec.Overlay)
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
