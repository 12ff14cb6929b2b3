package keeper

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/podlaunch/podlaunch/launcher/internal/osproc"
)

// Name is what the keeper is called by.
const Name = "podlaunch-keeper"

// lifeline is the keeper's end of the socket.
const lifeline = 3

func init() {
	if len(os.Args) == 1 && os.Args[0] == Name {
		os.Exit(serve())
	}
}

// serve is the keeper's main. It returns the status to exit with.
func serve() int {
	signal.Ignore()               // of all that may be ignored: it ends with its program, and not before
	name := []byte(Name + "\x00") // the kernel cuts it off after 15 bytes
	_ = unix.Prctl(unix.PR_SET_NAME, uintptr(unsafe.Pointer(&name[0])), 0, 0, 0)
	s := server{program: os.Getppid(), pods: make(map[string]*kept)}
	peer, err := unix.GetsockoptUcred(lifeline, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return 1 // there is nobody to tell: the descriptor is no socket
	}
	if err := s.begin(peer); err != nil {
		s.answer(answer{Error: err.Error()})
		return 1
	}
	if s.answer(answer{}) != nil {
		return 1 // the program has ended, and there is no pod yet
	}
	s.serve()
	return 0
}

// A server is the keeper's side. One goroutine uses it.
type server struct {
	program int // its pid
	pidfd   int // of the program; -1 if there is none, or it has ended
	pods    map[string]*kept
	turn    []string // the pods in the order in which they are looked at once they have ended
	input   []byte   // that is no whole line yet
}

// begin makes sure that the keeper can do what it is for. The lifeline, which peer has
// made, must be that of the program which has started the keeper. Else anybody could
// execute a setuid program by the keeper's name, and have it end any process.
func (s *server) begin(peer *unix.Ucred) (err error) {
	if int(peer.Pid) != s.program || int(peer.Uid) != os.Geteuid() {
		return fmt.Errorf("the lifeline is of pid %d and user %d, and the keeper's parent is pid %d, its user %d: %w", peer.Pid, peer.Uid, s.program, os.Geteuid(), unix.EPERM)
	}
	if s.pidfd, err = unix.PidfdOpen(s.program, 0); err != nil {
		s.pidfd = -1
	}
	unix.CloseOnExec(lifeline)
	if _, err := osproc.Identify(os.Getpid()); err != nil {
		return fmt.Errorf("identify the keeper: %w", err)
	}
	return nil
}

// serve answers requests until the lifeline ends, and then ends the pods. It ends them
// also when the program has ended and somebody else has a copy of the lifeline: a child
// that is about to come to its exec, or one forked by C code that never comes to any.
// The former may be a pod, so the keeper waits for the end of the lifeline in any case.
func (s *server) serve() {
	for {
		polled := []unix.PollFd{{Fd: lifeline, Events: unix.POLLIN}, {Fd: int32(s.pidfd), Events: unix.POLLIN}}
		if _, err := unix.Poll(polled, -1); err != nil && !errors.Is(err, unix.EINTR) {
			end(s.pods, s.program)
			return
		}
		switch {
		case polled[0].Revents != 0:
			if !s.read() {
				end(s.pods, s.program)
				return
			}
		case polled[1].Revents != 0:
			unix.Close(s.pidfd)
			s.pidfd = -1
			end(s.pods, s.program)
		}
	}
}

// read reads what has come and answers the requests in it. It reports false if there
// will be no more, or what has come is no request: then there is nobody to trust.
func (s *server) read() bool {
	var buf [16 << 10]byte
	n, err := unix.Read(lifeline, buf[:])
	if errors.Is(err, unix.EINTR) || errors.Is(err, unix.EAGAIN) {
		return true
	}
	if err != nil || n == 0 {
		return false
	}
	s.input = append(s.input, buf[:n]...)
	for {
		line, rest, whole := bytes.Cut(s.input, []byte("\n"))
		if !whole {
			return true
		}
		var r request
		if json.Unmarshal(line, &r) != nil {
			return false
		}
		s.input = slices.Clone(rest)
		if s.answer(s.do(r)) != nil {
			return false
		}
	}
}

// do does what r asks for.
func (s *server) do(r request) answer {
	var a answer
	switch {
	case r.Keep != nil && r.Keep.Mark != "" && r.Keep.ID != "":
		s.keep(*r.Keep)
		s.forgetSome(&a)
	case r.Gone != "":
		if p := s.pods[r.Gone]; p != nil {
			p.gone = true
			s.forgetIfEmpty(r.Gone, &a)
		}
	default:
		a.Error = "the request names no pod"
	}
	return a
}

// keep keeps a pod from now on, or notes what is known of it by now.
func (s *server) keep(p Pod) {
	old := s.pods[p.ID]
	if old == nil {
		s.turn = append(s.turn, p.ID)
	}
	if old == nil || old.First != p.First {
		s.pods[p.ID] = newKept(p)
	}
}

// forgetSome looks at some pods whose first process has ended, in turn, and forgets those
// without any process left. The program says nothing of a pod that was released, and
// nothing more of a pod that has left processes behind.
func (s *server) forgetSome(a *answer) {
	looks := 0
	for range len(s.turn) {
		id := s.turn[0]
		s.turn = append(s.turn[1:], id)
		p := s.pods[id]
		if !p.gone && (p.First.PID == 0 || !osproc.ProvesEnd(p.First.Check())) {
			continue
		}
		s.forgetIfEmpty(id, a)
		if looks++; looks == 4 {
			return
		}
	}
}

// forgetIfEmpty forgets a pod if nobody is left of it.
func (s *server) forgetIfEmpty(id string, a *answer) {
	if s.pods[id] == nil || !s.pods[id].isEmpty() {
		return
	}
	delete(s.pods, id)
	s.turn = slices.DeleteFunc(s.turn, func(other string) bool { return other == id })
	a.Forgot = append(a.Forgot, id)
}

// answer sends a line.
func (s *server) answer(a answer) error {
	line, err := json.Marshal(a)
	if err != nil {
		return err
	}
	line = append(line, '\n')
	for len(line) > 0 {
		n, err := unix.Write(lifeline, line)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return err
		}
		line = line[max(n, 0):]
	}
	return nil
}
