//go:build linux

package ending_test

import (
	"context"
	"os"
	"sync/atomic"
	"testing"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/readiness"
)

// anybody of our user may answer: the pod's first process is a shell.
var anybody = readiness.Sequence{readiness.ReadyLine{}, readiness.Socket{Peer: readiness.SameUser}}

func contextOf(t *testing.T) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	return ctx, cancel
}

// A slowStarter starts processes whose signals do not return until gate is closed, and
// then are counted.
type slowStarter struct {
	launcher.Local
	gate        chan struct{}
	began, late atomic.Int32
	reaped      atomic.Bool
}

func (s *slowStarter) Start(ctx context.Context, req launcher.StartRequest) (launcher.Process, error) {
	p, err := s.Local.Start(ctx, req)
	if err != nil {
		return nil, err
	}
	return &slowProcess{p, s}, nil
}

type slowProcess struct {
	launcher.Process
	s *slowStarter
}

func (p *slowProcess) Signal(ctx context.Context, sig os.Signal) error {
	p.s.began.Add(1)
	if p.s.reaped.Load() {
		p.s.late.Add(1)
	}
	<-p.s.gate
	return ctx.Err()
}

func (p *slowProcess) Reap(ctx context.Context) error {
	p.s.reaped.Store(true)
	return p.Process.(launcher.Reaper).Reap(ctx)
}

func (p *slowProcess) Release() { p.Process.(launcher.Releaser).Release() }
