package keeper

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"sync"
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
	kept    int      // pods since somebody was looked at in turn
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
	for _, id := range r.Empty {
		s.forget(id, &a)
	}
	switch {
	case r.Keep != nil && r.Keep.Mark != "" && r.Keep.ID != "":
		if s.keep(*r.Keep); s.kept >= looksInTurn {
			s.forgetEmpty(nil, &a)
		}
	case len(r.Gone) > 0:
		for _, id := range r.Gone {
			if p := s.pods[id]; p != nil {
				p.gone = true
			}
		}
		s.forgetEmpty(r.Gone, &a)
	case len(r.Empty) == 0:
		a.Error = "the request names no pod"
	}
	return a
}

// keep keeps a pod from now on, or notes what is known of it by now.
func (s *server) keep(p Pod) {
	old := s.pods[p.ID]
	if old == nil {
		s.turn = append(s.turn, p.ID)
		s.kept++
	}
	if old == nil || old.First != p.First {
		s.pods[p.ID] = newKept(p)
	}
}

// looksInTurn is how many pods that have ended are looked at besides those that a request names,
// and how many pods are kept until they are looked at without one.
const looksInTurn = 4

// inTurn returns pods whose first process has ended. The program says nothing of a pod that was
// released, and nothing more of a pod that has left processes behind.
func (s *server) inTurn() (ended []string) {
	s.kept = 0
	s.turn = slices.DeleteFunc(s.turn, func(id string) bool { return s.pods[id] == nil }) // those forgotten
	for range len(s.turn) {
		id := s.turn[0]
		s.turn = append(s.turn[1:], id)
		p := s.pods[id]
		if !p.gone && (p.First.PID == 0 || !osproc.ProvesEnd(p.First.Check())) {
			continue
		}
		if ended = append(ended, id); len(ended) == looksInTurn {
			break
		}
	}
	return ended
}

// forgetEmpty forgets those of the named pods, and of some others that have ended, of whom
// nobody is left. It gives the processes of the named ones that are about to end a moment. The
// pods are looked at beside each other, for so they share the looks at all processes.
func (s *server) forgetEmpty(named []string, a *answer) {
	var all sync.WaitGroup
	empty := make(map[string]*bool)
	for i, id := range slices.Concat(named, s.inTurn()) {
		p := s.pods[id]
		if p == nil || empty[id] != nil {
			continue
		}
		is := new(bool)
		empty[id] = is
		all.Go(func() { *is = p.isEmpty(i < len(named)) })
	}
	all.Wait()
	for id, is := range empty {
		if *is {
			s.forget(id, a)
		}
	}
}

// forget forgets a pod, of whom nobody is left.
func (s *server) forget(id string, a *answer) {
	if s.pods[id] == nil {
		return
	}
	delete(s.pods, id)
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
