//go:build linux

package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/fsnotify/fsnotify"
	rod "github.com/go-rod/rod/lib/launcher"
	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"github.com/nxadm/tail"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/runtimedir"
)

// A job is one pod to be launched.
type job struct {
	ctx             context.Context // of the launch; only ours obeys it
	pod, base, name string
	args            []string // of the pod
}

func (j job) dir() string  { return filepath.Join(j.base, j.name) }
func (j job) sock() string { return filepath.Join(j.dir(), "sock") }
func (j job) log() string  { return filepath.Join(j.dir(), "stderr.log") }

// A peer is one way to launch a pod.
type peer struct {
	name  string // as it stands in the tables
	style string // how its pods announce themselves

	// start makes the pod's directory, starts the pod, and returns once it has
	// announced itself and its socket was dialled once. end kills the pod and
	// returns when it is reaped.
	start func(j job) (end func() error, err error)

	program string // that is its worker; "": this one
	slow    bool   // it polls: fewer samples
	wakes   bool   // what it costs grows with the square of the lines: no floods
	listed  string
}

const (
	ourName = "podlaunch"
	another = "podlaunch, another build"
	floor   = "pipe" // the peer that all others are compared with
)

// isOurs reports whether p is podlaunch, of this build or of another.
func (p peer) isOurs() bool { return p.name == ourName || p.name == another }

// peers returns all of them, ours first.
func peers() []peer {
	return []peer{
		{name: ourName, style: "ready", start: ours, listed: "this library, every default on: locks, record, log file, tail, peer check"},
		{name: floor, style: "ready", start: pipe, listed: "os/exec, stderr a pipe, blocking read, one dial; cmd.Wait in a goroutine"},
		{name: "fork", style: "ready", start: fork, listed: "syscall.ForkExec, stderr a pipe, read(2) in a thread, one dial"},
		{name: "go-plugin", style: "plugin", start: goPlugin, listed: "hashicorp/go-plugin 1.8, handshake on stdout, one dial"},
		{name: "rod", style: "rod", start: rodParser, wakes: true, listed: "go-rod's URLParser behind os/exec's copying goroutine, one dial"},
		{name: "tail", style: "ready", start: tailed(false), listed: "os/exec, stderr a file, nxadm/tail with inotify, one dial"},
		{name: "tail-poll", style: "ready", start: tailed(true), slow: true, listed: "the same, nxadm/tail polling"},
		{name: "fsnotify-each", style: "ready", start: watched, listed: "os/exec, stderr a file, an fsnotify watcher for each launch, one dial"},
		{name: "by-hand", style: "ready", start: byHand, slow: true, listed: "os/exec, stderr a file, read as a whole every 50 ms, one dial"},
	}
}

// other is the podlaunch of another build of this program: that of an earlier commit, for
// instance. Its worker must take the same orders.
func other(program string) peer {
	return peer{name: another, program: program, listed: "the same as `podlaunch`, in the program of -beside"}
}

func ours(j job) (func() error, error) {
	l := launcher.Launcher{Command: launcher.Exec(j.pod), Dir: runtimedir.Dir(j.base), Timeout: 10 * time.Minute, Grace: -1}
	pod, err := l.Launch(j.ctx, launcher.Spec{Name: j.name, Args: j.args})
	if err != nil {
		return nil, err
	}
	return func() error { return pod.Stop(context.Background()) }, nil
}

// isReady reports whether line, with or without its ending, is the ready line
// of j.
func (j job) isReady(line []byte) bool {
	rest, ok := bytes.CutPrefix(line, []byte("INSOMNIA-READY\t"))
	return ok && string(bytes.TrimSuffix(rest, []byte{'\n'})) == j.name+"\t"+j.sock()
}

// dial dials once.
func dial(address string) error {
	conn, err := net.Dial("unix", address)
	if err != nil {
		return err
	}
	return conn.Close()
}

// command is the pod, and its directory made.
func command(j job) (*exec.Cmd, error) {
	cmd := exec.Command(j.pod, j.args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	return cmd, os.Mkdir(j.dir(), 0o700)
}

// waited waits for cmd in a goroutine, as everybody does who wants to know of
// the pod's end, and returns what kills it.
func waited(cmd *exec.Cmd, after func()) func() error {
	done := make(chan struct{})
	go func() {
		cmd.Wait()
		close(done)
	}()
	return func() error {
		err := syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		<-done
		after()
		return err
	}
}

func pipe(j job) (func() error, error) {
	cmd, err := command(j)
	if err != nil {
		return nil, err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	cmd.Stderr = w
	err = cmd.Start()
	w.Close()
	if err != nil {
		return nil, err
	}
	in := bufio.NewReader(r)
	for {
		line, err := in.ReadSlice('\n')
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return nil, fmt.Errorf("the pod ended: %w", err)
		}
		if j.isReady(line) {
			break
		}
	}
	if err := dial(j.sock()); err != nil {
		return nil, err
	}
	go io.Copy(io.Discard, r) // else the pod blocks, or dies, when it writes more
	return waited(cmd, func() { r.Close() }), nil
}

func fork(j job) (func() error, error) {
	if err := os.Mkdir(j.dir(), 0o700); err != nil {
		return nil, err
	}
	var p [2]int
	if err := syscall.Pipe2(p[:], syscall.O_CLOEXEC); err != nil {
		return nil, err
	}
	null, err := syscall.Open(os.DevNull, syscall.O_RDWR|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	pid, err := syscall.ForkExec(j.pod, append([]string{j.pod}, j.args...), &syscall.ProcAttr{
		Env:   os.Environ(),
		Files: []uintptr{uintptr(null), uintptr(null), uintptr(p[1])},
		Sys:   &syscall.SysProcAttr{Setsid: true},
	})
	syscall.Close(null)
	syscall.Close(p[1])
	if err != nil {
		return nil, err
	}
	buf, end := make([]byte, 64<<10), 0
	for ready := false; !ready; {
		n, err := syscall.Read(p[0], buf[end:])
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if n <= 0 {
			return nil, fmt.Errorf("the pod ended: %w", errors.Join(err, io.EOF))
		}
		end += n
		rest := buf[:end]
		for {
			i := bytes.IndexByte(rest, '\n')
			if i < 0 {
				break
			}
			ready = ready || j.isReady(rest[:i])
			rest = rest[i+1:]
		}
		end = copy(buf, rest)
	}
	if err := dial(j.sock()); err != nil {
		return nil, err
	}
	return func() error {
		syscall.Kill(-pid, syscall.SIGKILL)
		_, err := syscall.Wait4(pid, nil, 0, nil)
		syscall.Close(p[0])
		return err
	}, nil
}

func goPlugin(j job) (func() error, error) {
	cmd, err := command(j)
	if err != nil {
		return nil, err
	}
	client := plugin.NewClient(&plugin.ClientConfig{
		HandshakeConfig:  plugin.HandshakeConfig{ProtocolVersion: 1, MagicCookieKey: "POD", MagicCookieValue: "pod"},
		Plugins:          plugin.PluginSet{},
		Cmd:              cmd,
		AllowedProtocols: []plugin.Protocol{plugin.ProtocolNetRPC},
		Logger:           hclog.NewNullLogger(),
		StartTimeout:     10 * time.Minute,
	})
	addr, err := client.Start()
	if err != nil {
		return nil, err
	}
	if err := dial(addr.String()); err != nil {
		return nil, err
	}
	return func() error {
		// It would ask the pod to go first, and wait for an answer.
		err := syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		client.Kill()
		return err
	}, nil
}

func rodParser(j job) (func() error, error) {
	cmd, err := command(j)
	if err != nil {
		return nil, err
	}
	parser := rod.NewURLParser()
	cmd.Stderr = parser
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	end := waited(cmd, func() {})
	<-parser.URL
	return end, dial(j.sock())
}

// logged starts the pod with its stderr in a file.
func logged(j job) (*exec.Cmd, error) {
	cmd, err := command(j)
	if err != nil {
		return nil, err
	}
	f, err := os.OpenFile(j.log(), os.O_CREATE|os.O_EXCL|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	cmd.Stderr = f
	return cmd, cmd.Start()
}

func tailed(poll bool) func(j job) (func() error, error) {
	return func(j job) (func() error, error) {
		cmd, err := logged(j)
		if err != nil {
			return nil, err
		}
		t, err := tail.TailFile(j.log(), tail.Config{Follow: true, Poll: poll, MustExist: true, Logger: tail.DiscardingLogger})
		if err != nil {
			return nil, err
		}
		for line := range t.Lines {
			if j.isReady([]byte(line.Text)) {
				break
			}
		}
		if err := dial(j.sock()); err != nil {
			return nil, err
		}
		// Nobody waits for the end of the tailing: with many of them at once that
		// may never come.
		go t.Stop()
		return waited(cmd, func() {}), nil
	}
}

// watched is what people write with fsnotify: a watcher for each launch.
func watched(j job) (func() error, error) {
	cmd, err := logged(j)
	if err != nil {
		return nil, err
	}
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, err
	}
	defer watcher.Close()
	if err := watcher.Add(j.log()); err != nil {
		return nil, err
	}
	f, err := os.Open(j.log())
	if err != nil {
		return nil, err
	}
	defer f.Close()
	in, line := bufio.NewReader(f), ""
	for {
		part, err := in.ReadString('\n')
		line += part
		switch {
		case err == io.EOF:
			<-watcher.Events
		case err != nil:
			return nil, err
		case j.isReady([]byte(line)):
			return waited(cmd, func() {}), dial(j.sock())
		default:
			line = ""
		}
	}
}

// byHand is what people write without a library.
func byHand(j job) (func() error, error) {
	cmd, err := logged(j)
	if err != nil {
		return nil, err
	}
	for {
		log, err := os.ReadFile(j.log())
		if err != nil {
			return nil, err
		}
		for line := range strings.Lines(string(log)) {
			if j.isReady([]byte(line)) {
				return waited(cmd, func() {}), dial(j.sock())
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
}
