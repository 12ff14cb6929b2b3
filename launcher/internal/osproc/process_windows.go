package osproc

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/windows"
)

// A Process is a child of this program, or an adopted process. Its group is its job.
//
// A goroutine of its own, and with it a thread, waits for it. The number of the process is
// its own as long as this program has a handle of it, until Reap or Release.
type Process struct {
	id     Identity
	handle windows.Handle
	cancel windows.Handle // an event that ends the goroutine
	mark   string

	ended  chan struct{} // closed after exit or failed is set
	exit   Exit
	failed error         // why it cannot be waited for
	waited chan struct{} // closed when the goroutine has ended

	mu     sync.Mutex
	job    windows.Handle // 0: there is none, or we have no handle of it
	lasts  bool           // the job does not end with this program
	killed bool           // the job was ended
	over   bool           // Reap or Release was called: the handles are closed
}

// newProcess returns the Process of a handle, which it takes, also if it fails. It takes job
// if it does not fail.
func newProcess(handle windows.Handle, pid int, job windows.Handle, mark string) (*Process, error) {
	id, err := identityOf(pid, handle)
	var cancel windows.Handle
	if err == nil {
		cancel, err = windows.CreateEvent(nil, 1, 0, nil)
	}
	if err != nil {
		if job != 0 {
			_ = windows.TerminateProcess(handle, killCode) // nobody else will know it
		}
		windows.CloseHandle(handle)
		return nil, fmt.Errorf("watch process %d: %w", pid, err)
	}
	p := &Process{
		id: id, handle: handle, cancel: cancel, job: job, mark: mark,
		ended: make(chan struct{}), waited: make(chan struct{}),
	}
	go p.wait()
	return p, nil
}

// wait is the goroutine.
func (p *Process) wait() {
	defer close(p.waited)
	event, err := windows.WaitForMultipleObjects([]windows.Handle{p.handle, p.cancel}, false, windows.INFINITE)
	if err == nil && event != windows.WAIT_OBJECT_0 {
		return // it is forgotten
	}
	var code uint32
	switch {
	case err != nil:
		p.failed = fmt.Errorf("wait for process %d: %w", p.id.PID, err)
	case windows.GetExitCodeProcess(p.handle, &code) == nil:
		p.exit = Exit{Code: int(code), Known: true}
		if code == killCode {
			p.exit = Exit{Signal: syscall.SIGKILL, Known: true}
		}
	}
	close(p.ended)
}

// Adopt returns the process with the Identity. The error is ErrGone, ErrStranger, or says
// why it cannot be adopted. Without Know its group is the tree of its descendants.
func Adopt(id Identity) (*Process, error) {
	h, err := openIdentity(id, windows.PROCESS_TERMINATE)
	if errors.Is(err, windows.ERROR_ACCESS_DENIED) {
		h, err = openIdentity(id, 0) // it can be watched all the same
	}
	if err != nil {
		return nil, err
	}
	return newProcess(h, id.PID, 0, "")
}

// Know tells an adopted process its mark, by which its job is found. If it lasts, the job is
// not to end with the launcher. A launcher that died before it could say so is made up for.
func (p *Process) Know(mark string, lasts bool) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mark = mark
	if !lasts || p.over {
		return nil // a handle of ours would keep the job when its launcher ends
	}
	job, err := openJob(mark)
	if errors.Is(err, errNoJob) {
		return nil
	}
	if err == nil {
		if err = setKillOnClose(job, false); err != nil {
			windows.CloseHandle(job)
		}
	}
	if err != nil {
		return err
	}
	p.job, p.lasts = job, true
	return nil
}

// Share gives the process a handle of its job, without the right to do anything with it:
// the name of the job lasts as long as the process. It is called once, if at all.
func (p *Process) Share() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over || p.job == 0 {
		return ErrGone
	}
	var theirs windows.Handle
	err := windows.DuplicateHandle(windows.CurrentProcess(), p.job, p.handle, &theirs, jobObjectQuery, false, 0)
	switch {
	case err == nil:
		return nil
	case hasEnded(p.handle):
		return ErrGone
	}
	return fmt.Errorf("give process %d a handle of its job: %w", p.id.PID, err)
}

// Last has the process, and all that come of it, outlive this program. Until then they end
// with it.
func (p *Process) Last() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over || p.job == 0 {
		return nil
	}
	if err := setKillOnClose(p.job, false); err != nil {
		return err
	}
	p.lasts = true
	return nil
}

// PID returns the process's id.
func (p *Process) PID() int { return p.id.PID }

// Wait returns how the process ended, once it has, at every call. Once ctx is done
// it returns context.Cause(ctx), unless the process has ended already: so with a
// ctx that is done from the start, Wait just looks.
func (p *Process) Wait(ctx context.Context) (Exit, error) {
	select {
	case <-p.ended:
		return p.exit, p.failed
	default:
	}
	select {
	case <-p.ended:
		return p.exit, p.failed
	case <-ctx.Done():
	}
	if p.isOver() {
		<-p.ended // the goroutine sees it, too
		return p.exit, p.failed
	}
	return Exit{}, context.Cause(ctx)
}

// isOver reports whether the process has ended, and was not reaped.
func (p *Process) isOver() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return !p.over && hasEnded(p.handle)
}

// Signal sends sig to the whole group. SIGKILL ends the processes of the job. SIGTERM sets
// the stop event of the process, if it has created that, and else is CTRL_C. SIGINT is
// CTRL_C, for all that share the console of the process. Every other signal is an
// [errors.ErrUnsupported]. Signal returns [os.ErrProcessDone] once nobody is left.
func (p *Process) Signal(ctx context.Context, sig os.Signal) error {
	if sig == syscall.SIGKILL {
		return p.kill()
	}
	return p.ask(ctx, sig)
}

// SignalFirst sends sig to the process alone, as Signal does to the group. Exception: who
// shares its console gets CTRL_C, too.
func (p *Process) SignalFirst(ctx context.Context, sig os.Signal) error {
	if sig != syscall.SIGKILL {
		if p.hasEnded() {
			return os.ErrProcessDone
		}
		return p.ask(ctx, sig)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over || hasEnded(p.handle) {
		return os.ErrProcessDone
	}
	return terminate(p.handle, p.id.PID)
}

func (p *Process) hasEnded() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.over || hasEnded(p.handle)
}

// kill ends the processes of the job, or, if there is none, the tree of the process.
func (p *Process) kill() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over {
		return os.ErrProcessDone
	}
	job, closeJob, err := p.openJob()
	if errors.Is(err, errNoJob) {
		if err = KillGroup(p.id); ProvesEnd(err) {
			return os.ErrProcessDone
		}
		return err
	}
	if err != nil {
		return err
	}
	defer closeJob()
	active, err := activeIn(job)
	if err == nil && active == 0 {
		return os.ErrProcessDone
	}
	if err := killJob(job); err != nil {
		return err
	}
	p.killed = true
	return nil
}

// openJob returns the job, and what closes the handle if that is not ours to keep. The
// caller holds mu.
func (p *Process) openJob() (job windows.Handle, closeJob func(), err error) {
	if p.job != 0 {
		return p.job, func() {}, nil
	}
	if job, err = openJob(p.mark); err != nil {
		return 0, nil, err
	}
	return job, func() { windows.CloseHandle(job) }, nil
}

// ask sends what asks the process to end.
func (p *Process) ask(ctx context.Context, sig os.Signal) error {
	number, ok := sig.(syscall.Signal)
	if !ok {
		return fmt.Errorf("signal %v: not a signal of this system", sig)
	}
	if err := CanSend(number); err != nil {
		return fmt.Errorf("signal process %d: %w", p.id.PID, err)
	}
	members, err := p.members()
	switch {
	case err != nil:
		return err
	case len(members) == 0:
		return os.ErrProcessDone
	}
	if sig == syscall.SIGTERM {
		if set, err := setEvent(p.mark); set || err != nil {
			return err
		}
	}
	if err = interrupt(ctx, members[0]); err != nil && p.hasEnded() {
		return nil // it has come to its end without it
	}
	return err
}

// members returns who is left of the group, the process first.
func (p *Process) members() ([]Identity, error) {
	if !p.hasEnded() {
		return []Identity{p.id}, nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over {
		return nil, nil
	}
	job, closeJob, err := p.openJob()
	if errors.Is(err, errNoJob) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer closeJob()
	return membersOf(job)
}

// Pinned reports whether the number of the process is its own: it is until the last handle
// is closed.
func (p *Process) Pinned() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return !p.over
}

// GroupPinned is Pinned.
func (p *Process) GroupPinned() bool { return p.Pinned() }

// Reap closes the handles of the process, which has ended. If SIGKILL was sent before, Reap
// returns once the whole group is gone, or ctx is done; its error names who is left. Reap is
// called once, and no other method after it.
func (p *Process) Reap(ctx context.Context) error {
	p.mu.Lock()
	killed, job := p.killed, p.job
	p.mu.Unlock()
	var err error
	if killed && job != 0 {
		err = awaitEmpty(ctx, job)
	}
	p.free()
	return err
}

// Release forgets the process, which runs. It is called instead of Reap, and no other method
// after it.
func (p *Process) Release() { p.free() }

// free ends the goroutine and closes the handles. The job of a process whose end is not to
// be the end of the others is kept.
func (p *Process) free() {
	p.mu.Lock()
	p.over = true
	job := p.job
	p.job = 0
	p.mu.Unlock()
	_ = windows.SetEvent(p.cancel)
	<-p.waited
	windows.CloseHandle(p.cancel)
	windows.CloseHandle(p.handle)
	if job != 0 {
		keepJob(job)
	}
}

// awaitEmpty waits until nobody is in the job.
func awaitEmpty(ctx context.Context, job windows.Handle) error {
	var failed error
	if until(ctx, func() bool {
		var active int
		active, failed = activeIn(job)
		return active == 0 || failed != nil
	}) {
		return failed
	}
	left, err := pidsIn(job)
	if err != nil {
		return err
	}
	return fmt.Errorf("processes %v of its job are still there: %w", left, context.Cause(ctx))
}

// Outlook and HasChildren cannot tell, and say that it stays as it is.
func (p *Process) Outlook() (runs, ending bool) { return false, false }

// HasChildren is as Outlook.
func (p *Process) HasChildren() bool { return false }

// Notes returns nothing: this system does not tell what would explain that the process does
// nothing.
func (p *Process) Notes() []string { return nil }
