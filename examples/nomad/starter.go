package nomad

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/podlaunch/podlaunch/launcher"
)

// A Starter runs each pod as a job of its own on an [Engine]. The zero value is
// ready to use.
//
// The job restarts and reschedules nothing: what becomes of a pod is up to
// its launcher. An engine puts a job on another node all the same when it
// takes the node for lost; so the job is bound to its node as soon as it runs there.
// Should the engine have been faster, or be told to drain the node, the pod is
// [ErrLost], and the job is removed, so that there is no second one.
//
// Start returns once the program runs and is bound, and leaves a [Placement] in the pod's
// runtime directory. A request that nobody can take, a node that cannot be found
// and a program that cannot be started are errors, with the engine's own words.
//
// What differs from a process of this machine:
//
//   - Command.Path is one of the node's. WorkDir and RuntimeDir may not exist
//     there, and are not used: the program runs in the directory that the engine
//     makes for it.
//   - The program gets the node's variables and, over them, those in Command.Env.
//     If that is nil it gets none of ours: the engine would show them to
//     everybody who may read jobs. In a value ${NAME} stands for a variable of
//     the engine's.
//   - Stdout and Stderr are the engine's to keep; see [Log].
//   - Files cannot be handed over, nor can the process be told its id.
type Starter struct {
	Engine Engine

	// Driver runs the program. Empty means "raw_exec".
	Driver string

	// Ports are the labels of ports that the engine chooses for each pod. The
	// program finds the address of one in $NOMAD_ADDR_label. Nil means one,
	// "pod"; an empty list means none.
	Ports []string

	// CPU, in MHz, and MemoryMB, in MiB, are set aside for each pod, and a node
	// that does not have them left is not chosen. 0 means 100 and 128.
	CPU, MemoryMB int

	// Alter changes the job before it is registered: a datacenter, constraints, a
	// priority, a user. It gets the job as the engine's API has it, and leaves alone
	// its ID and Type, and that it has one group with one pod. It is called once for
	// each launch, from any goroutine. Nil: nothing is changed.
	Alter func(job map[string]any)

	// Pack leaves it to the engine on which node a pod runs: by default the fullest
	// node that has room. Otherwise pods are spread: a node with fewer of them is
	// preferred.
	Pack bool

	// OneName makes a pod's name one of the whole cluster: launchers with bases of their
	// own that launch one name get one pod. The others fail with [ErrTaken]. It takes an
	// engine with variables (1.4), and the right to write those below podlaunch/names.
	// The zero value: there is one pod per name among the launchers of one base.
	OneName bool

	// OnLost says what becomes of a pod's name while its node does not answer.
	OnLost OnLost

	// KillTimeout is how long the engine waits from SIGTERM to SIGKILL if nobody
	// asks for that sooner. It should be more than Launcher.Grace, and bounds what
	// a pod may take whose launcher dies while it stops it. 0 means 15 seconds.
	KillTimeout time.Duration
}

var (
	_ launcher.Starter = Starter{}
	_ launcher.Finder  = Starter{}

	_ launcher.Snapshotter = Starter{}
)

// DefaultPort is the label of the port that a pod has unless Starter.Ports says
// otherwise.
const DefaultPort = "pod"

// JobID is what the job of a launch is called: the log is opened by it before
// there is one.
func JobID(name string, launch uuid.UUID) string { return name + "-" + launch.String() }

func (s Starter) driver() string {
	if s.Driver == "" {
		return "raw_exec"
	}
	return s.Driver
}

func (s Starter) ports() []string {
	if s.Ports == nil {
		return []string{DefaultPort}
	}
	return s.Ports
}

func (s Starter) killTimeout() time.Duration {
	if s.KillTimeout == 0 {
		return 15 * time.Second
	}
	return s.KillTimeout
}

// podLock is where the launcher puts the lock on the pod's name: descriptor 20,
// counted from 3. It cannot go to another machine, and need not.
const podLock = 20 - 3

// Start implements [launcher.Starter]. If ctx is done before the program runs
// it returns the process as it is, so that the caller can end it.
func (s Starter) Start(ctx context.Context, req launcher.StartRequest) (launcher.Process, error) {
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	if len(req.PIDEnv) > 0 {
		return nil, fmt.Errorf("nomad.Starter: the probe wants the process's id in %v, and no job can be told it: %w", req.PIDEnv, errors.ErrUnsupported)
	}
	if req.Stdin != nil {
		return nil, fmt.Errorf("nomad.Starter: the launch hands over a standard input (Spec.Stdin or Spec.StdinOpen), and no file can go to another machine: %w", errors.ErrUnsupported)
	}
	for i, f := range req.Files {
		if f != nil && i != podLock {
			return nil, fmt.Errorf("nomad.Starter: the probe hands over a file as descriptor %d, and no file can go to another machine: %w", 3+i, errors.ErrUnsupported)
		}
	}
	sub := s.Engine.subscribe(JobID(req.Name, req.ID))
	body, err := s.body(s.job(req, sub.loads()))
	if err != nil {
		sub.close()
		return nil, err
	}
	p := newProcess(s, JobID(req.Name, req.ID), func(p *process) (launcher.Exit, error) { return p.start(body, sub) })
	if s.OneName {
		if p.claim, err = s.claim(ctx, req.Name, req.ID); err != nil {
			sub.close()
			return nil, err
		}
	}
	p.begin()
	select {
	case <-p.running:
	case <-p.done:
		// A program that ran, however short, is a process that has ended.
		if !p.last().started() {
			return nil, p.undo(ctx)
		}
	case <-ctx.Done():
		return p.late(ctx)
	}
	return p.place(ctx, req.RuntimeDir)
}

// late is what Start returns once ctx is done: the process as it is, unless the engine
// has never taken it.
func (p *process) late(ctx context.Context) (launcher.Process, error) {
	if err := p.never(); err != nil {
		p.Release()
		ctx, cancel := soon(ctx)
		defer cancel()
		if dropped := p.drop(ctx); dropped != nil {
			err = fmt.Errorf("%w; and %w", err, dropped)
		}
		return nil, fmt.Errorf("the engine has not taken the job in time: %w", err)
	}
	return p, nil
}

// place writes down where the process is, and keeps it there.
func (p *process) place(ctx context.Context, runtimeDir string) (launcher.Process, error) {
	err := p.placement().write(runtimeDir)
	if err == nil && !p.last().terminal() {
		err = p.bind(ctx)
	}
	if err == nil {
		err = p.confirm(ctx)
	}
	switch {
	case errors.Is(err, ErrTaken):
		return nil, errors.Join(err, p.undo(ctx))
	case err == nil, ctx.Err() != nil:
		return p, nil
	case p.isOver(): // somebody has removed the job, or it ended meanwhile
		return p, nil
	}
	return nil, errors.Join(err, p.undo(ctx))
}

// isOver reports whether the process has ended.
func (p *process) isOver() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// findPatience is how long Find waits for the engine.
const findPatience = 3 * time.Second

// Find implements [launcher.Finder]. A job that is registered and has no
// allocation yet counts as a process too: it may get one. An engine that has not
// answered somebody for a while is not asked again for some seconds.
func (s Starter) Find(ctx context.Context, name string, id uuid.UUID) (launcher.Process, error) {
	road := s.Engine.road()
	if err := road.failure(); err != nil {
		return nil, fmt.Errorf("the engine was asked a moment ago: %w", err)
	}
	began := time.Now()
	ctx, cancel := context.WithTimeoutCause(ctx, findPatience, errNotFound)
	defer cancel()
	job := JobID(name, id)
	all, err := s.Engine.allocations(ctx, job)
	road.remember(began, err)
	if err != nil {
		return nil, err
	}
	return s.found(ctx, job, all)
}

// errNotFound ends a Find that was made in vain.
var errNotFound = fmt.Errorf("%w: no answer within %v", ErrUnreachable, findPatience)

// found returns the process of a job that has these allocations.
func (s Starter) found(ctx context.Context, job string, all []allocation) (launcher.Process, error) {
	a, err := s.find(ctx, job, all)
	if err != nil {
		return nil, err
	}
	p := newProcess(s, job, (*process).adopted)
	p.alloc, p.made, p.held = a, true, true
	close(p.registered)
	return p, nil
}
