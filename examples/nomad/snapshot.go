package nomad

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/podlaunch/podlaunch/launcher"
)

// snapshotAge is how old an answer about all pods may be before the engine is asked again:
// a caller of Launcher.List may take its time with each pod.
const snapshotAge = 5 * time.Second

// Snapshot implements [launcher.Snapshotter]. The first Find asks the engine about all pods
// of the namespace, the others share its answer for some seconds. Only for a job that is
// not in the answer, or whose node does not answer, or that the engine itself has ended,
// Find makes one more call.
func (s Starter) Snapshot() launcher.Finder { return &snapshot{starter: s} }

// A snapshot is a Finder with the answer to its last question. It has no goroutine: the
// Find that asks the question lets the others know.
type snapshot struct {
	starter Starter
	mu      sync.Mutex
	last    *question // nil: there was none, or nobody waited for its answer
}

// A question is one about all pods.
type question struct {
	began    time.Time
	answered chan struct{} // closed once pods and err are set
	pods     map[string][]allocation
	err      error
	dropped  bool // the Find that asked was cancelled
}

// Find implements [launcher.Finder].
func (s *snapshot) Find(ctx context.Context, name string, id uuid.UUID) (launcher.Process, error) {
	caller := ctx
	ctx, cancel := context.WithTimeoutCause(ctx, findPatience, errNotFound)
	defer cancel()
	for {
		q, mine := s.question()
		if mine {
			s.ask(ctx, caller, q)
		}
		select {
		case <-q.answered:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
		switch {
		case q.dropped && caller.Err() == nil:
			continue
		case q.err != nil:
			return nil, q.err
		}
		job := JobID(name, id)
		return s.starter.found(ctx, job, q.pods[job])
	}
}

// question returns the last question, or a new one, which the caller has to ask.
func (s *snapshot) question() (q *question, mine bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.last == nil || time.Since(s.last.began) > snapshotAge {
		s.last, mine = &question{began: time.Now(), answered: make(chan struct{})}, true
	}
	return s.last, mine
}

// ask asks q. If caller is done by then, so that the answer says nothing about the engine,
// the next Find asks anew.
func (s *snapshot) ask(ctx, caller context.Context, q *question) {
	road := s.starter.Engine.road()
	all, err := []allocation(nil), road.failure()
	if err != nil {
		err = fmt.Errorf("the engine was asked a moment ago: %w", err)
	} else {
		all, err = s.starter.Engine.pods(ctx)
		road.remember(q.began, err)
	}
	q.pods, q.err = make(map[string][]allocation), err
	for _, a := range all {
		q.pods[a.JobID] = append(q.pods[a.JobID], a)
	}
	if err != nil && caller.Err() != nil {
		q.dropped = true
		s.mu.Lock()
		if s.last == q {
			s.last = nil
		}
		s.mu.Unlock()
	}
	close(q.answered)
}
