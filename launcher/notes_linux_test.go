package launcher_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/launcher/internal/leaktest"
	"github.com/podlaunch/podlaunch/launcher/internal/podrig"
	"github.com/podlaunch/podlaunch/readiness"
)

const (
	unreadNote   = "; its standard output is the null device, and a ready line there reaches nobody (Spec.LogStdout) ("
	bufferedNote = "; its standard output is no terminal, and many programs keep back what they write there until it is some KiB (python3 -u, stdbuf -oL) ("
)

// fifos counts those of hang.
var fifos atomic.Int64

// hang launches a shell that does script and then hangs, and returns the error of the
// launch, whose time is over then. In the script $r is a ready line for printf.
func (r *rig) hang(script string, spec launcher.Spec) *launcher.Error {
	r.T.Helper()
	taken := r.Fifo(fmt.Sprintf("taken%d", fifos.Add(1)))
	r.L.Command = readyShell(script + "; : > " + taken + "; exec sleep 1000")
	d := podrig.NewDeadline()
	d.PassAt(r.T, taken)
	spec.Name = "alice"
	return r.expire(d, spec)
}

// lineRig returns a rig that waits for the ready line alone.
func lineRig(t *testing.T) *rig {
	t.Helper()
	r := newRig(t)
	r.L.Ready = readiness.ReadyLine{}
	return r
}

// W37: what a pod that runs has written to its standard output reaches nobody, or stays
// in the pod, and the error says so. It does not where the pod writes to its log alone.
func TestStdoutOfWaiting(t *testing.T) {
	leaktest.Parallel(t)
	r := lineRig(t)
	podrig.MustSay(t, r.hang(`printf "$r"`, launcher.Spec{}), "it has written nothing to its log"+unreadNote)
	podrig.MustSay(t, r.hang(`printf "$r"; echo a warning >&2`, launcher.Spec{}), "its last lines: a warning"+unreadNote)
	podrig.MustSay(t, r.hang(`:`, launcher.Spec{LogStdout: true}), "it has written nothing to its log"+bufferedNote)
	podrig.MustSay(t, r.hang(`printf "$r"`, launcher.Spec{Stdout: new(strings.Builder)}), "its standard output goes to Spec.Stdout, and a ready line there is not seen")
	for name, e := range map[string]*launcher.Error{
		"a pod that writes to its log":        r.hang(`echo a warning >&2`, launcher.Spec{}),
		"one with all its output in the log":  r.hang(`echo a warning`, launcher.Spec{LogStdout: true}),
		"one that writes to its log and more": r.hang(`echo a warning >&2; echo > file`, launcher.Spec{LogStdout: true, Dir: t.TempDir()}),
	} {
		if len(e.Notes) > 0 {
			t.Errorf("%s: %q", name, e.Notes)
		}
	}
	r.L.Ready = readiness.Unix{}
	if e := r.hang(`:`, launcher.Spec{}); len(e.Notes) != 1 {
		t.Errorf("nobody waits for a line: %q", e.Notes)
	}
}

// W37: a pod that ends without a line in its log may have said why on its standard output.
func TestStdoutOfExited(t *testing.T) {
	leaktest.Parallel(t)
	const note = "its standard output is the null device, and what it wrote there is lost (Spec.LogStdout)"
	r := lineRig(t)
	r.L.Command = readyShell("echo the reason; exit 3")
	podrig.MustSay(t, r.Fail(t.Context(), launcher.Spec{Name: "alice"}), "without a word; "+note+" (exit status 3")
	e := r.Fail(t.Context(), launcher.Spec{Name: "alice", LogStdout: true})
	podrig.MustSay(t, e, "before becoming ready: the reason (exit status 3")
	if len(e.Notes) > 0 {
		t.Errorf("all is in the log: %q", e.Notes)
	}
}

// W36: a line that was nearly the ready line is quoted, however many lines come after it.
func TestNearMissIsTold(t *testing.T) {
	leaktest.Parallel(t)
	r := lineRig(t)
	const note = `; a line is nearly the sign that it is ready, but "INSOMNIA-READY" does not begin it: "[0] INSOMNIA-READY\talice\t/nowhere"`
	const more = `i=0; while [ $i -lt 100 ]; do echo "line $i" >&2; i=$((i+1)); done`
	podrig.MustSay(t, r.hang(`printf "[0] $r" >&2; `+more, launcher.Spec{}), note)
	podrig.MustSay(t, r.hang(`printf "[0] $r" >&2; `+more, launcher.Spec{Progress: func(string) {}}), note)
	r.L.Command = readyShell(`printf "[0] $r" >&2; exit 3`)
	podrig.MustSay(t, r.Fail(t.Context(), launcher.Spec{Name: "alice"}), note)
	r.L.Ready = readiness.Sequence{readiness.ReadyLine{}, readiness.Unix{Path: "/nowhere"}}
	if e := r.hang(`printf "[0] $r" >&2; printf "$r" >&2`, launcher.Spec{}); len(e.Notes) > 0 {
		t.Errorf("the true line came: %v", e)
	}
}

// W38: a pod that ends after its ready line has not ended without a word.
func TestExitAfterTheReadyLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		f.l.Ready = readiness.Sequence{readiness.ReadyLine{}, readiness.Unix{Path: "/nowhere/sock"}}
		f.log.write("INSOMNIA-READY\talice\t/nowhere/sock\n")
		f.proc.endAt(time.Now().Add(time.Second), launcher.Exit{Known: true})
		e := f.mustFail(t, t.Context())
		podrig.MustBe(t, e, launcher.ErrExitedEarly)
		podrig.MustSay(t, e, "; it ended after it had announced that it is ready")
		if strings.Contains(e.Error(), "without a word") || strings.Contains(e.Error(), "LogStdout") {
			t.Error(e)
		}
	})
}

// W35: what a shell says of a signal is explained.
func TestShellNote(t *testing.T) {
	leaktest.Parallel(t)
	for status, want := range map[string]string{
		"137": "; a shell exits so when signal 9 (killed) has ended what it ran (exit status 137",
		"139": "signal 11 (segmentation fault)",
		"128": "", "255": "", "3": "", "144": "",
	} {
		r := lineRig(t)
		r.L.Command = readyShell("echo hello >&2; exit " + status)
		e := r.Fail(t.Context(), launcher.Spec{Name: "alice"})
		if told := strings.Contains(e.Error(), "a shell exits so"); told != (want != "") || !strings.Contains(e.Error(), want) {
			t.Errorf("exit status %s: %v", status, e)
		}
	}
}

// The error says that a directory is gone, or that the pod's user cannot enter it.
func TestSurroundings(t *testing.T) {
	r := lineRig(t)
	dir := filepath.Join(t.TempDir(), "wd")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	e := r.hang(`echo hello >&2; rmdir "$PWD"; rm -r "$POD_RUNTIME_DIR"`, launcher.Spec{Dir: dir})
	podrig.MustSay(t, e, fmt.Sprintf("; its working directory %q was removed; its runtime directory %q was removed", dir, r.Dir("alice")))
	if os.Getuid() != 0 {
		t.Skip("only root can have a pod change its user")
	}
	taken := r.Fifo("taken")
	r.L.Command = readyShell(`(until grep -q "^Uid:.65534" /proc/$$/status; do :; done; echo > ` + taken + `) & exec setpriv --reuid 65534 --regid 65534 --clear-groups sleep 1000`)
	const note = "; it runs as user 65534, who cannot enter its runtime directory (mode 0700), and so reaches no socket there"
	public := readiness.NotifySocket{Public: true}
	for _, c := range []struct {
		ready readiness.Probe
		told  bool
	}{
		{r.L.Ready, true},
		{readiness.Sequence{public, readiness.Unix{Path: "sock"}}, true},
		{readiness.Sequence{public, readiness.File{Path: "up"}}, true},
		{public, false},
		{readiness.Sequence{public, readiness.TCP{Address: "127.0.0.1:1"}, readiness.Unix{Path: "/nowhere/sock"}}, false},
	} {
		r.L.Ready = c.ready
		d := podrig.NewDeadline()
		d.PassAt(t, taken)
		if e = r.expire(d, launcher.Spec{Name: "alice"}); strings.Contains(e.Error(), note) != c.told {
			t.Errorf("%s: %v", readiness.Describe(c.ready), e)
		}
	}
}

// W35: the counter of the cgroup tells what the kernel kills for lack of memory, also
// behind a shell. The test runs itself in a process that moves to a cgroup of its own.
func TestKilledForMemory(t *testing.T) {
	leaktest.Parallel(t)
	if testing.Short() {
		t.Skip("skipped with -short: it fills memory")
	}
	const variable = "PODLAUNCH_TEST_CGROUP"
	if dir := os.Getenv(variable); dir != "" {
		if err := os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte("0"), 0); err != nil {
			t.Fatal(err)
		}
		r := lineRig(t)
		const note = "; the kernel has killed a process for lack of memory since the start, in the cgroup that the pod shares with its launcher (oom_kill in "
		r.L.Command = readyShell("exec tail /dev/zero")
		podrig.MustSay(t, r.Fail(t.Context(), launcher.Spec{Name: "alice"}), note, "signal: killed")
		r.L.Command = readyShell("tail /dev/zero; exit $?")
		podrig.MustSay(t, r.Fail(t.Context(), launcher.Spec{Name: "alice"}), "signal 9 (killed) has ended what it ran"+note, "exit status 137")
		r.L.Command = readyShell("kill -9 $$")
		if e := r.Fail(t.Context(), launcher.Spec{Name: "alice"}); strings.Contains(e.Error(), "memory") {
			t.Errorf("nobody lacked memory: %v", e)
		}
		return
	}
	dir := limitedCgroup(t)
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestKilledForMemory$", "-test.v")
	cmd.Env = append(os.Environ(), variable+"="+dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS: TestKilledForMemory") {
		t.Errorf("%v:\n%s", err, out)
	}
}

// limitedCgroup makes a cgroup in which there is little memory, of version 1 or 2.
func limitedCgroup(t *testing.T) string {
	t.Helper()
	const limit = "268435456" // several times what this test takes with the detector of races: the largest process is killed
	name := fmt.Sprintf("podlaunch-test-%d", os.Getpid())
	for _, c := range []struct{ dir, limit, swap string }{
		{"/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.memsw.limit_in_bytes"},
		{"/sys/fs/cgroup", "memory.max", "memory.swap.max"},
	} {
		dir := filepath.Join(c.dir, name)
		if err := os.Mkdir(dir, 0o755); err != nil {
			continue
		}
		t.Cleanup(func() { os.Remove(dir) })
		if err := os.WriteFile(filepath.Join(dir, c.limit), []byte(limit), 0); err != nil {
			continue
		}
		swap := limit
		if c.swap == "memory.swap.max" {
			swap = "0"
		}
		_ = os.WriteFile(filepath.Join(dir, c.swap), []byte(swap), 0) // there may be no swap
		return dir
	}
	t.Skip("no cgroup with the memory controller can be made here")
	return ""
}

// The error says that the pod has moved into a frozen cgroup.
func TestFrozenPod(t *testing.T) {
	var dir string
	for _, above := range []string{"/sys/fs/cgroup/unified", "/sys/fs/cgroup"} {
		at := filepath.Join(above, fmt.Sprintf("podlaunch-test-%d", os.Getpid()))
		if os.Mkdir(at, 0o755) != nil {
			continue
		}
		t.Cleanup(func() { os.Remove(at) })
		if _, err := os.Stat(filepath.Join(at, "cgroup.freeze")); err == nil {
			dir = at
			break
		}
	}
	if dir == "" {
		t.Skip("no cgroup of version 2 can be made here")
	}
	r := lineRig(t)
	taken := r.Fifo("taken")
	moved := r.Fifo("moved")
	r.L.Command = readyShell("echo 0 > " + dir + "/cgroup.procs || exit 3; echo > " + moved + "; exec sleep 1000")
	d := podrig.NewDeadline()
	d.PassAt(t, taken)
	freezing := make(chan error, 1)
	go func() {
		_, err := os.ReadFile(moved)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, "cgroup.freeze"), []byte("1"), 0)
		}
		for err == nil {
			var events []byte
			if events, err = os.ReadFile(filepath.Join(dir, "cgroup.events")); strings.Contains(string(events), "frozen 1") {
				var f *os.File
				if f, err = os.OpenFile(taken, os.O_WRONLY, 0); err == nil {
					err = f.Close()
				}
				break
			}
			time.Sleep(time.Millisecond)
		}
		freezing <- err
	}()
	e := r.expire(d, launcher.Spec{Name: "alice"})
	podrig.MustSay(t, e, fmt.Sprintf("; its cgroup %q is frozen, by its own cgroup.freeze", dir))
	if err := <-freezing; err != nil {
		t.Error(err)
	}
}
