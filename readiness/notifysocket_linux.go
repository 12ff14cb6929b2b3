package readiness

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// maxNotification is how long a datagram may be. systemd takes 4 KiB.
	maxNotification = 8 << 10

	// maxQueued is how many datagrams are still read once the time is over: as
	// many as can be in the socket's queue (net.unix.max_dgram_qlen).
	maxQueued = 512

	// notifyLinger is how long a helper has, after READY=1, for its barrier.
	notifyLinger = 50 * time.Millisecond
)

// Prepare implements [Preparer]: it binds the socket, hands it to the pod, and adds
// NOTIFY_SOCKET to the environment. By default the socket has mode 0600, is in the
// runtime directory, and replaces a socket that an earlier launch left. Only one probe
// of a launch can have it.
func (s NotifySocket) Prepare(ctx context.Context, setup *Setup) (Probe, error) {
	if variable(setup.Env, notifyVariable) != nil {
		return nil, errors.New("readiness.NotifySocket: another probe of this launch has the notify socket already")
	}
	address, bind := s.place(setup.RuntimeDir), bindNotifyPath
	if s.Public {
		address, bind = "@podlaunch-notify-"+rand.Text(), bindNotify
	}
	conn, err := bind(ctx, address)
	if err != nil {
		return nil, fmt.Errorf("readiness.NotifySocket: %w", err)
	}
	n := &notified{NotifySocket: s, conn: conn, extend: setup.Extend, show: setup.Status, turn: make(turn, 1)}
	n.seen.of = "notifications"
	kept, err := conn.File()
	if err == nil {
		err = setup.addLast(kept)
	}
	if err != nil {
		conn.Close()
		if !s.Public {
			os.Remove(address)
		}
		return nil, fmt.Errorf("readiness.NotifySocket: %w", err)
	}
	own, err := os.Lstat(address)
	setup.Cleanup(func() {
		started := true
		if i := slices.Index(setup.Files, kept); i >= 0 {
			started, setup.Files[i] = false, nil
			kept.Close()
		} else {
			n.mute()
		}
		conn.Close()
		if is, err := os.Lstat(address); err == nil && os.SameFile(own, is) && !(started && isOpen(address)) {
			os.Remove(address)
		}
	})
	if err == nil {
		err = os.Chmod(address, 0o600) // under any umask; the directory is ours alone
	}
	if err != nil && !s.Public {
		return nil, fmt.Errorf("readiness.NotifySocket: %w", err)
	}
	setup.Env = append(setup.Env, notifyVariable+"="+address)
	return n, nil
}

// isOpen reports whether a process has the socket at path open.
func isOpen(path string) bool { return !errors.Is(probeSocket(path), unix.ECONNREFUSED) }

// mute sets a filter by which the kernel drops every datagram from now on, as if it had
// been read. Nothing will read them, and without the filter a sender blocks when the
// queue is full. mute reads what is queued already.
func (n *notified) mute() {
	raw, err := n.conn.SyscallConn()
	if err != nil {
		return
	}
	drop := []unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K, K: 0}}
	err = errors.New("closed")
	raw.Control(func(fd uintptr) {
		err = unix.SetsockoptSockFprog(int(fd), unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: uint16(len(drop)), Filter: &drop[0]})
	})
	if err != nil {
		return // refused, as by a seccomp filter: senders block once the queue is full
	}
	over, cancel := context.WithCancel(context.Background())
	cancel()
	for range 2 * maxQueued {
		d, err := n.receive(over)
		if err != nil {
			return
		}
		d.close()
	}
}

// bindNotifyPath is bindNotify for a path, which it makes free.
func bindNotifyPath(ctx context.Context, path string) (*net.UnixConn, error) {
	if err := checkSocketPath("bind", path); err != nil {
		return nil, err
	}
	fi, err := os.Lstat(path)
	switch {
	case err != nil: // nothing is there, or binding fails for the same reason
	case fi.Mode()&fs.ModeSocket == 0:
		return nil, fmt.Errorf("%q is in the way, and is no socket (%v): remove it", path, fi.Mode())
	default:
		if err := os.Remove(path); err != nil {
			return nil, err
		}
	}
	return bindNotify(ctx, path)
}

// bindNotify binds a datagram socket to address. It sets SO_PASSCRED before a process can
// send, so the kernel names the sender of every datagram.
func bindNotify(ctx context.Context, address string) (*net.UnixConn, error) {
	config := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
		var err error
		if ctlErr := raw.Control(func(fd uintptr) {
			err = os.NewSyscallError("setsockopt", unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_PASSCRED, 1))
		}); ctlErr != nil {
			return ctlErr
		}
		return err
	}}
	conn, err := config.ListenPacket(ctx, "unixgram", address)
	if err != nil {
		return nil, err
	}
	return conn.(*net.UnixConn), nil
}

// A notified is the NotifySocket of one launch. What is below turn belongs to
// who has the turn.
type notified struct {
	NotifySocket
	conn   *net.UnixConn
	extend func(time.Duration) // may be nil
	show   func(string)        // may be nil
	turn   turn

	ready  bool
	failed error // the verdict against the pod
	status string
	seen   notes
}

// Wait implements [Probe]. The error is a [*PendingError] once ctx is done.
func (n *notified) Wait(ctx context.Context, t Target) (Endpoint, error) {
	if !n.turn.take(ctx) {
		return Endpoint{}, &PendingError{Waiting: n.String(), Cause: context.Cause(ctx)}
	}
	defer n.turn.pass()
	for late := 0; !n.ready && n.failed == nil; {
		if ctx.Err() != nil {
			late++
		}
		d, err := n.receive(ctx)
		switch {
		case err == nil:
			n.handle(ctx, d, t)
			t.PID = t.first()
		case ctx.Err() == nil:
			return Endpoint{}, fmt.Errorf("receive on the notify socket: %w", err)
		}
		if err != nil || late > maxQueued {
			return Endpoint{}, n.pending(t, context.Cause(ctx))
		}
	}
	if n.failed != nil {
		return Endpoint{}, n.failed
	}
	return t.Endpoint, nil
}

func (n *notified) pending(t Target, cause error) error {
	e := &PendingError{Waiting: n.String(), Notes: slices.Clone(n.seen.list()), Cause: cause}
	if why := keptOut(t.PID); why != "" && !n.Public {
		e.Notes = append(e.Notes, why+" and cannot reach the notify socket in the runtime directory: set readiness.NotifySocket.Public")
	}
	if n.status != "" {
		e.Notes = append(e.Notes, fmt.Sprintf("its last status was %q", n.status))
	}
	return e
}

// keptOut says why the process pid cannot reach what is in a directory of ours alone.
// It returns "" if the process can reach it, or if we cannot find out.
func keptOut(pid int) string {
	if pid <= 0 {
		return ""
	}
	if p, ok := peerOfPID(pid); ok && p.UID != 0 && p.UID != os.Geteuid() {
		return fmt.Sprintf("the pod has become user %d", p.UID)
	}
	own, errOwn := os.Stat("/")
	root, errRoot := os.Stat(fmt.Sprintf("/proc/%d/root", pid))
	if errOwn == nil && errRoot == nil && !os.SameFile(own, root) {
		return "the pod has another root directory"
	}
	return ""
}

// handle takes one datagram.
func (n *notified) handle(ctx context.Context, d *datagram, t Target) {
	defer d.close()
	if taken, err := n.admit(ctx, d, t); !taken {
		n.failed = err
		return
	}
	m, err := d.notification()
	if err != nil {
		n.seen.add(fmt.Sprintf("a notification was not taken: %v: %s", err, d.text()))
		return
	}
	if m.malformed != nil {
		n.seen.add("not understood in a notification: " + strings.Join(m.malformed, ", "))
	}
	switch {
	case m.mainPID == 0 || m.mainPID == t.PID:
	case n.MainPID:
		if n.failed = adopt(ctx, t, m.mainPID, fmt.Sprintf("MAINPID=, which pid %d has said,", d.sender.PID)); n.failed != nil {
			return
		}
		t.PID = m.mainPID
	default:
		n.seen.add(fmt.Sprintf("the pod says that its main process is pid %d; the launcher watches pid %d", m.mainPID, t.PID))
	}
	n.tell(m)
	switch {
	case m.errno != 0 || m.exitStatus != nil || m.stopping:
		n.failed = &FailedError{Reason: n.status, Errno: m.errno, ExitStatus: m.exitStatus, Stopping: m.stopping}
	case m.ready:
		n.ready = true
		n.linger(d.sender, t.PID)
	}
}

// tell passes on what m says to others.
func (n *notified) tell(m notification) {
	if m.status != nil && strings.TrimSpace(*m.status) != "" {
		n.status = *m.status
		if n.show != nil {
			n.show(n.status)
		}
	}
	if m.extend > 0 && n.extend != nil {
		n.extend(m.extend)
	}
}

// admit reports whether d counts. If it does not, the error is the verdict
// against its sender, or nil if d was merely noted.
func (n *notified) admit(ctx context.Context, d *datagram, t Target) (taken bool, err error) {
	check := n.Peer
	if check == nil {
		check = ofPod
	}
	err = check(d.sender, t)
	if err != nil && n.Peer == nil && n.MainPID && t.Kin != nil && d.sender.PID > 0 && t.Kin.Prove(ctx, d.sender.PID) == nil {
		err = nil // its parents have ended
	}
	switch foreign := (*foreignError)(nil); {
	case err == nil:
		return true, nil
	case d.sender.UID == os.Geteuid() && d.sender.PID > 0 && (isGone(d.sender.PID) || n.MainPID && hasEnded(d.sender.PID)):
		// It may have been of the pod: a helper that did not wait for us.
		n.seen.add(fmt.Sprintf("a notification of pid %d was not taken, for it was gone before it could be told whether it was of the pod: %s; if any process of our user may notify, set readiness.NotifySocket.Peer to readiness.SameUser",
			d.sender.PID, d.text()))
		return false, nil
	case errors.As(err, &foreign):
		f := *foreign
		f.is, f.does, f.may = "notification of a stranger", "has sent "+d.text(), "notify"
		f.field = "readiness.NotifySocket.Peer"
		err = &f
		if n.Public { // anybody can send
			n.seen.add(err.Error())
			err = nil
		}
		return false, err
	}
	return false, fmt.Errorf("readiness.NotifySocket.Peer refuses %s of pid %d: %w", d.text(), d.sender.PID, err)
}

// ofPod is [SamePod], but a process of the pod may have become another user.
func ofPod(p Peer, t Target) error {
	if t.PID > 0 && p.PID > 0 && belongs(p.PID, t.PID) {
		return nil
	}
	return SamePod(p, t)
}

// linger waits for the barrier with which a helper like systemd-notify(1) makes sure that
// READY=1 was handled before it ends: the helper fails if nothing takes its barrier. If
// sender is no helper of pod, linger only takes what is there already.
func (n *notified) linger(sender Peer, pod int) {
	if isGone(sender.PID) {
		return
	}
	patience := notifyLinger
	if !mayBeHelper(sender.PID, pod) {
		patience = 0
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for range maxQueued {
		d, err := n.receive(ctx)
		if err != nil {
			return
		}
		m, err := d.notification()
		d.close()
		if err == nil && m.barrier {
			return
		}
	}
}

// mayBeHelper reports whether a datagram in the name of the process sender may
// come from a helper of the pod. Root's systemd-notify(1) sends in the name of
// its parent, which is then not without children.
func mayBeHelper(sender, pod int) bool {
	return sender != pod || os.Geteuid() == 0 && mayHaveChildren(pod)
}

// mayHaveChildren reports whether pid has children, and true if the kernel does not show
// that (it is built without CONFIG_PROC_CHILDREN; proc(5)).
func mayHaveChildren(pid int) bool {
	lists, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil || len(lists) == 0 {
		return true
	}
	return slices.ContainsFunc(lists, func(list string) bool {
		children, err := os.ReadFile(list)
		return err != nil || len(children) > 0
	})
}

// A datagram is what recvmsg(2) returns.
type datagram struct {
	data      []byte
	truncated bool
	sender    Peer
	files     []int // descriptors that came with it
}

// receive returns the next datagram. What it holds is to be closed.
func (n *notified) receive(ctx context.Context) (*datagram, error) {
	const mostFiles = 253 // SCM_MAX_FD of the kernel
	data := make([]byte, maxNotification)
	control := make([]byte, unix.CmsgSpace(unix.SizeofUcred)+unix.CmsgSpace(4*mostFiles))
	var size, controlSize, flags int
	var err error
	waitErr := waitReadable(ctx, n.conn, func(fd int) bool {
		for err = unix.EINTR; errors.Is(err, unix.EINTR); {
			size, controlSize, flags, _, err = unix.Recvmsg(fd, data, control, unix.MSG_DONTWAIT|unix.MSG_CMSG_CLOEXEC)
		}
		return !errors.Is(err, unix.EAGAIN)
	})
	switch {
	case waitErr != nil:
		return nil, waitErr
	case err != nil:
		return nil, os.NewSyscallError("recvmsg", err)
	}
	d := &datagram{data: data[:size], truncated: flags&unix.MSG_TRUNC != 0, sender: Peer{UID: -1, GID: -1}}
	d.takeControl(control[:controlSize])
	return d, nil
}

// takeControl takes the sender and the descriptors.
func (d *datagram) takeControl(control []byte) {
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil {
		return // the kernel made it; without a sender it is nobody's
	}
	for _, m := range messages {
		if cred, err := unix.ParseUnixCredentials(&m); err == nil {
			d.sender = Peer{PID: int(cred.Pid), UID: int(cred.Uid), GID: int(cred.Gid)}
		} else if files, err := unix.ParseUnixRights(&m); err == nil {
			d.files = append(d.files, files...)
		}
	}
}

// notification takes d apart.
func (d *datagram) notification() (notification, error) {
	if d.truncated {
		return notification{}, fmt.Errorf("it has more than %d bytes", maxNotification)
	}
	return parseNotification(d.data)
}

// text quotes d for an error.
func (d *datagram) text() string {
	const most = 100
	if len(d.data) <= most {
		return fmt.Sprintf("%q", d.data)
	}
	return fmt.Sprintf("%q…", d.data[:most])
}

// close closes the descriptors that came with d, which is what a barrier waits
// for.
func (d *datagram) close() {
	for _, fd := range d.files {
		unix.Close(fd)
	}
}
