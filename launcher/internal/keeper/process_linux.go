package keeper

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/podlaunch/podlaunch/launcher/internal/osproc"
)

// self is this program's file, also if another has taken its place by now. Tests have
// others.
var self = "/proc/self/exe"

// patience is how long a keeper has to start, and to answer each request. Tests have less.
var patience = 10 * time.Second

// A process is a keeper.
type process struct {
	proc  *osproc.Process
	line  *os.File // the program's end of the lifeline
	lines *bufio.Reader
	began time.Time
	over  chan struct{} // closed by its goroutine, last
}

// startProcess starts a keeper, and returns once it is ready to be told of pods.
func startProcess() (*process, error) {
	ours, theirs, err := socketPair()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	// The child closes all other descriptors. It has a mark of its own, or it would
	// belong to the pod that this program is, if it is one, and be ended with it. Built with
	// -race it would sleep for a second before it exits (atexit_sleep_ms), and so would who waits
	// for the end of the last pod.
	proc, err := osproc.Start(context.Background(), osproc.Command{
		Path: self,
		Arg0: Name,
		Env: append(os.Environ(), "GOMAXPROCS=1", "POD_LAUNCH_ID=keeper-"+strconv.Itoa(os.Getpid()),
			"GORACE="+strings.TrimSpace(os.Getenv("GORACE")+" atexit_sleep_ms=0")),
		Dir:   "/",
		Files: []*os.File{nil, nil, nil, theirs},
	})
	if err != nil {
		ours.Close()
		return nil, err
	}
	theirs.Close() // so that its end is seen
	k := &process{proc: proc, line: ours, lines: bufio.NewReader(ours), began: time.Now(), over: make(chan struct{})}
	if _, err := k.receive(); err != nil {
		k.kill()
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		return nil, notReady(err, k.wait(ctx))
	}
	return k, nil
}

// socketPair returns both ends of a lifeline. Both are closed on exec.
func socketPair() (ours, theirs *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	if err := unix.SetNonblock(fds[0], true); err != nil { // for the poller, which keeps deadlines
		unix.Close(fds[0])
		unix.Close(fds[1])
		return nil, nil, err
	}
	return os.NewFile(uintptr(fds[0]), "lifeline"), os.NewFile(uintptr(fds[1]), "keeper's lifeline"), nil
}

// A refusedError is what a keeper says that cannot do what it is for.
type refusedError struct{ why string }

func (e *refusedError) Error() string { return e.why }

// notReady says why a keeper has not become ready, which has ended in the way that how says.
func notReady(err error, how string) error {
	var refused *refusedError
	switch {
	case errors.As(err, &refused):
		return err
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("this program's file, executed again as %q, has not answered within %v: what package main and its imports do before main may wait for something: %w", Name, patience, err)
	}
	return fmt.Errorf("this program's file, executed again as %q, ended (%s) before it had answered: it has to be the Go program that launches the pods, and none of its packages may end it before main: %w", Name, how, err)
}

// receive returns the next answer of k.
func (k *process) receive() (a answer, err error) {
	if err := k.line.SetDeadline(time.Now().Add(patience)); err != nil {
		return answer{}, err
	}
	line, err := k.lines.ReadBytes('\n')
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return answer{}, err
	}
	if err := json.Unmarshal(line, &a); err != nil {
		return answer{}, fmt.Errorf("the keeper answered %.80q: %w", line, err)
	}
	if a.Error != "" {
		return answer{}, &refusedError{a.Error}
	}
	return a, nil
}

// ask sends r, and returns the answer.
func (k *process) ask(r request) (answer, error) {
	line, err := json.Marshal(r)
	if err != nil {
		return answer{}, err
	}
	if err := k.line.SetDeadline(time.Now().Add(patience)); err != nil {
		return answer{}, err
	}
	if _, err := k.line.Write(append(line, '\n')); err != nil {
		return answer{}, err
	}
	return k.receive()
}

// kill ends k before the lifeline does: then k ends no pod.
func (k *process) kill() {
	_ = k.proc.Signal(context.Background(), syscall.SIGKILL) // it has ended, else
	k.line.Close()
}

// dismiss ends the lifeline of k, which has no pods.
func (k *process) dismiss() { k.line.Close() }

// wait waits until k has ended, reaps it, and returns how it has ended. If ctx is done
// before, a later launch reaps it.
func (k *process) wait(ctx context.Context) string {
	defer k.line.Close()
	exit, err := k.proc.Wait(ctx)
	if err != nil {
		k.proc.Release()
		return err.Error()
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	err = k.proc.Reap(ctx)
	switch {
	case err != nil:
		return err.Error()
	case !exit.Known:
		return "exit status unknown"
	case exit.Signal != 0:
		return "signal: " + exit.Signal.String()
	}
	return "exit status " + strconv.Itoa(exit.Code)
}

// pid is the process id of k.
func (k *process) pid() int { return k.proc.PID() }
