package launcher

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/podlaunch/podlaunch/launcher/internal/proc"
)

func sysProcAttr(pidfd *int) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setsid: true, PidFD: pidfd}
}

// A process is a child of this program, or one that was adopted, that leads a
// session and a group.
//
// Its end is seen through a pidfd in the runtime's poller: whoever waits parks
// a goroutine, not a thread. The end is only looked at (WNOWAIT), and the
// child stays a zombie until Reap: as long as it is one, its pid, which is
// also the number of its group, cannot become anybody else's.
type process struct {
	pid   int
	pidfd *os.File // nil where there is none (before Linux 5.4), or none that can be polled: see ended

	// adopted says that it is not our child: we can neither ask waitid(2) about
	// it nor reap it.
	adopted bool

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

var (
	_ Reaper   = (*process)(nil)
	_ Releaser = (*process)(nil)
)

func newProcess(pid, pidfd int) *process {
	p := &process{pid: pid, pinned: true, waiting: make(chan struct{}, 1), ended: make(chan struct{})}
	if pidfd >= 0 {
		if p.pidfd = pollable(pidfd); p.pidfd != nil {
			return p
		}
	}
	// Without a pidfd a thread has to wait. The goroutine ends with the child.
	go func() {
		p.look(unix.P_PID, pid, 0)
	}()
	return p
}

// pollable returns a pidfd as a file that waits in the runtime's poller. Where
// that cannot have it, for want of memory or because fs.epoll.max_user_watches is
// reached (epoll_ctl(2)), the pidfd is closed, and pollable returns nil.
func pollable(pidfd int) *os.File {
	// In blocking mode the runtime would not try.
	if unix.SetNonblock(pidfd, true) != nil {
		unix.Close(pidfd)
		return nil
	}
	file := os.NewFile(uintptr(pidfd), "pidfd")
	if file.SetReadDeadline(time.Time{}) != nil { // os.ErrNoDeadline: it is not in the poller
		file.Close()
		return nil
	}
	return file
}

func (p *process) PID() int { return p.pid }

// Wait implements [Process].
func (p *process) Wait(ctx context.Context) (Exit, error) {
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
func (p *process) lookNow() bool {
	select {
	case <-p.ended:
		return true
	default:
	}
	if p.pidfd == nil {
		return p.look(unix.P_PID, p.pid, unix.WNOHANG)
	}
	gone := false
	conn, err := p.pidfd.SyscallConn()
	if err == nil {
		err = conn.Control(func(fd uintptr) { gone = p.look(unix.P_PIDFD, int(fd), unix.WNOHANG) })
	}
	return err == nil && gone
}

// poll waits on the pidfd. The caller holds waiting.
func (p *process) poll(ctx context.Context) (Exit, error) {
	conn, err := p.pidfd.SyscallConn()
	if err != nil {
		return Exit{}, err
	}
	fired := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		p.pidfd.SetReadDeadline(time.Unix(1, 0))
		close(fired)
	})
	defer func() {
		if !stop() {
			<-fired
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
func (p *process) look(idType, id, flags int) bool {
	if p.adopted {
		exit, gone := lookAdopted(id)
		if gone {
			p.end(exit, false)
		}
		return gone
	}
	var info siginfo
	err := error(unix.EINTR)
	for errors.Is(err, unix.EINTR) {
		err = unix.Waitid(idType, id, (*unix.Siginfo)(unsafe.Pointer(&info)), unix.WEXITED|unix.WNOWAIT|flags, nil)
	}
	if errors.Is(err, unix.EINVAL) && idType == unix.P_PIDFD {
		// Linux 5.3 has pidfds that can be polled, and no P_PIDFD yet.
		return p.look(unix.P_PID, p.pid, flags)
	}
	if err == nil && info.pid == 0 {
		return false
	}
	switch {
	case err == nil:
		p.end(info.exit(), true)
	case idType == unix.P_PIDFD:
		// ECHILD: it ended, and somebody else has reaped it (SIGCHLD is ignored,
		// or this program calls wait4(-1)). Its number may be another's by now.
		p.end(reapedExit(id), false)
	default:
		p.end(Exit{}, false)
	}
	return true
}

// end notes how the process ended, and whether it is a zombie that keeps its
// number.
func (p *process) end(exit Exit, pinned bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.ended: // somebody else looked at the same time
	default:
		p.exit, p.pinned = exit, pinned
		close(p.ended)
	}
}

// Signal implements [Process].
func (p *process) Signal(_ context.Context, sig os.Signal) error {
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

func (p *process) signalLocked(sig syscall.Signal) error {
	if p.over {
		return unix.ESRCH
	}
	refused := error(unix.ESRCH)
	if p.pidfd != nil {
		conn, err := p.pidfd.SyscallConn()
		if err != nil {
			return err
		}
		if ctlErr := conn.Control(func(fd uintptr) { err = signalGroup(int(fd), sig) }); ctlErr != nil {
			return ctlErr
		}
		// The kernel may be too old for it (EINVAL, ENOSYS), and the filter of a
		// container refuses the call with an error of its choice.
		switch {
		case err == nil || errors.Is(err, unix.ESRCH):
			return err
		case !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOSYS):
			refused = err
		}
	}
	if !p.pinned {
		return refused // the number is not to be trusted
	}
	return unix.Kill(-p.pid, sig)
}

// Reap implements [Reaper].
func (p *process) Reap(ctx context.Context) error {
	p.mu.Lock()
	p.over = true
	killed, ours := p.killed, p.pinned && !p.adopted
	p.mu.Unlock()
	if killed && ours && inheritsOrphans() {
		reapOrphans(ctx, p.pid)
	}
	for err := error(unix.EINTR); ours && errors.Is(err, unix.EINTR); {
		_, err = unix.Wait4(p.pid, nil, unix.WNOHANG, nil)
	}
	p.closePidfd()
	if killed {
		return awaitGroup(ctx, p.pid)
	}
	return nil
}

// Release implements [Releaser].
func (p *process) Release() {
	p.mu.Lock()
	p.over = true
	p.mu.Unlock()
	p.closePidfd()
	if !p.adopted {
		released.add(p.pid)
	}
}

func (p *process) closePidfd() {
	if p.pidfd != nil {
		p.pidfd.Close()
	}
}

// notes says what may explain that the process does not become ready.
func (p *process) notes() []string {
	if st, err := proc.ReadStat(p.pid); err == nil && (st.State == 'T' || st.State == 't') {
		return []string{"the process is stopped (state " + string(st.State) + "), as by SIGSTOP"}
	}
	return nil
}

// awaitGroup waits until the process group is gone, whose members have all been
// sent SIGKILL and whose leader is reaped. There is no event for it. Most
// groups are gone at the first look. Zombies, which only their parent can
// clear, do not count.
//
// The number of a group that is gone may become another's between two looks.
// Then we wait for that one, at the most until ctx is done; nobody is
// signalled.
func awaitGroup(ctx context.Context, pgid int) error {
	for delay := 100 * time.Microsecond; ; delay = min(2*delay, 20*time.Millisecond) {
		if errors.Is(unix.Kill(-pgid, 0), unix.ESRCH) {
			return nil
		}
		if delay > time.Millisecond || ctx.Err() != nil {
			members, err := proc.GroupMembers(pgid)
			if err == nil && len(members) == 0 {
				return nil
			}
			if ctx.Err() != nil {
				return fmt.Errorf("processes %v of group %d are still there although they were sent SIGKILL", members, pgid)
			}
		}
		timer := time.NewTimer(delay)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
		}
	}
}

// A siginfo is the part of siginfo_t that waitid(2) fills in.
type siginfo struct {
	signo int32
	code  [2]int32       // si_errno and si_code; the other way round on MIPS
	_     [is64Bit]int32 // padding
	pid   int32          // 0: there was nothing to report
	_     uint32         // uid
	stat  int32          // exit status, or the number of a signal
	_     [26 - is64Bit]int32
}

const is64Bit = ^uintptr(0) >> 63

// Values of si_code for SIGCHLD (asm-generic/siginfo.h).
const (
	cldExited = 1
	cldDumped = 3
)

func (s *siginfo) exit() Exit {
	code := s.code[1]
	if strings.HasPrefix(runtime.GOARCH, "mips") {
		code = s.code[0]
	}
	if code == cldExited {
		return Exit{Code: int(s.stat), Known: true}
	}
	return Exit{Signal: syscall.Signal(s.stat), CoreDumped: code == cldDumped, Known: true}
}

var _ [unsafe.Sizeof(unix.Siginfo{})]byte = [unsafe.Sizeof(siginfo{})]byte{}
