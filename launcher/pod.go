package launcher

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/hashicorp/go-hclog"

	"github.com/podlaunch/podlaunch/launcher/internal/ownership"
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
	logFile  logsource.FileID // what logPath led to when the pod was ready; zero if nothing
	closing  <-chan struct{}  // closed when what the launch has read the log by is; nil if nothing is
	proc     Process

	// watch, the Pod's goroutine, closes these in this order; the launch
	// closes settled, once, when it has decided about the pod.
	exited  chan struct{} // the process has ended, and exit or waitErr is set
	settled chan struct{} // nobody of the launch will signal the process any more
	done    chan struct{} // it is reaped, and reapErr is set
	ended   chan struct{} // the goroutine has ended: after done, or by Release

	exit             Exit
	waitErr, reapErr error
	life             context.Context    // the goroutine's: done before ended is closed
	forget           context.CancelFunc // ends life, and with it the goroutine's wait

	mu       sync.Mutex
	stopping bool      // SIGTERM was sent, or SIGKILL
	killAt   time.Time // when SIGKILL is due, if stopping
}

// A podConfig is what does not change in a Pod's life.
type podConfig struct {
	name    string
	id      uuid.UUID // of its launch
	dir     string
	logPath string
	source  logsource.Source // of its log
	ready   readiness.Probe  // knows who may answer
	grace   time.Duration
	log     hclog.Logger

	digests *ownership.Digests // of what was launched; nil if that is not recorded
	asked   asked              // its Launcher
}

// asked returns the digests of what a launch of spec would start, in place of the pod.
type asked func(spec Spec) (*ownership.Digests, error)

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
// A process of our own user may be the pod, or not: [Pod.Verify] asks.
func (p *Pod) Dial(ctx context.Context) (net.Conn, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, p.endpoint.Network, p.endpoint.Address)
	if err != nil {
		return nil, fmt.Errorf("dial pod %s: %w", printable(p.name, 256), err)
	}
	if err := readiness.CheckConn(p.ready, conn, p.target()); err != nil {
		conn.Close()
		return nil, fmt.Errorf("dial pod %s: %w: %w", printable(p.name, 256), ErrNotOurs, err)
	}
	return conn, nil
}

// Verify asks whether it is the pod who answers at its endpoint, as the launcher's probe
// has it ([readiness.Verify]). It returns nil if so, and for a pod without an endpoint;
// an error that wraps [ErrNotOurs] if somebody else answers; and any other error if
// nobody does, or ctx ended before that could be told.
func (p *Pod) Verify(ctx context.Context) error {
	if err := p.verify(ctx); err != nil {
		return fmt.Errorf("verify pod %s: %w", printable(p.name, 256), err)
	}
	return nil
}

func (p *Pod) verify(ctx context.Context) error {
	err := readiness.Verify(ctx, p.ready, p.target())
	if errors.Is(err, readiness.ErrForeignPeer) {
		err = fmt.Errorf("%w: %w", ErrNotOurs, err)
	}
	return err
}

// target is the pod as its probe knows it.
func (p *Pod) target() readiness.Target {
	return readiness.Target{Name: p.name, RuntimeDir: p.dir, PID: p.PID(), Endpoint: p.endpoint}
}

// errReleased is what a released Pod answers.
var errReleased = errors.New("the pod was released, and is not watched any more")

func (p *Pod) isStopping() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stopping
}
