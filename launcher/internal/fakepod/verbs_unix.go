//go:build unix

package fakepod

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"sort"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// systemVerbs are those that only unix has.
func systemVerbs(compile compiler) []verb {
	return []verb{
		{"bind", "[PATH]", "bind a unix socket, and do not listen", socket(bind)},
		{"backlog", "[PATH]", "listen, and accept nothing: the queue is full at once", socket(backlog)},
		{"dgram", "[PATH]", "bind a datagram socket", socket(dgram)},
		{"accept-fd", "FD", "answer each line that comes through a listener it was handed", descriptor(acceptFD)},
		{"notify-fd", "FD", "write a newline on a descriptor it was handed, and close it", descriptor(notifyFD)},
		{"notify-socket", "LITERAL", "send a datagram to $NOTIFY_SOCKET", literal(notifySocket)},
		{"notify-barrier", "", "send BARRIER=1 to $NOTIFY_SOCKET, and wait for the answer", none(notifyBarrier)},
		{"await", "PATH", "wait for somebody to open the FIFO at PATH for writing", required(open(os.O_RDONLY))},
		{"notify", "PATH", "open the FIFO at PATH for writing: wakes who awaits it", required(open(os.O_WRONLY))},
		{"kill", "SIGNAL", "send itself a signal", signalled(func(_ *pod, sig syscall.Signal) error { return raise(sig) })},
		{"ignore", "SIGNAL", "ignore a signal from now on", signalled(func(_ *pod, sig syscall.Signal) error { signal.Ignore(sig); return nil })},
		{"onterm", "STEPS", "take steps when SIGTERM comes, and then exit 0", nested(compile, onTerm)},
		{"setsid", "STEPS", "start a child in a session of its own", nested(compile, setsid)},
		{"own-session", "", "make a session of its own; the system refuses it to who leads a group", none(func(*pod) error { _, err := syscall.Setsid(); return err })},
		{"exec", "STEPS", "become another image, with these steps", nested(compile, execAgain)},
		{"redirect", "PATH", "send stderr to the file PATH instead", required(redirect)},
		{"fds", "PATH", "write which descriptors are open into a file (Linux)", required(func(_ *pod, path string) error {
			list, err := descriptors()
			return errors.Join(err, replace(path, list))
		})},
		{"closefrom", "N", "close the descriptors from N on, except those of its runtime (Linux)", number(closeFrom)},
		{"undumpable", "", "let nobody look into this process (Linux)", none(func(*pod) error { return undumpable() })},
		{"setuid", "UID", "become another user, for good", number(func(_ *pod, uid int) error { return syscall.Setuid(uid) })},
	}
}

// signalled is a signal, by its name or its number.
func signalled(do func(p *pod, sig syscall.Signal) error) parser {
	return func(arg string) (action, error) {
		sig := unix.SignalNum("SIG" + strings.TrimPrefix(arg, "SIG"))
		if sig == 0 {
			n, err := natural(arg)
			if err != nil {
				return nil, fmt.Errorf("%q is no signal", arg)
			}
			sig = syscall.Signal(n)
		}
		return func(p *pod) error { return do(p, sig) }, nil
	}
}

// descriptor is one by its number, or by $ and the name of the variable that
// has it.
func descriptor(do func(p *pod, f *os.File) error) parser {
	return func(arg string) (action, error) {
		name, variable := strings.CutPrefix(arg, "$")
		if _, err := natural(arg); err != nil && (!variable || name == "") {
			return nil, fmt.Errorf("%q is no number, nor $ and the name of a variable", arg)
		}
		return func(p *pod) error {
			if variable {
				arg = os.Getenv(name)
			}
			n, err := natural(arg)
			if err != nil {
				return fmt.Errorf("the descriptor: %w", err)
			}
			return do(p, os.NewFile(uintptr(n), "descriptor "+arg))
		}, nil
	}
}

func acceptFD(_ *pod, f *os.File) error {
	l, err := net.FileListener(f) // it has a copy
	if err != nil {
		return err
	}
	go serve(l, pong)
	return f.Close()
}

func notifyFD(_ *pod, f *os.File) error {
	_, err := f.WriteString("\n")
	return errors.Join(err, f.Close())
}

// notifyConn returns a connection to the process that listens on $NOTIFY_SOCKET
// (sd_notify(3)).
func notifyConn() (*net.UnixConn, error) {
	path := os.Getenv("NOTIFY_SOCKET")
	if path == "" {
		return nil, errors.New("NOTIFY_SOCKET is not set")
	}
	return net.DialUnix("unixgram", nil, &net.UnixAddr{Name: path, Net: "unixgram"})
}

func notifySocket(_ *pod, state string) error {
	conn, err := notifyConn()
	if err != nil {
		return err
	}
	_, err = conn.Write([]byte(state))
	return errors.Join(err, conn.Close())
}

// notifyBarrier sends a descriptor to the process that it notifies, and waits until that
// process closes it. It closes the descriptor when it has handled all earlier messages.
func notifyBarrier(*pod) error {
	conn, err := notifyConn()
	if err != nil {
		return err
	}
	defer conn.Close()
	ours, theirs, err := os.Pipe()
	if err != nil {
		return err
	}
	defer ours.Close()
	// Go's own call does not send descriptors over a datagram socket that is
	// connected.
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	rights := unix.UnixRights(int(theirs.Fd()))
	var sent error
	err = raw.Write(func(fd uintptr) bool {
		sent = unix.Sendmsg(int(fd), []byte("BARRIER=1"), rights, nil, 0)
		return sent != unix.EAGAIN
	})
	if err := errors.Join(err, sent, theirs.Close()); err != nil {
		return err
	}
	ours.Read(make([]byte, 1)) // it ends when the last copy is closed
	return nil
}

func open(flag int) func(*pod, string) error {
	return func(_ *pod, path string) error {
		f, err := os.OpenFile(path, flag, 0)
		if err != nil {
			return err
		}
		return f.Close()
	}
}

func onTerm(p *pod, _ []string, take action) error {
	term := make(chan os.Signal, 1)
	signal.Notify(term, syscall.SIGTERM)
	go func() {
		<-term
		exit(take(p))
	}()
	return nil
}

func setsid(p *pod, steps []string, _ action) error {
	c := p.again(steps)
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	return c.Start()
}

func execAgain(p *pod, steps []string, _ action) error {
	c := p.again(steps)
	return syscall.Exec(c.Path, c.Args, os.Environ())
}

func redirect(_ *pod, path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	return unix.Dup2(int(f.Fd()), int(os.Stderr.Fd()))
}

// boundSocket is a descriptor, which no finalizer closes.
func boundSocket(path string) (int, error) {
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		return -1, err
	}
	return fd, syscall.Bind(fd, &syscall.SockaddrUnix{Name: path})
}

func bind(_ *pod, path string) error { return second(boundSocket(path)) }

func dgram(p *pod, path string) error {
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	p.held = append(p.held, conn)
	return err
}

// backlog listens with a queue of one, fills it, and never accepts.
func backlog(p *pod, path string) error {
	fd, err := boundSocket(path)
	if err != nil {
		return err
	}
	if err := syscall.Listen(fd, 0); err != nil {
		return err
	}
	for {
		conn, err := net.Dial("unix", path) // does not wait: a full queue is EAGAIN
		if errors.Is(err, syscall.EAGAIN) {
			return nil
		}
		if err != nil {
			return err
		}
		p.held = append(p.held, conn)
	}
}

// closeFrom closes all descriptors from lowest on. Go's runtime would not
// survive the loss of its own.
func closeFrom(_ *pod, lowest int) error {
	list, err := descriptors()
	for line := range strings.Lines(list) {
		fd, target, _ := strings.Cut(line, " ")
		if n, err := natural(fd); err == nil && n >= lowest && !strings.HasPrefix(target, "anon_inode:") {
			syscall.Close(n) // that of the listing is closed already
		}
	}
	return err
}

// descriptors lists this process's open descriptors and what they are.
func descriptors() (string, error) {
	entries, err := os.ReadDir("/proc/self/fd")
	var lines []string
	for _, e := range entries {
		if target, err := os.Readlink(filepath.Join("/proc/self/fd", e.Name())); err == nil {
			lines = append(lines, e.Name()+" "+target)
		}
	}
	sort.Strings(lines)
	return strings.Join(lines, "\n"), err
}
