//go:build linux

package lifetime_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/launcher/internal/keeper"
	"github.com/podlaunch/podlaunch/launcher/internal/leaktest"
	"github.com/podlaunch/podlaunch/launcher/internal/osproc"
	"github.com/podlaunch/podlaunch/launcher/internal/podrig"
	"github.com/podlaunch/podlaunch/readiness"
	"github.com/podlaunch/podlaunch/runtimedir"
)

// family is a pod with children that get away from it in several ways. The last of them
// says that all are there.
const family = `
setsid sh -c 'sleep 1000 & exec sleep 1000' &
(setsid perl -MPOSIX -e 'POSIX::close($_) for 0, 1, 2, 20; exec "sleep", "1000"' & ) &
sh -c 'trap "" TERM INT HUP; while :; do sleep 1000; done' &
"$0" "$@"`

// However the program ends, nobody of its pod is left, nor its keeper.
func TestWithParent(t *testing.T) {
	leaktest.Parallel(t)
	for name, script := range map[string]string{"one process": "", "family": family} {
		for how, end := range map[string]func(*program){
			"SIGKILL": (*program).kill,
			"os.Exit": func(p *program) { p.say("exit") },
			"panic":   func(p *program) { p.say("panic") },
			"return":  func(p *program) { p.end() },
			"SIGTERM to all": func(p *program) { // the keeper takes no notice
				for _, pid := range keepers(t, p.Process.Pid) {
					syscall.Kill(pid, syscall.SIGTERM)
				}
				p.Process.Signal(syscall.SIGTERM)
				p.end()
			},
		} {
			t.Run(name+"/"+how, func(t *testing.T) {
				if testing.Short() && script == "" && how != "SIGKILL" {
					t.Skip("skipped with -short: it is tried with a family")
				}
				p := newRole(t, launcher.WithParent, script).start(t)
				end(p)
				p.role.mustBeGone(t)
			})
		}
	}
}

// A program that becomes another one has ended, too. It is itself not ended.
func TestWithParentThatExecs(t *testing.T) {
	leaktest.Parallel(t)
	p := newRole(t, launcher.WithParent, family).start(t)
	fmt.Fprintln(p.stdin, "exec")
	await(t, "only the program is left", func() bool { return slices.Equal(p.role.all(t), []int{p.Process.Pid}) })
	p.kill()
}

// A pod that was released, or whose first process has ended, ends with the program.
func TestWithParentOfWhatIsLeft(t *testing.T) {
	leaktest.Parallel(t)
	t.Run("released", func(t *testing.T) {
		r := newRole(t, launcher.WithParent, family)
		r.Release = true
		p := r.start(t)
		p.kill()
		r.mustBeGone(t)
	})
	t.Run("first process gone", func(t *testing.T) {
		p := newRole(t, launcher.WithParent, family).start(t)
		syscall.Kill(p.pod, syscall.SIGKILL)
		await(t, "the first process is gone", func() bool { return !lives(p.pod) })
		await(t, "its children are there", func() bool { return len(p.role.all(t)) >= 5 })
		p.kill()
		p.role.mustBeGone(t)
	})
}

// W31: the keeper learns which process was adopted. This one can be found in no other way
// once its parent has ended: it has neither the pod's session, lock nor environment.
func TestWithParentOfTheAdopted(t *testing.T) {
	leaktest.Parallel(t)
	r := newRole(t, launcher.WithParent, `setsid env -u POD_LAUNCH_ID perl -MPOSIX -e 'POSIX::close(20); exec @ARGV' "$0" "$@" &
exec perl -MIO::Socket::UNIX -e 'IO::Socket::UNIX->new(Type => SOCK_DGRAM, Peer => $ENV{NOTIFY_SOCKET})->send("MAINPID=$ARGV[0]\nREADY=1") or die; sleep 1000' $!`)
	r.Adopts = true
	p := r.start(t)
	st, err := osproc.ReadStat(p.pod)
	if err != nil {
		t.Fatal(err)
	}
	syscall.Kill(st.Parent, syscall.SIGKILL)
	await(t, "the process that was started is gone", func() bool { return !lives(st.Parent) })
	if !lives(p.pod) {
		t.Error("the pod has ended with the process that was started")
	}
	p.kill()
	r.mustBeGone(t)
}

// Processes that are older than the adopted one end with it. What shows the first of them is only
// the launch's id in its environment, and the second only the session of the started process.
func TestWithParentOfTheElders(t *testing.T) {
	leaktest.Parallel(t)
	r := newRole(t, launcher.WithParent, `alone="perl -MPOSIX -e POSIX::close(20);exec@ARGV sleep 1000"
setsid $alone &
env -u POD_LAUNCH_ID $alone &
sleep 0.1 # or they started in the same tick
setsid "$0" "$@" &
echo $! >"$POD_RUNTIME_DIR/pid"`)
	r.PIDFile = true
	p := r.start(t)
	p.kill()
	r.mustBeGone(t)
}

// A Detached pod is left by all of these ends, as ever, and has no keeper.
func TestDetached(t *testing.T) {
	leaktest.Parallel(t)
	for how, end := range map[string]func(*program){
		"SIGKILL": (*program).kill,
		"os.Exit": func(p *program) { p.say("exit") },
		"panic":   func(p *program) { p.say("panic") },
	} {
		t.Run(how, func(t *testing.T) {
			p := newRole(t, launcher.Detached, "").start(t)
			if k := keepers(t, p.Process.Pid); len(k) > 0 {
				t.Errorf("there are keepers: %v", k)
			}
			end(p)
			l := launcher.Launcher{Dir: runtimedir.Dir(p.role.Base)}
			pod, err := l.Attach(t.Context(), "alice")
			if err != nil {
				t.Fatal(err)
			}
			podrig.Ping(t, pod)
			if pod.Lifetime() != launcher.Detached {
				t.Errorf("its Lifetime is %v", pod.Lifetime())
			}
			if err := pod.Stop(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

// A keeper that is killed, or does not answer, is replaced, and the pod still ends with
// the program.
func TestKeeperKilled(t *testing.T) {
	leaktest.Parallel(t)
	p := newRole(t, launcher.WithParent, family).start(t)
	for range podrig.Size(t, 1, 2, 2) {
		before := keepers(t, p.Process.Pid)
		if len(before) != 1 {
			t.Fatalf("the keepers are %v", before)
		}
		syscall.Kill(before[0], syscall.SIGKILL)
		await(t, "another keeper", func() bool {
			now := keepers(t, p.Process.Pid)
			return len(now) == 1 && now[0] != before[0]
		})
		p.more() // the new keeper learns of all pods before it learns of this one
	}
	if !lives(p.pod) {
		t.Error("the pod has ended with its keeper")
	}
	p.kill()
	p.role.mustBeGone(t)
}

// Nobody gets a pod whose program has ended, although it runs: its keeper is about to end it, or
// was ended with the program. A launch of its name ends it.
func TestDoomed(t *testing.T) {
	leaktest.Parallel(t)
	p := newRole(t, launcher.WithParent, "").start(t)
	for _, k := range keepers(t, p.Process.Pid) {
		syscall.Kill(k, syscall.SIGSTOP)
		defer func() {
			syscall.Kill(k, syscall.SIGKILL)
			await(t, "the end of the keeper", func() bool { return !lives(k) })
		}()
	}
	l := launcher.Launcher{Dir: runtimedir.Dir(p.role.Base)}
	if pod, err := l.Attach(t.Context(), "alice"); err != nil {
		t.Errorf("while its program runs: %v", err)
	} else {
		pod.Release()
	}
	p.kill()
	if !lives(p.pod) {
		t.Fatal("the pod has ended although the keeper is stopped")
	}
	const says = "it ends with the program that launched it"
	if _, err := l.Attach(t.Context(), "alice"); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), says) {
		t.Errorf("Attach returned %v", err)
	}
	for s, err := range l.List(t.Context()) {
		if err != nil || s.State != launcher.StateGone || !errors.Is(s.Why, launcher.ErrAbandoned) || !strings.Contains(s.Why.Error(), says) {
			t.Errorf("List yields %v because %v, %v", s.State, s.Why, err)
		}
	}
	pod, started, err := p.role.launcher().Ensure(t.Context(), p.role.spec())
	if err != nil || !started {
		t.Fatalf("Ensure returned %v, %v", started, err)
	}
	if lives(p.pod) {
		t.Error("the pod of the program that has ended still runs")
	}
	if err := pod.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}

// Nor does the program itself get its pod of before it executed itself again.
func TestDoomedByExec(t *testing.T) {
	leaktest.Parallel(t)
	p := newRole(t, launcher.WithParent, "").start(t)
	defer p.role.mustBeGone(t)
	before := p.pod
	for _, k := range keepers(t, p.Process.Pid) {
		syscall.Kill(k, syscall.SIGSTOP)
		defer syscall.Kill(k, syscall.SIGKILL)
	}
	fmt.Fprintln(p.stdin, "again")
	if err := p.awaitReady(); err != nil {
		t.Fatal(err)
	}
	if p.pod == before || lives(before) {
		t.Errorf("it is pid %d again, and was to end", before)
	}
	l := launcher.Launcher{Dir: runtimedir.Dir(p.role.Base)}
	if pod, err := l.Attach(t.Context(), "alice"); err != nil {
		t.Error(err)
	} else {
		pod.Release()
	}
	p.kill()
}

// The keeper is in a session of its own and in the root directory, and has nothing but
// its lifeline.
func TestKeeperIsModest(t *testing.T) {
	leaktest.Parallel(t)
	p := newRole(t, launcher.WithParent, "").start(t)
	defer p.role.mustBeGone(t)
	defer p.kill()
	k := keepers(t, p.Process.Pid)
	if len(k) != 1 {
		t.Fatalf("the keepers are %v", k)
	}
	st, err := osproc.ReadStat(k[0])
	if err != nil || st.Session != k[0] {
		t.Errorf("its session is %d, %v", st.Session, err)
	}
	dir := filepath.Join("/proc", strconv.Itoa(k[0]))
	if cwd, err := os.Readlink(filepath.Join(dir, "cwd")); cwd != "/" {
		t.Errorf("its directory is %q, %v", cwd, err)
	}
	fds, err := os.ReadDir(filepath.Join(dir, "fd"))
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		target, _ := os.Readlink(filepath.Join(dir, "fd", fd.Name()))
		n, _ := strconv.Atoi(fd.Name())
		// Go's runtime has an epoll instance, and looks into its cgroup.
		if ok := n < 3 && target == os.DevNull || n == 3 && strings.HasPrefix(target, "socket:") || strings.HasPrefix(target, "anon_inode:") || strings.HasPrefix(target, "pidfd:") || strings.HasPrefix(target, "/sys/fs/cgroup/"); !ok {
			t.Errorf("it has descriptor %d: %s", n, target)
		}
	}
	status, err := os.ReadFile(filepath.Join(dir, "status"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if strings.HasPrefix(line, "VmRSS") || strings.HasPrefix(line, "RssAnon") || strings.HasPrefix(line, "Threads") {
			t.Log(strings.TrimSpace(line))
		}
	}
}

// Who executes a program by the keeper's name gets nothing from it.
func TestKeeperOfAStranger(t *testing.T) {
	run := func(files ...*os.File) (string, error) {
		c := exec.CommandContext(t.Context(), os.Args[0])
		c.Args[0], c.ExtraFiles = keeper.Name, files
		out, err := c.CombinedOutput()
		return string(out), err
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	for _, files := range [][]*os.File{nil, {null}} {
		var exit *exec.ExitError
		if out, err := run(files...); out != "" || !errors.As(err, &exit) || exit.ExitCode() != 1 {
			t.Errorf("with %d files: %q, %v", len(files), out, err)
		}
	}
}

// Nothing is left in the program when the pods are gone, and there is one keeper for all
// of them.
func TestOneKeeper(t *testing.T) {
	leaktest.Parallel(t)
	r := podrig.New(t, podrig.Serve...)
	var pods []*launcher.Pod
	for _, name := range []string{"alice", "bob", "carol"} {
		pod, err := r.L.Launch(t.Context(), launcher.Spec{Name: name, Lifetime: launcher.WithParent})
		if err != nil {
			t.Fatal(err)
		}
		pods = append(pods, pod)
	}
	k := keepers(t, os.Getpid())
	if len(k) != 1 {
		t.Fatalf("the keepers are %v", k)
	}
	attached, err := r.L.Attach(t.Context(), "alice")
	if err != nil {
		t.Fatal(err)
	}
	defer attached.Release()
	if attached.Lifetime() != launcher.WithParent || pods[0].Lifetime() != launcher.WithParent {
		t.Error("the Lifetime is not in the record")
	}
	for s, err := range r.L.List(t.Context()) {
		if err != nil || s.Lifetime != launcher.WithParent {
			t.Errorf("listed: %+v, %v", s, err)
		}
	}
	for i, pod := range pods {
		if !slices.Equal(keepers(t, os.Getpid()), k) {
			t.Errorf("there is another keeper after %d pods", i)
		}
		if err := pod.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	}
	await(t, "the keeper has gone", func() bool { return len(keepers(t, os.Getpid())) == 0 })
}

// A launch that fails leaves nothing, also no keeper: with a process, and without.
func TestWithParentThatFails(t *testing.T) {
	leaktest.Parallel(t)
	r := podrig.New(t, "exit 1")
	r.Fail(t.Context(), launcher.Spec{Name: "alice", Lifetime: launcher.WithParent})
	r.L.Command = launcher.Exec("/bin/sh")
	r.L.Starter = launcher.Local{Attr: &syscall.SysProcAttr{Chroot: "/nonexistent/dir"}}
	r.Fail(t.Context(), launcher.Spec{Name: "bob", Lifetime: launcher.WithParent})
	r.L.Starter = nil
}

// What cannot be had is refused before anything is touched.
func TestLifetimeRefused(t *testing.T) {
	for name, c := range map[string]struct {
		lifetime launcher.Lifetime
		starter  launcher.Starter
		is       []error
		says     string
	}{
		"no such":         {2, nil, []error{launcher.ErrInvalidSpec}, "Lifetime is 2"},
		"negative":        {-1, nil, []error{launcher.ErrInvalidSpec}, "Lifetime is -1"},
		"another Starter": {launcher.WithParent, podrig.StarterFunc(func(context.Context, launcher.StartRequest) (launcher.Process, error) { panic("it is called") }), []error{launcher.ErrInvalidSpec, errors.ErrUnsupported}, "podrig.StarterFunc"},
	} {
		t.Run(name, func(t *testing.T) {
			l := launcher.Launcher{Dir: runtimedir.Dir(t.TempDir() + "/none"), Command: launcher.Exec("/bin/true"), Starter: c.starter}
			_, err := l.Launch(t.Context(), launcher.Spec{Name: "alice", Lifetime: c.lifetime})
			podrig.MustBe(t, err, c.is...)
			podrig.MustSay(t, err, c.says)
			if dir, err := l.Dir.(runtimedir.Baser).Base(t.Context()); err == nil {
				if _, err := os.Stat(dir); err == nil {
					t.Error("the base was made")
				}
			}
		})
	}
}

// A program whose file cannot be executed again has no keeper: nothing is started.
func TestKeeperThatCannotBeStarted(t *testing.T) {
	copied := filepath.Join(t.TempDir(), "program")
	podrig.CopyProgram(t, os.Args[0], copied, 0o700)
	r := newRole(t, launcher.WithParent, "touch $OUT/started; exit 1")
	r.Chmod = copied
	c := exec.Command(copied)
	c.Env = r.environ(t)
	out, err := c.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || !strings.Contains(string(out), "keeper") || !strings.Contains(string(out), "permission denied") {
		t.Errorf("the program said %q, %v", out, err)
	}
	if _, err := os.Stat(filepath.Join(r.Base, "started")); err == nil {
		t.Error("the pod was started")
	}
	r.mustBeGone(t)
}

// A program that is a pod itself is killed with all that belongs to it. Its keeper does
// not belong to it, and ends the pod of the program.
func TestWithParentInAPod(t *testing.T) {
	leaktest.Parallel(t)
	r := newRole(t, launcher.WithParent, family)
	rig := podrig.New(t)
	rig.L.Command = launcher.CommandResolverFunc(func(context.Context, launcher.Request) (launcher.Command, error) {
		return launcher.Command{Path: "/bin/sh", Args: []string{"-c", `"$0" | { read line; echo "inner is ready" >&2; sleep 1000; }`, os.Args[0]}, Env: r.environ(t)}, nil
	})
	rig.L.Ready = readiness.ProbeFunc(func(ctx context.Context, target readiness.Target) (readiness.Endpoint, error) {
		for line, err := range target.Lines(ctx) {
			if err != nil || string(line) == "inner is ready" {
				return readiness.Endpoint{}, err
			}
		}
		return readiness.Endpoint{}, io.ErrUnexpectedEOF
	})
	pod, err := rig.L.Launch(t.Context(), launcher.Spec{Name: "outer", StdinOpen: true})
	if err != nil {
		t.Fatal(err)
	}
	await(t, "the program, its keeper and its pod's children are there", func() bool { return len(r.all(t)) >= 7 })
	if err := pod.Kill(t.Context()); err != nil {
		t.Error(err)
	}
	r.mustBeGone(t)
}
