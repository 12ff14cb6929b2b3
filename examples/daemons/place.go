package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/podlaunch/podlaunch/runtimedir"
)

// A place is where one daemon may write while it is shown: a temporary
// directory that holds all of it.
type place struct {
	run  string // the pod's runtime directory, which only we may enter; sockets belong there
	data string // for what the daemon keeps, and its configuration
	port string // of 127.0.0.1, which nobody had a moment ago

	base        string
	runtimeDirs runtimedir.Dir
	closers     []io.Closer
}

func newPlace(pod string) (*place, error) {
	base, err := os.MkdirTemp("", "daemons")
	if err != nil {
		return nil, err
	}
	p := &place{base: base, data: filepath.Join(base, "data"), runtimeDirs: runtimedir.Dir(filepath.Join(base, "run"))}
	// Others may pass through to what is theirs, as a daemon with a user of its
	// own has to; they see nothing on the way.
	err = errors.Join(os.Chmod(base, 0o711), os.Mkdir(p.data, 0o700))
	if err == nil {
		p.run, err = p.runtimeDirs.RuntimeDir(context.Background(), pod)
	}
	if err == nil {
		p.port, err = freePort()
	}
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(base))
	}
	return p, nil
}

// freePort returns a port of 127.0.0.1 that nobody has, neither for TCP nor for
// UDP. Somebody else may take it before the daemon does, and then the launch
// fails with what the daemon says about that: so it is only for daemons that
// cannot choose one themselves.
func freePort() (string, error) {
	for {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return "", err
		}
		c, err := net.ListenPacket("udp", l.Addr().String())
		l.Close()
		if errors.Is(err, syscall.EADDRINUSE) {
			continue
		}
		if err != nil {
			return "", err
		}
		c.Close()
		_, port, err := net.SplitHostPort(l.Addr().String())
		return port, err
	}
}

// takeTCP listens on p.port until the place is removed.
func (p *place) takeTCP() error {
	l, err := net.Listen("tcp", "127.0.0.1:"+p.port)
	if err == nil {
		p.closers = append(p.closers, l)
	}
	return err
}

// takeUDP does what takeTCP does, for UDP.
func (p *place) takeUDP() error {
	c, err := net.ListenPacket("udp", "127.0.0.1:"+p.port)
	if err == nil {
		p.closers = append(p.closers, c)
	}
	return err
}

// takeUnix listens at path until the place is removed.
func (p *place) takeUnix(path string) error {
	l, err := net.Listen("unix", path)
	if err == nil {
		p.closers = append(p.closers, l)
	}
	return err
}

// takeSock listens on the socket that most daemons of the table use.
func takeSock(p *place) error { return p.takeUnix(filepath.Join(p.run, "sock")) }

// write writes a file for the daemon.
func (p *place) write(name, text string) error {
	return os.WriteFile(filepath.Join(p.data, name), []byte(text), 0o600)
}

// patience is how long processes may take to go that a daemon has left behind.
const patience = 10 * time.Second

// remove removes the directory, once nobody is left who may write there.
func (p *place) remove() error {
	for _, c := range p.closers {
		c.Close()
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return errors.Join(waitGone(ctx, p.base), os.RemoveAll(p.base))
}

// find returns the path of the first of programs that is installed: on PATH, or
// where Debian keeps those that are meant for root, and those that are meant
// for one version. If none is, it returns the first name, and the launch says
// where that was looked for.
func find(programs ...string) string {
	for _, program := range programs {
		candidates := []string{program, filepath.Join("/usr/sbin", program)}
		versions, _ := filepath.Glob(filepath.Join("/usr/lib/postgresql/*/bin", program)) // the pattern is well-formed
		for _, candidate := range append(candidates, versions...) {
			if path, err := exec.LookPath(candidate); err == nil && filepath.IsAbs(path) {
				return path
			}
		}
	}
	return programs[0]
}

// command runs a program to its end, and returns an error that says what it
// said.
func command(ctx context.Context, argv []string) error {
	out, err := exec.CommandContext(ctx, argv[0], argv[1:]...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", filepath.Base(argv[0]), err, out)
	}
	return nil
}
