package readiness_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/podlaunch/podlaunch/readiness"
)

// sh is a probe that runs a script.
func sh(script string) readiness.Exec {
	return readiness.Exec{Path: "sh", Args: []string{"-c", script}}
}

// here is a pod whose working directory is there.
func here(t *testing.T) readiness.Target {
	target := target(t, nil)
	target.WorkDir = target.RuntimeDir
	return target
}

// again ends the wait, by cancel, when the command has failed so often. It runs
// on the real clock, unlike what await waits for.
func again(p readiness.Exec, times int, cancel func(error)) readiness.Exec {
	made := 0
	p.Schedule.First = time.Millisecond
	p.Schedule.Max = time.Millisecond
	p.Schedule.Final = func(error) bool {
		if made++; made == times {
			cancel(errOver)
		}
		return false
	}
	return p
}

// A command learns which pod it is about and where that is. Its own variables come
// last. It has the working directory and an empty stdin. Its success leaves the
// endpoint as it was.
func TestExecIsTold(t *testing.T) {
	t.Setenv("POD_NAME", "the launcher's own")
	target := here(t)
	target.PID = 4711
	target.Endpoint = readiness.Endpoint{Network: "tcp", Address: "127.0.0.1:1"}
	p := sh(`printf '%s|' "$POD_NAME" "$POD_PID" "$POD_RUNTIME_DIR" "$POD_NETWORK" "$POD_ADDRESS" "$MINE" "$1" "$(pwd -P)" "$(cat)" >"$POD_RUNTIME_DIR/told"`)
	p.Args = append(p.Args, "sh", "two words")
	p.Env = []string{"MINE=1", "MINE=2"}
	e, err := p.Wait(t.Context(), target)
	if err != nil || e != target.Endpoint {
		t.Fatalf("got %v, %v", e, err)
	}
	dir, err := filepath.EvalSymlinks(target.WorkDir)
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(target.RuntimeDir, "told"))
	want := strings.Join([]string{"pod", "4711", target.RuntimeDir, "tcp", "127.0.0.1:1", "2", "two words", dir, "", ""}, "|")
	if err != nil || string(got) != want {
		t.Errorf("it was told %q, %v, want %q", got, err, want)
	}

	unknown := here(t)
	p = sh(`test -z "$POD_PID$POD_NETWORK$POD_ADDRESS" && test -n "${POD_PID+set}"`)
	if e, err := p.Wait(t.Context(), unknown); err != nil || e != (readiness.Endpoint{}) {
		t.Errorf("got %v, %v", e, err)
	}
}

// A command that exits with another status is run again; the end tells how
// often, the status, and its last words, not all of them.
func TestExecRunsAgain(t *testing.T) {
	target := here(t)
	p := sh(`test -e once || { : >once; exit 1; }`)
	p.First = time.Millisecond
	if _, err := p.Wait(t.Context(), target); err != nil {
		t.Error(err)
	}
	for _, c := range []struct{ script, says string }{
		{"echo first; echo not yet >&2; exit 3", `exit status 3: "first\nnot yet"`},
		{"exit 1", "last error: exit status 1)"},
		{"kill -9 $$", "signal: killed"},
		{"yes | head -c 100000; echo last; exit 1", `y\nlast"`},
	} {
		ctx, cancel := context.WithCancelCause(t.Context())
		_, err := again(sh(c.script), 3, cancel).Wait(ctx, target)
		if e := pending(t, err, errOver); e.Attempts != 3 || e.Waiting != "success of the command sh -c "+c.script {
			t.Errorf("%+v", e)
		}
		mustSay(t, err, c.says)
		if n := len(err.Error()); n > 2048 {
			t.Errorf("the message has %d bytes", n)
		}
	}
}

// If a command does not end, the probe kills its whole group and reaps it when the
// command's own time or the wait is over. If a command has ended, the probe kills the
// processes that it left behind. No process is left when Wait returns.
func TestExecLeavesNobody(t *testing.T) {
	for _, c := range []struct {
		name   string
		script string
		cancel bool // the wait ends; else the attempt's time does
	}{
		{"the attempt ends", `trap "" TERM HUP INT; sleep 1000 & echo $$ >&3; wait; sleep 1000`, false},
		{"the wait ends", `trap "" TERM HUP INT; sleep 1000 & echo $$ >&3; wait; sleep 1000`, true},
		{"it succeeds", `sleep 1000 & echo $$ >&3`, false},
		{"it is stopped", `sleep 1000 & echo $$ >&3; kill -STOP 0`, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			target := here(t)
			fifo := filepath.Join(target.RuntimeDir, "fifo")
			if err := syscall.Mkfifo(fifo, 0o600); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancelCause(t.Context())
			p := sh("exec 3>fifo; " + c.script)
			begun := make(chan struct{}) // closed once a command runs
			if p.Attempt = time.Hour; c.name == "the attempt ends" {
				p.Attempt = 100 * time.Millisecond
				p.Final = func(error) bool {
					select {
					case <-begun:
						cancel(errOver)
					default: // it was killed before
					}
					return false
				}
			}
			gone := make(chan int, 1)
			go func() {
				defer close(gone)
				life, err := os.Open(fifo) // once the command has
				if err != nil {
					return
				}
				defer life.Close()
				var pid int
				fmt.Fscanln(life, &pid)
				if close(begun); c.cancel {
					cancel(errOver)
				}
				io.Copy(io.Discard, life) // it ends with the last process that has it
				gone <- pid
			}()
			_, err := p.Wait(ctx, target)
			if succeeds := c.name == "it succeeds"; succeeds != (err == nil) {
				t.Errorf("got %v", err)
			} else if !succeeds {
				pending(t, err, errOver)
			}
			select {
			case pid := <-gone:
				if _, err := syscall.Wait4(pid, nil, syscall.WNOHANG, nil); err != syscall.ECHILD {
					t.Errorf("process %d was not reaped: %v", pid, err)
				}
			case <-time.After(time.Minute):
				t.Error("somebody is still there")
			}
		})
	}
}

// A process that has left the group and keeps the output open does not hold up the wait.
func TestExecOutputHeldOpen(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped with -short: it waits for output that is held open")
	}
	t.Parallel()
	target := here(t)
	p := sh(`mkfifo f; setsid sh -c 'echo $$ >f; exec sleep 1000' & read pid <f; echo $pid >pid`)
	if _, err := p.Wait(t.Context(), target); err != nil {
		t.Error(err)
	}
	data, err := os.ReadFile(filepath.Join(target.RuntimeDir, "pid"))
	if err != nil {
		t.Fatal(err)
	}
	var pid int
	fmt.Sscan(string(data), &pid)
	syscall.Kill(pid, syscall.SIGKILL)
}

// A command that is slow counts as failed, with how long it had.
func TestExecAttempt(t *testing.T) {
	p := sh("echo slow; sleep 1000")
	p.Attempt = 100 * time.Millisecond
	p.Final = func(err error) bool { return strings.Contains(err.Error(), "slow") } // else it was killed before
	_, err := p.Wait(t.Context(), here(t))
	mustBe(t, err, context.DeadlineExceeded)
	mustSay(t, err, "no answer within 100ms", "signal: killed", `"slow"`)
}

// The program is found once, before the launch if the probe is prepared, on PATH
// or from the launcher's directory; what cannot be found, or started, is final.
func TestExecFinds(t *testing.T) {
	bin := t.TempDir()
	for name, mode := range map[string]fs.FileMode{"good": 0o700, "data": 0o600} {
		if err := os.WriteFile(filepath.Join(bin, name), []byte("#!/bin/sh\n"), mode); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(bin, "odd"), []byte("#!/no/such/interpreter\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	t.Chdir(bin)
	for _, path := range []string{"good", "./good", bin + "/good"} {
		p := preparedIn(t, readiness.Exec{Path: path}, "")
		t.Setenv("PATH", "/nowhere")
		if _, err := p.Wait(t.Context(), here(t)); err != nil {
			t.Errorf("%s: %v", path, err)
		}
		if s := fmt.Sprint(p); s != "success of the command good" {
			t.Errorf("it is %q", s)
		}
		t.Setenv("PATH", bin)
	}
	for _, c := range []struct {
		p    readiness.Exec
		is   error
		says string
	}{
		{readiness.Exec{Path: "no-such-program"}, exec.ErrNotFound, "readiness.Exec.Path"},
		{readiness.Exec{Path: "/no/such/program"}, fs.ErrNotExist, "readiness.Exec.Path"},
		{readiness.Exec{Path: "./data"}, fs.ErrPermission, "readiness.Exec.Path"},
		{readiness.Exec{}, nil, "readiness.Exec.Path: it is empty"},
		{readiness.Exec{Path: "good", Args: []string{"a", "b\x00"}}, nil, "readiness.Exec.Args: number 1"},
		{readiness.Exec{Path: "good", Env: []string{"SECRET"}}, nil, "readiness.Exec.Env"},
		{readiness.Exec{Path: "good", Env: []string{"=x"}}, nil, "readiness.Exec.Env"},
		{readiness.Exec{Path: "good", Schedule: readiness.Schedule{First: -1}}, nil, "readiness.Exec.First"},
	} {
		_, err := c.p.Wait(t.Context(), here(t))
		mustSay(t, err, c.says)
		if c.is != nil {
			mustBe(t, err, c.is)
		}
		_, err = readiness.Prepare(t.Context(), c.p, &readiness.Setup{})
		mustSay(t, err, c.says)
	}
	_, err := readiness.Exec{Path: "odd"}.Wait(t.Context(), here(t)) // the program is there
	mustBe(t, err, fs.ErrNotExist)
	mustSay(t, err, "odd")
	gone := here(t)
	gone.WorkDir += "/gone"
	_, err = readiness.Exec{Path: "good"}.Wait(t.Context(), gone)
	mustBe(t, err, fs.ErrNotExist)
	mustSay(t, err, gone.WorkDir)
}

// Once the wait is over no command is started.
func TestExecContextDone(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errOver)
	target := here(t)
	_, err := sh(": >ran").Wait(ctx, target)
	if pending(t, err, errOver).Attempts != 1 {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(target.WorkDir, "ran")); !errors.Is(err, fs.ErrNotExist) {
		t.Error("it ran")
	}
}
