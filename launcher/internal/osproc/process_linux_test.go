package osproc_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/podlaunch/podlaunch/launcher/internal/osproc"
)

// A talker is a process whose standard input and output are pipes.
type talker struct {
	*osproc.Process
	in  io.WriteCloser
	out *bufio.Reader
}

// run starts a script, or c if that has a path. The test ends it.
func run(t *testing.T, script string, c osproc.Command) talker {
	t.Helper()
	stdin, in := pipe(t)
	out, stdout := pipe(t)
	defer stdin.Close()
	defer stdout.Close()
	if c.Path == "" {
		c.Path, c.Args = "/bin/sh", []string{"-c", script}
	}
	c.Files = append([]*os.File{stdin, stdout, os.Stderr}, c.Files...)
	p, err := osproc.Start(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // after a Reap there is nobody to get it
		if p.Signal(context.Background(), unix.SIGKILL) == nil {
			p.Wait(context.Background())
			p.Reap(context.Background())
		}
	})
	return talker{p, in, bufio.NewReader(out)}
}

// pipe returns a pipe. The test closes both ends.
func pipe(t *testing.T) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		r.Close()
		w.Close()
	})
	return r, w
}

// line returns the next line that p writes.
func (p talker) line(t *testing.T) string {
	t.Helper()
	line, err := p.out.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSuffix(line, "\n")
}

// mustEnd waits for the end of p, and reaps it.
func mustEnd(t *testing.T, p *osproc.Process, want osproc.Exit) {
	t.Helper()
	if exit, err := p.Wait(t.Context()); err != nil || exit != want {
		t.Errorf("it has ended with %+v, %v; want %+v", exit, err, want)
	}
	if err := p.Reap(t.Context()); err != nil {
		t.Error(err)
	}
	if err := p.Signal(t.Context(), unix.SIGKILL); err != os.ErrProcessDone {
		t.Errorf("after Reap, Signal returned %v", err)
	}
}

// A process ends by itself or by a signal, and Wait says which.
func TestWait(t *testing.T) {
	for script, want := range map[string]osproc.Exit{
		"exit 0":        {Known: true},
		"exit 7":        {Code: 7, Known: true},
		"kill -TERM $$": {Signal: unix.SIGTERM, Known: true},
		"read line":     {Code: 1, Known: true},
		"kill -KILL 0":  {Signal: unix.SIGKILL, Known: true},
	} {
		p := run(t, script, osproc.Command{})
		p.in.Close()
		mustEnd(t, p.Process, want)
	}
}

// Wait with a context that is done just looks.
func TestWaitLooks(t *testing.T) {
	p := run(t, "read line; exit 3", osproc.Command{})
	why := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(why)
	for range 3 {
		if exit, err := p.Wait(ctx); err != why {
			t.Errorf("Wait returned %+v, %v", exit, err)
		}
	}
	p.in.Close()
	want := osproc.Exit{Code: 3, Known: true}
	if exit, err := p.Wait(t.Context()); err != nil || exit != want {
		t.Errorf("Wait returned %+v, %v", exit, err)
	}
	for range 64 { // which of two events counts that have come is left to chance
		if exit, err := p.Wait(ctx); err != nil || exit != want {
			t.Errorf("after the end Wait returned %+v, %v", exit, err)
		}
	}
	mustEnd(t, p.Process, want)
}

// A process gets what its Command says, and leads a session and a group.
func TestStart(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	script := `pwd; echo "$A $B $PWD"; test "$P" = $$ && echo "$0 $1"; test -e /proc/self/fd/5 && ! test -e /proc/self/fd/4 && echo 5; read line`
	p := run(t, "", osproc.Command{
		Path: "/bin/sh", Args: []string{"-c", script, "zero", "one two"},
		Env: []string{"A=1", "A=2", "B=3"}, Dir: dir, Files: []*os.File{nil, nil, null}, PIDEnv: []string{"P"},
	})
	for _, want := range []string{dir, "2 3 " + dir, "zero one two", "5"} {
		if got := p.line(t); got != want {
			t.Errorf("it says %q, want %q", got, want)
		}
	}
	st, err := osproc.ReadStat(p.PID())
	if err != nil || st.Group != p.PID() || st.Session != p.PID() || st.Parent != os.Getpid() {
		t.Errorf("%+v, %v", st, err)
	}
	p.in.Close()
	mustEnd(t, p.Process, osproc.Exit{Code: 1, Known: true})
}

// Without files the standard descriptors are the null device.
func TestStartWithoutFiles(t *testing.T) {
	p, err := osproc.Start(t.Context(), osproc.Command{Path: "/bin/sh", Args: []string{"-c",
		`for fd in 0 1 2; do test "$(readlink /proc/$$/fd/$fd)" = /dev/null || exit 9; done`}})
	if err != nil {
		t.Fatal(err)
	}
	mustEnd(t, p, osproc.Exit{Known: true})
}

// What cannot be started is explained, and nothing is left of it.
func TestStartFails(t *testing.T) {
	dir := t.TempDir()
	file := func(name, content string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	busy := file("busy", "#!/bin/sh\n", 0o700)
	writer, err := os.OpenFile(busy, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer writer.Close()
	for _, c := range []struct {
		command osproc.Command
		err     error
		says    string
	}{
		{osproc.Command{Path: filepath.Join(dir, "nowhere")}, syscall.ENOENT, "no such file"},
		{osproc.Command{Path: file("script", "#! /no/such/shell\n", 0o700)}, syscall.ENOENT, `its interpreter "/no/such/shell" is not`},
		{osproc.Command{Path: file("crlf", "#!/bin/sh\r\n", 0o700)}, syscall.ENOENT, `its interpreter "/bin/sh\r", with the carriage return of a Windows line end (CRLF), is not`},
		{osproc.Command{Path: file("dir", "#!"+dir+"\n", 0o700)}, syscall.EACCES, `the program may be executed, its interpreter "` + dir + `" may not`},
		{osproc.Command{Path: file("plain", "#!/bin/sh\n", 0o600)}, syscall.EACCES, "not executable for us (mode -rw-------)"},
		{osproc.Command{Path: file("empty", "", 0o700)}, syscall.ENOEXEC, "the file is empty"},
		{osproc.Command{Path: file("text", "hello\n", 0o700)}, syscall.ENOEXEC, "nor a script with a #! line"},
		{osproc.Command{Path: busy}, syscall.ETXTBSY, "open for writing"},
		{osproc.Command{Path: "/bin/sh", Dir: filepath.Join(dir, "nowhere")}, syscall.ENOENT, "cannot be entered any more"},
		{osproc.Command{Path: filepath.Join(dir, "nowhere"), PIDEnv: []string{"P"}}, syscall.ENOENT, "no such file"},
		{osproc.Command{Path: "/bin/sh", Args: []string{strings.Repeat("x", 1<<20)}}, syscall.E2BIG, "bytes of arguments"},
	} {
		p, err := osproc.Start(t.Context(), c.command)
		if p != nil || !errors.Is(err, c.err) || !strings.Contains(fmt.Sprint(err), c.says) {
			t.Errorf("%+.100v: %v; want %v and %q", c.command, err, c.err, c.says)
		}
	}
	if pid, err := unix.Wait4(-1, nil, unix.WNOHANG, nil); err != unix.ECHILD {
		t.Errorf("there is a child left: %d, %v", pid, err)
	}
}

// A signal goes to the whole group, and after SIGKILL Reap waits for all of it.
func TestSignalGroup(t *testing.T) {
	p := run(t, "exec 3<&0; sh -c 'echo up; read line <&3' & wait", osproc.Command{})
	p.line(t)
	members, err := osproc.GroupMembers(p.PID())
	if err != nil || len(members) != 2 || !slices.Contains(members, p.PID()) {
		t.Errorf("the group is %v, %v", members, err)
	}
	if err := p.Signal(t.Context(), unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	mustEnd(t, p.Process, osproc.Exit{Signal: unix.SIGKILL, Known: true})
	if members, err := osproc.GroupMembers(p.PID()); err != nil || len(members) != 0 {
		t.Errorf("of the group there are left %v, %v", members, err)
	}
}

// A process that is stopped says so, until it goes on.
func TestNotes(t *testing.T) {
	p := run(t, "read line", osproc.Command{})
	if notes := p.Notes(); notes != nil {
		t.Errorf("it says %q", notes)
	}
	if err := p.Signal(t.Context(), unix.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	if err := unix.Waitid(unix.P_PID, p.PID(), nil, unix.WSTOPPED|unix.WNOWAIT, nil); err != nil {
		t.Fatal(err)
	}
	if notes := p.Notes(); len(notes) != 1 || !strings.Contains(notes[0], "is stopped (state T)") {
		t.Errorf("of a process that is stopped it says %q", notes)
	}
	if err := p.Signal(t.Context(), osproc.SIGCONT); err != nil {
		t.Fatal(err)
	}
	p.in.Close()
	mustEnd(t, p.Process, osproc.Exit{Code: 1, Known: true})
}

// A process that was released is reaped by a later Start, once it has ended.
func TestRelease(t *testing.T) {
	p := run(t, "read line", osproc.Command{})
	p.Release()
	mustEnd(t, run(t, "exit 0", osproc.Command{}).Process, osproc.Exit{Known: true})
	if err := unix.Kill(p.PID(), 0); err != nil {
		t.Errorf("it has gone: %v", err)
	}
	p.in.Close()
	waitUnreaped(t, p.PID())
	mustEnd(t, run(t, "exit 0", osproc.Command{}).Process, osproc.Exit{Known: true})
	if err := unix.Kill(p.PID(), 0); err != unix.ESRCH {
		t.Errorf("it was not reaped: %v", err)
	}
}

// adopt adopts the process with id, and looks that it runs.
func adopt(t *testing.T, id osproc.Identity) *osproc.Process {
	t.Helper()
	p, err := osproc.Adopt(id)
	if err != nil {
		t.Fatal(err)
	}
	if p.PID() != id.PID {
		t.Errorf("it has the pid %d, want %d", p.PID(), id.PID)
	}
	done, cancel := context.WithCancel(t.Context())
	cancel()
	if exit, err := p.Wait(done); err != context.Canceled {
		t.Errorf("while it runs Wait returned %v, %v", exit, err)
	}
	return p
}

// A process that was adopted is waited for and signalled, and is not reaped while
// another Process has it; nobody else is taken for it.
func TestAdopt(t *testing.T) {
	p := run(t, "read line", osproc.Command{})
	id := identify(t, p.PID())
	other := id
	other.Start++
	if _, err := osproc.Adopt(other); !errors.Is(err, osproc.ErrStranger) {
		t.Errorf("another process was adopted: %v", err)
	}
	adopted := adopt(t, id)
	if err := adopted.Signal(t.Context(), unix.SIGTERM); err != nil {
		t.Error(err)
	}
	want := osproc.Exit{Signal: unix.SIGTERM, Known: true}
	if exit, err := adopted.Wait(t.Context()); err != nil || exit != want {
		t.Errorf("before it was reaped it has ended with %+v, %v", exit, err)
	}
	if err := adopted.Reap(t.Context()); err != nil {
		t.Error(err)
	}
	mustEnd(t, p.Process, want)
	if _, err := osproc.Adopt(id); !errors.Is(err, osproc.ErrGone) {
		t.Errorf("nobody was adopted: %v", err)
	}
}

// How a process that is no child of ours has ended is not known before its parent
// reaps it, and only it does.
func TestAdoptForeign(t *testing.T) {
	parent := run(t, "exec 3<&0; sh -c 'echo $$; read line <&3; exit 5' & echo up; read line; wait $!; echo $?; read line", osproc.Command{})
	var pid int
	for range 2 {
		if line := parent.line(t); line != "up" {
			var err error
			if pid, err = strconv.Atoi(line); err != nil {
				t.Fatal(err)
			}
		}
	}
	adopted := adopt(t, identify(t, pid))
	if err := unix.Kill(parent.PID(), unix.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	if err := unix.Waitid(unix.P_PID, parent.PID(), nil, unix.WSTOPPED|unix.WNOWAIT, nil); err != nil {
		t.Fatal(err)
	}
	if err := unix.Kill(pid, unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if exit, err := adopted.Wait(t.Context()); err != nil || exit.Known {
		t.Errorf("before it was reaped it has ended with %+v, %v", exit, err)
	}
	if err := adopted.Reap(t.Context()); err != nil {
		t.Error(err)
	}
	if err := unix.Kill(parent.PID(), unix.SIGCONT); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(parent.in)
	if line := parent.line(t); line != "143" {
		t.Errorf("its parent says that it has ended with %q", line)
	}
	parent.in.Close()
	mustEnd(t, parent.Process, osproc.Exit{Code: 1, Known: true})
}

// An adopted Process does not reap a child that another Process reaps, even if nobody has
// waited for the child's end.
func TestReapOfTheShared(t *testing.T) {
	p := run(t, "read line", osproc.Command{})
	adopted := adopt(t, identify(t, p.PID()))
	p.in.Close()
	waitUnreaped(t, p.PID())
	if err := adopted.Reap(t.Context()); err != nil {
		t.Error(err)
	}
	waitUnreaped(t, p.PID())
	mustEnd(t, p.Process, osproc.Exit{Code: 1, Known: true})
}

// A child that was released and is adopted again is ours to reap.
func TestAdoptReleased(t *testing.T) {
	p := run(t, "read line; exit 7", osproc.Command{})
	id := identify(t, p.PID())
	p.Release()
	adopted, second := adopt(t, id), adopt(t, id)
	mustEnd(t, run(t, "exit 0", osproc.Command{}).Process, osproc.Exit{Known: true})
	p.in.Close()
	want := osproc.Exit{Code: 7, Known: true}
	if exit, err := second.Wait(t.Context()); err != nil || exit != want {
		t.Errorf("the second Process has ended with %+v, %v", exit, err)
	}
	if err := second.Reap(t.Context()); err != nil {
		t.Error(err)
	}
	mustEnd(t, run(t, "exit 0", osproc.Command{}).Process, osproc.Exit{Known: true})
	waitUnreaped(t, id.PID) // the sweep of Start has left it alone
	mustEnd(t, adopted, want)
	if err := unix.Kill(id.PID, 0); err != unix.ESRCH {
		t.Errorf("it was not reaped: %v", err)
	}
}

// A program that executes itself goes on as the parent of its children, and reaps them.
func TestAdoptAfterExec(t *testing.T) {
	c := exec.Command("/proc/self/exe")
	c.Env = append(os.Environ(), roleVariable+"=again")
	if out, err := c.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

// again is a role: it starts a child, executes itself, and adopts the child.
func again() error {
	if os.Getenv(identityVariable) == "" {
		return execAgain()
	}
	var id osproc.Identity
	if err := json.Unmarshal([]byte(os.Getenv(identityVariable)), &id); err != nil {
		return err
	}
	p, err := osproc.Adopt(id)
	if err != nil {
		return err
	}
	ctx := context.Background()
	if err := p.Signal(ctx, unix.SIGTERM); err != nil {
		return err
	}
	want := osproc.Exit{Code: 7, Known: true}
	if exit, err := p.Wait(ctx); err != nil || exit != want {
		return fmt.Errorf("it has ended with %+v, %v", exit, err)
	}
	if err := p.Reap(ctx); err != nil {
		return err
	}
	if pid, err := unix.Wait4(-1, nil, unix.WNOHANG, nil); err != unix.ECHILD {
		return fmt.Errorf("there is a child left: %d, %v", pid, err)
	}
	return nil
}

func execAgain() error {
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	p, err := osproc.Start(context.Background(), osproc.Command{Path: "/bin/sh",
		Args: []string{"-c", "trap 'exit 7' TERM; echo; while :; do sleep 1000 & wait; done"}, Files: []*os.File{nil, w}})
	if err != nil {
		return err
	}
	if _, err := r.Read(make([]byte, 1)); err != nil {
		return err
	}
	id, err := osproc.Identify(p.PID())
	if err != nil {
		return err
	}
	text, err := json.Marshal(id)
	if err != nil {
		return err
	}
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	return syscall.Exec(exe, []string{exe}, append(os.Environ(), identityVariable+"="+string(text)))
}

// A child that other code of this program has started, and waits for, is left to it.
func TestAdoptLeavesToItsStarter(t *testing.T) {
	for range 20 {
		c := start(t, "wait")
		adopted := adopt(t, identify(t, c.Process.Pid))
		waited := make(chan error)
		go func() { waited <- c.Wait() }()
		c.in.Close()
		// Before Linux 6.15 only who reaps it learns how it ended, and its starter may be
		// faster.
		want := osproc.Exit{Known: true}
		exit, err := adopted.Wait(t.Context())
		if err != nil || exit != want && (toldAfar(t) || exit != osproc.Exit{}) {
			t.Errorf("it has ended with %+v, %v", exit, err)
		}
		if err := adopted.Reap(t.Context()); err != nil {
			t.Error(err)
		}
		if err := <-waited; err != nil {
			t.Fatalf("who has started it does not learn how it ended: %v", err)
		}
	}
}

// toldAfar reports whether the kernel tells how a process ended that somebody else has
// reaped.
func toldAfar(t *testing.T) bool {
	t.Helper()
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		t.Fatal(err)
	}
	var major, minor int
	if _, err := fmt.Sscanf(unix.ByteSliceToString(name.Release[:]), "%d.%d", &major, &minor); err != nil {
		t.Fatal(err)
	}
	return major > 6 || major == 6 && minor >= 15
}

// What refuses a process, or has looked at it, leaves no descriptor open.
func TestDescriptorsAreClosed(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // which would close an os.File
	p := run(t, "read line", osproc.Command{})
	stranger := identify(t, p.PID())
	stranger.Start++
	lock := filepath.Join(t.TempDir(), "lock")
	for name, call := range map[string]func() error{
		"Adopt":     func() error { _, err := osproc.Adopt(stranger); return err },
		"Kill":      func() error { return osproc.Kill(stranger) },
		"KillGroup": func() error { return osproc.KillGroup(stranger) },
		"LockHolders": func() error {
			_, err := osproc.LockHolders(t.Context(), osproc.LockFile{Path: lock, Inode: 1})
			return errors.Join(err, osproc.ErrStranger)
		},
	} {
		before := openDescriptors(t)
		if err := call(); !errors.Is(err, osproc.ErrStranger) {
			t.Errorf("%s returned %v", name, err)
		}
		if after := openDescriptors(t); after > before {
			t.Errorf("%s has left %d descriptors open", name, after-before)
		}
	}
	p.in.Close()
	mustEnd(t, p.Process, osproc.Exit{Code: 1, Known: true})
}

// openDescriptors returns how many descriptors are open.
func openDescriptors(t *testing.T) int {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(fds)
}

// Who is not the one with the Identity is not killed; KillGroup kills its group.
func TestKill(t *testing.T) {
	for name, c := range map[string]struct {
		kill   func(osproc.Identity) error
		left   int // of the group of two
		before bool
	}{
		"Kill":                       {osproc.Kill, 1, false},
		"KillGroup":                  {osproc.KillGroup, 0, false},
		"KillGroup before Linux 6.9": {osproc.KillGroup, 0, true},
	} {
		t.Run(name, func(t *testing.T) {
			if c.before {
				defer osproc.RefuseGroupFlag()()
			}
			p := run(t, "exec 3<&0; sh -c 'echo up; read line <&3; echo down' & wait", osproc.Command{})
			p.line(t)
			id := identify(t, p.PID())
			other := id
			other.Start++
			if err := c.kill(other); !errors.Is(err, osproc.ErrStranger) {
				t.Errorf("of another it returned %v", err)
			}
			if members, err := osproc.GroupMembers(id.PID); err != nil || len(members) != 2 {
				t.Errorf("the group is %v, %v", members, err)
			}
			if err := c.kill(id); err != nil {
				t.Error(err)
			}
			p.in.Close() // ends the other
			rest, err := io.ReadAll(p.out)
			if err != nil || strings.Count(string(rest), "down") != c.left {
				t.Errorf("then there was written %q, %v", rest, err)
			}
			mustEnd(t, p.Process, osproc.Exit{Signal: unix.SIGKILL, Known: true})
			if err := c.kill(id); !errors.Is(err, osproc.ErrGone) {
				t.Errorf("of nobody it returned %v", err)
			}
		})
	}
}

// Before Linux 6.9 a group is signalled by its number, and only as long as nobody has
// reaped its leader: then the number may be another's.
func TestSignalOfTheReaped(t *testing.T) {
	defer osproc.RefuseGroupFlag()()
	for _, c := range []struct{ reaped, noticed bool }{{false, true}, {true, true}, {true, false}} {
		p := run(t, "exec 3<&0; sh -c 'echo up; read line <&3; echo down' & read line", osproc.Command{})
		p.line(t)
		if err := unix.Kill(p.PID(), unix.SIGKILL); err != nil {
			t.Fatal(err)
		}
		waitUnreaped(t, p.PID())
		want, down := error(nil), 0
		if c.reaped {
			if _, err := unix.Wait4(p.PID(), nil, 0, nil); err != nil {
				t.Fatal(err)
			}
			want, down = os.ErrProcessDone, 1
		}
		if c.noticed {
			if _, err := p.Wait(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if err := p.Signal(t.Context(), unix.SIGTERM); err != want {
			t.Errorf("%+v: Signal returned %v, want %v", c, err, want)
		}
		p.in.Close()
		if rest, err := io.ReadAll(p.out); err != nil || strings.Count(string(rest), "down") != down {
			t.Errorf("%+v: then there was written %q, %v", c, rest, err)
		}
		if err := p.Reap(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

// Before Linux 6.9 the group of a process that was adopted is signalled by its number,
// too, as long as nobody else can reap the process.
func TestSignalOfTheAdopted(t *testing.T) {
	defer osproc.RefuseGroupFlag()()
	parent := run(t, "", osproc.Command{Path: "/proc/self/exe", Env: append(os.Environ(), roleVariable+"=keep")})
	pid, err := strconv.Atoi(parent.line(t))
	if err != nil {
		t.Fatal(err)
	}
	adopted := adopt(t, identify(t, pid))
	for _, sig := range []os.Signal{osproc.SIGCONT, unix.SIGKILL} {
		if err := adopted.Signal(t.Context(), sig); err != nil {
			t.Fatalf("while it runs Signal returned %v", err)
		}
	}
	fmt.Fprintln(parent.in)
	parent.line(t) // it has ended, and its parent may reap it
	if err := adopted.Signal(t.Context(), unix.SIGTERM); err != os.ErrProcessDone {
		t.Errorf("when it has ended Signal returned %v", err)
	}
	if err := adopted.Reap(t.Context()); err != nil {
		t.Error(err)
	}
	parent.in.Close()
	mustEnd(t, parent.Process, osproc.Exit{Known: true})
}

// keep is a role: it has a child that leads a group, and says when the child has ended.
// Then the child is a zombie until standard input ends.
func keep() error {
	c := exec.Command("/bin/sleep", "1000")
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: unix.SIGKILL} // TestMain has the main thread
	if err := c.Start(); err != nil {
		return err
	}
	defer c.Wait()
	defer c.Process.Kill()
	fmt.Println(c.Process.Pid)
	in := bufio.NewReader(os.Stdin)
	if _, err := in.ReadString('\n'); err != nil {
		return err
	}
	if err := unix.Waitid(unix.P_PID, c.Process.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil); err != nil {
		return err
	}
	fmt.Println("ended")
	_, err := io.Copy(io.Discard, in)
	return err
}

// Before Linux 6.9 a Process that shares its child with another one does not trust the
// child's number once it has ended: the other may reap it at any time.
func TestSignalOfTheShared(t *testing.T) {
	defer osproc.RefuseGroupFlag()()
	p := run(t, "read line", osproc.Command{})
	adopted := adopt(t, identify(t, p.PID()))
	p.in.Close()
	if _, err := adopted.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := adopted.Signal(t.Context(), unix.SIGTERM); err != os.ErrProcessDone {
		t.Errorf("Signal returned %v", err)
	}
	if err := adopted.Reap(t.Context()); err != nil {
		t.Error(err)
	}
	mustEnd(t, p.Process, osproc.Exit{Code: 1, Known: true})
}

// A program that inherits orphans reaps those that it has ended, and no others.
func TestReapInherited(t *testing.T) {
	c := exec.Command("/proc/self/exe")
	c.Env = append(os.Environ(), roleVariable+"=subreaper")
	if out, err := c.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// subreaper is a role: it inherits two processes of another session, and ends one.
func subreaper() error {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return err
	}
	out, err := exec.Command("/bin/sh", "-c", "for i in 1 2; do sleep 1000 >/dev/null 2>&1 & echo $!; done").Output()
	if err != nil {
		return err
	}
	var pids []int
	for _, word := range strings.Fields(string(out)) {
		pid, err := strconv.Atoi(word)
		if err != nil {
			return err
		}
		pids = append(pids, pid)
	}
	defer func() {
		if id, err := osproc.Identify(pids[1]); err == nil {
			_ = osproc.Kill(id)
		}
	}()
	id, err := osproc.Identify(pids[0])
	if err != nil {
		return err
	}
	if err := osproc.Kill(id); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	osproc.ReapInherited(ctx, []osproc.Identity{id})
	if err := unix.Kill(pids[0], 0); err != unix.ESRCH {
		return fmt.Errorf("it was not reaped: %v", err)
	}
	if st, err := osproc.ReadStat(pids[1]); err != nil || st.Dead() {
		return fmt.Errorf("the other is gone: %+v, %v", st, err)
	}
	earlier, err := osproc.Identify(pids[1])
	if err != nil {
		return err
	}
	earlier.Start--
	if err := unix.Kill(pids[1], unix.SIGTERM); err != nil {
		return err
	}
	if err := unix.Waitid(unix.P_PID, pids[1], nil, unix.WEXITED|unix.WNOWAIT, nil); err != nil {
		return err
	}
	osproc.ReapInherited(ctx, []osproc.Identity{earlier})
	if _, err := unix.Wait4(pids[1], nil, unix.WNOHANG, nil); err != nil {
		return fmt.Errorf("the other, which has the number of an earlier one, was reaped: %w", err)
	}
	return nil
}

// A program that inherits the members of a group that it has ended reaps them. But if
// somebody else has reaped the leader, the number of the group may be another's: who is
// in that group is not reaped.
func TestReapOfTheGroup(t *testing.T) {
	for _, role := range []string{"heir", "robbed"} {
		c := exec.Command("/proc/self/exe")
		c.Env = append(os.Environ(), roleVariable+"="+role)
		if out, err := c.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", role, err, out)
		}
	}
}

// inherit is a role: it inherits the member of a group whose leader it has reaped past
// the Process if robbed.
func inherit(robbed bool) error {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	p, err := osproc.Start(ctx, osproc.Command{Path: "/bin/sh",
		Args: []string{"-c", "sleep 1000 & echo $!; wait"}, Files: []*os.File{nil, w}})
	if err != nil {
		return err
	}
	var member int
	if _, err := fmt.Fscanln(r, &member); err != nil {
		return err
	}
	other := exec.Command("true") // a child of another group
	if err := other.Start(); err != nil {
		return err
	}
	if err := unix.Waitid(unix.P_PID, other.Process.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil); err != nil {
		return err
	}
	if err := p.Signal(ctx, unix.SIGKILL); err != nil {
		return err
	}
	if robbed {
		if _, err := unix.Wait4(p.PID(), nil, 0, nil); err != nil {
			return err
		}
	}
	if _, err := p.Wait(ctx); err != nil {
		return err
	}
	if err := unix.Waitid(unix.P_PID, member, nil, unix.WEXITED|unix.WNOWAIT, nil); err != nil {
		return err
	}
	if err := p.Reap(ctx); err != nil {
		return err
	}
	want := error(unix.ECHILD)
	if robbed {
		want = nil
	}
	if _, err := unix.Wait4(member, nil, unix.WNOHANG, nil); err != want {
		return fmt.Errorf("after Reap wait4(2) of the member returned %v, want %v", err, want)
	}
	return other.Wait()
}

// A lock has one taker, and its holders are those that have inherited it; the file
// open is no lock, and another file of that name neither.
func TestLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	open := func() *os.File {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		return f
	}
	f := open()
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	fi, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	st := fi.Sys().(*syscall.Stat_t)
	file := osproc.LockFile{Path: path, Dev: uint64(st.Dev), Inode: st.Ino}
	heir := run(t, "read line", osproc.Command{Files: []*os.File{f}})
	run(t, "read line", osproc.Command{Files: []*os.File{open()}})
	check := func() {
		t.Helper()
		holders, err := osproc.LockHolders(t.Context(), file)
		self, _ := unix.Getsid(0)
		taker := osproc.LockHolder{Identity: identify(t, os.Getpid()), Session: self, Taker: os.Getpid()}
		given := osproc.LockHolder{Identity: identify(t, heir.PID()), Session: heir.PID(), Taker: os.Getpid(), Given: true}
		if err != nil || len(holders) != 2 || !slices.Contains(holders, taker) || !slices.Contains(holders, given) {
			t.Errorf("LockHolders returned %+v, %v; want %+v and %+v", holders, err, taker, given)
		}
		if !taker.Took() || given.Took() {
			t.Error("it is not who took the lock that has taken it")
		}
	}
	check()
	for what, c := range map[string]osproc.LockFile{
		"another file":       {Path: path, Dev: file.Dev, Inode: file.Inode + 1},
		"another name":       {Path: path[:len(path)-1], Dev: file.Dev, Inode: file.Inode},
		"another filesystem": {Path: path, Dev: file.Dev + 1, Inode: file.Inode},
	} {
		if holders, err := osproc.LockHolders(t.Context(), c); err != nil || len(holders) > 0 {
			t.Errorf("%s: LockHolders returned %+v, %v", what, holders, err)
		}
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	check() // of a file that was deleted, too
	enough := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(enough)
	if _, err := osproc.LockHolders(ctx, file); !errors.Is(err, enough) {
		t.Errorf("once its context is done LockHolders returns %v", err)
	}
}

// What is in memory can be read, and not changed.
func TestMemoryFile(t *testing.T) {
	f, err := osproc.MemoryFile("note", "some text")
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skipf("not run, for there are no such files here: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if data, err := io.ReadAll(f); err != nil || string(data) != "some text" {
		t.Errorf("it holds %q, %v", data, err)
	}
	if _, err := f.WriteAt([]byte("x"), 0); !errors.Is(err, unix.EPERM) {
		t.Errorf("it can be written to: %v", err)
	}
	if err := f.Truncate(0); !errors.Is(err, unix.EPERM) {
		t.Errorf("it can be truncated: %v", err)
	}
}

// What cannot be started is known before.
func TestChecks(t *testing.T) {
	if err := osproc.CheckArgumentSpace("/bin/sh", []string{"x"}, nil); err != nil {
		t.Error(err)
	}
	big := []string{strings.Repeat("x", 7<<20)}
	if err := osproc.CheckArgumentSpace("/bin/sh", big, nil); !errors.Is(err, unix.E2BIG) {
		t.Errorf("of arguments: %v", err)
	}
	if err := osproc.CheckArgumentSpace("/bin/sh", nil, big); !errors.Is(err, unix.E2BIG) {
		t.Errorf("of environment: %v", err)
	}
	dir := t.TempDir()
	if err := osproc.MayEnter(dir); err != nil {
		t.Error(err)
	}
	if err := osproc.MayEnter(filepath.Join(dir, "nowhere")); err != unix.ENOENT {
		t.Errorf("of a directory that is not there: %v", err)
	}
	if osproc.IsFull(filepath.Join(dir, "nowhere")) {
		t.Error("the filesystem of a file that is not there is full")
	}
}
