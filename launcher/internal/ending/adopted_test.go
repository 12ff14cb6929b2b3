//go:build linux

package ending_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/launcher/internal/leaktest"
	"github.com/podlaunch/podlaunch/launcher/internal/podrig"
	"github.com/podlaunch/podlaunch/readiness"
	"github.com/podlaunch/podlaunch/runtimedir"
)

// mustBeAdopted makes sure that pod is the process pid, for all who ask.
func (r *rig) mustBeAdopted(pod *launcher.Pod, pid int) {
	r.T.Helper()
	if pod.PID() != pid || !lives(pid) {
		r.T.Fatalf("the pod is pid %d, and the daemon is %d", pod.PID(), pid)
	}
	podrig.MustLive(r.T, pod)
	attached := r.MustAttach(pod)
	if attached.PID() != pid {
		r.T.Errorf("Attach returns pid %d", attached.PID())
	}
	attached.Release()
	for s, err := range r.L.List(r.T.Context()) {
		if err != nil || s.State != launcher.StateReady || s.PID != pid {
			r.T.Errorf("List yields %v, %v", s, err)
		}
	}
	again, started, err := r.L.Ensure(r.T.Context(), podrig.Alice)
	if err != nil || started || again.PID() != pid {
		r.T.Fatalf("Ensure: %v, %v, %v", again, started, err)
	}
	again.Release()
	r.MustRefuse(r.T.Context(), &r.L, launcher.ErrRunning)
}

// pidIn returns the pid in $OUT/name.
func (r *rig) pidIn(name string) int {
	r.T.Helper()
	text, err := os.ReadFile(r.path(name))
	line, _, _ := strings.Cut(string(text), "\n")
	pid, convErr := strconv.Atoi(line)
	if err := errors.Join(err, convErr); err != nil {
		r.T.Fatal(err)
	}
	return pid
}

// serveQuietly are the steps of a daemon that has an answer on its socket.
var serveQuietly = []string{"listen", "hang"}

// W31: a daemon that goes to the background and says so in a pid file is adopted, however
// it has got away from the process that was started.
func TestAdoptsByPIDFile(t *testing.T) {
	leaktest.Parallel(t)
	if testing.Short() {
		t.Skip("skipped with -short: init may take long to reap each daemon")
	}
	for _, way := range []struct{ name, script string }{
		{"in the group", `"$0" "$@" & echo $! >"$OUT/pid"; exit 0`},
		{"in a session of its own", `setsid "$0" "$@" & echo $! >"$OUT/pid"; exit 0`},
		{"double fork", `setsid sh -c '"$0" "$@" & echo $! >"$OUT/pid"; exit 0' "$0" "$@" & wait; exit 0`},
		{"the parent ends first", `setsid sh -c 'read word <"$OUT/go"; echo $$ >"$OUT/pid"; exec "$0" "$@"' "$0" "$@" & exit 0`},
		{"the parent ends last", `"$0" "$@" & echo $! >"$OUT/pid"; read word <"$OUT/go"; exit 0`},
		{"without the lock", `setsid perl -MPOSIX -e 'POSIX::close(20); exec @ARGV' "$0" "$@" & echo $! >"$OUT/pid"; exit 0`},
		{"without the mark", `setsid env -u POD_LAUNCH_ID "$0" "$@" & echo $! >"$OUT/pid"; exit 0`},
		{"in two writes", `setsid "$0" "$@" & : >"$OUT/pid"; echo $! >"$OUT/pid"; echo more >>"$OUT/pid"; exit 0`},
	} {
		t.Run(way.name, func(t *testing.T) {
			r := newRig(t)
			leave := r.Fifo("go")
			r.shell(way.script, serveQuietly...)
			r.L.Ready = readiness.Sequence{readiness.PIDFile{Path: r.path("pid")}, readiness.Unix{}}
			if strings.Contains(way.script, "$OUT/go") {
				go podrig.Wake(t, leave)
			}
			pod := r.Launch(podrig.Alice)
			r.mustBeAdopted(pod, r.pidIn("pid"))
			podrig.Ping(t, pod)
			r.stop(pod)
		})
	}
}

// W31: MAINPID= names the process that is adopted, also if the daemon itself says it when
// its parents have ended, and if the process that was started stays.
func TestAdoptsByMAINPID(t *testing.T) {
	leaktest.Parallel(t)
	const say = `exec perl -MIO::Socket::UNIX -e 'IO::Socket::UNIX->new(Type => SOCK_DGRAM, Peer => $ENV{NOTIFY_SOCKET})->send(shift) or die; exec @ARGV' `
	for _, way := range []struct{ name, script string }{
		{"by the daemon", `setsid sh -c 'echo $$ >"$OUT/pid"; SAY "MAINPID=$$
READY=1" "$0" "$@"' "$0" "$@" & exit 0`},
		{"by an orphan, which says more", `setsid sh -c 'read word <"$OUT/go"; echo $$ >"$OUT/pid"; (SAY "STATUS=so far" true); SAY "MAINPID=$$
READY=1" "$0" "$@"' "$0" "$@" & exit 0`},
		{"by the parent, which stays", `"$0" "$@" & echo $! >"$OUT/pid"; SAY "MAINPID=$!
READY=1" sleep 1000`},
		{"of the process that was started", `echo $$ >"$OUT/pid"; SAY "MAINPID=$$
READY=1" "$0" "$@"`},
	} {
		t.Run(way.name, func(t *testing.T) {
			r := newRig(t)
			leave := r.Fifo("go")
			script := strings.ReplaceAll(way.script, "SAY ", say)
			if strings.Contains(way.script, "sh -c '") {
				r.write("say", strings.ReplaceAll(say, "shift) or die; exec @ARGV'", "shift) or die; exec @ARGV'")+`"$@"`)
				script = strings.ReplaceAll(way.script, "SAY ", `exec sh "$OUT/say" `)
			}
			r.shell(script, serveQuietly...)
			r.L.Ready = readiness.Sequence{readiness.NotifySocket{MainPID: true}, readiness.Unix{}}
			if strings.Contains(way.script, "$OUT/go") {
				go podrig.Wake(t, leave)
			}
			pod := r.Launch(podrig.Alice)
			r.mustBeAdopted(pod, r.pidIn("pid"))
			podrig.Ping(t, pod)
			r.stop(pod)
		})
	}
}

// stranger starts a process that is of no pod: this program's child.
func stranger(t *testing.T) int {
	t.Helper()
	cmd := exec.Command("sleep", "1000")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if !lives(cmd.Process.Pid) {
			t.Errorf("pid %d, which is of no pod, was ended", cmd.Process.Pid)
		}
		cmd.Process.Kill()
		if err := cmd.Wait(); err == nil || cmd.ProcessState.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
			t.Errorf("the stranger ended so: %v", err)
		}
	})
	return cmd.Process.Pid
}

// orphan starts a process that is of no pod, and has another parent than this program.
func orphan(t *testing.T) int {
	t.Helper()
	out, err := exec.Command("sh", "-c", "setsid sleep 1000 >/dev/null 2>&1 & echo $!").Output()
	pid, convErr := strconv.Atoi(strings.TrimSpace(string(out)))
	if err := errors.Join(err, convErr); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if !lives(pid) {
			t.Errorf("pid %d, which is of no pod, was ended", pid)
		}
		syscall.Kill(pid, syscall.SIGKILL)
	})
	return pid
}

// goneProcess returns the pid of a process that has ended.
func goneProcess(t *testing.T) int {
	t.Helper()
	cmd := exec.Command("true")
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	return cmd.Process.Pid
}

// W31: what is not proven to be of the pod is not adopted, and nobody signals it. The error
// says which pid it is, who has named it, and why it is refused.
func TestRefusesToAdopt(t *testing.T) {
	leaktest.Parallel(t)
	if testing.Short() {
		t.Skip("skipped with -short: it launches a pod for each way to lie")
	}
	const unproven = "not proven to be of the pod"
	for _, way := range []struct {
		name string
		what func(t *testing.T) string
		says []string
		of   error
	}{
		{"a stranger", func(t *testing.T) string { return strconv.Itoa(orphan(t)) }, []string{unproven, "it has not the pod's lock"}, launcher.ErrNotOurs},
		{"the launcher's child", func(t *testing.T) string { return strconv.Itoa(stranger(t)) }, []string{unproven}, launcher.ErrNotOurs},
		{"the launcher", func(*testing.T) string { return strconv.Itoa(os.Getpid()) }, []string{unproven, "the program that launches the pod"}, launcher.ErrNotOurs},
		{"pid 1", func(*testing.T) string { return "1" }, []string{"pid 1", unproven}, launcher.ErrNotOurs},
		{"gone", func(t *testing.T) string { return strconv.Itoa(goneProcess(t)) }, []string{unproven, "the process is gone"}, readiness.ErrUnproven},
		{"garbage", func(*testing.T) string { return "none" }, []string{"is no pid", `"none"`}, nil},
		{"pid 0", func(*testing.T) string { return "0" }, []string{"is no pid"}, nil},
		{"negative", func(*testing.T) string { return "-7" }, []string{"is no pid"}, nil},
		{"too large", func(*testing.T) string { return "99999999999" }, []string{"is no pid"}, nil},
		{"two", func(*testing.T) string { return "12 13" }, []string{"is no pid"}, nil},
	} {
		for _, by := range []string{"pid file", "MAINPID="} {
			if by == "MAINPID=" && way.of == nil {
				continue // it is not understood, and noted
			}
			t.Run(way.name+" by "+by, func(t *testing.T) {
				r := newRig(t)
				what := way.what(t)
				r.shell(`setsid "$0" "$@" & echo `+what+` >"$OUT/pid"; exit 0`, "hang")
				r.L.Ready = readiness.PIDFile{Path: r.path("pid")}
				if by == "MAINPID=" {
					r.L.Command = podrig.Script(`notify-socket "MAINPID=`+what+`\nREADY=1"`, "hang")
					r.L.Ready = readiness.NotifySocket{MainPID: true}
				}
				err := r.Fail(t.Context(), podrig.Alice)
				podrig.MustSay(t, err, append(way.says, by)...)
				if way.of != nil {
					podrig.MustBe(t, err, way.of, readiness.ErrUnproven)
					podrig.MustSay(t, err, "pid "+what)
				}
				r.nobodyIsLeft()
			})
		}
	}
}

// W31: a pid file of an earlier run does not count, and if the daemon has only touched it,
// the process that has the number by now is not adopted.
func TestAdoptsByNoOldPIDFile(t *testing.T) {
	leaktest.Parallel(t)
	r := newRig(t)
	old := orphan(t)
	r.write("pid", fmt.Sprintln(old))
	if err := os.Chtimes(r.path("pid"), time.Time{}, time.Now().Add(-time.Hour)); err != nil {
		t.Fatal(err)
	}
	r.L.Ready = readiness.Timeout{Probe: readiness.PIDFile{Path: r.path("pid")}, Limit: 50 * time.Millisecond}
	r.shell(`setsid "$0" "$@" & exit 0`, "hang")
	err := r.Fail(t.Context(), podrig.Alice)
	podrig.MustSay(t, err, "it is the one that was there before the pod was started", "has gone to the background (exit status 0), and no process has taken its place")

	r.L.Ready = readiness.PIDFile{Path: r.path("pid")}
	r.shell(`setsid "$0" "$@" & touch "$OUT/pid"; exit 0`, "hang")
	err = r.Fail(t.Context(), podrig.Alice)
	podrig.MustBe(t, err, readiness.ErrUnproven, launcher.ErrNotOurs)
	podrig.MustSay(t, err, fmt.Sprintf("pid %d (", old), "it started before the pod")

	r.shell(`setsid "$0" "$@" & echo $! >"$OUT/pid"; exit 0`, "hang")
	pod := r.Launch(podrig.Alice)
	r.mustBeAdopted(pod, r.pidIn("pid"))
	r.stop(pod)
}

// W31: another pod's process is not adopted, also if the pod itself has launched that pod.
func TestRefusesToAdoptAnotherPod(t *testing.T) {
	leaktest.Parallel(t)
	bob := newRig(t)
	bob.L.Ready = readiness.ProbeFunc(func(_ context.Context, target readiness.Target) (readiness.Endpoint, error) {
		return target.Endpoint, nil
	})
	other := bob.Launch(bob.run("sleep", "1000"))
	r := newRig(t)
	r.L.Ready = readiness.PIDFile{Path: r.path("pid")}
	r.shell(fmt.Sprintf(`echo %d >"$OUT/pid"; exec sleep 1000`, other.PID()))
	podrig.MustBe(t, r.Fail(t.Context(), podrig.Alice), readiness.ErrUnproven)
	r.shell(`POD_LAUNCH_ID=another setsid perl -MPOSIX -e 'POSIX::close(20); exec @ARGV' sh -c 'echo $$ >"$OUT/pid"; exec sleep 1000' & exit 0`)
	err := r.Fail(t.Context(), podrig.Alice)
	podrig.MustBe(t, err, readiness.ErrUnproven)
	podrig.MustSay(t, err, "it goes on running", "set Local.Cgroup")
	nested := r.pidIn("pid")
	if !lives(nested) {
		t.Error("a pod that the pod has launched was ended")
	}
	syscall.Kill(nested, syscall.SIGKILL)
	podrig.MustLive(t, other)
	if err := other.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}

// W31: the process that was started is the pod if the pid file names it, and then it may
// not end.
func TestAdoptsNobodyInTheForeground(t *testing.T) {
	leaktest.Parallel(t)
	r := newRig(t)
	r.L.Ready = readiness.PIDFile{Path: r.path("pid")}
	r.shell(`echo $$ >"$OUT/pid"; exec "$0" "$@"`, serveQuietly...)
	pod := r.Launch(podrig.Alice)
	r.mustBeAdopted(pod, r.pidIn("pid"))
	r.stop(pod)
	r.shell(`rm "$OUT/pid"; exit 3`)
	err := r.Fail(t.Context(), podrig.Alice)
	podrig.MustBe(t, err, launcher.ErrExitedEarly)
	podrig.MustSay(t, err, "exit status 3")
}

// W31: a launch fails if the started process or the adopted process ends badly before the pod is ready. It ends all that belongs to the pod.
func TestAdoptedEndsEarly(t *testing.T) {
	leaktest.Parallel(t)
	for name, want := range map[string]struct{ script, says string }{
		"the started one, with an error": {`setsid "$0" "$@" & echo $! >"$OUT/pid"; exit 4`, "exit status 4"},
		"the started one, later":         {`setsid "$0" "$@" & echo $! >"$OUT/pid"; exec perl -MIO::Socket::UNIX -e 'IO::Socket::UNIX->new(Type => SOCK_DGRAM, Peer => $ENV{NOTIFY_SOCKET})->send("MAINPID=$ARGV[0]\nREADY=1"); open F, "$ENV{OUT}/go"; exit 4' $!`, "exit status 4"},
		"the adopted one":                {`setsid sh -c 'echo $$ >"$OUT/pid"; read word <"$OUT/go"; exit 4' & setsid "$0" "$@" & exit 0`, "exit status "}, // who reaps it is not ours
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			leave := r.Fifo("go")
			adopting := make(chan struct{})
			var adopter readiness.Probe = readiness.PIDFile{Path: r.path("pid")}
			if strings.Contains(want.script, "NOTIFY_SOCKET") {
				adopter = readiness.NotifySocket{MainPID: true}
			}
			r.L.Ready = readiness.Sequence{
				adopter,
				readiness.Poll{Check: func(_ context.Context, target readiness.Target) (readiness.Endpoint, error) {
					select {
					case <-adopting:
					default:
						close(adopting)
					}
					return readiness.Endpoint{}, errors.New("never")
				}},
			}
			r.shell(want.script, "hang")
			if strings.Contains(want.script, "/go") {
				go func() {
					<-adopting
					podrig.Wake(t, leave)
				}()
			}
			err := r.Fail(t.Context(), podrig.Alice)
			podrig.MustBe(t, err, launcher.ErrExitedEarly)
			podrig.MustSay(t, err, want.says)
			r.nobodyIsLeft()
		})
	}
}

// W31: Done is closed when the adopted process ends, and not before. What it leaves behind
// is ended by Stop, also by another program, which knows the record alone.
func TestAdoptedEnds(t *testing.T) {
	leaktest.Parallel(t)
	r := newRig(t)
	r.L.Ready = readiness.Sequence{readiness.PIDFile{Path: r.path("pid")}, readiness.Unix{Peer: readiness.SameUser}}
	r.shell(`setsid sh -c '"$0" "$@" & echo $! >"$OUT/worker"; echo $$ >"$OUT/pid"; wait' "$0" "$@" & exit 0`, serveQuietly...)
	pod := r.Launch(podrig.Alice)
	attached := r.MustAttach(pod)
	if err := syscall.Kill(r.pidIn("pid"), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	for _, p := range []*launcher.Pod{pod, attached} {
		if exit, err := p.Wait(t.Context()); err != nil || exit.Known && exit.Signal != syscall.SIGKILL {
			t.Errorf("%v, %v", exit, err)
		}
	}
	if worker := r.pidIn("worker"); !lives(worker) {
		t.Errorf("pid %d was ended, and nobody has asked for that", worker)
	}
	if err := r.L.Stop(t.Context(), "alice"); err != nil {
		t.Error(err)
	}
	r.nobodyIsLeft()

	again := r.Launch(podrig.Alice)
	if err := r.L.Stop(t.Context(), "alice"); err != nil { // by the record
		t.Error(err)
	}
	<-again.Done()
	r.nobodyIsLeft()
}

// W31: a process that was released runs on, and is found again by its name.
func TestReleasesTheAdopted(t *testing.T) {
	leaktest.Parallel(t)
	r := newRig(t)
	r.L.Ready = readiness.PIDFile{Path: r.path("pid")}
	r.shell(`setsid "$0" "$@" & echo $! >"$OUT/pid"; exit 0`, "hang")
	pod, err := r.L.Launch(t.Context(), podrig.Alice)
	if err != nil {
		t.Fatal(err)
	}
	pod.Release()
	attached, err := r.L.Attach(t.Context(), "alice")
	if err != nil {
		t.Fatal(err)
	}
	if attached.PID() != r.pidIn("pid") {
		t.Errorf("it is pid %d", attached.PID())
	}
	r.stop(attached)
}

// W31: in a cgroup of the pod, being in it is the proof: the daemon may have lost all else.
func TestAdoptsInACgroup(t *testing.T) {
	leaktest.Parallel(t)
	r := newRig(t)
	r.L.Starter = launcher.Local{Cgroup: newCgroup(t)}
	r.L.Ready = readiness.PIDFile{Path: r.path("pid")}
	r.shell(`setsid env -u POD_LAUNCH_ID perl -MPOSIX -e 'POSIX::close(20); exec @ARGV' "$0" "$@" & echo $! >"$OUT/pid"; exit 0`, "hang")
	pod := r.Launch(podrig.Alice)
	r.mustBeAdopted(pod, r.pidIn("pid"))
	r.stop(pod)

	if err := os.Remove(r.path("pid")); err != nil {
		t.Fatal(err)
	}
	r.shell(fmt.Sprintf(`echo %d >"$OUT/pid"; exit 0`, orphan(t)))
	err := r.Fail(t.Context(), podrig.Alice)
	podrig.MustBe(t, err, readiness.ErrUnproven)
	podrig.MustSay(t, err, "it is not in the pod's cgroup")
}

// A private pod is adopted as others are.
func TestAdoptsAPrivatePod(t *testing.T) {
	r := newRig(t)
	t.Setenv("XDG_RUNTIME_DIR", r.Base)
	r.L.Dir = runtimedir.Temp{}
	r.L.Ready = readiness.PIDFile{Path: r.path("pid")}
	r.shell(`setsid "$0" "$@" & echo $! >"$OUT/pid"; exit 0`, "hang")
	pod, err := r.L.Launch(t.Context(), launcher.Spec{})
	if err != nil {
		t.Fatal(err)
	}
	if pod.PID() != r.pidIn("pid") {
		t.Errorf("it is pid %d", pod.PID())
	}
	if err := pod.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(pod.RuntimeDir()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("its directory is still there: %v", err)
	}
	r.nobodyIsLeft()
}
