package osproc

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// sysProcAttr returns what the process of c is to be; its pidfd goes to pidfd.
func sysProcAttr(c Command, pidfd *int) *syscall.SysProcAttr {
	var sys syscall.SysProcAttr
	if c.Attr != nil {
		sys = *c.Attr
	}
	sys.Setsid, sys.PidFD = !c.NoSession, pidfd
	return &sys
}

// checkFlags refuses what would not be a child of ours, or share with us what it must
// not: only namespaces can be new.
func checkFlags(attr *syscall.SysProcAttr) error {
	const namespaces = unix.CLONE_NEWNS | unix.CLONE_NEWCGROUP | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC |
		unix.CLONE_NEWUSER | unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWTIME
	if other := attr.Cloneflags &^ namespaces; other != 0 {
		return fmt.Errorf("%s cannot have %#x, only namespaces: %w", "Cloneflags", other, syscall.EINVAL)
	}
	return nil
}

// A Process is a child of this program, or an adopted process. It leads a session and a
// group.
//
// A Process sees its end through a pidfd in the runtime's poller: Wait parks a goroutine,
// not a thread. Wait only looks at the end (WNOWAIT), and the child stays a zombie until
// Reap. As long as it is a zombie, no other process can get its pid, which is also the
// number of its group.
type Process struct {
	pid   int
	pidfd *os.File // nil where there is none (before Linux 5.4), or none that can be polled: see ended
	kin   kinship

	id   Identity           // of a process that is not our child and has no pidfd
	stop context.CancelFunc // ends the goroutine that looks for its end; else nil

	// waiting is held, by sending, by the one goroutine that waits on pidfd;
	// others wait for it or for ended.
	waiting chan struct{}
	ended   chan struct{} // closed after exit is set
	exit    Exit

	mu     sync.Mutex // held while signalling, and while closing ended
	killed bool       // SIGKILL was sent to the group
	pinned bool       // nobody has reaped the child: its number is its own
	over   bool       // Reap or Release was called: no more signals
}

// forkKnown is forkExec where the pidfd may be refused to the fork (CLONE_PIDFD, clone(2)),
// as an emulator of system calls does, or the filter of a container. It is then opened by
// the child's number. That is the child's own unless it was reaped by now, which the
// program may do, and its number has become another child's.
func forkKnown(path string, argv []string, attr *syscall.ProcAttr) (pid int, err error) {
	pid, err = forkExec(path, argv, attr)
	if !isRefused(err) {
		return pid, err
	}
	sys := *attr.Sys
	sys.PidFD = nil
	plain := *attr
	plain.Sys = &sys
	if pid, err = forkExec(path, argv, &plain); err != nil {
		return 0, err
	}
	*attr.Sys.PidFD = -1
	if pidfd, err := unix.PidfdOpen(pid, 0); err == nil {
		if isChild(pidfd, pid) {
			*attr.Sys.PidFD = pidfd
		} else {
			unix.Close(pidfd)
		}
	}
	return pid, nil
}

// sweep reaps the children that were released and have ended.
func sweep() { ours.sweep() }

func newProcess(pid, pidfd int) *Process {
	p := &Process{pid: pid, kin: own, pinned: true, waiting: make(chan struct{}, 1), ended: make(chan struct{})}
	if pidfd >= 0 {
		p.pidfd = pollable(pidfd)
	}
	ours.hold(p.pid, p)
	if p.pidfd != nil {
		return p
	}
	// Without a pidfd a thread has to wait. The goroutine ends with the child.
	go func() {
		p.look(unix.P_PID, pid, 0)
	}()
	return p
}

// PID returns the process's id.
func (p *Process) PID() int { return p.pid }

// Wait returns how the process ended, once it has, at every call. Once ctx is done
// it returns context.Cause(ctx), unless the process has ended already: so with a
// ctx that is done from the start, Wait just looks.
func (p *Process) Wait(ctx context.Context) (Exit, error) {
	waiting := p.waiting
	if p.pidfd == nil {
		waiting = nil // the goroutine waits
	}
	select {
	case <-p.ended:
		return p.exit, nil
	case waiting <- struct{}{}:
		defer func() { <-p.waiting }()
		return p.poll(ctx)
	case <-ctx.Done():
		if p.lookNow() {
			return p.exit, nil
		}
		return Exit{}, context.Cause(ctx)
	}
}

// lookNow reports whether the child has ended by now.
func (p *Process) lookNow() bool {
	select {
	case <-p.ended:
		return true
	default:
	}
	if p.pidfd == nil {
		return p.look(unix.P_PID, p.pid, unix.WNOHANG)
	}
	gone := false
	err := p.withPidfd(func(fd int) { gone = p.look(unix.P_PIDFD, fd, unix.WNOHANG) })
	return err == nil && gone
}

// withPidfd calls f with the pidfd, which there is, unless it is closed.
func (p *Process) withPidfd(f func(fd int)) error {
	conn, err := p.pidfd.SyscallConn()
	if err != nil {
		return err
	}
	return conn.Control(func(fd uintptr) { f(int(fd)) })
}

// unreaped reports whether the process is a child of ours that nobody has reaped. Without a
// pidfd it cannot tell: a child counts as unreaped until its end was seen.
func (p *Process) unreaped() bool {
	if p.pidfd == nil {
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.pinned
	}
	is := false
	err := p.withPidfd(func(fd int) { is = isChild(fd, p.pid) })
	return err == nil && is
}

// poll waits on the pidfd. The caller holds waiting.
func (p *Process) poll(ctx context.Context) (Exit, error) {
	conn, err := p.pidfd.SyscallConn()
	if err != nil {
		return Exit{}, err
	}
	stop := context.AfterFunc(ctx, func() { p.pidfd.SetReadDeadline(time.Unix(1, 0)) })
	defer func() {
		// If Read has ended otherwise than by the deadline, the process has ended, and
		// a deadline that is still to be set matters to nobody.
		if !stop() {
			p.pidfd.SetReadDeadline(time.Time{}) // for the next one who waits
		}
	}()
	gone := false
	err = conn.Read(func(fd uintptr) bool {
		gone = p.look(unix.P_PIDFD, int(fd), unix.WNOHANG)
		return gone
	})
	switch {
	case gone || p.lookNow(): // Read may see its deadline before it calls look
		return p.exit, nil
	case ctx.Err() != nil:
		return Exit{}, context.Cause(ctx)
	}
	return Exit{}, fmt.Errorf("wait for pid %d: %w", p.pid, err)
}

// look reports whether the child has ended, and then sees to it that ended is
// closed. It waits for that unless flags has WNOHANG.
func (p *Process) look(idType, id, flags int) bool {
	if p.kin == foreign {
		exit, gone := Exit{}, p.lost()
		if p.pidfd != nil {
			// Since it was adopted it may have become our child: we are a subreaper, or
			// pid 1, and its parent has ended.
			if info, err := waitid(idType, id, unix.WNOWAIT|unix.WNOHANG); err == nil && info.pid != 0 {
				p.end(info.exit(), true)
				return true
			}
			exit, gone = lookFromAfar(id)
		}
		if gone {
			p.end(exit, false)
		}
		return gone
	}
	info, err := waitid(idType, id, unix.WNOWAIT|flags)
	switch {
	case err == nil && info.pid == 0:
		return false
	case err == nil:
		p.end(info.exit(), p.kin != shared)
	case errors.Is(err, unix.ECHILD) && idType == unix.P_PIDFD:
		// It ended, and somebody else has reaped it (SIGCHLD is ignored, or this
		// program calls wait4(-1)). Its number may be another's by now.
		p.end(awaitReapedExit(id), false)
	case errors.Is(err, unix.ECHILD):
		p.end(Exit{}, false)
	case idType == unix.P_PIDFD: // it is refused: see peekChild
		return p.look(unix.P_PID, p.pid, flags)
	case flags&unix.WNOHANG == 0:
		return until(context.Background(), p.lookByStat)
	default:
		return p.lookByStat()
	}
	return true
}

// lookByStat is look where waitid(2) is not to be had.
func (p *Process) lookByStat() bool {
	st, err := ReadStat(p.pid)
	switch {
	case isGone(err) || err == nil && st.Parent != os.Getpid(): // somebody else has reaped it
		p.end(Exit{}, false)
	case err == nil && st.Dead():
		p.end(st.exit(), p.kin != shared)
	default:
		return false
	}
	return true
}

// end notes how the process ended, and whether it is a zombie that keeps its
// number.
func (p *Process) end(exit Exit, pinned bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.ended: // somebody else looked at the same time
	default:
		p.exit, p.pinned = exit, pinned
		close(p.ended)
	}
}

// Signal sends sig, a syscall.Signal, to the whole group, or to the process alone while
// it leads none (Command.NoSession). It returns
// [os.ErrProcessDone] once there is nobody left to get it.
func (p *Process) Signal(_ context.Context, sig os.Signal) error {
	number, ok := sig.(syscall.Signal)
	if !ok {
		return fmt.Errorf("signal %v: not a signal of this system", sig)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	err := p.signalLocked(number)
	switch {
	case errors.Is(err, unix.ESRCH):
		return os.ErrProcessDone
	case err != nil:
		return fmt.Errorf("signal the group of pid %d with %v: %w", p.pid, number, err)
	}
	p.killed = p.killed || number == unix.SIGKILL
	return nil
}

func (p *Process) signalLocked(sig syscall.Signal) error {
	return p.deliver(
		func(pidfd int) error {
			err := signalGroup(pidfd, sig)
			if errors.Is(err, unix.ESRCH) { // it leads no group, or is gone
				err = unix.PidfdSendSignal(pidfd, sig, nil, 0)
			}
			if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) {
				err = errTooOld
			}
			return err
		},
		func() error {
			err := unix.Kill(-p.pid, sig)
			if errors.Is(err, unix.ESRCH) { // it leads no group
				err = unix.Kill(p.pid, sig)
			}
			return err
		})
}

// SignalFirst sends sig, a syscall.Signal, to the process alone. It returns
// [os.ErrProcessDone] once that has ended.
func (p *Process) SignalFirst(_ context.Context, sig os.Signal) error {
	number, ok := sig.(syscall.Signal)
	if !ok {
		return fmt.Errorf("signal %v: not a signal of this system", sig)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	err := p.signalFirstLocked(number)
	switch {
	case errors.Is(err, unix.ESRCH):
		return os.ErrProcessDone
	case err != nil:
		return fmt.Errorf("signal pid %d with %v: %w", p.pid, number, err)
	}
	return nil
}

func (p *Process) signalFirstLocked(sig syscall.Signal) error {
	select {
	case <-p.ended: // a zombie takes every signal, and notices none
		return unix.ESRCH
	default:
	}
	return p.deliver(
		func(pidfd int) error { return unix.PidfdSendSignal(pidfd, sig, nil, 0) },
		func() error { return unix.Kill(p.pid, sig) })
}

// errTooOld says that the kernel cannot send a signal in the way that was asked for.
var errTooOld = errors.New("the kernel is too old for it")

// deliver sends a signal by the pidfd, or by the number as long as that is the process's
// own: the kernel may be too old for the former, and the filter of a container refuses
// the call with an error of its choice.
func (p *Process) deliver(byPidfd func(pidfd int) error, byNumber func() error) error {
	if p.over {
		return unix.ESRCH
	}
	refused := error(unix.ESRCH)
	if p.pidfd != nil {
		var err error
		if ctlErr := p.withPidfd(func(fd int) { err = byPidfd(fd) }); ctlErr != nil {
			return ctlErr
		}
		switch {
		case err == nil || errors.Is(err, unix.ESRCH):
			return err
		case err != errTooOld:
			refused = err
		}
	}
	if !p.pinned || p.lost() {
		return refused // the number is not to be trusted
	}
	return byNumber()
}

// Pinned reports whether the number of the process, and so that of its group and its
// session, is its own: it lives, or is a zombie that nobody else can reap.
func (p *Process) Pinned() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return !p.over && p.pinned && !p.lost()
}

// GroupPinned reports whether the number of the process is that of its own group: it is while
// the process is Pinned, and after that as long as anybody is in the group, which the kernel
// tells since Linux 6.9, and tells nobody who may signal none of them.
func (p *Process) GroupPinned() bool {
	if p.Pinned() {
		return true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over || p.pidfd == nil {
		return false
	}
	// EPERM may also be a filter's, so it proves nothing.
	err := error(unix.ESRCH)
	ctlErr := p.withPidfd(func(fd int) { err = signalGroup(fd, 0) })
	return ctlErr == nil && err == nil
}

// lost reports whether the process has just lost its number, or may have, which Wait
// has not seen yet: a child that was reaped, or any other process that has ended.
func (p *Process) lost() (is bool) {
	if p.pidfd == nil {
		err := error(nil)
		if p.kin == foreign {
			err = p.id.Check()
		}
		return ProvesEnd(err)
	}
	err := p.withPidfd(func(fd int) {
		if p.kin == foreign {
			is, _ = pollEnd(fd)
			return
		}
		_, err := peekChild(fd, p.pid)
		is = errors.Is(err, unix.ECHILD)
	})
	return is || err != nil
}

// Reap clears away what is left of the process, which has ended: the zombie, and
// its pidfd. If SIGKILL was sent before, Reap returns once the whole group is gone,
// or ctx is done; its error names the processes that are left. What this program has
// inherited of the group is reaped, too. Reap is called once, and no other method
// after it. It reaps no process that is somebody else's to reap.
func (p *Process) Reap(ctx context.Context) error {
	p.mu.Lock()
	p.over = true
	killed, pinned := p.killed, p.pinned
	p.mu.Unlock()
	if pinned && p.kin != shared {
		if killed && inheritsOrphans() {
			reapOrphans(ctx, p.pid)
		}
		p.reap()
	}
	ours.drop(p.pid, p)
	p.closePidfd()
	if killed {
		return awaitGroup(ctx, p.pid)
	}
	return nil
}

// reap reaps the child, which has ended, and no other one. Other code of this program may
// have started a child that was found, and may wait for it. That code learns how the child
// ended only if it reaps the child itself, so reap gives it a moment for that.
func (p *Process) reap() {
	if p.pidfd == nil {
		reapBy(unix.P_PID, p.pid, p.pid)
		return
	}
	_ = p.withPidfd(func(fd int) {
		if p.kin != own {
			awaitReaper(fd, p.pid)
		}
		reapBy(unix.P_PIDFD, fd, p.pid)
	})
}

// Release forgets the process, which runs: it frees the pidfd. It is called instead
// of Reap, and no other method after it. When a child of ours has ended, a later
// [Start] reaps it.
func (p *Process) Release() {
	p.mu.Lock()
	p.over = true
	p.mu.Unlock()
	if p.kin == own || p.kin == found {
		ours.release(p.pid, p)
	}
	p.closePidfd()
}

// closePidfd ends what looks for the end of the process.
func (p *Process) closePidfd() {
	if p.stop != nil {
		p.stop()
	}
	if p.pidfd != nil {
		p.pidfd.Close()
	}
}

// Notes says what may explain that the process does nothing: that it is stopped, or frozen.
func (p *Process) Notes() (notes []string) {
	if note := frozenNote(p.pid); note != "" {
		notes = append(notes, note)
	}
	if st, err := ReadStat(p.pid); err == nil && (st.State == 'T' || st.State == 't') {
		notes = append(notes, "the process is stopped (state "+string(st.State)+"), as by SIGSTOP")
	}
	return notes
}
