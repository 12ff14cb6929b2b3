package launchertest

import (
	"context"
	"os"
	"slices"
	"sync"
	"syscall"

	"github.com/podlaunch/podlaunch/launcher"
)

// A Starter starts processes that live in memory. The zero value is ready to
// use: its processes run until a signal ends them. It must not be copied after
// the first use. Its methods may be called from any number of goroutines.
type Starter struct {
	// Run is what each process does, in a goroutine of its own: it plays the
	// program. When it returns the process ends with what it returned, unless
	// it has ended before; once p is done, Run should return. Nil: the process
	// does nothing.
	Run func(p *Process) launcher.Exit

	// Err, if it is not nil, is what Start fails with.
	Err error

	mu      sync.Mutex
	started []*Process
}

var _ launcher.Starter = (*Starter)(nil)

// Start implements [launcher.Starter]. Its error is Err, or ctx's cause if that
// is done. A request with PIDEnv is accepted; who plays the program sees it.
func (s *Starter) Start(ctx context.Context, req launcher.StartRequest) (launcher.Process, error) {
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	if s.Err != nil {
		return nil, s.Err
	}
	p := &Process{Request: req}
	s.mu.Lock()
	s.started = append(s.started, p)
	s.mu.Unlock()
	if s.Run != nil {
		go func() { p.Exit(s.Run(p)) }()
	}
	return p, nil
}

// Processes returns the processes that the Starter has started, in order.
func (s *Starter) Processes() []*Process {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.started)
}

// A Process lives in memory. It runs until Exit is called, or a signal ends it.
// The zero value is a process that runs; it must not be copied after the first use.
// Any number of goroutines may call its methods, in a bubble of package synctest
// too: a goroutine that waits for the process is durably blocked.
type Process struct {
	// Request is what the launcher gave the [Starter]. The launcher closes the files
	// in it once the process is started.
	Request launcher.StartRequest

	// Number is what PID returns. It has to be set before the launch goes on;
	// 0: the process has none on this machine.
	Number int

	// Ignores are signals that do not end it. SIGKILL always does, SIGCONT and
	// signal 0 never do.
	Ignores []os.Signal

	mu      sync.Mutex
	gone    chan struct{} // nil until somebody needs it
	exit    launcher.Exit
	signals []os.Signal
	reaped  int
}

var _ launcher.Reaper = (*Process)(nil)

// PID implements [launcher.Process].
func (p *Process) PID() int { return p.Number }

// Exit ends the process, unless it has ended before. Exit{Known: true} is exit
// status 0.
func (p *Process) Exit(exit launcher.Exit) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.end(exit)
}

// end ends it; the caller holds mu.
func (p *Process) end(exit launcher.Exit) {
	gone := p.channel()
	select {
	case <-gone:
	default:
		p.exit = exit
		close(gone)
	}
}

// channel returns what is closed when the process has ended; the caller holds
// mu.
func (p *Process) channel() chan struct{} {
	if p.gone == nil {
		p.gone = make(chan struct{})
	}
	return p.gone
}

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.channel()
}

// Wait implements [launcher.Process].
func (p *Process) Wait(ctx context.Context) (launcher.Exit, error) {
	gone := p.Done()
	select {
	case <-gone:
		return p.exit, nil
	default:
	}
	select {
	case <-gone:
		return p.exit, nil
	case <-ctx.Done():
		return launcher.Exit{}, context.Cause(ctx)
	}
}

// Signal implements [launcher.Process]. A signal ends the process at once,
// unless it is one of Ignores.
func (p *Process) Signal(_ context.Context, sig os.Signal) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.channel():
		return os.ErrProcessDone
	default:
	}
	p.signals = append(p.signals, sig)
	number, ok := sig.(syscall.Signal)
	switch {
	case !ok || number == 0 || number == sigCont:
	case number == syscall.SIGKILL || !slices.Contains(p.Ignores, sig):
		p.end(launcher.Exit{Signal: number, Known: true})
	}
	return nil
}

// Signals returns what it was sent, in order, as long as it ran.
func (p *Process) Signals() []os.Signal {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.signals)
}

// Reap implements [launcher.Reaper]: it counts.
func (p *Process) Reap(context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.reaped++
	return nil
}

// Reaped returns how often Reap was called: once, for every process that has
// ended in a launch which is over.
func (p *Process) Reaped() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.reaped
}
