package launcher

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/podlaunch/podlaunch/launcher/internal/osproc"
)

// Launch starts the pod that spec describes and returns once it is ready. It
// fails with an [*Error], always; see there for the reasons. The process is forked in
// the goroutine that calls Launch, see [Local].
//
// ctx bounds the launch, and nothing after it. The same goes for
// [Launcher.Timeout]. A launch that ends without a pod ends the pod's
// processes with SIGKILL before Launch returns.
//
// If spec.Progress, or a strategy, panics, the pod is ended in the same way,
// and the panic goes on in the goroutine that called Launch. Exception: once the
// pod is recorded as ready others may have it, and it stays; that is so when a
// cleanup of the probe ([readiness.Setup.Cleanup]) or the Observer panics at the
// end.
func (l *Launcher) Launch(ctx context.Context, spec Spec) (*Pod, error) {
	return newLaunch(l, opLaunch, spec).launch(ctx)
}

// launch is Launch.
func (n *attempt) launch(ctx context.Context) (*Pod, error) {
	if n.Observer == nil {
		return n.run(ctx)
	}
	return n.observed(ctx)
}

// errPanicked is what Observer.End gets where Launch does not return.
var errPanicked = errors.New("a strategy or Spec.Progress panicked, and Launch goes on with that")

// observed is run, with the Observer told of it.
func (n *attempt) observed(ctx context.Context) (*Pod, error) {
	o, ctx := observe(ctx, n.Observer, LaunchInfo{Name: n.spec.Name, ID: n.id, Began: n.began}, n.log)
	defer o.stop(nil)
	n.observation = o
	returned := false
	defer func() {
		if !returned { // a strategy has panicked
			stage := stepTable[n.at.Load()].stage
			n.note(func(e *Error) { stage = cmp.Or(stage, e.Stage) }) // it is cleared by now
			e := n.failure(stage, errPanicked)
			o.end(EndInfo{Err: e, Took: e.Elapsed})
		}
	}()
	pod, err := n.run(ctx)
	returned = true
	o.end(EndInfo{Pod: pod, Err: err, Took: time.Since(n.began)})
	return pod, err
}

// run is launch without an Observer.
func (n *attempt) run(ctx context.Context) (pod *Pod, err error) {
	ctx, release := n.bound(ctx)
	defer release()
	if err := n.check(ctx); err != nil {
		return nil, n.logged(err)
	}
	defer func() {
		if v := recover(); v != nil {
			c := crashed(v)
			n.log.Error("a strategy or a callback panicked", "panic", c.value, "stack", string(c.stack))
			c.resume()
		}
	}()
	if pod, err = n.whole(ctx); err != nil {
		return nil, n.logged(err)
	}
	if n.spec.launched != nil {
		n.spec.launched(pod.PID(), pod.exited)
	}
	n.log.Info("pod is ready", "pid", pod.PID(), "endpoint", pod.Endpoint().String(), "took", time.Since(n.began))
	return pod, nil
}

// check refuses what cannot work, before anything is touched.
func (n *attempt) check(ctx context.Context) error {
	if !osproc.Supported {
		return n.failure(StageStart, fmt.Errorf("launch on this system: %w", errors.ErrUnsupported))
	}
	if err := n.checkName(); err != nil {
		return n.failure(StageDir, err)
	}
	if err := n.spec.validate(n.OverlayTransport); err != nil {
		return n.failure(StageResolve, err)
	}
	if local, ok := localOf(n.Starter); ok {
		if err := local.validate(); err != nil {
			return n.failure(StageStart, err)
		}
	}
	if err := n.checkLifetime(); err != nil {
		return n.failure(StageStart, err)
	}
	if ctx.Err() != nil {
		return n.failure(StageResolve, whyOver(ctx))
	}
	return nil
}

// checkName makes sure that the pod has a name, or is private.
func (n *attempt) checkName() error {
	if n.op != opLaunch { // Ensure
		if err := n.checkNamed(n.op); err != nil {
			return err
		}
	}
	name := n.spec.Name
	if n.private {
		name = ""
	}
	return n.checkPrivate(name)
}

// logged logs the error that the call returns.
func (n *attempt) logged(err error) error {
	e := err.(*Error)
	n.log.Error(n.op+" failed", "stage", string(e.Stage), "pid", e.PID, "took", e.Elapsed, "error", e.Error())
	return e
}

// whole is the line, and what undoes it if it fails or panics.
func (n *attempt) whole(ctx context.Context) (*Pod, error) {
	defer n.worker.leave()
	returned := false
	defer func() {
		if !returned { // a strategy has panicked, and that goes on
			n.fail(stepTable[n.at.Load()].stage)
			if _, left := n.made.undo(); left != nil {
				n.log.Error("not cleared", "error", left)
			}
		}
	}()
	pod, err := n.line(ctx)
	returned = true
	switch stuck, hangs := err.(stuckError); {
	case hangs:
		return nil, stuck.e
	case err != nil:
		return nil, n.failed(ctx, err)
	}
	return pod, nil
}

// line takes the steps of a launch: those up to the process, the process, the wait for
// readiness, and the record that it is ready. A watchdog watches what may hang; the
// process and the wait watch their own calls. line forks in this goroutine, on the thread
// of Launch's caller. That also saves a goroutine for each pod that is not ready yet.
func (n *attempt) line(ctx context.Context) (*Pod, error) {
	var p plan
	var s starting
	if _, err := n.watched(ctx, func() (*Pod, error) { return nil, n.begin(ctx, &p, &s) }); err != nil {
		return nil, err
	}
	pod, err := n.start(ctx, &p, &s)
	if err != nil {
		return nil, err
	}
	n.log.Debug("process started", "pid", pod.PID(), "path", p.cmd.Path, "dir", p.dir, "log", p.log.Path)
	return n.awaitReady(ctx, &p, pod)
}

// begin takes the steps before the process, each once, each with what those
// before it have made, and completes p. It begins that of the process, up to the fork, and
// makes s for start. What a step makes it adds to n.made.
//
// What can be refused is refused before anything is made: the command is
// resolved before the directory is there.
func (n *attempt) begin(ctx context.Context, p *plan, s *starting) (err error) {
	growStack(2)
	if p.workDir, err = runStep(n, stepWorkDir, n.spec.workDir); err != nil {
		return err
	}
	at, err := runStep(n, stepBase, func() (site, error) { return n.findSite(ctx) })
	if err != nil {
		return err
	}
	if p.cmd, err = runStep(n, stepCommand, func() (resolved, error) { return n.resolve(ctx, at) }); err != nil {
		return err
	}
	if p.name, err = runStep(n, stepClaim, func() (*claimed, error) { return n.claim(ctx, at) }); err != nil {
		return err
	}
	dir, err := runStep(n, stepDirectory, func() (podDir, error) { return n.makeDirectory(ctx, p.name) })
	if err != nil {
		return err
	}
	if p.dir = dir.path; p.dir != at.dir { // a Resolver that hashes names, for one
		at.dir = p.dir
		if p.cmd, err = runStep(n, stepCommand, func() (resolved, error) { return n.resolve(ctx, at) }); err != nil {
			return err
		}
	}
	if _, err = runStep(n, stepLog, func() (struct{}, error) { return struct{}{}, n.openOutput(ctx, dir, p) }); err != nil {
		return err
	}
	if p.probe, err = runStep(n, stepPrepare, func() (*prepared, error) { return n.prepareProbe(ctx, p.dir) }); err != nil {
		return err
	}
	if s.began, err = n.enter(stepProcess); err != nil {
		return err
	}
	if err = n.prepareStart(ctx, p, s); err != nil {
		n.leave(stepProcess, s.began, err)
	}
	return err
}
