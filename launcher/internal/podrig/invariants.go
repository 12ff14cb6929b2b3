//go:build linux

package podrig

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/launcher/internal/leaktest"
	"github.com/podlaunch/podlaunch/launcher/internal/osproc"
	"github.com/podlaunch/podlaunch/logsource"
	"github.com/podlaunch/podlaunch/runtimedir"
)

// The invariants hold for every launch, no matter what goes wrong:
//
//	I1  A launch that fails leaves nothing: no process of the group or the session,
//	    no zombie, no descriptor, goroutine or watch, no lock, no record.
//	I2  A launch that succeeds has made the one pod of its name that there is.
//	I3  Nothing that the pod has written is lost: the tail is the end of the log.
//	I4  A launch returns soon after its deadline, and at once when it knows.
//	I5  The error is a *launcher.Error that says where, who and why.
//	I6  The launch writes only its locks and its record beside the pod's directory.
//	I7  The name can be launched again straight afterwards.
//
// [Rig.Fail] checks all except I2 and I7. [Rig.Launch] checks I2. The rig checks I7 when a
// test ends: it launches each name that failed last once more.

// Spoil says that this process cannot launch anything any more, so that nobody
// tries when the test ends: the kernel refuses it something for good.
func (r *Rig) Spoil() { r.names.spoiled = true }

// Fail launches a pod that must not become ready, checks what holds for every
// failure, and returns the error.
func (r *Rig) Fail(ctx context.Context, spec launcher.Spec) *launcher.Error {
	r.T.Helper()
	base, owned := r.base(ctx)
	filesBefore, recordBefore := hidden(base), readRecord(base, spec.Name)
	before := leaktest.Take()
	began := time.Now()
	pod, err := r.L.Launch(ctx, spec)
	took := time.Since(began)
	if pod != nil || err == nil {
		r.stopAtEnd(pod)
		r.T.Fatalf("Launch returned the pod %v and the error %v, want an error alone", pod, err)
	}
	// Nothing may be left when Launch returns, not only when the test ends.
	if left := r.left(before, spec.Name); len(left) > 0 {
		r.T.Errorf("when Launch had failed there were left:\n%s", strings.Join(left, "\n"))
	}
	var e *launcher.Error
	if !errors.As(err, &e) {
		r.T.Fatalf("the error is a %T, want *launcher.Error: %v", err, err)
	}
	r.checkError(spec, e)
	if took-e.Elapsed > Late || errors.Is(err, launcher.ErrTimeout) && r.L.Timeout > 0 && e.Elapsed > r.L.Timeout+Late {
		r.T.Errorf("Launch returned after %v, it says after %v, and was to within %v", took, e.Elapsed, r.L.Timeout)
	}
	if e.PID != 0 {
		MustBeGone(r.T, e.PID)
	}
	if e.Stage == launcher.StageReady && !r.PodsPour {
		r.checkTail(e)
	}
	if !owned || errors.Is(err, launcher.ErrRunning) || errors.Is(err, launcher.ErrHeld) {
		return e // the name is another's, or nobody's
	}
	checkFree(r.T, base, spec.Name)
	if record := readRecord(base, spec.Name); record != "" && (e.PID != 0 || record != recordBefore) {
		r.T.Errorf("there is a record: %s", record)
	}
	for _, name := range hidden(base) {
		if !slices.Contains(filesBefore, name) && name != "."+spec.Name+".launch" && name != "."+spec.Name+".pod" {
			r.T.Errorf("there is a new file %q in %s", name, base)
		}
	}
	r.names.failed[spec.Name] = base
	return e
}

// left is what a launch of name, before which before was taken, has left. While other tests
// run it is only what is this one's for sure: the fake pods in the pod's directory, and what is
// open below the base.
func (r *Rig) left(before *leaktest.Snapshot, name string) (left []string) {
	r.T.Helper()
	if !leaktest.Shared() {
		return before.Left(0, Pod)
	}
	left = before.Open(r.Base)
	for _, pid := range Alive(r.T, r.Dir(name)) {
		left = append(left, fmt.Sprintf("the fake pod with pid %d", pid))
	}
	return left
}

// Launch launches a pod that has to become ready, and stops it when the test
// ends.
func (r *Rig) Launch(spec launcher.Spec) *launcher.Pod {
	r.T.Helper()
	pod, err := r.L.Launch(r.T.Context(), spec)
	if err != nil {
		r.T.Fatalf("launch: %v", err)
	}
	r.checkReady(pod)
	r.stopAtEnd(pod)
	return pod
}

// stopAtEnd stops pod, if there is one, when the test ends.
func (r *Rig) stopAtEnd(pod *launcher.Pod) {
	if pod == nil {
		return
	}
	r.T.Cleanup(func() {
		r.T.Helper()
		// The test's own context is done by now.
		ctx, cancel := context.WithTimeout(context.Background(), Ample)
		defer cancel()
		if err := pod.Stop(ctx); err != nil {
			r.T.Error(err)
		}
	})
}

// checkError checks what every error has to say.
func (r *Rig) checkError(spec launcher.Spec, e *launcher.Error) {
	r.T.Helper()
	if e.Name != spec.Name || e.Stage == "" || e.Err == nil || e.Elapsed <= 0 {
		r.T.Errorf("the error lacks evidence: %+v", e)
	}
	if e.Leftover != nil {
		r.T.Errorf("not cleared: %v", e.Leftover)
	}
	if e.PID != 0 && e.LogPath == "" {
		r.T.Error("a process was started, and the error does not say where its log is")
	}
	msg := e.Error()
	if strings.ContainsFunc(msg, func(c rune) bool { return c < ' ' || c == 0x7f }) {
		r.T.Errorf("the message holds control characters: %q", msg)
	}
	if spec.Overlay != "" && strings.Contains(msg+fmt.Sprintf("%+v", e.Command), spec.Overlay) {
		r.T.Errorf("the error tells the overlay: %q %+v", msg, e.Command)
	}
}

// base returns where the locks and records of the launcher's pods are, and
// whether there is such a place.
func (r *Rig) base(ctx context.Context) (string, bool) {
	baser, ok := r.L.Dir.(runtimedir.Baser)
	if !ok {
		return "", false
	}
	base, err := baser.Base(context.WithoutCancel(ctx))
	return base, err == nil
}

// hidden lists the files in base that are not for people.
func hidden(base string) (names []string) {
	entries, _ := os.ReadDir(base) // it need not be there
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			names = append(names, e.Name())
		}
	}
	return names
}

// readRecord returns the record of name, or "" if there is none.
func readRecord(base, name string) string {
	path := filepath.Join(base, "."+name+".json")
	if fi, err := os.Lstat(path); err == nil && !fi.Mode().IsRegular() {
		return fi.Mode().String() // it may be a FIFO
	}
	data, _ := os.ReadFile(path)
	return string(data)
}

// checkFree fails the test unless nobody has the locks of name, those that were
// ever made. A child that some program has just forked may hold them for a
// moment.
func checkFree(t *testing.T, base, name string) {
	t.Helper()
	if runtimedir.ValidateName(name) != nil {
		return
	}
	for _, suffix := range []string{".launch", ".pod"} {
		f, err := os.OpenFile(filepath.Join(base, "."+name+suffix), os.O_RDWR|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
		if err != nil {
			continue // it was not made, or what is there cannot be locked
		}
		end := time.Now().Add(Late)
		for err = unix.EWOULDBLOCK; errors.Is(err, unix.EWOULDBLOCK) && time.Now().Before(end); time.Sleep(time.Millisecond) {
			err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		}
		if errors.Is(err, unix.EWOULDBLOCK) {
			t.Errorf("somebody has the lock %s of %s", suffix, name)
		}
		f.Close()
	}
}

// checkTail fails the test unless the tail of e is the end of the pod's log. It checks
// nothing if the pod has moved its log away. The pod must not have shortened the log.
func (r *Rig) checkTail(e *launcher.Error) {
	r.T.Helper()
	f, err := os.Open(e.LogPath)
	if err != nil {
		return // the pod has moved it away
	}
	defer f.Close()
	const much = 1 << 20 // that is for tests of their own
	if fi, err := f.Stat(); err != nil || !fi.Mode().IsRegular() || fi.Size() > much {
		return
	}
	var last []string
	for line, err := range logsource.Lines(f) {
		switch {
		case err != nil && !errors.Is(err, io.EOF):
			r.T.Errorf("read the log: %v", err)
		case err != nil && len(line) == 0:
		case !isProtocol(string(line)):
			last = append(last, string(line))
		}
	}
	last = last[max(0, len(last)-64):]
	tail := slices.DeleteFunc(slices.Clone(e.Tail), isProtocol)
	if len(tail) > len(last) || !slices.Equal(tail, last[len(last)-len(tail):]) || len(tail) < len(last) && len(e.Tail) < 64 {
		r.T.Errorf("the tail is %q, and the log ends with %q", e.Tail, last)
	}
}

// isProtocol reports whether the probe may have taken a line, which is then not part of
// the tail. Only the probe knows whether it did.
func isProtocol(line string) bool { return strings.HasPrefix(line, "INSOMNIA-") }

// checkReady fails the test unless pod is the one pod of its name: alive,
// recorded, and without a second one.
func (r *Rig) checkReady(pod *launcher.Pod) {
	r.T.Helper()
	delete(r.names.failed, pod.Name())
	if pod.PID() == 0 {
		return
	}
	if base, ok := r.base(context.Background()); ok {
		record := readRecord(base, pod.Name())
		if !strings.Contains(record, fmt.Sprintf(`"pid":%d,`, pod.PID())) || !strings.Contains(record, `"ready":true`) {
			r.T.Errorf("the record of a pod with pid %d that is ready: %s", pod.PID(), record)
		}
	}
	live, err := LivePods(pod.RuntimeDir())
	if err != nil {
		r.T.Fatal(err)
	}
	for _, pid := range live {
		if !descends(pid, pod.PID()) {
			r.T.Errorf("pid %d is ready, and there is %d too, which is not of it", pod.PID(), pid)
		}
	}
}

// descends reports whether a process is pod, of its session, or a descendant of
// either; or gone.
func descends(pid, pod int) bool {
	for pid > 1 {
		st, err := osproc.ReadStat(pid)
		if pid == pod || err != nil || st.Session == pod {
			return true
		}
		pid = st.Parent
	}
	return false
}

// Relaunch makes sure that the name can be launched straight after a failure.
func (r *Rig) Relaunch(name string) {
	r.T.Helper()
	again := *r
	again.L.Command, again.L.Timeout = Script(Serve...), Ample
	again.L.Ready, again.L.Log, again.L.Starter = nil, nil, nil
	again.Launch(launcher.Spec{Name: name})
}
