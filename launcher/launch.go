package launcher

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/google/uuid"
	"github.com/hashicorp/go-hclog"

	"github.com/podlaunch/podlaunch/launcher/internal/ownership"
	"github.com/podlaunch/podlaunch/launcher/internal/unixproc"
	"github.com/podlaunch/podlaunch/logsource"
	"github.com/podlaunch/podlaunch/readiness"
	"github.com/podlaunch/podlaunch/runtimedir"
)

const (
	// patience is how long a strategy has, once the launch is over, to return
	// what it is still doing. After that it is left to itself, and named in
	// the error.
	patience = 400 * time.Millisecond

	// killPatience is how long the processes of a launch that failed may take
	// to go after SIGKILL. A process does not notice SIGKILL while it is in an
	// uninterruptible system call; any other is gone in a few milliseconds,
	// also on a machine that is very busy.
	killPatience = 2 * time.Second
)

// A launch is one call of Launch.
//
// Goroutines: prepare runs in one, for a strategy may hang in a system call
// that no context ends; run receives its outcome, or, having given up on it,
// lets undo clear it away when it comes. The Pod has one, the wait for the
// process's end. While the launch waits for readiness there are one for the
// probe, one for the tail, and one for Spec.Progress; await joins them all. So it
// does with those that leave the name to the pod, or give it back, unless the
// filesystem does not answer them. The one that closes the log of a pod that is ready
// ends by itself, before the Pod's.
type launch struct {
	Launcher     // with defaults
	defaultReady bool
	spec         Spec
	id           uuid.UUID
	began        time.Time
	log          hclog.Logger
	stage        atomic.Value // Stage; prepare moves it on
	deadline     *deadline    // nil: ctx alone bounds the launch
	observation  *observation // nil if there is no Observer
}

func newLaunch(l *Launcher, spec Spec) *launch {
	n := &launch{Launcher: l.withDefaults(), defaultReady: l.Ready == nil, spec: spec, id: uuid.New(), began: time.Now()}
	n.log = n.Logger.With("pod", spec.Name, "launch", n.id.String())
	n.stage.Store(StageResolve)
	return n
}

// run is Launch.
func (n *launch) run(ctx context.Context) (*Pod, error) {
	ctx, cancel := n.bound(ctx)
	defer cancel()
	if err := n.check(ctx); err != nil {
		return nil, n.fail(err)
	}
	preparing := spawn(func() (*started, error) { return n.prepare(ctx) })
	prepared, ok := within(ctx, patience, preparing)
	if !ok {
		go n.undo(preparing)
		return nil, n.fail(&Error{Stage: n.stage.Load().(Stage), Err: ended(ctx),
			Leftover: fmt.Errorf("the strategy of stage %q has not returned; what it still makes is cleared when it does", n.stage.Load())})
	}
	if prepared.crash != nil {
		n.log.Error("a strategy panicked", "panic", prepared.crash.value, "stack", string(prepared.crash.stack))
		prepared.crash.resume()
	}
	if prepared.err != nil {
		return nil, n.fail(prepared.err)
	}
	pod, err := n.await(ctx, prepared.value)
	if err != nil {
		return nil, n.fail(err)
	}
	n.log.Info("pod is ready", "pid", pod.PID(), "endpoint", pod.Endpoint().String(), "took", time.Since(n.began))
	return pod, nil
}

// bound is ctx with the Launcher's own deadline.
func (n *launch) bound(ctx context.Context) (_ context.Context, cancel func()) {
	if n.Timeout < 0 {
		return ctx, func() {}
	}
	ctx, n.deadline, cancel = newDeadline(ctx, n.Timeout, n.MaxTimeout)
	return ctx, cancel
}

// check refuses what cannot work, before anything is touched.
func (n *launch) check(ctx context.Context) error {
	if !unixproc.Supported {
		return &Error{Stage: StageStart, Err: fmt.Errorf("launch on this system: %w", errors.ErrUnsupported)}
	}
	if err := n.spec.validate(n.OverlayTransport); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return &Error{Stage: StageResolve, Err: ended(ctx)}
	}
	return nil
}

// fail completes err, which is an *Error but for what every failure has in
// common.
func (n *launch) fail(err error) error {
	e, ok := err.(*Error)
	if !ok {
		e = &Error{Stage: n.stage.Load().(Stage), Err: err}
	}
	e.Name = n.spec.Name
	e.Elapsed = time.Since(n.began)
	n.log.Error("launch failed", "stage", string(e.Stage), "pid", e.PID, "took", e.Elapsed, "error", e.Error())
	return e
}

// started is what prepare has made. log.Sink is closed already: the process has
// its own.
type started struct {
	workDir     string
	base        string   // of all runtime directories; "" while it is not known
	dir         string   // "" while it is not known
	root        *os.Root // dir, open; nil before it is claimed, and once the log is open
	command     Command
	resolvedFor string // the dir that command was resolved with
	overlayPath string // where the command says that the overlay is; "": in itself
	claim       *ownership.Claim
	record      ownership.Record
	log         *logsource.Log
	setup       readiness.Setup
	progress    *progress       // gets setup.Status
	probe       readiness.Probe // of this launch
	pod         *Pod
	settling    <-chan outcome[finalLog] // of settle, if that was given up on
	closed      bool                     // or about to be, by closeWithin or settle
}

// closeWithin is close, but does not wait for a filesystem that does not answer.
func (s *started) closeWithin() error {
	if s.closed {
		return nil
	}
	s.closed = true
	closing := spawn(func() (struct{}, error) {
		s.close()
		return struct{}{}, nil
	})
	if _, ok := receive(closing, patience); !ok {
		return errors.New("the files of the log are not closed yet: their filesystem does not answer")
	}
	return nil
}

// close frees what readiness needed and a running pod does not, and what a
// process that was not started did not take.
func (s *started) close() {
	s.closeSetup()
	s.closeLog()
}

// closeSetup is close but for the log.
func (s *started) closeSetup() {
	s.setup.CloseFiles()
	s.setup.Close()
	s.closeRoot()
}

// closeLog closes the log, as far as it is open.
func (s *started) closeLog() {
	if s.log == nil {
		return
	}
	if s.log.Sink != nil {
		s.log.Sink.Close() // again, if a process was started
	}
	if s.log.Close != nil {
		s.log.Close()
	}
}

// closeRoot closes the runtime directory, if it is open.
func (s *started) closeRoot() {
	if s.root != nil {
		s.root.Close()
		s.root = nil
	}
}

// undo waits for a prepare that was given up on, and clears away what it made.
func (n *launch) undo(preparing <-chan outcome[*started]) {
	o := <-preparing
	if o.value == nil {
		return
	}
	_, err := o.value.end()
	o.value.close()
	n.log.Warn("cleared away what a late start had made", "pid", o.value.pod.PID(), "error", err)
}

// prepare takes all steps up to a running process. If one fails, nothing of
// what came before it is left but directories and the log.
//
// What can be refused is refused before anything is made: where the runtime
// directory is known beforehand, the command is resolved before the directory
// is there, and again only if it turns out to be another one.
func (n *launch) prepare(ctx context.Context) (*started, error) {
	s := &started{}
	stage := StageStart
	returned := false
	defer func() {
		if !returned { // a strategy has panicked
			n.abandon(ctx, s, stage, nil)
		}
	}()
	for _, step := range []struct {
		stage Stage
		name  string // see StepInfo
		take  func(context.Context, *started) error
	}{
		{StageStart, "workdir", n.findWorkDir},
		{StageDir, "expect", n.expectDir},
		{StageResolve, "command", n.resolve},
		{StageDir, "make", n.makeDir},
		{StageResolve, "command", n.resolve},
		{StageOwn, "claim", n.own},
		{StageDir, "remake", n.remakeDir},
		{StageDir, "socket", n.clearSocket},
		{StageLog, "open", n.openLog},
		{StageReady, "prepare", n.prepareProbe},
		{StageStart, "process", n.start},
	} {
		stage = step.stage
		n.stage.Store(stage)
		began := time.Now()
		err := step.take(ctx, s)
		n.step(stage, step.name, began, err)
		if err != nil {
			returned = true
			return nil, n.abandon(ctx, s, stage, err)
		}
		if n.log.IsDebug() { // else its arguments are made for nothing
			n.log.Debug("step done", "stage", string(stage), "took", time.Since(began))
		}
	}
	n.log.Debug("process started", "pid", s.pod.PID(), "path", s.command.Path, "dir", s.dir, "log", s.log.Path)
	n.stage.Store(StageReady)
	returned = true
	return s, nil
}

// abandon clears away what s has come to before err, and says so.
func (n *launch) abandon(ctx context.Context, s *started, stage Stage, err error) *Error {
	switch {
	case ctx.Err() == nil || errors.Is(err, ErrHeld):
	case err == nil || errors.Is(err, context.Cause(ctx)) || errors.Is(err, ctx.Err()):
		err = ended(ctx)
	default: // what came of it, or what it was about to fail with anyway
		err = fmt.Errorf("%w; %w", ended(ctx), err)
	}
	e := &Error{Stage: stage, Command: redact(s.command, n.spec.Overlay), Err: err}
	if s.claim != nil {
		// From the start stage on somebody may have a copy of the pod lock.
		e.Notes, e.Leftover = s.release(stage == StageStart)
	}
	if s.log != nil {
		e.LogPath = s.log.Path
	}
	s.close()
	var running *ownership.RunningError
	if errors.As(err, &running) {
		r := running.Record
		e.PID, e.Endpoint, e.LogPath = r.PID, endpoint(r), r.Log
	}
	return e
}

func (n *launch) findWorkDir(_ context.Context, s *started) (err error) {
	s.workDir, err = n.spec.workDir()
	return err
}

// expectDir finds out where the runtime directory will be, if the resolver can
// tell that without making it.
func (n *launch) expectDir(ctx context.Context, s *started) error {
	baser, ok := n.Dir.(runtimedir.Baser)
	if !ok {
		return nil
	}
	base, err := baser.Base(ctx)
	if err != nil {
		return err
	}
	s.base, s.dir = base, filepath.Join(base, n.spec.Name)
	return n.checkSocket(s.dir)
}

func (n *launch) makeDir(ctx context.Context, s *started) error {
	dir, err := n.Dir.RuntimeDir(ctx, n.spec.Name)
	if err != nil {
		return err
	}
	if !filepath.IsAbs(dir) {
		return fmt.Errorf("the resolver returned the directory %q: it must be absolute", dir)
	}
	s.dir = dir
	return n.checkSocket(dir)
}

// remakeDir makes the directory again if a pod that has ended since has removed
// it. Now that the name is ours, none will. It opens the directory: what is still
// to be done in it is done in this one, whatever becomes of its name.
func (n *launch) remakeDir(ctx context.Context, s *started) (err error) {
	s.root, err = s.claim.OpenDir(s.dir)
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := n.makeDir(ctx, s); err != nil {
		return err
	}
	s.root, err = s.claim.OpenDir(s.dir)
	return err
}

// checkSocket makes sure that the default probe's socket can be bound.
func (n *launch) checkSocket(dir string) error {
	if !n.defaultReady {
		return nil
	}
	return runtimedir.CheckSocketPath(filepath.Join(dir, "sock"))
}

// resolve resolves the command, unless the directory is not known yet, or is
// still the one for which it was resolved.
func (n *launch) resolve(ctx context.Context, s *started) error {
	if s.dir == s.resolvedFor {
		return nil
	}
	path, err := n.overlayPath(ctx, s)
	if err != nil {
		return err
	}
	req := Request{Spec: n.spec, RuntimeDir: s.dir, OverlayPath: path}
	if path != "" {
		req.Spec.Overlay = "" // what a resolver does not know it puts into no argument
	}
	cmd, err := n.Command.ResolveCommand(ctx, req)
	if err != nil {
		return err
	}
	s.command, s.resolvedFor, s.overlayPath = cmd, s.dir, path
	if err := cmd.validate(); err != nil {
		return err
	}
	return checkOverlayPassed(cmd, path)
}

func (n *launch) openLog(ctx context.Context, s *started) error {
	defer s.closeRoot()
	log, err := n.Log.Open(ctx, logsource.Launch{Name: n.spec.Name, Dir: s.dir, Root: s.root, ID: n.id})
	switch {
	case err != nil:
		return err
	case log == nil:
		return errors.New("the log source returned neither a log nor an error")
	}
	s.log = log
	if log.Follow == nil {
		if log.Sink != nil {
			log.Sink.Close()
		}
		return errors.New("the log source returned a log that cannot be followed")
	}
	return nil
}

// start starts the process and closes the sink, whether it worked or not.
func (n *launch) start(ctx context.Context, s *started) error {
	defer s.setup.CloseFiles()
	if s.log.Sink != nil {
		defer s.log.Sink.Close()
	}
	if ctx.Err() != nil {
		return ended(ctx)
	}
	req := StartRequest{
		Name:       n.spec.Name,
		ID:         n.id,
		Command:    s.command,
		WorkDir:    s.workDir,
		RuntimeDir: s.dir,
		Stderr:     s.log.Sink,
		Files:      s.setup.Files,
		PIDEnv:     s.setup.PIDEnv,
	}
	req.Command.Env = podEnviron(s.command.Env, s.workDir, s.setup.Env)
	if n.spec.LogStdout {
		req.Stdout = s.log.Sink
	}
	overlay, err := n.placeOverlay(s)
	if err != nil {
		return err
	}
	if s.claim != nil {
		req.Files = make([]*os.File, lockDescriptor-firstFile+1)
		copy(req.Files, s.setup.Files)
		req.Files[lockDescriptor-firstFile] = s.claim.File()
	}
	if overlay != nil {
		defer overlay.Close()
		req.Files = append(req.Files, overlay) // it is overlayDescriptor
	}
	if err := n.recordAhead(s); err != nil {
		return err
	}
	proc, err := n.Starter.Start(ctx, req)
	switch {
	case err != nil:
		return err
	case proc == nil:
		return errors.New("the starter returned neither a process nor an error")
	}
	s.pod = newPod(n.podConfig(s), proc)
	if err := n.recordStart(s); err != nil {
		return errors.Join(err, s.pod.kill())
	}
	return nil
}

// socketPathError adds the sentinel of package runtimedir to what a probe says
// of a path that is too long; readiness does not know that package.
func socketPathError(err error) error {
	if errors.Is(err, syscall.ENAMETOOLONG) && !errors.Is(err, runtimedir.ErrSocketPathTooLong) {
		return fmt.Errorf("%w: %w", runtimedir.ErrSocketPathTooLong, err)
	}
	return err
}
