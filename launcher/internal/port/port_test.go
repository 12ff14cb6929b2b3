//go:build linux

package port_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/google/uuid"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/launcher/internal/podrig"
	"github.com/podlaunch/podlaunch/logsource"
	"github.com/podlaunch/podlaunch/readiness"
	"github.com/podlaunch/podlaunch/runtimedir"
)

// TestPort has one test for each row of docs/internals/port.md, which says in words what
// the original does and what is done here.
func TestPort(t *testing.T) {
	for _, row := range []struct {
		name string
		test func(*testing.T)
	}{
		{"row01", portInput},
		{"row02", portCommand},
		{"row03", portRuntimeDir},
		{"row04", portLogFile},
		{"row05", portArguments},
		{"row06", portDetached},
		{"row07", portEvents},
		{"row08", portWholeLines},
		{"row09", portInvalidUTF8},
		{"row10", portReadyLine},
		{"row11", portMalformed},
		{"row12", portName},
		{"row13", portProgress},
		{"row14", portDial},
		{"row15", portDeadline},
		{"row16", portExit},
		{"row17", portTimeout},
		{"row18", portGroup},
		{"row19", portReaped},
		{"row20", portErrors},
		{"row21", portRelativeSocket},
		{"row22", portPeer},
		{"later", portRenamed},
	} {
		t.Run(row.name, row.test)
	}
}

// podScript writes a program that puts down its working directory and its
// arguments, as seen reads them, and then becomes the fake pod alice in dir.
func podScript(t *testing.T, path, dir string, steps ...string) {
	t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "#!/bin/sh\n{ pwd -P; printf '%%s|' \"$@\"; } > '%s.seen'\n", path)
	fmt.Fprintf(&b, "exec '%s' alice '%s' %d", podrig.Pod, dir, len(steps))
	for _, step := range steps {
		fmt.Fprintf(&b, " '%s'", step)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(b.String()+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
}

// seen returns what the program at path was given.
func seen(t *testing.T, path string) (dir string, args []string) {
	t.Helper()
	data, err := os.ReadFile(path + ".seen")
	if err != nil {
		t.Fatal(err)
	}
	dir, rest, _ := strings.Cut(string(data), "\n")
	return dir, strings.Split(strings.TrimSuffix(rest, "|"), "|")
}

// Row 1: name, overlay, working directory and session reach the pod.
func portInput(t *testing.T) {
	r := newRig(t)
	program, session := filepath.Join(r.Base, "pod.sh"), uuid.New()
	podScript(t, program, r.Dir("alice"), "listen", "ready", "hang")
	r.L.Command = launcher.Path(program)
	overlay := "name = \"alice\"\n[deep]\nx = 'y'\n"
	pod := r.Launch(launcher.Spec{Name: "alice", Overlay: overlay, Dir: r.Base, Session: session})
	podrig.Ping(t, pod)
	if pod.Name() != "alice" || pod.RuntimeDir() != r.Dir("alice") {
		t.Errorf("launched %q in %q", pod.Name(), pod.RuntimeDir())
	}
	dir, args := seen(t, program)
	if want := []string{"--overlay", overlay, "--session", session.String()}; !slices.Equal(args, want) || dir != r.Base {
		t.Errorf("the pod was given %q in %q, want %q in %q", args, dir, want, r.Base)
	}
}

// Row 2: the variable, unless it is empty, else pod on PATH; a path with a
// slash is the caller's; nothing relative on PATH; a miss lists every place.
func portCommand(t *testing.T) {
	r := newRig(t)
	r.L.Command = nil
	bin, other := filepath.Join(r.Base, "bin"), t.TempDir()
	for _, name := range []string{"pod", "mine"} {
		podScript(t, filepath.Join(bin, name), r.Dir("alice"), "listen", "ready", "hang")
	}
	t.Setenv("PATH", other+":"+bin)
	t.Chdir(r.Base)
	for _, test := range []struct{ variable, runs string }{
		{"", "pod"},
		{"mine", "mine"},
		{"bin/mine", "mine"},
		{filepath.Join(bin, "mine"), "mine"},
	} {
		t.Run("env="+test.variable, func(t *testing.T) {
			t.Setenv(launcher.DefaultCommandEnv, test.variable)
			again := *r
			again.T = t
			again.Launch(launcher.Spec{Name: "alice", Dir: other})
			seen(t, filepath.Join(bin, test.runs))
			os.Remove(filepath.Join(bin, test.runs+".seen"))
		})
	}

	t.Setenv(launcher.DefaultCommandEnv, "nosuch")
	e := r.Fail(t.Context(), launcher.Spec{Name: "alice"})
	podrig.MustBe(t, e, exec.ErrNotFound)
	podrig.MustSay(t, e, launcher.DefaultCommandEnv, filepath.Join(other, "nosuch"), filepath.Join(bin, "nosuch"))
	t.Chdir(bin)
	t.Setenv("PATH", ".:"+other)
	t.Setenv(launcher.DefaultCommandEnv, "mine")
	podrig.MustBe(t, r.Fail(t.Context(), launcher.Spec{Name: "alice"}), exec.ErrDot)
}

var dirVariables = []string{"INSOMNIA_RUNTIME_DIR", "INSOMNIA_HOME", "XDG_RUNTIME_DIR", "HOME"}

// Row 3: the chain of four variables, what a relative value does, and what is
// checked of the directory.
func portRuntimeDir(t *testing.T) {
	r := newRig(t, "listen", "ready", "hang")
	r.L.Dir = nil
	below := []string{"", "run", "insomnia", ".insomnia/run"}
	for first := range dirVariables {
		t.Run(dirVariables[first], func(t *testing.T) {
			for i, variable := range dirVariables {
				t.Setenv(variable, "") // as if it were not set
				if i >= first {
					t.Setenv(variable, filepath.Join(r.Base, strconv.Itoa(i)))
				}
			}
			again := *r
			again.T = t
			pod := again.Launch(launcher.Spec{Name: "alice"})
			want := filepath.Join(r.Base, strconv.Itoa(first), below[first], "alice")
			if fi, err := os.Stat(want); pod.RuntimeDir() != want || err != nil || fi.Mode() != fs.ModeDir|0o700 {
				t.Errorf("the directory is %q, want %q with mode 0700: %v %v", pod.RuntimeDir(), want, fi, err)
			}
		})
	}

	for _, variable := range dirVariables {
		t.Setenv(variable, "")
	}
	e := r.Fail(t.Context(), launcher.Spec{Name: "alice"})
	podrig.MustBe(t, e, runtimedir.ErrUnavailable)
	podrig.MustSay(t, e, dirVariables...)
	t.Setenv("XDG_RUNTIME_DIR", "relative")
	e = r.Fail(t.Context(), launcher.Spec{Name: "alice"})
	podrig.MustSay(t, e, "ignored")
	t.Setenv("INSOMNIA_HOME", "relative")
	e = r.Fail(t.Context(), launcher.Spec{Name: "alice"})
	podrig.MustBe(t, e, runtimedir.ErrUnavailable)
	podrig.MustSay(t, e, "INSOMNIA_HOME", "absolute")
	podrig.MustBe(t, r.Fail(t.Context(), launcher.Spec{Name: "../x"}), runtimedir.ErrInvalidName)
	portInsecure(t)
}

// portInsecure is the part of row 3 that is about who may be trusted.
func portInsecure(t *testing.T) {
	r := newRig(t, "listen", "ready", "hang")
	if err := os.Symlink(t.TempDir(), r.Dir("linked")); err != nil {
		t.Fatal(err)
	}
	podrig.MustBe(t, r.Fail(t.Context(), launcher.Spec{Name: "linked"}), runtimedir.ErrInsecure)

	// Whose is not ours: as root another user's, else root's.
	foreign := "/"
	if os.Geteuid() == 0 {
		foreign = filepath.Join(r.Base, "foreign")
		if err := errors.Join(os.Mkdir(foreign, 0o755), os.Chown(foreign, 65534, 65534)); err != nil {
			t.Fatal(err)
		}
	}
	r.L.Dir = runtimedir.Dir(foreign)
	podrig.MustBe(t, r.Fail(t.Context(), launcher.Spec{Name: "alice"}), runtimedir.ErrInsecure)

	r.L.Dir = runtimedir.Dir(r.Base)
	if err := os.Chmod(r.Base, 0o775); err != nil {
		t.Fatal(err)
	}
	r.Launch(launcher.Spec{Name: "alice"})
	if fi, err := os.Stat(r.Base); err != nil || fi.Mode().Perm() != 0o755 {
		t.Errorf("the base that others could write to is now %v (%v)", fi.Mode(), err)
	}
}

// Row 4: parents are made, the log is 0600 and appended to, and the one before
// is kept.
func portLogFile(t *testing.T) {
	r := newRig(t)
	r.L.Dir = runtimedir.Dir(filepath.Join(r.Base, "a", "b"))
	for _, run := range []string{"first", "second"} {
		r.L.Command = podrig.Script("say "+run, "truncate", "say "+run+" again", "exit 1")
		e := r.Fail(t.Context(), launcher.Spec{Name: "alice"})
		if want := filepath.Join(r.Base, "a", "b", "alice", "stderr.log"); e.LogPath != want {
			t.Fatalf("the log is %q, want %q", e.LogPath, want)
		}
	}
	// Without O_APPEND the truncation would have left a hole.
	for name, want := range map[string]string{"stderr.log": "second again\n", "stderr.log.1": "first again\n"} {
		path := filepath.Join(r.Base, "a", "b", "alice", name)
		text, err := os.ReadFile(path)
		fi, statErr := os.Stat(path)
		if err := errors.Join(err, statErr); err != nil || string(text) != want || fi.Mode() != 0o600 {
			t.Errorf("%s holds %q, want %q, mode 0600: %v %v", name, text, want, fi, err)
		}
	}
}

// Row 5: --overlay always, --session when resuming, Spec.Args last.
func portArguments(t *testing.T) {
	session := uuid.New()
	for _, test := range []struct {
		spec launcher.Spec
		want []string
	}{
		{launcher.Spec{}, []string{"--overlay", ""}},
		{launcher.Spec{Overlay: "x = 1"}, []string{"--overlay", "x = 1"}},
		{launcher.Spec{Session: session, Args: []string{"-v", "end"}}, []string{"--overlay", "", "--session", session.String(), "-v", "end"}},
	} {
		t.Run(strings.Join(test.want, " "), func(t *testing.T) {
			r := newRig(t)
			program := filepath.Join(r.Base, "pod.sh")
			podScript(t, program, r.Dir("alice"), "listen", "ready", "hang")
			t.Setenv(launcher.DefaultCommandEnv, program)
			r.L.Command = nil
			test.spec.Name = "alice"
			r.Launch(test.spec)
			if _, args := seen(t, program); !slices.Equal(args, test.want) {
				t.Errorf("the pod was given %q, want %q", args, test.want)
			}
		})
	}
}

// Row 6: stdin and stdout null, stderr the log, a session and a group of its
// own; neither the end of the context nor the loss of the handle ends it.
func portDetached(t *testing.T) {
	r := newRig(t)
	fds := filepath.Join(r.Base, "fds")
	ours, err := os.Create(filepath.Join(r.Base, "ours"))
	if err != nil {
		t.Fatal(err)
	}
	defer ours.Close()
	r.L.Command = podrig.Script("fds "+fds, "listen", "ready", "hang")
	ctx, cancel := context.WithCancel(t.Context())
	pid, endpoint := func() (int, readiness.Endpoint) {
		pod, err := r.L.Launch(ctx, launcher.Spec{Name: "alice"})
		if err != nil {
			t.Fatal(err)
		}
		return pod.PID(), pod.Endpoint()
	}()
	t.Cleanup(func() { syscall.Kill(-pid, syscall.SIGKILL) }) // the launcher reaps it
	cancel()
	for range 3 {
		runtime.GC()
		conn, err := net.Dial(endpoint.Network, endpoint.Address)
		if err != nil {
			t.Fatal(err)
		}
		podrig.Send(t, conn)
		conn.Close()
	}

	list, err := os.ReadFile(fds)
	if err != nil {
		t.Fatal(err)
	}
	// TestDescriptorsAreNotInherited looks at the others.
	lines := strings.Split(string(list), "\n")
	log := filepath.Join(r.Dir("alice"), "stderr.log")
	for _, want := range []string{"0 /dev/null", "1 /dev/null", "2 " + log} {
		if !slices.Contains(lines, want) {
			t.Errorf("it has no descriptor %q:\n%s", want, list)
		}
	}
	if strings.Count(string(list), log) != 1 || strings.Contains(string(list), ours.Name()) {
		t.Errorf("it has descriptors of its launcher:\n%s", list)
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	// state ppid pgrp session tty_nr (proc_pid_stat(5))
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if own := strconv.Itoa(pid); fields[2] != own || fields[3] != own || fields[4] != "0" {
		t.Errorf("group %s, session %s, terminal %s, want %s, %s, 0", fields[2], fields[3], fields[4], own, own)
	}
}

// Row 7: the kernel tells of new output, and nothing is read twice.
func portEvents(t *testing.T) {
	r := newRig(t)
	pour := r.Fifo("pour")
	r.L.Command = podrig.Script("await "+pour, "repeat 20000 line %d", "listen", "ready", "hang")
	var mu sync.Mutex
	most, watched := 0, false
	opened := make(chan error, 1)
	r.L.Log = podrig.Tap{Before: func(reader *podrig.Tapped) {
		mu.Lock()
		defer mu.Unlock()
		most = max(most, reader.Got)
		if !watched && reader.Got == 0 { // later the pod pours, and its events are gathered
			watched = hasWatch(t, filepath.Join(r.Dir("alice"), "stderr.log"))
			go func() { opened <- touch(pour) }()
		}
	}}
	r.Launch(launcher.Spec{Name: "alice"})
	if err := <-opened; err != nil {
		t.Error(err)
	}
	mu.Lock()
	defer mu.Unlock()
	if size := len(r.ReadLog("alice")); most > size {
		t.Errorf("a reader got %d bytes of a log of %d", most, size)
	}
	if !watched {
		t.Error("while the launch waited no inotify watch was on the log")
	}
}

// hasWatch reports whether an inotify instance of this program watches path
// (proc_pid_fdinfo(5)).
func hasWatch(t *testing.T, path string) bool {
	fi, err := os.Stat(path)
	if err != nil {
		t.Errorf("the log: %v", err)
		return false
	}
	inode := fmt.Sprintf(" ino:%x ", fi.Sys().(*syscall.Stat_t).Ino)
	infos, _ := filepath.Glob("/proc/self/fdinfo/*")
	for _, info := range infos {
		text, err := os.ReadFile(info)
		if err == nil && strings.Contains(string(text), "inotify wd:") && strings.Contains(string(text), inode) {
			return true
		}
	}
	return false
}

// Row 8: a ready line that was read when half of it was there is neither
// malformed nor one with a shorter path.
func portWholeLines(t *testing.T) {
	for _, half := range []string{"INSOMNIA-REA", "INSOMNIA-READY", "INSOMNIA-READY\tal", "INSOMNIA-READY\talice\t", "INSOMNIA-READY\talice\t{dir}/so"} {
		t.Run(half, func(t *testing.T) {
			r := newRig(t)
			rest := strings.TrimPrefix("INSOMNIA-READY\talice\t{dir}/sock\n", half)
			goOn := r.Fifo("go on")
			r.L.Command = podrig.Script("listen", "write "+strconv.Quote(half), "await "+goOn, "write "+strconv.Quote(rest), "hang")
			// When the probe, the only one who reads the log while the launch
			// goes well, has come back for more, it has dealt with the half.
			var once sync.Once
			opened := make(chan error, 1)
			size := len(strings.ReplaceAll(half, "{dir}", r.Dir("alice")))
			r.L.Log = podrig.Tap{Before: func(reader *podrig.Tapped) {
				if reader.Got == size {
					once.Do(func() { go func() { opened <- touch(goOn) }() })
				}
			}}
			pod := r.Launch(launcher.Spec{Name: "alice"})
			if err := <-opened; err != nil {
				t.Error(err)
			}
			if want := filepath.Join(r.Dir("alice"), "sock"); pod.Endpoint().Address != want {
				t.Errorf("the pod is at %q, want %q", pod.Endpoint().Address, want)
			}
		})
	}
}

// touch opens a FIFO that the pod awaits, once it does.
func touch(fifo string) error {
	f, err := os.OpenFile(fifo, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	return f.Close()
}

// Row 9: any bytes before the ready line, on it, and after it.
func portInvalidUTF8(t *testing.T) {
	r := newRig(t)
	noise, path := "\xff\xfe \x80 \xc3", filepath.Join(r.Base, "s\xff")
	r.L.Command = podrig.Script("write "+strconv.Quote(noise+"\n"), "listen "+path, "ready "+path, "write "+strconv.Quote(noise+"\n"), "hang")
	var lines []string
	pod := r.Launch(launcher.Spec{Name: "alice", Progress: func(line string) { lines = append(lines, line) }})
	podrig.Ping(t, pod)
	if len(lines) == 0 || lines[0] != noise || pod.Endpoint().Address != path {
		t.Errorf("progress got %q, the pod is at %v", lines, pod.Endpoint())
	}
}

// Row 10: the socket is the rest of the line, tabs included, without one CR.
func portReadyLine(t *testing.T) {
	for _, test := range []struct{ name, file, end string }{
		{"plain", "sock", "\n"},
		{"tabs", "a\tb\t", "\n"},
		{"CR", "sock", "\r\n"},
		{"two CRs", "sock\r", "\r\n"},
		{"spaces", " a b ", "\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := newRig(t)
			path := filepath.Join(r.Base, test.file)
			r.L.Command = podrig.Script("listen "+path, "write "+strconv.Quote("INSOMNIA-READY\t{name}\t"+path+test.end), "hang")
			pod := r.Launch(launcher.Spec{Name: "alice"})
			podrig.Ping(t, pod)
			if want := (readiness.Endpoint{Network: "unix", Address: path}); pod.Endpoint() != want {
				t.Errorf("the pod is at %q, want %q", pod.Endpoint(), want)
			}
		})
	}
}

// Row 11: an empty name or socket is a malformed ready line, which is quoted.
func portMalformed(t *testing.T) {
	for _, line := range []string{"INSOMNIA-READY\t\t/s", "INSOMNIA-READY\talice\t", "INSOMNIA-READY\talice", "INSOMNIA-READY"} {
		t.Run(line, func(t *testing.T) {
			r := newRig(t, "listen", "write "+strconv.Quote(line+"\n"), "hang")
			e := r.Fail(t.Context(), launcher.Spec{Name: "alice"})
			podrig.MustBe(t, e, readiness.ErrMalformedReadyLine)
			podrig.MustSay(t, e, "malformed ready line: "+strconv.Quote(line))
		})
	}
}

// Row 12: a ready line with another name ends the launch, with both names.
func portName(t *testing.T) {
	r := newRig(t, "listen", `write "INSOMNIA-READY\tbob\t{sock}\n"`, "hang")
	e := r.Fail(t.Context(), launcher.Spec{Name: "alice"})
	podrig.MustBe(t, e, readiness.ErrNameMismatch)
	podrig.MustSay(t, e, `"bob"`, `"alice"`)
}

// Row 13: every line goes to the callback, the last 64 into the error; a
// callback that blocks delays neither readiness nor failure, and what it did
// not get is counted and kept.
func portProgress(t *testing.T) {
	r := newRig(t, "repeat 20 line %d", "exit 1")
	var want, got []string
	for i := range 20 {
		want = append(want, fmt.Sprintf("line %d", i))
	}
	e := r.Fail(t.Context(), launcher.Spec{Name: "alice", Progress: func(line string) { got = append(got, line) }})
	if !slices.Equal(got, want) {
		t.Errorf("progress %q, want %q", got, want)
	}
	if !slices.Equal(e.Tail, want) {
		t.Errorf("tail %q, want %q", e.Tail, want)
	}

	for _, end := range []string{"ready", "exit 1"} {
		t.Run("blocked, "+end, func(t *testing.T) {
			r := newRig(t, "listen", "repeat 20 line %d", end, "hang")
			unblock := make(chan struct{})
			defer close(unblock)
			pod, err := r.L.Launch(t.Context(), launcher.Spec{Name: "alice", Progress: func(string) { <-unblock }})
			if end == "ready" {
				if err != nil {
					t.Fatal(err)
				}
				defer pod.Stop(context.Background())
				podrig.Ping(t, pod)
				return
			}
			var e *launcher.Error
			if !errors.As(err, &e) || e.Dropped != 19 || e.Leftover == nil {
				t.Fatalf("want the blocked callback and the 19 lines that it did not get in the error: %+v", err)
			}
			if !slices.Equal(e.Tail, want) || r.ReadLog("alice") != strings.Join(want, "\n")+"\n" {
				t.Errorf("tail %q, want %q; log:\n%s", e.Tail, want, r.ReadLog("alice"))
			}
		})
	}
}

// Row 14: the socket is dialled again while it is missing or refuses; any
// other error is final; the last one is kept.
func portDial(t *testing.T) {
	for _, test := range []struct {
		name  string
		steps []string // of a pod that never answers
		last  error
	}{
		{"missing", []string{"ready", "hang"}, syscall.ENOENT},
		{"refuses", []string{"bind", "ready", "hang"}, syscall.ECONNREFUSED},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := newRig(t, test.steps...)
			var pending *readiness.PendingError
			// However slow the machine is, with time enough there is a second
			// attempt.
			for r.L.Timeout = podrig.Short / 4; pending == nil || pending.Attempts < 2; r.L.Timeout *= 2 {
				if r.L.Timeout > podrig.Ample {
					t.Fatalf("one attempt: %v", pending)
				}
				r.L.Ready = keepPending(&pending)
				podrig.MustBe(t, r.Fail(t.Context(), launcher.Spec{Name: "alice"}), launcher.ErrTimeout)
			}
			podrig.MustBe(t, pending, test.last)

			goOn := r.Fifo("go on")
			r.L.Command, r.L.Ready, r.L.Timeout = podrig.Script("ready", "await "+goOn, "listen", "hang"), nil, podrig.Ample
			opened := make(chan error, 1)
			go func() { opened <- touch(goOn) }()
			podrig.Ping(t, r.Launch(launcher.Spec{Name: "alice"}))
			if err := <-opened; err != nil {
				t.Error(err)
			}
		})
	}
	t.Run("no socket", func(t *testing.T) {
		r := newRig(t)
		file := filepath.Join(r.Base, "file")
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		r.L.Command = podrig.Script("ready "+file, "hang")
		podrig.MustBe(t, r.Fail(t.Context(), launcher.Spec{Name: "alice"}), syscall.ENOTSOCK)
	})
}

// keepPending is the default probe, and keeps what it was waiting for.
func keepPending(pending **readiness.PendingError) readiness.Probe {
	return readiness.Sequence{readiness.ReadyLine{}, readiness.ProbeFunc(func(ctx context.Context, t readiness.Target) (readiness.Endpoint, error) {
		e, err := readiness.Socket{}.Wait(ctx, t)
		errors.As(err, pending)
		return e, err
	})}
}

// Row 15: one deadline over both waits, 20 s by default; the context's counts
// too.
func portDeadline(t *testing.T) {
	if launcher.DefaultTimeout.Seconds() != 20 {
		t.Errorf("the default is %v, the original has 20 s", launcher.DefaultTimeout)
	}
	for _, steps := range [][]string{{"hang"}, {"ready", "hang"}} {
		t.Run(steps[0], func(t *testing.T) {
			if testing.Short() && steps[0] == "hang" {
				t.Skip("skipped with -short: it waits until its time is over")
			}
			r := newRig(t, steps...)
			r.L.Timeout = podrig.Short
			e := r.Fail(t.Context(), launcher.Spec{Name: "alice"})
			podrig.MustBe(t, e, launcher.ErrTimeout, context.DeadlineExceeded)
			podrig.MustSay(t, e, "pod did not become ready within 300ms")
			if e.Elapsed < podrig.Short {
				t.Errorf("it was over after %v", e.Elapsed)
			}

			r.L.Timeout = 0
			ctx, cancel := context.WithTimeout(t.Context(), podrig.Short)
			defer cancel()
			e = r.Fail(ctx, launcher.Spec{Name: "alice"})
			podrig.MustBe(t, e, launcher.ErrTimeout, context.DeadlineExceeded)
			podrig.MustSay(t, e, "the caller's deadline")
		})
	}
}

// Row 16: an exit during either wait tells the rest of the log, the text of
// the original, and how the pod ended.
func portExit(t *testing.T) {
	for _, test := range []struct {
		name  string
		steps []string
		how   string
		exit  launcher.Exit
	}{
		{"before the line", []string{"say a", "say b", `write "c"`, "exit 3"}, "exit status 3", launcher.Exit{Code: 3, Known: true}},
		{"before the socket", []string{"say a", "ready", "say b", `write "c"`, "exit 4"}, "exit status 4", launcher.Exit{Code: 4, Known: true}},
		{"by a signal", []string{"say a", "say b", `write "c"`, "kill 9"}, "signal: killed", launcher.Exit{Signal: syscall.SIGKILL, Known: true}},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := newRig(t, test.steps...)
			e := r.Fail(t.Context(), launcher.Spec{Name: "alice"})
			podrig.MustBe(t, e, launcher.ErrExitedEarly)
			podrig.MustSay(t, e, "pod exited before becoming ready: a | b | c", test.how)
			if want := []string{"a", "b", "c"}; !slices.Equal(e.Tail, want) || e.Exit == nil || *e.Exit != test.exit {
				t.Errorf("exit %+v, want %+v; tail %q, want %q", e.Exit, test.exit, e.Tail, want)
			}
		})
	}
}

// Row 17: a timeout tells the tail, what was pending, and its last error.
func portTimeout(t *testing.T) {
	for _, test := range []struct {
		name  string
		steps []string
		says  []string
	}{
		{"line", []string{"say a", `write "b"`, "hang"}, []string{"still waiting for the ready line", "its last lines: a | b"}},
		{"socket", []string{"say a", `write "b\n"`, "ready", "hang"}, []string{"still waiting for an answer on unix:", "attempts:", syscall.ENOENT.Error(), "its last lines: a | b"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := newRig(t, test.steps...)
			r.L.Timeout = podrig.Short / 4
			// Only a pod that has come this far says something about the rest.
			var e *launcher.Error
			for e == nil || len(e.Tail) < 2 || !strings.Contains(e.Pending, test.says[0]) {
				if r.L.Timeout > podrig.Ample {
					t.Fatalf("the pod did not come to the end of its script: %v", e)
				}
				e = r.Fail(t.Context(), launcher.Spec{Name: "alice"})
				r.L.Timeout *= 2
			}
			podrig.MustBe(t, e, launcher.ErrTimeout)
			podrig.MustSay(t, e, test.says...)
		})
	}
}

// Row 18: no matter what ends the launch, the whole group ends with it. The rig checks
// that after every failure.
func portGroup(t *testing.T) {
	for _, test := range []struct {
		name string
		end  string // step
		why  error
	}{
		{"exit", "exit 3", launcher.ErrExitedEarly},
		{"malformed", `write "INSOMNIA-READY\n"`, readiness.ErrMalformedReadyLine},
		{"cancelled", "say go", context.Canceled},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := newRig(t, "spawn hang", "spawn ignore 15 ; hang", test.end, "hang")
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			podrig.MustBe(t, r.Fail(ctx, launcher.Spec{Name: "alice", Progress: func(line string) {
				if line == "go" {
					cancel()
				}
			}}), test.why)
			r.Relaunch("alice")
		})
	}
}

// Row 19: a ready pod that ends is reaped, and waiting for it takes no thread.
func portReaped(t *testing.T) {
	r := newRig(t, "listen", "ready", "hang")
	pods := podrig.Size(t, 15, 50, 50)
	threads := func() int {
		tasks, err := os.ReadDir("/proc/self/task")
		if err != nil {
			t.Fatal(err)
		}
		return len(tasks)
	}
	var launched []*launcher.Pod
	launch := func(n int) {
		for range n {
			launched = append(launched, r.Launch(launcher.Spec{Name: fmt.Sprintf("pod%d", len(launched))}))
		}
	}
	launch(5) // those threads that any launch needs are there then
	before := threads()
	launch(pods)
	if after := threads(); after-before > pods/2 {
		t.Errorf("%d threads with 5 pods, %d with %d more", before, after, pods)
	}
	for _, pod := range launched {
		if err := syscall.Kill(pod.PID(), syscall.SIGKILL); err != nil {
			t.Error(err)
		}
	}
	for _, pod := range launched {
		exit, err := pod.Wait(t.Context())
		if err != nil || exit.Signal != syscall.SIGKILL {
			t.Errorf("Wait returned %v, %v", exit, err)
		}
		if _, err := os.Stat(fmt.Sprintf("/proc/%d", pod.PID())); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("pod %d is not reaped: %v", pod.PID(), err)
		}
	}
}

// Row 20: each kind of error of the original has its sentinel and its stage.
func portErrors(t *testing.T) {
	for _, test := range []struct {
		original string
		set      func(*rig)
		stage    launcher.Stage
		is       []error
	}{
		{"Io", func(r *rig) {
			if err := os.MkdirAll(filepath.Join(r.Dir("alice"), "stderr.log"), 0o700); err != nil {
				t.Fatal(err)
			}
		}, launcher.StageLog, []error{logsource.ErrNotRegular}},
		{"RuntimeDirUnavailable", func(r *rig) { r.L.Dir = runtimedir.Dir("/dev/null/x") },
			launcher.StageDir, []error{runtimedir.ErrUnavailable, syscall.ENOTDIR}},
		{"PodLaunchFailed, not found", func(r *rig) { r.L.Command = launcher.Path("/no/such/pod") },
			launcher.StageResolve, []error{exec.ErrNotFound, fs.ErrNotExist}},
		{"PodLaunchFailed, exec", func(r *rig) { r.L.Command = garbage(t, r.Base) },
			launcher.StageStart, []error{syscall.ENOEXEC}},
		{"PodExitedEarly", func(r *rig) { r.L.Command = podrig.Script("exit 1") },
			launcher.StageReady, []error{launcher.ErrExitedEarly}},
		{"Timeout", func(r *rig) { r.L.Command, r.L.Timeout = podrig.Script("hang"), podrig.Short },
			launcher.StageReady, []error{launcher.ErrTimeout, context.DeadlineExceeded}},
	} {
		t.Run(test.original, func(t *testing.T) {
			r := newRig(t, "listen", "ready", "hang")
			test.set(r)
			e := r.Fail(t.Context(), launcher.Spec{Name: "alice"})
			for errors.Is(e, launcher.ErrTimeout) && e.Stage != test.stage && r.L.Timeout < podrig.Ample {
				r.L.Timeout *= 2 // the machine was too slow to get there
				e = r.Fail(t.Context(), launcher.Spec{Name: "alice"})
			}
			podrig.MustBe(t, e, test.is...)
			if e.Stage != test.stage {
				t.Errorf("stage %q, want %q", e.Stage, test.stage)
			}
		})
	}
}

// garbage resolves to a file that is executable and no program.
func garbage(t *testing.T, dir string) launcher.CommandResolver {
	t.Helper()
	path := filepath.Join(dir, "garbage")
	if err := os.WriteFile(path, []byte("\x01\x02\x03"), 0o700); err != nil {
		t.Fatal(err)
	}
	return launcher.Path(path)
}

// Row 21: a relative socket is the pod's, not the caller's.
func portRelativeSocket(t *testing.T) {
	r := newRig(t, "listen rel.sock", "ready rel.sock", "hang")
	t.Chdir(t.TempDir())
	pod := r.Launch(launcher.Spec{Name: "alice", Dir: r.Base})
	podrig.Ping(t, pod)
	if want := filepath.Join(r.Base, "rel.sock"); pod.Endpoint().Address != want {
		t.Errorf("the pod is at %q, want %q", pod.Endpoint().Address, want)
	}
}

// Row 22: only a process of the pod's session or group counts, unless the
// probe says otherwise.
func portPeer(t *testing.T) {
	r := newRig(t)
	foreign := filepath.Join(r.Base, "foreign")
	l, err := net.Listen("unix", foreign)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	r.L.Command = podrig.Script("ready "+foreign, "hang")
	e := r.Fail(t.Context(), launcher.Spec{Name: "alice"})
	podrig.MustBe(t, e, readiness.ErrForeignPeer)
	podrig.MustSay(t, e, "pid "+strconv.Itoa(os.Getpid()), "readiness.SameUser")

	again := *r
	again.L.Ready = readiness.Sequence{readiness.ReadyLine{}, readiness.Socket{Peer: readiness.SameUser}}
	again.Launch(launcher.Spec{Name: "alice"})

	child := *r
	child.L.Command = podrig.Script("spawn listen ; hang", "ready", "hang")
	podrig.Ping(t, child.Launch(launcher.Spec{Name: "bob"}))
}

// The renames of later versions of the original are parameters.
func portRenamed(t *testing.T) {
	r := newRig(t)
	dir := filepath.Join(r.Base, "run", "alice")
	program := filepath.Join(r.Base, "yoi")
	podScript(t, program, dir, "listen", `write "YOI-READY\talice\t{sock}\n"`, "hang")
	t.Setenv("YOI_COMMAND", program)
	t.Setenv("YOI_RUNTIME_DIR", "")
	t.Setenv("YOI_HOME", r.Base)
	r.L.Command = launcher.PodCommand{Env: "YOI_COMMAND", Program: "yoi", Args: []string{"worker"}}
	r.L.Dir = runtimedir.User{App: "yoi"}
	r.L.Ready = readiness.Sequence{readiness.ReadyLine{Prefix: "YOI-READY"}, readiness.Socket{}}
	pod := r.Launch(launcher.Spec{Name: "alice"})
	podrig.Ping(t, pod)
	if _, args := seen(t, program); pod.RuntimeDir() != dir || !slices.Equal(args, []string{"worker", "--overlay", ""}) {
		t.Errorf("the pod was given %q, in %q", args, pod.RuntimeDir())
	}
}
