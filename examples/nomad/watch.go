package nomad

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"
	"time"
)

// A watch follows the pods of an Engine, for all who want to know of them: one
// stream tells what happens to any of them, and a list is taken when it is opened,
// and again each minute. One goroutine belongs to it. It begins with the first
// subscription and is joined when the last is closed.
type watch struct {
	engine Engine
	key    watchKey
	cancel context.CancelFunc
	ended  chan struct{} // closed by the goroutine, last

	mu          sync.Mutex
	subs        map[*subscription]bool
	pods        map[string]map[string]allocation // by the job's id and their own, since the list was taken
	asked, seen uint64                           // how many lists were asked for, and the last that has come
	err         error                            // why there will be no more news; nil: there may be
}

// A subscription is one job's, and its owner's alone.
type subscription struct {
	w    *watch
	job  string
	from uint64        // the last list that was asked for before it
	news chan struct{} // gets one when something may have changed
}

// watches are those that go on. The goroutine that closes the last subscription joins
// the watching one before the next can begin.
var watches struct {
	sync.Mutex
	by map[watchKey]*watch
}

// A watchKey is what an Engine is, with what the environment says.
type watchKey struct {
	Engine
	address, token, namespace, region string
}

func (e Engine) watchKey() watchKey {
	return watchKey{e, orEnv(e.Address, "NOMAD_ADDR"), orEnv(e.Token, "NOMAD_TOKEN"), orEnv(e.Namespace, "NOMAD_NAMESPACE"), orEnv(e.Region, "NOMAD_REGION")}
}

// subscribe asks to be told of a job. The caller closes the subscription.
func (e Engine) subscribe(job string) *subscription {
	watches.Lock()
	defer watches.Unlock()
	key := e.watchKey()
	w := watches.by[key]
	if w == nil || w.hasFailed() { // who comes later begins anew
		w = &watch{engine: e, key: key, ended: make(chan struct{}), subs: make(map[*subscription]bool), pods: make(map[string]map[string]allocation)}
		var ctx context.Context
		ctx, w.cancel = context.WithCancel(context.Background())
		if watches.by == nil {
			watches.by = make(map[watchKey]*watch)
		}
		watches.by[key] = w
		go w.run(ctx)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	s := &subscription{w: w, job: job, from: w.asked, news: make(chan struct{}, 1)}
	w.subs[s] = true
	s.tell()
	return s
}

// close ends the subscription, and the watch if it was the last. More than once is
// the same as once.
func (s *subscription) close() {
	watches.Lock()
	defer watches.Unlock()
	s.w.mu.Lock()
	had := s.w.subs[s]
	delete(s.w.subs, s)
	last := had && len(s.w.subs) == 0
	s.w.mu.Unlock()
	if last {
		if watches.by[s.w.key] == s.w { // it may have failed, and have a successor
			delete(watches.by, s.w.key)
		}
		s.w.cancel()
		<-s.w.ended
	}
}

// tell is called with the watch's mu held.
func (s *subscription) tell() {
	select {
	case s.news <- struct{}{}:
	default:
	}
}

// look returns the job's allocations. complete is true if there are no others: a list
// was taken since the subscription began. err says that there will be no more news.
func (s *subscription) look() (all []allocation, complete bool, err error) {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	return sorted(slices.Collect(maps.Values(s.w.pods[s.job]))), s.w.seen > s.from, s.w.err
}

// wait waits for news, and reports whether ctx is still good.
func (s *subscription) wait(ctx context.Context) bool {
	select {
	case <-s.news:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}

const (
	// relist is how often the list is taken while the stream goes on: a server that
	// has lost touch with the others tells of nothing, and of what the engine has
	// forgotten none does.
	relist = time.Minute

	// eventSilence is how long the stream may bring nothing: there is a heartbeat
	// each half a minute.
	eventSilence = 70 * time.Second

	// forbiddenFor is how long the engine may forbid the watch before that is
	// believed: a server that has just joined may not have heard of a token.
	forbiddenFor = 2 * time.Second
)

// run is the goroutine.
func (w *watch) run(ctx context.Context) {
	defer close(w.ended)
	defer w.cancel()
	var since time.Time // of an error that no time heals, perhaps
	for delay := newDelay(); ctx.Err() == nil; {
		seen := w.lists()
		err := w.stream(ctx)
		if w.lists() > seen {
			delay.Reset()
			since = time.Time{}
		}
		switch final := !passing(err) && errors.As(err, new(*StatusError)); {
		case ctx.Err() != nil:
			return
		case !passing(err) && !final:
			w.fail(err)
			return
		case !final:
			since = time.Time{}
		case since.IsZero():
			since = time.Now()
		case time.Since(since) > forbiddenFor:
			w.fail(err)
			return
		}
		pause(ctx, delay.NextBackOff())
	}
}

func (w *watch) lists() uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.seen
}

func (w *watch) hasFailed() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err != nil
}

// fail tells everybody that there will be no more news. It does not lock watches: who closes the
// last subscription holds that, and waits for the goroutine.
func (w *watch) fail(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.err = fmt.Errorf("follow what becomes of the pods: %w", err)
	for s := range w.subs {
		s.tell()
	}
}

// stream opens the stream, takes the list, and follows the stream until it breaks.
func (w *watch) stream(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	guard := time.AfterFunc(callPatience, func() { cancel(errNoAnswer) })
	defer guard.Stop()
	resp, err := w.engine.events(ctx)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	events := json.NewDecoder(resp.Body)
	next := time.Time{}
	for {
		if time.Now().After(next) {
			if err := w.list(ctx); err != nil {
				return err
			}
			next = time.Now().Add(relist)
		}
		guard.Reset(eventSilence)
		var batch eventBatch
		if err := events.Decode(&batch); err != nil {
			switch cause := context.Cause(ctx); {
			case cause != nil:
				return cause
			case err == io.EOF, errors.Is(err, io.ErrUnexpectedEOF):
				return fmt.Errorf("%w: the stream of events has ended", ErrUnreachable)
			}
			return fmt.Errorf("%w: the stream of events was cut: %w", ErrUnreachable, err)
		}
		w.take(batch)
	}
}

// An eventBatch is a piece of the stream: what happened at one index, or a heartbeat.
type eventBatch struct {
	Events []struct {
		Payload struct{ Allocation *allocation }
	}
}

// list takes the list. What is not in it the engine has forgotten.
func (w *watch) list(ctx context.Context) error {
	w.mu.Lock()
	w.asked++
	this := w.asked
	w.mu.Unlock()
	ctx, cancel := context.WithTimeoutCause(ctx, callPatience, errNoAnswer)
	defer cancel()
	all, err := w.engine.pods(ctx)
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seen = this
	w.pods = make(map[string]map[string]allocation)
	for _, a := range all {
		w.put(a)
	}
	for s := range w.subs {
		s.tell()
	}
	return nil
}

// take takes note of what the stream has brought.
func (w *watch) take(batch eventBatch) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range batch.Events {
		a := e.Payload.Allocation
		if a == nil || a.TaskGroup != taskName {
			continue
		}
		if old, ok := w.pods[a.JobID][a.ID]; ok && old.ModifyIndex >= a.ModifyIndex {
			continue
		}
		w.put(*a)
		for s := range w.subs {
			if s.job == a.JobID {
				s.tell()
			}
		}
	}
}

// put is called with mu held.
func (w *watch) put(a allocation) {
	job := w.pods[a.JobID]
	if job == nil {
		job = make(map[string]allocation)
		w.pods[a.JobID] = job
	}
	job[a.ID] = a
}

// loads returns how many pods each node has, by what the watch already knows.
func (s *subscription) loads() map[string]int {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	loads := make(map[string]int)
	for _, job := range s.w.pods {
		for _, a := range job {
			if !a.terminal() {
				loads[a.NodeID]++
			}
		}
	}
	return loads
}
