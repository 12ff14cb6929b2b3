package launcher

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/podlaunch/podlaunch/launcher/internal/unixproc"
	"github.com/podlaunch/podlaunch/logsource"
	"github.com/podlaunch/podlaunch/readiness"
)

// A Pod is a program that was launched and became ready. It goes on running
// whatever becomes of the Pod, of the context it was launched with, and of this
// program. Its methods may be called from any number of goroutines.
//
// One goroutine and one descriptor belong to a Pod until the process ends or
// [Pod.Release] is called.
type Pod struct {
	podConfig
	endpoint readiness.Endpoint
	logFile  os.FileInfo     // what logPath led to when the pod was ready; nil if nothing
	closing  <-chan struct{} // closed when what the launch has read the log by is; nil if nothing is
	proc     Process

	// follow, the Pod's goroutine, closes these in this order; the launch
	// closes settled, once, when it has decided about the pod.
	exited  chan struct{} // the process has ended, and exit or waitErr is set
	settled chan struct{} // nobody of the launch will signal the process any more
	done    chan struct{} // it is reaped, and reapErr is set
	ended   chan struct{} // the goroutine has ended: after done, or by Release

	exit             Exit
	waitErr, reapErr error
	forget           context.CancelFunc // ends the goroutine's wait

	mu       sync.Mutex
	stopping bool      // SIGTERM was sent, or SIGKILL
	killAt   time.Time // when SIGKILL is due, if stopping
}

// newPod returns the Pod of a process, with what config says of it. The caller
// has to call keep or kill.
func newPod(config podConfig, proc Process) *Pod {
	p := &Pod{
		podConfig: config,
		proc:      proc,
		exited:    make(chan struct{}),
		settled:   make(chan struct{}),
		done:      make(chan struct{}),
		ended:     make(chan struct{}),
	}
	var ctx context.Context
	ctx, p.forget = context.WithCancel(context.Background())
	go p.follow(ctx)
	return p
}

// A podConfig is what does not change in a Pod's life.
type podConfig struct {
	name    string
	dir     string
	logPath string
	ready   readiness.Probe // knows who may answer
	grace   time.Duration
	log     hclog.Logger
}

func (n *launch) podConfig(s *started) podConfig {
	return podConfig{name: n.spec.Name, dir: s.dir, logPath: s.log.Path, ready: n.Ready, grace: n.Grace, log: n.log}
}

// follow is the Pod's goroutine: it waits for the process to end, clears away
// what is left of it, and tells everybody.
func (p *Pod) follow(ctx context.Context) {
	defer close(p.ended)
	defer p.forget()
	p.exit, p.waitErr = p.proc.Wait(ctx)
	if p.waitErr != nil && ctx.Err() != nil {
		if r, ok := p.proc.(Releaser); ok {
			r.Release()
		}
		return
	}
	close(p.exited)
	<-p.settled
	bound, cancel := context.WithTimeout(context.Background(), killPatience)
	defer cancel()
	if p.isStopping() {
		// Who outlives the leader of a pod that is being stopped has had its
		// SIGTERM. The leader is not reaped yet, so its group's number is safe.
		if err := p.proc.Signal(bound, syscall.SIGKILL); err != nil && !errors.Is(err, os.ErrProcessDone) {
			p.reapErr = err
		}
	}
	if r, ok := p.proc.(Reaper); ok {
		p.reapErr = errors.Join(p.reapErr, r.Reap(bound))
	}
	if p.closing != nil {
		// It was over long ago, unless the filesystem does not answer. Who waits for
		// the end may want to unmount it.
		receive(p.closing, patience)
	}
	p.log.Debug("process is gone", "pid", p.PID(), "exit", p.exit.String())
	close(p.done)
}

// keep makes p a pod that is ready at e, and whose log is logFile; nil if it has
// none here. Until closing is closed, the launch still has the log open.
func (p *Pod) keep(e readiness.Endpoint, logFile os.FileInfo, closing <-chan struct{}) {
	p.endpoint, p.logFile, p.closing = e, logFile, closing
	close(p.settled)
}

// kill ends the whole group of a pod that did not become ready. Its error says
// what could not be ended.
func (p *Pod) kill() error {
	p.mu.Lock()
	p.stopping, p.killAt = true, time.Now()
	p.mu.Unlock()
	bound, cancel := context.WithTimeout(context.Background(), killPatience)
	defer cancel()
	err := p.signal(bound, syscall.SIGKILL)
	close(p.settled)
	wait := killPatience
	if err != nil {
		wait = patience // it was not told to go, but may be going
	}
	if _, gone := receive(p.done, wait); gone {
		return p.reapErr
	}
	if err == nil {
		err = fmt.Errorf("it has not gone within %v of SIGKILL", killPatience)
	}
	if p.PID() == 0 {
		return fmt.Errorf("its process may still be running: %w", err)
	}
	return fmt.Errorf("process %d may still be running: %w", p.PID(), err)
}

func (p *Pod) isStopping() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stopping
}

// hasExited looks whether the process has ended by now, and waits until the
// Pod knows it if so.
func (p *Pod) hasExited() bool {
	select {
	case <-p.exited:
		return true
	default:
	}
	now, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := p.proc.Wait(now); err != nil {
		return false
	}
	<-p.exited
	return true
}

// Name returns the pod's name.
func (p *Pod) Name() string { return p.name }

// PID returns the id of the pod's process, or 0 if it has none on this
// machine.
func (p *Pod) PID() int { return p.proc.PID() }

// Endpoint returns where the pod can be reached.
func (p *Pod) Endpoint() readiness.Endpoint { return p.endpoint }

// RuntimeDir returns the pod's runtime directory. The pod may have removed it.
func (p *Pod) RuntimeDir() string { return p.dir }

// LogPath returns where the pod's log is; empty if it is nowhere.
func (p *Pod) LogPath() string { return p.logPath }

// Dial connects to the pod's endpoint. Closing the connection is the caller's.
//
// If a process of another user serves a unix socket there by now, who may not by
// the launcher's probe ([readiness.CheckConn]), Dial fails with [ErrNotOurs].
// A process of our own user may be the pod, or not: [Launcher.Attach] asks.
func (p *Pod) Dial(ctx context.Context) (net.Conn, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, p.endpoint.Network, p.endpoint.Address)
	if err != nil {
		return nil, fmt.Errorf("dial pod %s: %w", printable(p.name, 256), err)
	}
	target := readiness.Target{Name: p.name, RuntimeDir: p.dir, PID: p.PID(), Endpoint: p.endpoint}
	if err := readiness.CheckConn(p.ready, conn, target); err != nil {
		conn.Close()
		return nil, fmt.Errorf("dial pod %s: %w: %w", printable(p.name, 256), ErrNotOurs, err)
	}
	return conn, nil
}

// Follow reads the pod's log, from its first byte, or else from now on. Read
// blocks until there is more. When the process is gone and all that it wrote was
// read, it returns [io.EOF]; once ctx is done, context.Cause(ctx), after what
// was written by then. The caller closes the reader.
//
// The log is opened by its path, so one that the pod has deleted or moved, or
// that a later pod of the name has displaced, cannot be followed any more
// ([fs.ErrNotExist]); a reader that is open goes on with the file that it has.
// What outlives the pod's process and goes on writing is not waited for.
func (p *Pod) Follow(ctx context.Context, fromStart bool) (io.ReadCloser, error) {
	if p.logPath == "" {
		return nil, fmt.Errorf("follow the log of pod %s: it has none here: %w", printable(p.name, 256), errors.ErrUnsupported)
	}
	ctx, end := context.WithCancelCause(ctx)
	r, err := p.follower(ctx, fromStart)
	if err != nil {
		end(nil)
		return nil, fmt.Errorf("follow the log of pod %s: %w", printable(p.name, 256), err)
	}
	go func() {
		// Ends with the process, or when the reader is closed or its ctx done.
		select {
		case <-p.done:
			end(io.EOF)
		case <-ctx.Done():
		}
	}()
	return &podLog{r, end}, nil
}

// follower opens the log, and makes sure that it is this pod's: a later pod of
// the name has another one at the same path.
func (p *Pod) follower(ctx context.Context, fromStart bool) (io.ReadCloser, error) {
	fi, err := os.Stat(p.logPath)
	if err == nil && p.logFile != nil && !os.SameFile(fi, p.logFile) {
		err = &fs.PathError{Op: "follow", Path: p.logPath, Err: fmt.Errorf("it is another pod's log by now: %w", fs.ErrNotExist)}
	}
	if err != nil {
		return nil, err
	}
	return logsource.Follow(ctx, p.logPath, fromStart)
}

// A podLog is a reader that ends its context when it is closed.
type podLog struct {
	io.ReadCloser
	end context.CancelCauseFunc
}

func (l *podLog) Close() error {
	defer l.end(fs.ErrClosed)
	return l.ReadCloser.Close()
}

// Done returns a channel that is closed when the process is gone: it has ended
// and is reaped. After [Pod.Release] it stays open.
func (p *Pod) Done() <-chan struct{} { return p.done }

// errReleased is what a released Pod answers.
var errReleased = errors.New("the pod was released, and is not watched any more")

// Wait waits until the process is gone and returns how it ended, at every
// call. The error is not about the pod: it says that the waiting failed, and
// wraps context.Cause(ctx) if that is why. A pod that was released cannot be
// waited for.
func (p *Pod) Wait(ctx context.Context) (Exit, error) {
	select {
	case <-p.ended:
	case <-ctx.Done():
		select {
		case <-p.ended: // it is gone, and that is worth more
		default:
			return Exit{}, fmt.Errorf("wait for pod %s: %w", printable(p.name, 256), context.Cause(ctx))
		}
	}
	select {
	case <-p.done:
	default:
		return Exit{}, fmt.Errorf("wait for pod %s: %w", printable(p.name, 256), errReleased)
	}
	if p.waitErr != nil {
		return Exit{}, fmt.Errorf("wait for pod %s: %w", printable(p.name, 256), p.waitErr)
	}
	return p.exit, nil
}

// Stop ends the pod and returns nil when it is gone, or if it is gone already.
//
// The pod's whole group gets SIGTERM (and SIGCONT, for a stopped process would
// not notice). If the process is still there after [Launcher.Grace], the group
// gets SIGKILL; what is left of it when the process ends gets SIGKILL then.
// Stop may be called any number of times and from anywhere: there is one
// SIGTERM and one grace.
//
// Once ctx is done Stop returns an error wrapping context.Cause(ctx). The pod
// has been sent what it was due by then, and nothing more follows until
// somebody calls Stop again. An error that wraps something else says why the
// pod could not be signalled, or what is left of it.
func (p *Pod) Stop(ctx context.Context) error {
	err := p.stop(ctx)
	if err != nil {
		who := printable(p.name, 256)
		if p.PID() != 0 {
			who += fmt.Sprintf(" (pid %d)", p.PID())
		}
		return fmt.Errorf("stop pod %s: %w", who, err)
	}
	return nil
}

func (p *Pod) stop(ctx context.Context) error {
	killAt, err := p.terminate(ctx)
	if err != nil {
		return err
	}
	grace := time.NewTimer(time.Until(killAt))
	defer grace.Stop()
	select {
	case <-p.ended:
		return p.stopped()
	case <-ctx.Done():
		return fmt.Errorf("it was sent SIGTERM and is still there: %w", context.Cause(ctx))
	case <-grace.C:
	}
	if err := p.signal(ctx, syscall.SIGKILL); err != nil {
		return err
	}
	select {
	case <-p.ended:
		return p.stopped()
	case <-ctx.Done():
		return fmt.Errorf("it was sent SIGKILL and is still there: %w", context.Cause(ctx))
	}
}

// stopped is what stop returns once the goroutine has ended.
func (p *Pod) stopped() error {
	select {
	case <-p.done:
		return p.reapErr
	default:
		return errReleased
	}
}

// terminate sends SIGTERM, the first time it is called, and returns when
// SIGKILL is due.
func (p *Pod) terminate(ctx context.Context) (time.Time, error) {
	select {
	case <-p.ended: // the caller will see it
		return time.Time{}, nil
	default:
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopping {
		return p.killAt, nil
	}
	p.stopping, p.killAt = true, time.Now().Add(p.grace)
	if p.grace < 0 {
		return p.killAt, nil
	}
	p.log.Debug("stopping", "pid", p.PID(), "grace", p.grace)
	if err := p.signal(ctx, syscall.SIGTERM); err != nil {
		p.stopping = false
		return time.Time{}, err
	}
	// That it cannot be sent is no error: an engine may have no such signal.
	_ = p.signal(ctx, unixproc.SIGCONT)
	return p.killAt, nil
}

// signal signals the group; that there is nobody left is no error.
func (p *Pod) signal(ctx context.Context, sig syscall.Signal) error {
	if err := p.proc.Signal(ctx, sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return nil
}

// Release forgets the pod: it goes on running, and what it takes in this
// program, a goroutine and a descriptor, is given back before Release returns.
// Afterwards the pod can be neither waited for nor stopped through p. Release
// does nothing if the pod is gone.
//
// A released pod that ends while this program is still running stays a zombie
// until the next launch, or the end of this program.
func (p *Pod) Release() {
	p.forget()
	<-p.ended
}
