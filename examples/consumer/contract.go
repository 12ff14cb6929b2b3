package main

import (
	"context"
	"io"
	"iter"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/google/uuid"
	"github.com/hashicorp/go-hclog"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/logsource"
	"github.com/podlaunch/podlaunch/readiness"
	"github.com/podlaunch/podlaunch/runtimedir"
)

// An interface is implemented here with exactly the methods that it promises
// to ask for, and a structure is filled with every field that it promises to
// have: more of either may come only where that breaks nothing below.

// Package runtimedir.

type resolver struct{}

func (resolver) RuntimeDir(ctx context.Context, name string) (string, error) { return "", nil }

var (
	_          runtimedir.Resolver                           = resolver{}
	_          runtimedir.Resolver                           = runtimedir.User{App: string("insomnia")}
	_          runtimedir.Resolver                           = runtimedir.Dir(string("/run"))
	_          runtimedir.Resolver                           = runtimedir.ResolverFunc(resolver{}.RuntimeDir)
	_          func(context.Context, string) (string, error) = runtimedir.ResolverFunc(nil)
	_          func(name string) error                       = runtimedir.ValidateName
	_, _, _, _ error                                         = runtimedir.ErrUnavailable, runtimedir.ErrInsecure, runtimedir.ErrInvalidName, runtimedir.ErrSocketPathTooLong
)

// Package logsource.

type source struct{}

func (source) Open(ctx context.Context, launch logsource.Launch) (*logsource.Log, error) {
	var _, _ string = launch.Name, launch.Dir
	var _ uuid.UUID = launch.ID
	return &logsource.Log{
		Sink:   (*os.File)(nil),
		Path:   string(""),
		Follow: (func(context.Context) (io.ReadCloser, error))(nil),
	}, nil
}

var (
	_ logsource.Source                                                = source{}
	_ logsource.Source                                                = logsource.File{}
	_ logsource.Source                                                = logsource.SourceFunc(source{}.Open)
	_ func(context.Context, logsource.Launch) (*logsource.Log, error) = logsource.SourceFunc(nil)
	_ [logsource.MaxLine]struct{}                                     = [64 << 10]struct{}{}
	_ func(io.Reader) iter.Seq2[[]byte, error]                        = logsource.Lines
	_                                                                 = logsource.Launch{Name: string(""), Dir: string(""), ID: uuid.Nil}
)

// Package readiness.

type probe struct{}

func (probe) Wait(ctx context.Context, t readiness.Target) (readiness.Endpoint, error) {
	var _, _, _ string = t.Name, t.RuntimeDir, t.WorkDir
	var _ int = t.PID
	var _ func(context.Context) iter.Seq2[[]byte, error] = t.Lines
	return t.Endpoint, nil
}

var (
	_       readiness.Probe                                                     = probe{}
	_       readiness.Probe                                                     = readiness.ProbeFunc(probe{}.Wait)
	_       readiness.Probe                                                     = readiness.ReadyLine{Prefix: string(""), Lenient: bool(false)}
	_       readiness.Probe                                                     = readiness.Socket{Peer: peer}
	_       readiness.Probe                                                     = readiness.Sequence{readiness.Probe(nil)}
	_       func(context.Context, readiness.Target) (readiness.Endpoint, error) = readiness.ProbeFunc(nil)
	_       struct{ Network, Address string }                                   = readiness.Endpoint{}
	_       string                                                              = readiness.Endpoint{}.String()
	_       struct{ PID, UID, GID int }                                         = readiness.Peer{}
	_, _, _ func(readiness.Peer, readiness.Target) error                        = readiness.SamePod, readiness.SameUser, readiness.AnyPeer
	_, _, _ error                                                               = readiness.ErrMalformedReadyLine, readiness.ErrNameMismatch, readiness.ErrForeignPeer
	_       func(w io.Writer, name, socket string) error                        = readiness.Announce
)

func peer(p readiness.Peer, t readiness.Target) error { return nil }

// Package launcher.

type resolveCommand struct{}

func (resolveCommand) ResolveCommand(ctx context.Context, req launcher.Request) (launcher.Command, error) {
	var _ launcher.Spec = req.Spec
	var _ string = req.RuntimeDir
	return launcher.Command{Path: string(""), Args: []string(nil), Env: []string(nil)}, nil
}

type start struct{}

func (start) Start(ctx context.Context, req launcher.StartRequest) (launcher.Process, error) {
	var _, _, _ string = req.Name, req.WorkDir, req.RuntimeDir
	var _ uuid.UUID = req.ID
	var _ launcher.Command = req.Command
	var _, _ *os.File = req.Stdout, req.Stderr
	var _ []*os.File = req.Files
	return process{}, nil
}

type process struct{}

func (process) PID() int                                        { return 0 }
func (process) Wait(ctx context.Context) (launcher.Exit, error) { return launcher.Exit{}, nil }
func (process) Signal(ctx context.Context, sig os.Signal) error { return nil }

var (
	_ = launcher.Launcher{
		Command: launcher.CommandResolver(nil),
		Dir:     runtimedir.Resolver(nil),
		Log:     logsource.Source(nil),
		Ready:   readiness.Probe(nil),
		Starter: launcher.Starter(nil),
		Timeout: time.Duration(0),
		Grace:   time.Duration(0),
		Logger:  hclog.Logger(nil),
	}
	_ = launcher.Spec{
		Name:      string(""),
		Overlay:   string(""),
		Dir:       string(""),
		Session:   uuid.Nil,
		Args:      []string(nil),
		Env:       []string(nil),
		LogStdout: bool(false),
		Progress:  (func(line string))(nil),
	}
	_ = launcher.PodCommand{Env: string(""), Program: string(""), Args: []string(nil)}
	_ = launcher.Exit{Code: int(0), Signal: syscall.Signal(0), CoreDumped: bool(false), Known: bool(false)}
	_ = launcher.Error{
		Stage:    launcher.Stage(""),
		Name:     string(""),
		Command:  launcher.Command{},
		PID:      int(0),
		Elapsed:  time.Duration(0),
		Exit:     (*launcher.Exit)(nil),
		Tail:     []string(nil),
		LogPath:  string(""),
		Endpoint: readiness.Endpoint{},
		Err:      error(nil),
	}

	_ func(*launcher.Launcher, context.Context, launcher.Spec) (*launcher.Pod, error) = (*launcher.Launcher).Launch

	_    launcher.CommandResolver                                          = resolveCommand{}
	_    launcher.CommandResolver                                          = launcher.CommandResolverFunc(resolveCommand{}.ResolveCommand)
	_    launcher.CommandResolver                                          = launcher.PodCommand{}
	_    func(context.Context, launcher.Request) (launcher.Command, error) = launcher.CommandResolverFunc(nil)
	_    func(path string, args ...string) launcher.CommandResolver        = launcher.Exec
	_    launcher.Starter                                                  = start{}
	_    launcher.Process                                                  = process{}
	_    string                                                            = launcher.Exit{}.String()
	_    error                                                             = (*launcher.Error)(nil)
	_, _ error                                                             = launcher.ErrExitedEarly, launcher.ErrTimeout
	_    [20 * time.Second]struct{}                                        = [launcher.DefaultTimeout]struct{}{}
	_    time.Duration                                                     = launcher.DefaultGrace
)

// A pod's methods.
var _ interface {
	Name() string
	PID() int
	Endpoint() readiness.Endpoint
	RuntimeDir() string
	LogPath() string
	Dial(ctx context.Context) (net.Conn, error)
	Done() <-chan struct{}
	Wait(ctx context.Context) (launcher.Exit, error)
	Stop(ctx context.Context) error
	Release()
} = (*launcher.Pod)(nil)
