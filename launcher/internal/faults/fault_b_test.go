//go:build linux

package faults_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/launcher/internal/leaktest"
	"github.com/podlaunch/podlaunch/launcher/internal/osproc"
	"github.com/podlaunch/podlaunch/launcher/internal/podrig"
	"github.com/podlaunch/podlaunch/readiness"
	"github.com/podlaunch/podlaunch/runtimedir"
	"github.com/podlaunch/podlaunch/runtimedir/conformance"
)

// TestFaultB injects those faults of part B of the catalogue, the environment,
// that need a system of their own: filesystems that are full or read-only,
// limits, a kernel that refuses calls. Each case is called by its number. The
// others are tested where what they are about is: directories in package
// runtimedir, logs in logsource, programs that cannot be executed in
// TestStartError….
func TestFaultB(t *testing.T) {
	for _, c := range []struct {
		name string
		test func(t *testing.T)
	}{
		{"B08 read-only filesystem", b08},
		{"B09 no space for the record", b09},
		{"B10 disk full while the pod writes", b10},
		{"B11 limit on the size of files", b11},
		{"B24 limit on processes", b24},
		{"B26 limit on descriptors", b26},
		{"B28 no memory for a process", b28},
		{"B29 no pidfd", b29},
		{"B30 no proc", b30},
		{"B31 no null device", b31},
		{"B32 filesystem without locks or sockets", b32},
		{"B35 hostile environment", b35},
		{"B36 no inodes", b36},
	} {
		t.Run(c.name, c.test)
	}
}

// onTmpfs runs the test in a process of its own, with the base of its rig on a
// tmpfs that was mounted with options (tmpfs(5)), and returns the rig; nil in the
// process that only waits for it.
func onTmpfs(t *testing.T, options string, steps ...string) *rig {
	t.Helper()
	if !inNamespaces(t, syscall.CLONE_NEWNS) {
		return nil
	}
	r := newRig(t, steps...)
	base := filepath.Join(r.Base, "small")
	if err := os.Mkdir(base, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", base, "tmpfs", 0, "mode=700,"+options); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		var err error
		conformance.Eventually(podrig.Ample, func() bool {
			err = unix.Unmount(base, 0)
			return !errors.Is(err, unix.EBUSY)
		})
		if err != nil {
			t.Error(err)
		}
	})
	r.Base = base
	r.L.Dir = runtimedir.Dir(base)
	return r
}

// remount changes how the base is mounted. A launch closes its record and its log when it
// has returned, so the filesystem may be busy for a moment.
func (r *rig) remount(flags uintptr, options string) {
	r.T.Helper()
	var err error
	conformance.Eventually(podrig.Ample, func() bool {
		err = unix.Mount("", r.Base, "", unix.MS_REMOUNT|flags, options)
		return !errors.Is(err, unix.EBUSY)
	})
	if err != nil {
		r.T.Fatal(err)
	}
}

// B8: on a filesystem that is read-only there is no directory, nor, where that
// is there already, a lock.
func b08(t *testing.T) {
	r := onTmpfs(t, "size=1m", podrig.Serve...)
	if r == nil {
		return
	}
	r.remount(unix.MS_RDONLY, "")
	e := r.Fail(t.Context(), podrig.Alice)
	podrig.MustBe(t, e, runtimedir.ErrUnavailable, syscall.EROFS)
	podrig.MustSay(t, e, r.Dir("alice"))
	if e.Stage != launcher.StageDir {
		t.Errorf("stage %q", e.Stage)
	}
	r.remount(0, "")
	r.Relaunch("alice")

	if err := os.Mkdir(r.Dir("bob"), 0o700); err != nil {
		t.Fatal(err)
	}
	stopAll(t, r)
	r.remount(unix.MS_RDONLY, "")
	e = r.Fail(t.Context(), launcher.Spec{Name: "bob"})
	podrig.MustBe(t, e, syscall.EROFS)
	if e.Stage != launcher.StageOwn {
		t.Errorf("stage %q", e.Stage)
	}
	r.remount(0, "")
	r.Relaunch("bob")
}

// stopAll stops the pods below the rig's base, whose files keep the filesystem
// busy.
func stopAll(t *testing.T, r *rig) {
	t.Helper()
	for s, err := range r.L.List(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if s.State != launcher.StateReady {
			continue
		}
		pod, err := r.L.Attach(t.Context(), s.Name)
		if err == nil {
			err = pod.Stop(t.Context())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// fill fills the filesystem that the base is on, and returns what frees it.
func (r *rig) fill() (free func()) {
	r.T.Helper()
	path := filepath.Join(r.Base, "filler")
	f, err := os.Create(path)
	if err != nil {
		r.T.Fatal(err)
	}
	defer f.Close()
	var fs unix.Statfs_t
	for err == nil || fs.Bfree > 0 {
		_, err = f.Write(make([]byte, 4<<10))
		if err != nil && !errors.Is(err, syscall.ENOSPC) {
			r.T.Fatalf("filling: %v", err)
		}
		if err := unix.Fstatfs(int(f.Fd()), &fs); err != nil {
			r.T.Fatal(err)
		}
	}
	return func() {
		if err := os.Remove(path); err != nil {
			r.T.Error(err)
		}
	}
}

// B9: where there is no space, the launcher ends a process that it cannot record. It
// returns an error if it cannot make a directory or a file. ENOSPC and EDQUOT are alike.
func b09(t *testing.T) {
	t.Run("full", func(t *testing.T) {
		r := onTmpfs(t, "size=64k", podrig.Serve...)
		if r == nil {
			return
		}
		free := r.fill()
		serve := r.L.Command
		r.L.Command = podrig.Script("hang") // a pod that cannot write may end before it is recorded
		e := r.Fail(t.Context(), podrig.Alice)
		podrig.MustBe(t, e, syscall.ENOSPC)
		podrig.MustSay(t, e, "no space left on device")
		free()
		r.L.Command = serve
		r.Relaunch("alice")
	})
	t.Run("full, a private pod", func(t *testing.T) {
		r := onTmpfs(t, "size=64k", podrig.Serve...)
		if r == nil {
			return
		}
		t.Setenv("XDG_RUNTIME_DIR", r.Base)
		r.L.Dir = runtimedir.Temp{}
		free := r.fill()
		pod, err := r.L.Launch(t.Context(), launcher.Spec{})
		if err == nil {
			t.Fatal(errors.Join(errors.New("it is ready"), pod.Kill(t.Context())))
		}
		podrig.MustBe(t, err, syscall.ENOSPC)
		if _, err := os.Lstat(filepath.Join(r.Base, "podlaunch")); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the base of private pods: %v", err)
		}
		free()
	})
	for name, errno := range map[string]syscall.Errno{"no space": syscall.ENOSPC, "quota": syscall.EDQUOT} {
		for what, call := range map[string]refusal{
			"directory": {call: unix.SYS_MKDIRAT, errno: errno},
			"file":      {call: unix.SYS_OPENAT, errno: errno, arg: 2, mask: unix.O_CREAT},
		} {
			t.Run(what+" "+name, func(t *testing.T) {
				if !podrig.Alone(t) {
					return
				}
				r := newRig(t, podrig.Serve...)
				r.Spoil()
				refuse(t, call)
				podrig.MustBe(t, r.Fail(t.Context(), podrig.Alice), errno)
			})
		}
	}
}

// B10: a pod that loses its output, and so its ready line, on a full disk is not ready
// in time; the error says that the disk is full. A probe that asks the socket as well
// finds the pod ready.
func b10(t *testing.T) {
	r := onTmpfs(t, "size=64k")
	if r == nil {
		return
	}
	outside, err := os.MkdirTemp("", "b10")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(outside) })
	fifo := func(name string) string {
		path := filepath.Join(outside, name)
		if err := unix.Mkfifo(path, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	recorded, taken, sock := fifo("recorded"), fifo("taken"), filepath.Join(outside, "sock")
	wake := probeThen(func() { podrig.Wake(t, recorded) })
	steps := []string{"await " + recorded, "flood 100000", "listen " + sock, `write "INSOMNIA-READY\t{name}\t` + sock + `\n"`}
	r.L.Command = podrig.Script(append(steps, "notify "+taken, "hang")...)
	r.L.Ready = readiness.Sequence{wake, readiness.ReadyLine{}, readiness.Socket{}}
	d := podrig.NewDeadline()
	d.PassAt(t, taken)
	e := r.Fail(d, podrig.Alice)
	podrig.MustBe(t, e, launcher.ErrTimeout)
	podrig.MustSay(t, e, "the filesystem of its log is full")

	// The error says so, too, if the pod exits for that reason.
	r.L.Command = podrig.Script("await "+recorded, "flood 100000", "exit 7")
	podrig.MustSay(t, r.Fail(t.Context(), podrig.Alice), "the filesystem of its log is full", "exit status 7")

	r.L.Command = podrig.Script(append(steps, "hang")...)
	r.L.Ready = readiness.Sequence{wake, readiness.Any{
		readiness.Sequence{readiness.ReadyLine{}, readiness.Socket{}},
		readiness.Unix{Path: sock},
	}}
	pod := r.Launch(podrig.Alice)
	podrig.Ping(t, pod)
	if err := pod.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}

// B11: a pod inherits the limit on the size of files. If its log reaches the limit, it
// dies of a signal, and the error says so. A launcher that cannot write its record
// within the limit fails.
func b11(t *testing.T) {
	if !podrig.Alone(t) {
		return
	}
	r := newRig(t)
	r.L.Command = launcher.Exec("/bin/sh", "-c", "exec head -c 1000000 /dev/zero >&2")
	limit(t, unix.RLIMIT_FSIZE, 64<<10)
	e := r.Fail(t.Context(), podrig.Alice)
	podrig.MustBe(t, e, launcher.ErrExitedEarly)
	podrig.MustSay(t, e, "file size limit exceeded")
	if e.Exit == nil || e.Exit.Signal != syscall.SIGXFSZ {
		t.Errorf("Exit is %+v", e.Exit)
	}
	r.L.Command = podrig.Script("hang")
	limit(t, unix.RLIMIT_FSIZE, 0)
	podrig.MustBe(t, r.Fail(t.Context(), podrig.Alice), syscall.EFBIG)
	limit(t, unix.RLIMIT_FSIZE, unix.RLIM_INFINITY)
	r.Relaunch("alice")
}

// limit sets a limit of this process and those that it starts.
func limit(t *testing.T, resource int, n uint64) {
	t.Helper()
	var old unix.Rlimit
	if err := unix.Getrlimit(resource, &old); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setrlimit(resource, &unix.Rlimit{Cur: min(n, old.Max), Max: old.Max}); err != nil {
		t.Fatal(err)
	}
}

// B24: when no more processes may be started a launch says so, and the program
// that launches goes on. The limit is on a user, root is exempt, and only in a
// user namespace are no others counted.
func b24(t *testing.T) {
	const nobody = 65534
	uid, gid := os.Getuid(), os.Getgid()
	if uid == 0 {
		uid, gid = nobody, nobody
	}
	pod, err := filepath.Abs(podrig.Pod)
	if err != nil {
		t.Fatal(err)
	}
	if os.Getenv(podrig.AloneVariable) != t.Name() && os.Getuid() == 0 {
		pod = readableByAll(t, pod)
	}
	inNamespace := func(c *exec.Cmd) {
		c.Path, c.Dir = "/proc/self/exe", "/"
		c.Env = append(c.Env, podrig.PodVariable+"="+pod)
		c.SysProcAttr = &syscall.SysProcAttr{
			Cloneflags:  syscall.CLONE_NEWUSER,
			UidMappings: []syscall.SysProcIDMap{{ContainerID: uid, HostID: uid, Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{ContainerID: gid, HostID: gid, Size: 1}},
			Credential:  &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid), NoSetGroups: true},
		}
	}
	if !podrig.Alone(t, inNamespace) {
		return
	}
	r := newRig(t, podrig.Serve...)
	if err := r.Launch(podrig.Alice).Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	keepThreads(t, 24)
	limit(t, unix.RLIMIT_NPROC, 80)
	release := takeProcesses(t)
	e := r.Fail(t.Context(), podrig.Alice)
	podrig.MustBe(t, e, syscall.EAGAIN)
	podrig.MustSay(t, e, "the limit on processes is reached")
	if e.Stage != launcher.StageStart {
		t.Errorf("stage %q", e.Stage)
	}
	release()
	r.Relaunch("alice")
}

// readableByAll copies a program to where every user can execute it.
func readableByAll(t *testing.T, path string) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "all")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(dir, "pod")
	podrig.CopyProgram(t, path, to, 0o755)
	return to
}

// keepThreads has Go's runtime make n threads, which it keeps: it ends the
// program if it wants another and can have none, and that is not what is tested.
func keepThreads(t *testing.T, n int) {
	t.Helper()
	var gate [2]int
	if err := unix.Pipe2(gate[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(gate[0])
	defer unix.Close(gate[1])
	done := make(chan error)
	for range n {
		go func() {
			_, err := unix.Read(gate[0], make([]byte, 1)) // it blocks its thread
			done <- err
		}()
	}
	for threads := 0; threads < n; runtime.Gosched() {
		tasks, err := os.ReadDir("/proc/self/task") // there is no event
		if err != nil {
			t.Fatal(err)
		}
		threads = len(tasks)
	}
	if _, err := unix.Write(gate[1], make([]byte, n)); err != nil {
		t.Fatal(err)
	}
	for range n {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// takeProcesses starts processes until no more may be, and returns what ends
// them.
func takeProcesses(t *testing.T) (release func()) {
	t.Helper()
	input, output, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	var all []*exec.Cmd
	release = func() {
		output.Close()
		input.Close()
		for _, c := range all {
			c.Wait() // it is of no matter how it ended
		}
		all = nil
	}
	for {
		c := exec.Command("/bin/cat") // until the end of its input
		c.Stdin = input
		if err := c.Start(); errors.Is(err, syscall.EAGAIN) {
			return release
		} else if err != nil {
			release()
			t.Fatal(err)
		}
		all = append(all, c)
	}
}

// B26: with too few descriptors, however many too few, a launch fails with that
// reason and leaves nothing, or it does without those that it can do without.
func b26(t *testing.T) {
	if !podrig.Alone(t) {
		return
	}
	r := newRig(t, podrig.Serve...)
	if err := r.Launch(podrig.Alice).Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	var hard unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &hard); err != nil {
		t.Fatal(err)
	}
	failed, last := 0, error(nil)
	for n := uint64(3); ; n++ {
		if n > 100 {
			t.Fatalf("a hundred descriptors are not enough: %v", last)
		}
		before := leaktest.Take()
		limit(t, unix.RLIMIT_NOFILE, n)
		pod, err := r.L.Launch(t.Context(), podrig.Alice)
		limit(t, unix.RLIMIT_NOFILE, hard.Cur)
		if err == nil {
			if err := pod.Stop(t.Context()); err != nil {
				t.Fatal(err)
			}
			break
		}
		failed, last = failed+1, err
		var e *launcher.Error
		if !errors.As(err, &e) || e.Leftover != nil {
			t.Errorf("with %d descriptors: %+v", n, err)
		}
		podrig.MustBe(t, err, syscall.EMFILE)
		if left := before.Left(0, podrig.Pod); left != nil {
			t.Errorf("with %d descriptors there were left:\n%s", n, strings.Join(left, "\n"))
		}
	}
	if failed < 8 {
		t.Errorf("only %d launches failed for want of descriptors", failed)
	}
	r.Relaunch("alice")
}

// B28: a process for which there is no memory was not started.
func b28(t *testing.T) {
	// Threads are made without it.
	if !refused(t, refusal{call: unix.SYS_CLONE, errno: syscall.ENOMEM, mask: unix.CLONE_VFORK}) {
		return
	}
	r := newRig(t, podrig.Serve...)
	r.Spoil()
	e := r.Fail(t.Context(), podrig.Alice)
	podrig.MustBe(t, e, syscall.ENOMEM)
	if e.Stage != launcher.StageStart || e.PID != 0 {
		t.Errorf("%+v", e)
	}
}

// B29, W14: where the kernel has no pidfd, or a filter refuses some call about one with
// an error of its choice, a launch keeps all its promises: it asks by number while that
// is the pod's, or a thread waits, or /proc tells.
func b29(t *testing.T) {
	const byPidfd = 3 // P_PIDFD
	calls := map[string]refusal{
		"come with the clone": {call: unix.SYS_CLONE, mask: unix.CLONE_PIDFD},
		"be opened":           {call: unix.SYS_PIDFD_OPEN},
		"be signalled":        {call: unix.SYS_PIDFD_SEND_SIGNAL},
		"be waited for":       {call: unix.SYS_WAITID, mask: byPidfd, exact: true},
		"wait at all":         {call: unix.SYS_WAITID},
	}
	errnos := []syscall.Errno{syscall.ENOSYS, syscall.EPERM, syscall.EINVAL}
	for i, errno := range errnos {
		var all []refusal
		for n, name := range slices.Sorted(maps.Keys(calls)) {
			c := calls[name]
			c.errno = errno
			if all = append(all, c); !*podrig.Soak && os.Getenv(podrig.AloneVariable) == "" && n%len(errnos) != i {
				continue // with that error it is refused together with the others, below
			}
			t.Run(fmt.Sprintf("cannot %s: %s", name, unix.ErrnoName(errno)), func(t *testing.T) { withoutPidfd(t, c) })
		}
		t.Run("none of it: "+unix.ErrnoName(errno), func(t *testing.T) { withoutPidfd(t, all...) })
	}
}

// withoutPidfd launches pods where calls are refused.
func withoutPidfd(t *testing.T, calls ...refusal) {
	if !refused(t, calls...) {
		return
	}
	r := newRig(t)
	r.L.Grace = podrig.Short
	r.L.Command = podrig.Script("say one", "spawn hang", "exit 3")
	e := r.Fail(t.Context(), podrig.Alice)
	podrig.MustBe(t, e, launcher.ErrExitedEarly)
	if e.Exit == nil || *e.Exit != (launcher.Exit{Code: 3, Known: true}) {
		t.Errorf("Exit is %+v", e.Exit)
	}
	r.mustBeUnowned()

	// Who holds the name is no child of ours, and is proven by its start.
	r.L.Command = podrig.Script("setsid hang", "exit 3")
	podrig.MustBe(t, r.Fail(t.Context(), podrig.Alice), launcher.ErrExitedEarly)
	r.mustBeUnowned()

	adoptOrphan(t)

	taken := r.Fifo("taken")
	r.L.Command = podrig.Script("spawn hang", "notify "+taken, "hang")
	d := podrig.NewDeadline()
	d.PassAt(t, taken)
	podrig.MustBe(t, r.Fail(d, podrig.Alice), launcher.ErrTimeout)
	r.mustBeUnowned()

	r.L.Command = podrig.Script("spawn ignore 15 ; hang", "ignore 15", "listen", "ready", "hang")
	pod := r.Launch(podrig.Alice)
	podrig.Ping(t, pod)
	if err := pod.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	podrig.MustEndBy(t, pod, syscall.SIGKILL)
	podrig.MustBeGone(t, pod.PID())
}

// adoptOrphan adopts a process that is no child of ours, and ends it.
func adoptOrphan(t *testing.T) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	// Not by os/exec, which cannot do without waitid(2). The option -m gives it a group.
	sh, err := syscall.ForkExec("/bin/sh", []string{"sh", "-c", `set -m; sleep 1000 >/dev/null & echo $!`},
		&syscall.ProcAttr{Env: os.Environ(), Files: []uintptr{0, w.Fd(), 2}})
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := syscall.Wait4(sh, nil, 0, nil); err != nil {
		t.Fatal(err)
	}
	var pid int
	if _, err := fmt.Fscan(r, &pid); err != nil {
		t.Fatal(err)
	}
	id, err := osproc.Identify(pid)
	if err != nil {
		t.Fatal(err)
	}
	p, err := osproc.Adopt(id)
	if err != nil {
		t.Fatal(err)
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.Wait(over); !errors.Is(err, context.Canceled) {
		t.Errorf("it lives, and Wait returns %v", err)
	}
	if err := p.Signal(t.Context(), syscall.SIGKILL); err != nil {
		t.Error(err)
	}
	if _, err := p.Wait(t.Context()); err != nil {
		t.Error(err)
	}
	if err := p.Reap(t.Context()); err != nil {
		t.Error(err)
	}
}

// B30: without /proc the launcher cannot distinguish a process from a later process with
// the same pid, so it leaves none running. The error says what is missing. A /proc that
// hides other users' processes is enough.
func b30(t *testing.T) {
	t.Run("missing", func(t *testing.T) {
		if !inNamespaces(t, syscall.CLONE_NEWNS) {
			return
		}
		r := newRig(t, podrig.Serve...)
		if err := unix.Mount("tmpfs", "/proc", "tmpfs", 0, ""); err != nil {
			t.Fatal(err)
		}
		pod, err := r.L.Launch(t.Context(), podrig.Alice)
		if err := unix.Unmount("/proc", 0); err != nil {
			t.Fatal(err)
		}
		var e *launcher.Error
		if pod != nil || !errors.As(err, &e) || e.Leftover != nil {
			t.Fatalf("Launch returned %v, %+v", pod, err)
		}
		podrig.MustSay(t, e, "/proc/")
		if live := podrig.Alive(t, r.Dir("alice")); len(live) > 0 {
			t.Errorf("there are %v", live)
		}
		r.mustBeUnowned()
		r.Relaunch("alice")
	})
	t.Run("hidden", func(t *testing.T) {
		if !asInit(t) {
			return
		}
		if err := unix.Mount("", "/proc", "", unix.MS_REMOUNT, "hidepid=2"); err != nil {
			t.Fatal(err)
		}
		r := newRig(t, podrig.Serve...)
		attached := r.MustAttach(r.Launch(podrig.Alice))
		podrig.Ping(t, attached)
		if err := attached.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		r.L.Command = podrig.Script("setsid hang", "exit 3")
		podrig.MustBe(t, r.Fail(t.Context(), podrig.Alice), launcher.ErrExitedEarly)
	})
}

// B31: a pod must have standard descriptors, and without a null device it is
// not started.
func b31(t *testing.T) {
	if !inNamespaces(t, syscall.CLONE_NEWNS) {
		return
	}
	r := newRig(t, podrig.Serve...)
	if err := unix.Mount("tmpfs", "/dev", "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	e := r.Fail(t.Context(), podrig.Alice)
	podrig.MustBe(t, e, os.ErrNotExist)
	podrig.MustSay(t, e, "open the null device")
	if e.Stage != launcher.StageStart || e.PID != 0 {
		t.Errorf("%+v", e)
	}
	if err := unix.Unmount("/dev", 0); err != nil {
		t.Fatal(err)
	}
	r.Relaunch("alice")
}

// B32: without locks nothing is started, and the error names the file that could
// not be locked; what a pod says that can have no socket is in the error.
func b32(t *testing.T) {
	for name, errno := range map[string]syscall.Errno{"ENOLCK": syscall.ENOLCK, "EOPNOTSUPP": syscall.EOPNOTSUPP} {
		t.Run(name, func(t *testing.T) {
			if !refused(t, refusal{call: unix.SYS_FLOCK, errno: errno}) {
				return
			}
			r := newRig(t, podrig.Serve...)
			r.Spoil()
			e := r.Fail(t.Context(), podrig.Alice)
			podrig.MustBe(t, e, errno)
			podrig.MustSay(t, e, "lock "+strconv.Quote(r.Beside("alice", ".launch")))
			if e.Stage != launcher.StageOwn || e.PID != 0 {
				t.Errorf("%+v", e)
			}
		})
	}
	t.Run("sockets", func(t *testing.T) {
		if !refused(t, noBind(syscall.EPERM)) {
			return
		}
		r := newRig(t, podrig.Serve...)
		r.Spoil()
		e := r.Fail(t.Context(), podrig.Alice)
		podrig.MustBe(t, e, launcher.ErrExitedEarly)
		podrig.MustSay(t, e, "bind: operation not permitted")
	})
}

// B35: the pod's environment is the caller's unless Spec.Env says which it is to
// be, and then it is that and nothing else. A launch obeys none of it but the
// variables that are documented. (What the caller's service manager has told
// the caller is always left out: TestManagerVariables.)
func b35(t *testing.T) {
	hostile := map[string]string{
		"LD_PRELOAD": "/nowhere/evil.so",
		"GODEBUG":    "inittrace=1",
		"IFS":        "/",
		"ENV":        "/nowhere/evil.sh",
		"BASH_ENV":   "/nowhere/evil.sh",
		"SHELLOPTS":  "noexec",
		"PS4":        "$(exit 7)",
		"TMPDIR":     "/nowhere",
		"CDPATH":     "/nowhere",
	}
	r := newRig(t)
	path := filepath.Join(r.Base, "env")
	r.L.Command = podrig.Script("env "+path, "listen", "ready", "hang")
	for name, value := range hostile {
		t.Setenv(name, value)
	}
	seen := func() map[string]string {
		t.Helper()
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		vars := make(map[string]string)
		for e := range strings.SplitSeq(string(data), "\x00") {
			name, value, _ := strings.Cut(e, "=")
			vars[name] = value
		}
		return vars
	}
	pod := r.Launch(podrig.Alice)
	vars := seen()
	for name, value := range hostile {
		if vars[name] != value {
			t.Errorf("the pod has %s=%q, want the caller's, %q", name, vars[name], value)
		}
	}
	if err := pod.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	pod = r.Launch(launcher.Spec{Name: "alice", Env: []string{"PATH=/bin"}})
	vars = seen()
	for _, fact := range []string{"PWD", "POD_NAME", "POD_RUNTIME_DIR", "POD_LAUNCH_ID"} { // what and where it is
		delete(vars, fact)
	}
	if fmt.Sprint(vars) != "map[PATH:/bin]" {
		t.Errorf("the pod has %v, want what it was to have and nothing else", vars)
	}
	if err := pod.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// B36: with too few inodes, however many too few, a launch fails with that
// reason and leaves nothing but what there was room for.
func b36(t *testing.T) {
	r := onTmpfs(t, "nr_inodes=1", podrig.Serve...)
	if r == nil {
		return
	}
	failed := 0
	for n := 2; n < 20; n++ {
		r.remount(0, fmt.Sprintf("nr_inodes=%d", n))
		pod, err := r.L.Launch(t.Context(), podrig.Alice)
		if err == nil {
			if err := pod.Stop(t.Context()); err != nil {
				t.Error(err)
			}
			if failed < 4 {
				t.Errorf("only %d launches failed for want of inodes", failed)
			}
			return
		}
		failed++
		var e *launcher.Error
		if !errors.As(err, &e) || e.Leftover != nil {
			t.Errorf("with %d inodes: %+v", n, err)
		}
		if live := podrig.Alive(t, r.Dir("alice")); len(live) > 0 {
			t.Errorf("with %d inodes there are %v", n, live)
		}
		// A pod that finds no inode for its socket says so.
		if !errors.Is(err, syscall.ENOSPC) && !strings.Contains(err.Error(), "no space left on device") {
			t.Errorf("with %d inodes: %v", n, err)
		}
	}
	t.Error("there were never enough")
}
