package keeper

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/podlaunch/podlaunch/launcher/internal/osproc"
)

// pause is how long a keeper has to live to be replaced at once.
const pause = time.Second

// program is this one.
var program = client{turn: make(chan struct{}, 1), pods: make(map[string]*entry)}

// A client is the program's side. It remembers what the keeper knows, for the next keeper.
type client struct {
	turn chan struct{} // the goroutine that has sent on it owns the other fields
	pods map[string]*entry
	now  *process // nil: there is no keeper

	dismissed *process // the last keeper that had no pods any more

	mu    sync.Mutex
	ended request // what was not said yet of pods that have ended

	has sync.Map // the keys of pods, for who has not the turn
}

// An entry is a pod that is to be kept.
type entry struct {
	Pod
	log  Logger
	gone bool
}

// Check returns an error if this program cannot have a keeper, because it is a library in
// somebody else's: the file to execute again does not have the init of this package, or
// has it beside a main that runs all the same.
func Check() error {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return nil // a keeper that does not come up says it
	}
	for _, s := range info.Settings {
		if s.Key == "-buildmode" && slices.Contains([]string{"c-shared", "c-archive", "plugin"}, s.Value) {
			return fmt.Errorf("this program was built with -buildmode=%s, and so cannot be executed again as the keeper of its pods: %w", s.Value, errors.ErrUnsupported)
		}
	}
	return nil
}

// Keep has p ended with this program. It returns once the keeper knows that. log gets
// what becomes of the keeper as long as it has the pod. The caller calls Gone when the
// first process of the pod has ended, or if there was none; not if Keep fails.
func Keep(ctx context.Context, p Pod, log Logger) error {
	return program.with(ctx, func() error {
		program.pods[p.ID] = &entry{Pod: p, log: log}
		program.has.Store(p.ID, nil)
		err := program.tell(request{Keep: &p})
		if err != nil {
			program.forget(p.ID)
		}
		return err
	})
}

// Has reports whether the pod of a launch is kept. A program that has replaced itself by execve(2)
// does not have the pods of before: their keeper ends them.
func Has(id string) bool {
	_, has := program.has.Load(id)
	return has
}

// forget forgets the pod of a launch.
func (c *client) forget(id string) {
	delete(c.pods, id)
	c.has.Delete(id)
}

// Know tells the keeper which is the first process of the pod of a launch.
// others are those of the pod that were found before first took the place of another.
func Know(ctx context.Context, id string, first osproc.Identity, others []osproc.Identity) error {
	return program.with(ctx, func() error {
		p := program.pods[id]
		if p == nil {
			return nil
		}
		if p.Since.PID == 0 {
			p.Since = first
		}
		p.First, p.Others = first, others
		pod := p.Pod
		return program.tell(request{Keep: &pod})
	})
}

// Gone says that the pod of a launch has no first process any more. The caller calls it
// before it reaps that process, so that the pid is still its own. If no other process of
// the pod is left, the keeper forgets the pod: it looks for them, unless empty says that the
// caller has. It exits with its last pod; then Gone returns when the keeper has exited.
// Otherwise the keeper keeps the processes that are left until they have ended. Gone does
// nothing about a pod that is not kept.
//
// All who call Gone at the same time have the keeper look once, for all of them.
func Gone(id string, empty bool) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	program.mu.Lock()
	if empty {
		program.ended.Empty = append(program.ended.Empty, id)
	} else {
		program.ended.Gone = append(program.ended.Gone, id)
	}
	program.mu.Unlock()
	// If there is no time, who comes next says it.
	var last *process
	_ = program.with(ctx, func() (err error) {
		err = program.tellEnded()
		if len(program.pods) == 0 {
			last = program.dismissed
		}
		return err
	})
	if last != nil {
		select {
		case <-last.over:
		case <-ctx.Done():
		}
	}
}

// tellEnded tells the keeper of the pods that have ended, unless somebody else has.
func (c *client) tellEnded() error {
	c.mu.Lock()
	r := c.ended
	c.ended = request{}
	c.mu.Unlock()
	notKept := func(id string) bool { return c.pods[id] == nil }
	r.Gone, r.Empty = slices.DeleteFunc(r.Gone, notKept), slices.DeleteFunc(r.Empty, notKept)
	if len(r.Gone)+len(r.Empty) == 0 {
		return nil
	}
	for _, id := range slices.Concat(r.Gone, r.Empty) {
		c.pods[id].gone = true
	}
	return c.tell(r)
}

// with calls f once nobody else uses c.
func (c *client) with(ctx context.Context, f func() error) error {
	select {
	case c.turn <- struct{}{}:
	case <-ctx.Done():
		return fmt.Errorf("another call waits for the keeper of this program's pods: %w", context.Cause(ctx))
	}
	defer func() { <-c.turn }()
	return f()
}

// tell tells the keeper what r says, which c knows already. If there is none, or it does
// not answer, tell starts another one, with all that c knows.
func (c *client) tell(r request) error {
	if c.now != nil {
		err := c.ask(c.now, r)
		if err == nil {
			return nil
		}
		c.now.kill() // its goroutine reaps it
		c.now = nil
	}
	err := c.start()
	if err != nil {
		c.unkept(err)
	}
	return err
}

// ask has k answer r, and forgets the pods that it has forgotten.
func (c *client) ask(k *process, r request) error {
	a, err := k.ask(r)
	if err != nil {
		return err
	}
	for _, id := range a.Forgot {
		c.forget(id)
	}
	if len(c.pods) == 0 {
		c.now, c.dismissed = nil, k
		k.dismiss()
	}
	return nil
}

// start starts a keeper and tells it all that c knows.
func (c *client) start() error {
	k, err := startProcess()
	if err != nil {
		return fmt.Errorf("start the keeper of this program's pods: %w", err)
	}
	c.now = k
	go c.watch(k)
	var gone []string
	for _, p := range c.pods {
		pod := p.Pod
		if err == nil {
			err = c.ask(k, request{Keep: &pod})
		}
		if p.gone {
			gone = append(gone, p.ID)
		}
	}
	if err == nil && len(gone) > 0 {
		err = c.ask(k, request{Gone: gone})
	}
	if err != nil {
		k.kill()
		c.now = nil
		return fmt.Errorf("tell the keeper of this program's pods of them: %w", err)
	}
	return nil
}

// watch waits for the end of k, and replaces it if it had pods to keep.
func (c *client) watch(k *process) {
	defer close(k.over)
	how := k.wait(context.Background())
	c.turn <- struct{}{}
	defer func() { <-c.turn }()
	if c.now != k {
		return // it was to end, or there is another one by now
	}
	c.now = nil
	c.each(func(p *entry) {
		p.log.Warn("the keeper, which ends the pod with this program, has ended; another one is started", "keeper", k.pid(), "exit", how)
	})
	if lived := time.Since(k.began); lived < pause {
		<-c.turn // others need not wait, and may start one
		time.Sleep(pause - lived)
		c.turn <- struct{}{}
	}
	if c.now != nil || len(c.pods) == 0 {
		return
	}
	if err := c.start(); err != nil {
		c.unkept(err)
	}
}

// unkept logs that there is no keeper, because of err. The next call starts one.
func (c *client) unkept(err error) {
	c.each(func(p *entry) {
		p.log.Error("the pod has no keeper, and outlives this program if that is killed now", "error", err)
	})
}

// each calls f for each pod.
func (c *client) each(f func(*entry)) {
	for _, p := range c.pods {
		f(p)
	}
}
