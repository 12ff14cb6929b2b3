//go:build linux

package launcher_test

import (
	"context"
	"io"
	"io/fs"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/logsource"
	"github.com/podlaunch/podlaunch/runtimedir"
)

// The fakes in this file stand for a process and a log where a test is about
// the order in which things happen: they live in memory, and so a launch with
// them runs under testing/synctest, where every instant is exact.

// A fake is one launch of a process that does not exist.
type fake struct {
	l    launcher.Launcher // its Ready is the test's to set
	proc *fakeProcess
	log  *memLog
}

// newFake returns a launch that starts proc. It has to be called in the bubble
// of the test. When that ends, proc must have been reaped and the log's readers
// closed, each once.
func newFake(t *testing.T) *fake {
	f := &fake{proc: newFakeProcess(), log: newMemLog()}
	f.l = launcher.Launcher{
		Command: launcher.CommandResolverFunc(func(context.Context, launcher.Request) (launcher.Command, error) {
			return launcher.Command{Path: "/fake/pod"}, nil
		}),
		Dir:     runtimedir.Dir(t.TempDir()),
		Log:     f.log,
		Starter: fakeStarter{f.proc},
		Timeout: 20 * time.Second,
	}
	t.Cleanup(func() {
		if left := f.log.open(); left != 0 {
			t.Errorf("%d readers of the log were not closed", left)
		}
		if n := f.proc.reapedTimes(); n != 1 {
			t.Errorf("the process was reaped %d times, want once", n)
		}
	})
	return f
}

// A fakeStarter starts its one process.
type fakeStarter struct{ proc launcher.Process }

func (s fakeStarter) Start(context.Context, launcher.StartRequest) (launcher.Process, error) {
	return s.proc, nil
}

// A fakeProcess runs until end is called, or it is killed.
type fakeProcess struct {
	gone chan struct{} // closed after exit is set

	due     time.Time // when it ends by itself; zero: never
	dueExit launcher.Exit

	mu     sync.Mutex
	exit   launcher.Exit
	reaped int
}

var _ launcher.Reaper = (*fakeProcess)(nil)

func newFakeProcess() *fakeProcess { return &fakeProcess{gone: make(chan struct{})} }

// end ends the process now, unless it has ended before.
func (p *fakeProcess) end(exit launcher.Exit) {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.gone:
	default:
		p.exit = exit
		close(p.gone)
	}
}

// endAt makes the process end by itself at an instant to come. From then on a caller who
// looks finds it ended. A caller who waits learns it a millisecond later, as may happen
// with a real process. endAt has to be called before the launch.
func (p *fakeProcess) endAt(due time.Time, exit launcher.Exit) {
	p.due, p.dueExit = due, exit
	time.AfterFunc(time.Until(due)+time.Millisecond, func() { p.end(exit) })
}

// PID implements launcher.Process: it has no number.
func (p *fakeProcess) PID() int { return 0 }

// Wait implements launcher.Process.
func (p *fakeProcess) Wait(ctx context.Context) (launcher.Exit, error) {
	select {
	case <-p.gone:
		return p.exit, nil
	default:
	}
	select {
	case <-p.gone:
		return p.exit, nil
	case <-ctx.Done():
	}
	if !p.due.IsZero() && !time.Now().Before(p.due) {
		p.end(p.dueExit)
		return p.exit, nil
	}
	return launcher.Exit{}, context.Cause(ctx)
}

// Signal implements launcher.Process: any signal ends it but SIGCONT.
func (p *fakeProcess) Signal(_ context.Context, sig os.Signal) error {
	select {
	case <-p.gone:
		return os.ErrProcessDone
	default:
	}
	if sig != syscall.SIGCONT {
		p.end(launcher.Exit{Signal: sig.(syscall.Signal), Known: true})
	}
	return nil
}

// Reap implements launcher.Reaper.
func (p *fakeProcess) Reap(context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.reaped++
	return nil
}

func (p *fakeProcess) reapedTimes() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.reaped
}

// A memLog is a log in memory.
type memLog struct {
	mu      sync.Mutex
	data    []byte
	more    chan struct{} // closed, and replaced, at every write
	readers int           // that are open
}

var _ logsource.Source = (*memLog)(nil)

func newMemLog() *memLog { return &memLog{more: make(chan struct{})} }

// write is the process writing s.
func (m *memLog) write(s string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.data = append(m.data, s...)
	close(m.more)
	m.more = make(chan struct{})
}

// open returns how many readers there are.
func (m *memLog) open() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.readers
}

// Open implements logsource.Source.
func (m *memLog) Open(context.Context, logsource.Launch) (*logsource.Log, error) {
	return &logsource.Log{Follow: m.follow}, nil
}

func (m *memLog) follow(ctx context.Context) (io.ReadCloser, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.readers++
	return &memReader{log: m, ctx: ctx, end: -1, closed: make(chan struct{})}, nil
}

// A memReader is one follower of a memLog.
type memReader struct {
	log    *memLog
	ctx    context.Context
	offset int
	end    int // what the log held when ctx was done; -1 before
	closed chan struct{}
	once   sync.Once
}

// Read implements the contract of logsource.Log.Follow.
func (r *memReader) Read(p []byte) (int, error) {
	for {
		n, more, err := r.readOnce(p)
		if n > 0 || err != nil || len(p) == 0 {
			return n, err
		}
		select {
		case <-more:
		case <-r.ctx.Done():
		case <-r.closed:
		}
	}
}

// readOnce reads what is there, or returns what is closed when there is more.
func (r *memReader) readOnce(p []byte) (n int, more <-chan struct{}, err error) {
	select {
	case <-r.closed:
		return 0, nil, fs.ErrClosed
	default:
	}
	r.log.mu.Lock()
	defer r.log.mu.Unlock()
	if r.end < 0 && r.ctx.Err() != nil {
		r.end = len(r.log.data)
	}
	rest := r.log.data[r.offset:]
	if r.end >= 0 {
		rest = r.log.data[r.offset:r.end]
	}
	n = copy(p, rest)
	r.offset += n
	if n == 0 && r.end >= 0 {
		err = context.Cause(r.ctx)
	}
	return n, r.log.more, err
}

// Close implements io.Closer.
func (r *memReader) Close() error {
	err := fs.ErrClosed
	r.once.Do(func() {
		close(r.closed)
		r.log.mu.Lock()
		defer r.log.mu.Unlock()
		r.log.readers--
		err = nil
	})
	return err
}
