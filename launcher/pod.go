package launcher

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/podlaunch/podlaunch/launcher/internal/osproc"
	"github.com/podlaunch/podlaunch/readiness"
)

// Name returns the pod's name.
func (p *Pod) Name() string { return p.name }

// PID returns the id of the pod's process, or 0 if it has none on this
// machine.
func (p *Pod) PID() int { return p.proc.PID() }

// Endpoint returns where the pod can be reached.
func (p *Pod) Endpoint() readiness.Endpoint { return p.endpoint }

// Facts returns what the launcher's probe has learned of the pod besides the endpoint
// (see [readiness.Fact]). Of a pod that this program has not launched but attached to
// it is nil, in which there are no facts: they are not recorded.
func (p *Pod) Facts() *readiness.Facts { return p.facts }

// RuntimeDir returns the pod's runtime directory. The pod may have removed it.
func (p *Pod) RuntimeDir() string { return p.dir }

// LogPath returns where the pod's log is; empty if it is nowhere.
func (p *Pod) LogPath() string { return p.logPath }

// Lifetime says whether the pod outlives the program that has launched it, which need
// not be this one.
func (p *Pod) Lifetime() Lifetime { return p.lasts }

// Dial connects to the pod's endpoint. Closing the connection is the caller's.
//
// If a process of another user serves a unix socket there by now, who may not by
// the launcher's probe ([readiness.CheckConn]), Dial fails with [ErrNotOurs].
// A process of our own user may be the pod, or not: [Pod.Verify] asks.
func (p *Pod) Dial(ctx context.Context) (net.Conn, error) {
	conn, err := p.dial(ctx)
	if err != nil {
		return nil, fmt.Errorf("dial pod %s: %w", printable(p.name, 256), shown(err))
	}
	return conn, nil
}

func (p *Pod) dial(ctx context.Context) (net.Conn, error) {
	if p.endpoint == (readiness.Endpoint{}) {
		return nil, errors.New("it has no endpoint, for its probe has learned no address")
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, p.endpoint.Network, p.endpoint.Address)
	if err != nil {
		return nil, err
	}
	if err := readiness.CheckConn(p.ready, conn, p.target()); err != nil {
		conn.Close()
		return nil, fmt.Errorf("%w: %w", ErrNotOurs, err)
	}
	return conn, nil
}

// Verify asks whether it is the pod who answers at its endpoint, as the launcher's probe
// has it ([readiness.Verify]). To ask is to connect, which the kernel accepts also for a
// pod that hangs. Verify returns nil if so, and for a pod without an endpoint;
// an error that wraps [ErrNotOurs] if somebody else answers; and any other error if
// nobody does, or ctx ended before that could be told.
func (p *Pod) Verify(ctx context.Context) error {
	if err := p.verify(ctx); err != nil {
		return fmt.Errorf("verify pod %s: %w", printable(p.name, 256), shown(err))
	}
	return nil
}

func (p *Pod) verify(ctx context.Context) error {
	target := p.target()
	err := readiness.Verify(ctx, p.ready, target)
	if err == nil && p.target().PID != target.PID { // it has ended meanwhile
		err = readiness.Verify(ctx, p.ready, p.target())
	}
	if errors.Is(err, readiness.ErrForeignPeer) {
		err = fmt.Errorf("%w: %w", ErrNotOurs, err)
	}
	return err
}

// target is the pod as its probe knows it. If the first process has ended and its pid is
// another's by now, the pid is left out.
func (p *Pod) target() readiness.Target {
	t := readiness.Target{Name: p.name, RuntimeDir: p.dir, PID: p.PID(), Endpoint: p.endpoint}
	if p.first.PID != 0 && errors.Is(p.first.Check(), osproc.ErrStranger) {
		t.PID = 0
	}
	return t
}
