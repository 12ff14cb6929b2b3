//go:build linux

package launcher_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/launcher/internal/leaktest"
	"github.com/podlaunch/podlaunch/launcher/internal/podrig"
	"github.com/podlaunch/podlaunch/logsource"
	"github.com/podlaunch/podlaunch/logsource/logsourcetest"
	"github.com/podlaunch/podlaunch/readiness"
)

// A buffer is a writer that keeps what it gets.
type buffer struct {
	mu   sync.Mutex
	data bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.data.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.data.String()
}

// A writerFunc is a writer that is called. It cannot be compared.
type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// mustDrain waits until the writers of pod have got all.
func mustDrain(t *testing.T, pod *launcher.Pod) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), podrig.Late)
	defer cancel()
	if err := pod.Drain(ctx); err != nil {
		t.Fatal(err)
	}
}

const aliceIsReady = "INSOMNIA-READY\talice\t/nowhere\n"

// Each writer gets its stream, whole, from before readiness to the end of the pod's life.
func TestStreams(t *testing.T) {
	r := stdinRig(t, `
		i=0; while [ $i -lt 200 ]; do echo out $i; echo err $i >&2; i=$((i+1)); done
		printf tail; trap 'echo bye; echo gone >&2; exit 0' TERM; printf "$r" >&2
		while :; do sleep 0.01; done`)
	var wantOut, wantErr strings.Builder
	for i := range 200 {
		fmt.Fprintf(&wantOut, "out %d\n", i)
		fmt.Fprintf(&wantErr, "err %d\n", i)
	}
	wantOut.WriteString("tailbye\n")
	wantErr.WriteString(aliceIsReady + "gone\n")
	var stdout, stderr buffer
	for range 2 { // the second launch gets nothing of the first
		stdout, stderr = buffer{}, buffer{}
		var lines []string
		pod := r.Launch(launcher.Spec{Name: "alice", Stdout: &stdout, Stderr: &stderr, KillMode: launcher.KillMixed, Progress: func(line string) { lines = append(lines, line) }})
		if len(lines) != 200 {
			t.Errorf("Progress got %d lines, want 200", len(lines))
		}
		if err := pod.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		mustDrain(t, pod)
		if stdout.String() != wantOut.String() || stderr.String() != wantErr.String() {
			t.Errorf("stdout is %q, stderr %q", stdout.String(), stderr.String())
		}
		if log := r.ReadLog("alice"); log != wantErr.String() {
			t.Errorf("the log is %q", log)
		}
	}
	for _, name := range []string{logsource.StdoutName, logsource.StdoutName + ".1"} {
		fi, err := os.Stat(filepath.Join(r.Dir("alice"), name))
		if err != nil {
			t.Fatal(err)
		}
		if fi.Mode() != 0o600 {
			t.Errorf("%s has mode %v", name, fi.Mode())
		}
	}
	if err := r.L.Remove(t.Context(), "alice"); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(r.Dir("alice")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("after Remove: %v", err)
	}
}

// One writer for both gets one stream, in the order in which it was written, and the log
// holds that.
func TestStreamsInOne(t *testing.T) {
	r := stdinRig(t, `i=0; while [ $i -lt 100 ]; do echo out $i; echo err $i >&2; i=$((i+1)); done; printf "$r" >&2; exec sleep 1000`)
	var want strings.Builder
	for i := range 100 {
		fmt.Fprintf(&want, "out %d\nerr %d\n", i, i)
	}
	want.WriteString(aliceIsReady)
	var both buffer
	pod, err := r.L.Launch(t.Context(), launcher.Spec{Name: "alice", Stdout: &both, Stderr: &both})
	if err != nil {
		t.Fatal(err)
	}
	pod.Release()
	mustDrain(t, pod)
	if both.String() != want.String() || r.ReadLog("alice") != want.String() {
		t.Errorf("the writer got %q, the log is %q", both.String(), r.ReadLog("alice"))
	}
	if _, err := os.Stat(filepath.Join(r.Dir("alice"), logsource.StdoutName)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file for stdout alone: %v", err)
	}
	if err := r.L.Stop(t.Context(), "alice"); err != nil {
		t.Error(err)
	}
}

// A launch that fails has delivered all by the time it returns.
func TestStreamsOfAFailedLaunch(t *testing.T) {
	leaktest.Parallel(t)
	r := stdinRig(t, `head -c 3000000 /dev/zero | tr '\0' o; head -c 3000000 /dev/zero | tr '\0' e >&2; printf last; printf word >&2; exit 3`)
	var stdout, stderr buffer
	e := r.Fail(t.Context(), launcher.Spec{Name: "alice", Stdout: &stdout, Stderr: &stderr})
	podrig.MustBe(t, e, launcher.ErrExitedEarly)
	if want := strings.Repeat("o", 3000000) + "last"; stdout.String() != want {
		t.Errorf("stdout has %d bytes, want %d", len(stdout.String()), len(want))
	}
	if want := strings.Repeat("e", 3000000) + "word"; stderr.String() != want {
		t.Errorf("stderr has %d bytes, want %d", len(stderr.String()), len(want))
	}
}

// A writer that does not return holds up neither the launch, nor Stop, nor Done.
func TestStreamsBlockedWriter(t *testing.T) {
	r := stdinRig(t, `head -c 300000 /dev/zero | tr '\0' e >&2; printf "\n$r" >&2; exec sleep 1000`)
	let := make(chan struct{})
	var got buffer
	w := writerFunc(func(p []byte) (int, error) { <-let; return got.Write(p) })
	pod := r.Launch(launcher.Spec{Name: "alice", Stderr: w, Stdout: io.Discard})
	if err := pod.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	<-pod.Done()
	why := errors.New("no more time")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(why)
	if err := pod.Drain(ctx); !errors.Is(err, why) {
		t.Errorf("Drain: %v", err)
	}
	close(let)
	mustDrain(t, pod)
	if want := strings.Repeat("e", 300000) + "\n" + aliceIsReady; got.String() != want {
		t.Errorf("the writer got %d bytes, want %d", len(got.String()), len(want))
	}
}

// If a launch fails whose writer does not return, the error names that, and the writer is
// not called again.
func TestStreamsBlockedWriterOfAFailedLaunch(t *testing.T) {
	leaktest.Parallel(t)
	if testing.Short() {
		t.Skip("skipped with -short: it waits for the two seconds that a writer has")
	}
	r := stdinRig(t, `head -c 300000 /dev/zero >&2; exit 3`)
	let, returned := make(chan struct{}), make(chan struct{})
	calls := 0
	w := writerFunc(func(p []byte) (int, error) {
		calls++
		<-let
		defer close(returned)
		return len(p), nil
	})
	began := time.Now()
	_, e := r.L.Launch(t.Context(), launcher.Spec{Name: "alice", Stderr: w})
	podrig.MustBe(t, e, launcher.ErrExitedEarly)
	podrig.MustSay(t, e, "Spec.Stderr has not returned from its last Write", "Spec.Stderr has not got all")
	if took := time.Since(began); took > podrig.Late {
		t.Errorf("it took %v", took)
	}
	close(let)
	<-returned
	if calls != 1 {
		t.Errorf("the writer was called %d times", calls)
	}
}

// A writer that fails is not called again, and Drain tells. The pod goes on, and Follow
// goes on where the writer has ended.
func TestStreamsFailingWriter(t *testing.T) {
	r := stdinRig(t, `printf 0123456789 >&2; printf "\n$r" >&2; echo more; exec sleep 1000`)
	full := errors.New("full")
	for _, c := range []struct {
		name string
		w    func(p []byte) (int, error)
		want error
	}{
		{"error", func(p []byte) (int, error) { return 4, full }, full},
		{"short", func(p []byte) (int, error) { return 4, nil }, io.ErrShortWrite},
	} {
		t.Run(c.name, func(t *testing.T) {
			calls := 0
			pod := r.Launch(launcher.Spec{Name: "alice", Stdout: io.Discard, Stderr: writerFunc(func(p []byte) (int, error) {
				calls++
				return c.w(p)
			})})
			ctx, cancel := context.WithTimeout(t.Context(), podrig.Late)
			defer cancel()
			if err := pod.Stop(ctx); err != nil {
				t.Error(err)
			}
			if err := pod.Drain(ctx); !errors.Is(err, c.want) || !strings.Contains(err.Error(), "Spec.Stderr") {
				t.Errorf("Drain: %v", err)
			}
			if calls != 1 || pod.Offset() != 4 {
				t.Errorf("%d calls, and the offset is %d", calls, pod.Offset())
			}
			f, err := pod.FollowFrom(ctx, pod.Offset())
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if rest, err := io.ReadAll(f); err != nil || string(rest) != "456789\n"+aliceIsReady {
				t.Errorf("the rest is %q, %v", rest, err)
			}
		})
	}
}

// A panic of a writer goes on in the caller of Launch, and the pod is ended.
func TestStreamsPanickingWriter(t *testing.T) {
	r := stdinRig(t, `echo $$ > "$POD_RUNTIME_DIR/pid"; echo hello >&2; exec sleep 1000`)
	defer func() {
		if v := recover(); v != "no such disk" {
			t.Errorf("it panics with %v", v)
		}
		if record, err := os.ReadFile(filepath.Join(r.Dir("alice"), "pid")); err == nil {
			var pid int
			fmt.Sscan(string(record), &pid)
			podrig.MustBeGone(t, pid)
		}
	}()
	pod, err := r.L.Launch(t.Context(), launcher.Spec{Name: "alice", Stderr: writerFunc(func([]byte) (int, error) { panic("no such disk") })})
	t.Errorf("it returned %v, %v", pod, err)
}

// What cannot be delivered is refused before anything is started.
func TestStreamsRefused(t *testing.T) {
	leaktest.Parallel(t)
	uncomparable := writerFunc(func(p []byte) (int, error) { return len(p), nil })
	for _, c := range []struct {
		name  string
		log   logsource.Source
		spec  launcher.Spec
		stage launcher.Stage
		is    error
		says  string
	}{
		{"LogStdout too", nil, launcher.Spec{LogStdout: true, Stdout: new(buffer)}, launcher.StageResolve, launcher.ErrInvalidSpec, "LogStdout sends"},
		{"LogStdout and writers that cannot be compared", nil, launcher.Spec{LogStdout: true, Stdout: uncomparable, Stderr: uncomparable}, launcher.StageResolve, launcher.ErrInvalidSpec, "LogStdout sends"},
		{"a log that is not written here", &logsourcetest.Memory{}, launcher.Spec{Stdout: new(buffer)}, launcher.StageLog, errors.ErrUnsupported, "Spec.Stdout"},
		{"both in a log that is not written here", &logsourcetest.Memory{}, launcher.Spec{Stdout: os.Stderr, Stderr: os.Stderr}, launcher.StageLog, errors.ErrUnsupported, "one stream for both"},
		{"a log with the name", logsource.File{Name: logsource.StdoutName}, launcher.Spec{Stdout: new(buffer)}, launcher.StageLog, nil, "choose another"},
		{"a log with the name, of another source", logsource.SourceFunc(logsource.File{Name: logsource.StdoutName}.Open), launcher.Spec{Stdout: new(buffer)}, launcher.StageLog, nil, "choose another"},
		{"a log that cannot be followed", unfollowed{}, launcher.Spec{Stderr: new(buffer)}, launcher.StageLog, fs.ErrPermission, "Spec.Stderr"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, podrig.Serve...)
			r.L.Log = c.log
			c.spec.Name = "alice"
			e := r.Fail(t.Context(), c.spec)
			if e.Stage != c.stage || c.is != nil && !errors.Is(e, c.is) || e.PID != 0 {
				t.Errorf("stage %s, pid %d: %v", e.Stage, e.PID, e)
			}
			podrig.MustSay(t, e, c.says)
			r.L.Log = nil
		})
	}
}

// An unfollowed is a log that nobody may read.
type unfollowed struct{}

func (unfollowed) Open(ctx context.Context, launch logsource.Launch) (*logsource.Log, error) {
	log, err := logsource.File{}.Open(ctx, launch)
	if err == nil {
		log.Follow = func(context.Context) (io.ReadCloser, error) { return nil, fs.ErrPermission }
	}
	return log, err
}

// The standard output of a source that is no StdoutOpener is in the runtime directory.
func TestStreamsOfAnotherSource(t *testing.T) {
	r := stdinRig(t, `echo out; echo err >&2; printf "$r" >&2; exec sleep 1000`)
	elsewhere := t.TempDir()
	r.L.Log = logsource.SourceFunc(func(ctx context.Context, launch logsource.Launch) (*logsource.Log, error) {
		launch.Dir, launch.Root = elsewhere, nil
		return logsource.File{Name: logsource.StdoutName}.Open(ctx, launch)
	})
	var stdout, stderr buffer
	pod := r.Launch(launcher.Spec{Name: "alice", Stdout: &stdout, Stderr: &stderr})
	if err := pod.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	mustDrain(t, pod)
	if stdout.String() != "out\n" || stderr.String() != "err\n"+aliceIsReady {
		t.Errorf("stdout is %q, stderr %q", stdout.String(), stderr.String())
	}
}

// A link or a FIFO in the place of the file for stdout is left as it is, and refused.
func TestStreamsAttackedFile(t *testing.T) {
	for _, what := range []string{"link", "fifo"} {
		t.Run(what, func(t *testing.T) {
			r := newRig(t, podrig.Serve...)
			if err := os.Mkdir(r.Dir("alice"), 0o700); err != nil {
				t.Fatal(err)
			}
			path, victim := filepath.Join(r.Dir("alice"), logsource.StdoutName), filepath.Join(r.Base, "victim")
			if what == "fifo" {
				r.Fifo("alice/" + logsource.StdoutName)
			} else if err := os.Symlink(victim, path); err != nil {
				t.Fatal(err)
			}
			e := r.Fail(t.Context(), launcher.Spec{Name: "alice", Stdout: new(buffer)})
			podrig.MustBe(t, e, logsource.ErrNotRegular)
			if _, err := os.Lstat(victim); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("through the link: %v", err)
			}
			if err := os.Remove(path); err != nil { // for what the rig launches now
				t.Error(err)
			}
		})
	}
}

// Follow goes on exactly where Progress has ended, even if the pod writes meanwhile, or
// the callback was too slow for all of it.
func TestFollowFromWhereProgressEnded(t *testing.T) {
	leaktest.Parallel(t)
	const lines = 5000
	r := newRig(t)
	end := r.Fifo("end")
	r.L.Command = podrig.Script(fmt.Sprintf("repeat %d early %%d", lines), "listen", "ready", fmt.Sprintf("repeat %d late %%d", lines), "await "+end, "exit 0")
	for _, slow := range []bool{false, true} {
		var got []string
		pod := r.Launch(launcher.Spec{Name: "alice", Progress: func(line string) {
			got = append(got, line)
			if slow {
				time.Sleep(10 * time.Millisecond) // what is tested is a slow callback
			}
		}})
		podrig.Wake(t, end)
		<-pod.Done()
		f, err := pod.FollowFrom(t.Context(), pod.Offset())
		if err != nil {
			t.Fatal(err)
		}
		for line, err := range logsource.Lines(f) {
			if err == nil && !strings.HasPrefix(string(line), "INSOMNIA-READY") {
				got = append(got, string(line))
			}
		}
		f.Close()
		if len(got) != 2*lines {
			t.Errorf("slow is %v: there are %d lines, want %d", slow, len(got), 2*lines)
		}
		for i, line := range got {
			want := fmt.Sprintf("early %d", i)
			if i >= lines {
				want = fmt.Sprintf("late %d", i-lines)
			}
			if line != want {
				t.Errorf("slow is %v: line %d is %q, want %q", slow, i, line, want)
				break
			}
		}
	}
}

// Without a callback the offset is where the probe has ended: behind the ready line.
func TestFollowFromTheReadyLine(t *testing.T) {
	r := stdinRig(t, `echo early >&2; printf "${r}late\n" >&2; exec sleep 1000`)
	pod := r.Launch(launcher.Spec{Name: "alice"})
	if want := int64(len("early\n" + aliceIsReady)); pod.Offset() != want {
		t.Errorf("the offset is %d, want %d", pod.Offset(), want)
	}
	attached, err := r.L.Attach(t.Context(), "alice")
	if err != nil {
		t.Fatal(err)
	}
	defer attached.Release()
	if attached.Offset() != 0 {
		t.Errorf("the offset of an attached pod is %d", attached.Offset())
	}
	f, err := attached.FollowFrom(t.Context(), pod.Offset())
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rest := make([]byte, len("late\n"))
	if _, err := io.ReadFull(f, rest); err != nil || string(rest) != "late\n" {
		t.Errorf("it reads %q, %v", rest, err)
	}
	for _, offset := range []int64{-1, 1 << 40} {
		if _, err := pod.FollowFrom(t.Context(), offset); !errors.Is(err, fs.ErrInvalid) {
			t.Errorf("from byte %d: %v", offset, err)
		}
	}
}

// Offsets hold for a log whose readers cannot seek.
func TestFollowFromThroughTheSource(t *testing.T) {
	_, s, pod := shelved(t, new(cluster))
	io.WriteString(s.output(), "0123456789")
	f, err := pod.FollowFrom(t.Context(), 4)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rest := make([]byte, 6)
	if _, err := io.ReadFull(f, rest); err != nil || string(rest) != "456789" {
		t.Errorf("it reads %q, %v", rest, err)
	}
}

// A bounded log keeps all that it has until the pod is ready: a probe that begins late, or
// reads it twice, finds the ready line.
func TestBoundedLogUntilReady(t *testing.T) {
	const size = 4 << 20
	r := stdinRig(t, fmt.Sprintf(`printf "$r" >&2; head -c %d /dev/zero | tr '\0' e >&2; echo > "$POD_RUNTIME_DIR/written"; exec sleep 1000`, size))
	r.L.Log = logsource.File{Keep: 64 << 10}
	late := readiness.Poll{What: "all that it writes", Check: func(_ context.Context, t readiness.Target) (readiness.Endpoint, error) {
		_, err := os.Stat(filepath.Join(t.RuntimeDir, "written"))
		return t.Endpoint, err
	}}
	r.L.Ready = readiness.Sequence{late, readiness.ReadyLine{}}
	pod := r.Launch(launcher.Spec{Name: "alice"})
	if err := pod.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}

// A log is bounded while the pod lives, with a writer, which loses nothing, and without
// one. The error of a launch that fails says what was freed.
func TestStreamsOfABoundedLog(t *testing.T) {
	leaktest.Parallel(t)
	if testing.Short() {
		t.Skip("skipped with -short: it writes megabytes")
	}
	size, keep := podrig.Size(t, 2, 8, 8)<<20, int64(256<<10)
	r := stdinRig(t, fmt.Sprintf(`printf "$r" >&2; head -c %d /dev/zero | tr '\0' e >&2; head -c %d /dev/zero | tr '\0' o; echo > "$POD_RUNTIME_DIR/written"; exec sleep 1000`, size, size))
	r.L.Log = logsource.File{Keep: keep}
	for _, writers := range []bool{true, false} {
		spec := launcher.Spec{Name: "alice", LogStdout: !writers}
		var stdout, stderr buffer
		files := []string{logsource.DefaultName}
		if writers {
			spec.Stdout, spec.Stderr = &stdout, &stderr
			files = append(files, logsource.StdoutName)
		}
		pod := r.Launch(spec)
		within := func(what string, ok func() bool) {
			t.Helper()
			for end := time.Now().Add(podrig.Late); !ok(); time.Sleep(time.Millisecond) {
				if time.Now().After(end) {
					t.Fatalf("writers %v: %s", writers, what)
				}
			}
		}
		within("it has not written all", func() bool {
			_, err := os.Stat(filepath.Join(r.Dir("alice"), "written"))
			return err == nil
		})
		for _, name := range files {
			within(name+" is not bounded", func() bool {
				fi, err := os.Stat(filepath.Join(r.Dir("alice"), name))
				return err == nil && fi.Size() >= int64(size) && fi.Sys().(*syscall.Stat_t).Blocks*512 < 1<<20
			})
		}
		if err := pod.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		mustDrain(t, pod)
		if writers && (stdout.String() != strings.Repeat("o", size) || stderr.String() != aliceIsReady+strings.Repeat("e", size)) {
			t.Errorf("the writers got %d and %d bytes of %d", len(stdout.String()), len(stderr.String()), size)
		}
		f, err := pod.Follow(t.Context(), true)
		if err != nil {
			t.Fatal(err)
		}
		rest, err := io.Copy(io.Discard, f)
		if lost := f.(logsource.Lossy).Lost(); err != nil || lost == 0 || lost+rest < int64(size) {
			t.Errorf("Follow returns %d bytes, and has left out %d: %v", rest, lost, err)
		}
		f.Close()
		if err := os.Remove(filepath.Join(r.Dir("alice"), "written")); err != nil {
			t.Error(err)
		}
	}
	r.L.Command = readyShell(fmt.Sprintf(`i=0; while [ $i -lt 100 ]; do head -c %d /dev/zero | tr '\0' x >&2; echo >&2; sleep 0.01; i=$((i+1)); done; echo why >&2; exit 1`, size/100))
	e := r.Fail(t.Context(), launcher.Spec{Name: "alice"})
	podrig.MustBe(t, e, launcher.ErrExitedEarly)
	podrig.MustSay(t, e, "bytes of its log, before its last lines, were freed")
	tail := strings.Join(e.Tail, "\n")
	if !strings.HasSuffix(tail, "x\nwhy") || strings.Contains(tail, "\x00") {
		t.Errorf("the tail is %.100q … %q", tail, tail[max(0, len(tail)-10):])
	}
}
