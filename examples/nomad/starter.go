package nomad

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/google/uuid"

	"github.com/podlaunch/podlaunch/launcher"
)

// A Starter runs each pod as a job of its own on an [Engine]. The zero value is
// ready to use.
//
// The job restarts and reschedules nothing: what becomes of a pod is up to
// whoever launched it. (An engine of this age puts a job on another node all the
// same when it takes the node for lost; then the pod is [ErrLost], and the job is
// removed, so that there is no second one.)
//
// Start returns once the program runs, and leaves a [Placement] in the pod's
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

	// KillTimeout is how long the engine waits from SIGTERM to SIGKILL if nobody
	// asks for that sooner. It should be more than Launcher.Grace, and bounds what
	// a pod may take whose launcher dies while it stops it. 0 means 15 seconds.
	KillTimeout time.Duration
}

var (
	_ launcher.Starter = Starter{}
	_ launcher.Finder  = Starter{}
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
// it returns the process as it is, so that whoever called can end it.
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
	p := newProcess(s.Engine, JobID(req.Name, req.ID))
	go p.start(s.job(req))
	select {
	case <-p.running:
	case <-p.done:
		// A program that ran, however short, is a process that has ended.
		if !p.last().started() {
			return nil, p.undo(ctx)
		}
	case <-ctx.Done():
		return p, nil
	}
	if err := p.placement().write(req.RuntimeDir); err != nil {
		return nil, errors.Join(err, p.undo(ctx))
	}
	return p, nil
}

// Find implements [launcher.Finder]. A job that is registered and has no
// allocation yet counts as a process too: it may get one.
func (s Starter) Find(ctx context.Context, name string, id uuid.UUID) (launcher.Process, error) {
	job := JobID(name, id)
	all, _, err := s.Engine.allocations(ctx, job, 0)
	if err != nil {
		return nil, err
	}
	a := newest(all)
	if a.ID == "" {
		if err := s.Engine.exists(ctx, job); isStatus(err, http.StatusNotFound) {
			return nil, fmt.Errorf("the engine has no job %s: %w", job, os.ErrProcessDone)
		} else if err != nil {
			return nil, err
		}
	}
	if a.terminal() {
		return nil, fmt.Errorf("the allocation %s of the job %s is %s: %w", a.ID, job, a.ClientStatus, os.ErrProcessDone)
	}
	p := newProcess(s.Engine, job)
	p.made = true
	close(p.registered)
	go p.adopted()
	return p, nil
}
