//go:build linux

package onepod_test

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
	"unicode"

	"golang.org/x/sys/unix"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/launcher/internal/leaktest"
	"github.com/podlaunch/podlaunch/launcher/internal/osproc"
	"github.com/podlaunch/podlaunch/launcher/internal/podrig"
	"github.com/podlaunch/podlaunch/readiness"
)

// A listed is what List yields once.
type listed struct {
	launcher.Status
	err error
}

// listAll returns all that List yields.
func listAll(ctx context.Context, l *launcher.Launcher) (all []listed) {
	for s, err := range l.List(ctx) {
		all = append(all, listed{s, err})
	}
	return all
}

// mustListOne fails the test unless List yields one thing, and returns that.
func (r *rig) mustListOne(ctx context.Context) listed {
	r.T.Helper()
	all := listAll(ctx, &r.L)
	if len(all) != 1 {
		r.T.Fatalf("List yields %+v", all)
	}
	return all[0]
}

// mustBeUnknown fails the test unless List yields an error about alice, and nothing
// else: whether it runs cannot be told. The error says each of words.
func (r *rig) mustBeUnknown(words ...string) error {
	r.T.Helper()
	got := r.mustListOne(r.T.Context())
	if got.Name != "alice" || got.State != "" || got.err == nil {
		r.T.Fatalf("List yields %+v", got)
	}
	podrig.MustSay(r.T, got.err, append(words, "cannot be told")...)
	return got.err
}

// The record of another pid namespace proves nothing: the pod may run.
func TestListOfAnotherNamespace(t *testing.T) {
	r := newRig(t, podrig.Serve...)
	pod := r.Launch(podrig.Alice)
	for _, ready := range []bool{true, false} {
		r.EditRecord(func(m map[string]any) { m["pidNamespace"], m["ready"] = "pid:[1]", ready })
		err := r.mustBeUnknown("another pid namespace", r.Beside("alice", ".json"))
		podrig.MustBe(t, err, osproc.ErrElsewhere)
	}
	// Of another boot it is gone, wherever it ran, unless somebody has its lock: a container may
	// show a boot id of its own.
	r.EditRecord(func(m map[string]any) { m["boot"], m["ready"] = "another", true })
	podrig.MustBe(t, r.mustBeUnknown("another pid namespace", "boot id"), osproc.ErrElsewhere)
	if _, err := r.L.Attach(t.Context(), "alice"); err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Attach returned %v", err)
	}
	podrig.Ping(t, pod)
	podrig.Kill(t, pod)
	if got := r.mustListOne(t.Context()); got.State != launcher.StateGone || got.Why == nil || got.err != nil {
		t.Errorf("List yields %+v", got)
	}
}

// A pod that was never ready is abandoned once nobody launches it, and Status.Why tells whether
// its first process has ended. After a restart of the machine nothing of it runs.
func TestListOfTheAbandoned(t *testing.T) {
	r := newRig(t, podrig.Serve...)
	pod := r.Launch(podrig.Alice)
	look := func(abandoned, ended bool) {
		t.Helper()
		got := r.mustListOne(t.Context())
		if got.err != nil || got.State != launcher.StateGone || errors.Is(got.Why, launcher.ErrAbandoned) != abandoned || errors.Is(got.Why, os.ErrProcessDone) != ended {
			t.Errorf("List yields %+v; abandoned should be %v, and ended %v", got, abandoned, ended)
		}
	}
	r.EditRecord(func(m map[string]any) { m["ready"] = false })
	look(true, false)
	podrig.Kill(t, pod)
	look(true, true)
	r.EditRecord(func(m map[string]any) { m["boot"] = "another" })
	look(false, false)
	r.EditRecord(func(m map[string]any) { m["ready"] = true })
	look(false, false)
}

// A pod whose record was deleted may run, as long as its lock is held. While somebody
// is launching it there may be no record either.
func TestListWithoutRecord(t *testing.T) {
	r := newRig(t, podrig.Serve...)
	pod := r.Launch(podrig.Alice)
	if err := os.Remove(r.Beside("alice", ".json")); err != nil {
		t.Fatal(err)
	}
	r.mustBeUnknown("processes hold its name", r.Beside("alice", ".pod"), "Launcher.Stop ends them")
	lock, err := r.Lock(".launch")
	if err != nil {
		t.Fatal(err)
	}
	if got := r.State(); got != launcher.StateStarting {
		t.Errorf("List says %q", got)
	}
	lock.Close()
	if err := pod.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := listAll(t.Context(), &r.L); len(got) > 0 {
		t.Errorf("it has ended, and List yields %+v", got)
	}
}

// A cleaner of directories may delete the locks, which are empty: a pod that runs is listed all
// the same. The file of another program is none of ours.
func TestListWithoutLocks(t *testing.T) {
	r := newRig(t, podrig.Serve...)
	pod := r.Launch(podrig.Alice)
	for _, stranger := range []string{".other.json", ".eslintrc.json"} {
		if err := os.WriteFile(filepath.Join(r.Base, stranger), []byte(`{"root": true}`), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, lock := range []string{".launch", ".pod"} {
		if err := os.Remove(r.Beside("alice", lock)); err != nil {
			t.Fatal(err)
		}
		if got := r.mustListOne(t.Context()); got.err != nil || got.Name != "alice" || got.State != launcher.StateReady || got.PID != pod.PID() {
			t.Errorf("without %s List yields %+v", lock, got)
		}
	}
	if err := pod.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}

// What a launcher that died has left is ended also where it is in the session of
// that launcher: the id of the launch tells it.
func TestLeftInTheSessionOfTheLauncher(t *testing.T) {
	r := newRig(t, podrig.Serve...)
	r.L.Starter = launcher.Local{NoSession: true}
	for _, end := range []func() error{
		func() error { _, err := r.L.Launch(t.Context(), podrig.Alice); return err },
		func() error { return r.L.Stop(t.Context(), "alice") },
	} {
		pod, _, err := r.L.Ensure(t.Context(), podrig.Alice)
		if err != nil {
			t.Fatal(err)
		}
		r.EditRecord(func(m map[string]any) { m["ready"], m["pid"], m["start"] = false, 0, 0 })
		if err := end(); err != nil {
			t.Error(err)
		}
		<-pod.Done()
	}
	if err := r.L.Stop(t.Context(), "alice"); err != nil {
		t.Error(err)
	}
}

// What a launcher that died has left is ended by Stop as a pod is, with a grace.
func TestStopOfWhatWasNeverReady(t *testing.T) {
	leaktest.Parallel(t)
	for _, c := range []struct {
		name string
		edit func(m map[string]any)
	}{
		{"recorded", func(m map[string]any) { m["ready"] = false }},
		{"not recorded", func(m map[string]any) { m["ready"], m["pid"], m["start"] = false, 0, 0 }},
	} {
		t.Run(c.name, func(t *testing.T) {
			saved := filepath.Join(t.TempDir(), "saved")
			r := newRig(t, append([]string{"onterm file " + saved + " all"}, podrig.Serve...)...)
			pod := r.Launch(podrig.Alice)
			r.EditRecord(c.edit)
			if err := r.L.Stop(t.Context(), "alice"); err != nil {
				t.Error(err)
			}
			<-pod.Done()
			if _, err := os.Stat(saved); err != nil {
				t.Errorf("it had no time to clean up: %v", err)
			}
			// A pod that ignores the signal ends all the same.
			r.L.Command, r.L.Grace = podrig.Script(append([]string{"ignore TERM"}, podrig.Serve...)...), time.Millisecond
			pod = r.Launch(podrig.Alice)
			r.EditRecord(c.edit)
			if err := r.L.Stop(t.Context(), "alice"); err != nil {
				t.Error(err)
			}
			<-pod.Done()
		})
	}
}

// unlocked runs what follows without the lock.
const unlocked = `perl -MPOSIX -e 'POSIX::close(20); exec @ARGV' `

// Stop ends all of what a launcher that died has left, and not only who has the lock.
func TestStopEndsTheAbandonedWhole(t *testing.T) {
	leaktest.Parallel(t)
	for name, lock := range map[string]string{"the pod has the lock": "exec ", "nobody has it": "exec " + unlocked} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, podrig.Serve...)
			pid := filepath.Join(r.Base, "pid")
			behind(&r.L, unlocked+"sleep 1000 & printf $! >"+pid+"; "+lock+`"$0" "$@"`)
			pod := r.Launch(podrig.Alice)
			r.EditRecord(func(m map[string]any) { m["ready"] = false })
			if err := r.L.Stop(t.Context(), "alice"); err != nil {
				t.Error(err)
			}
			<-pod.Done()
			r.mustBeDead(pid)
		})
	}
}

// A pod that an abandoned pod has launched is a pod of its own, also if it has cleared its
// environment: it has its own lock where a pod has that.
func TestStopSparesThePodOfTheAbandoned(t *testing.T) {
	r := newRig(t, podrig.Serve...)
	pid := filepath.Join(r.Base, "pid")
	bob := `setsid perl -MPOSIX -e 'open F, ">>", "` + r.Base + `/.bob.pod"; flock F, 2; POSIX::dup2(fileno F, 20); %ENV = (); open P, ">", "` + pid + `"; print P $$; close P; exec "/bin/sleep", "1000"'`
	behind(&r.L, bob+` & exec "$0" "$@"`)
	pod := r.Launch(podrig.Alice)
	var stays int
	for end := time.Now().Add(podrig.Ample); stays == 0 || !environCleared(stays); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it has not cleared its environment")
		}
		text, _ := os.ReadFile(pid)
		stays, _ = strconv.Atoi(string(text))
	}
	r.EditRecord(func(m map[string]any) { m["ready"] = false })
	if err := r.L.Stop(t.Context(), "alice"); err != nil {
		t.Error(err)
	}
	<-pod.Done()
	if st, err := osproc.ReadStat(stays); err != nil || st.Dead() {
		t.Errorf("the pod of the pod was ended: %v", err)
	}
	syscall.Kill(stays, syscall.SIGKILL)
}

// A launch in progress does not have the process and the endpoint of the pod before it.
func TestListOfARelaunch(t *testing.T) {
	r := newRig(t, podrig.Serve...)
	if err := r.Launch(podrig.Alice).Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Lock(".launch"); err != nil {
		t.Fatal(err)
	}
	if got := r.mustListOne(t.Context()); got.err != nil || got.State != launcher.StateStarting || got.PID != 0 || got.Endpoint != (readiness.Endpoint{}) {
		t.Errorf("List yields %+v", got)
	}
}

// answerAt makes the record of alice say that it answers at addr.
func (r *rig) answerAt(addr net.Addr) {
	r.T.Helper()
	r.EditRecord(func(m map[string]any) { m["network"], m["address"] = addr.Network(), addr.String() })
}

// full returns the address of a listener whose queue is full, and stays so until the
// test is over.
func full(t *testing.T, network string) net.Addr {
	t.Helper()
	local, domain := net.Addr(&net.UnixAddr{Net: network, Name: filepath.Join(t.TempDir(), "full")}), unix.AF_UNIX
	at := unix.Sockaddr(&unix.SockaddrUnix{Name: local.String()})
	if network == "tcp" {
		at, domain = &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}, unix.AF_INET
	}
	fd, err := unix.Socket(domain, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err = errors.Join(unix.Bind(fd, at), unix.Listen(fd, 0)); err == nil && network == "tcp" {
		at, err = unix.Getsockname(fd)
		local = &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: at.(*unix.SockaddrInet4).Port}
	}
	if err != nil {
		t.Fatal(err)
	}
	for {
		conn, err := net.DialTimeout(network, local.String(), podrig.Short)
		if err != nil {
			return local
		}
		t.Cleanup(func() { conn.Close() })
	}
}

// A pod that accepts no connections, so that its queue is full, does not hold List up.
func TestListOfAFullQueue(t *testing.T) {
	leaktest.Parallel(t)
	for network, says := range map[string]string{
		"unix": "queue of connections is full", // which the kernel says at once
		"tcp":  "it did not answer within 1s",
	} {
		t.Run(network, func(t *testing.T) {
			if testing.Short() && network == "tcp" {
				t.Skip("skipped with -short: List waits for a second")
			}
			r := newRig(t, podrig.Serve...)
			r.Launch(podrig.Alice)
			r.Launch(launcher.Spec{Name: "bob"})
			r.answerAt(full(t, network))
			began := time.Now()
			got := listAll(t.Context(), &r.L)
			if took := time.Since(began); took > time.Second+podrig.Late {
				t.Errorf("it took %v", took)
			}
			if len(got) != 2 || got[0].State != launcher.StateUnreachable || got[1].State != launcher.StateReady {
				t.Fatalf("List yields %+v", got)
			}
			podrig.MustSay(t, got[0].Why, says)
		})
	}
}

// When the caller's own time is over that is no state of the pod which is being asked.
// Package net notices it a moment before the context does.
func TestListOutOfTime(t *testing.T) {
	leaktest.Parallel(t)
	r := newRig(t, podrig.Serve...)
	r.Launch(podrig.Alice)
	r.answerAt(full(t, "tcp"))
	enough := errors.New("enough")
	ctx, cancel := context.WithTimeoutCause(t.Context(), podrig.Short, enough)
	defer cancel()
	if got := r.mustListOne(ctx); !errors.Is(got.err, enough) || got.Name != "" || got.State != "" {
		t.Errorf("List yields %+v", got)
	}
}

// A verifier is a probe whose Verify is a function.
type verifier struct {
	readiness.Probe
	verify func(context.Context) error
}

func (v verifier) Verify(ctx context.Context, _ readiness.Target) error { return v.verify(ctx) }

// When the caller gives up while a pod is being asked, that is no state of the pod.
func TestListCancelled(t *testing.T) {
	r := newRig(t, podrig.Serve...)
	r.Launch(podrig.Alice)
	enough := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	r.L.Ready = verifier{nil, func(ctx context.Context) error {
		cancel(enough)
		<-ctx.Done()
		return ctx.Err()
	}}
	if got := r.mustListOne(ctx); !errors.Is(got.err, enough) || got.Name != "" || got.State != "" {
		t.Errorf("List yields %+v", got)
	}
}

// A verifier that takes no notice of its context does not hold List up, neither for more
// than its second nor when the caller gives up. Its goroutine ends when it returns.
func TestListWithADeafVerifier(t *testing.T) {
	r := newRig(t, podrig.Serve...)
	r.Launch(podrig.Alice)
	l := r.L
	synctest.Test(t, func(t *testing.T) {
		hangs := make(chan struct{})
		l.Ready = verifier{nil, func(context.Context) error { <-hangs; return nil }}
		began := time.Now()
		got := listAll(t.Context(), &l)
		if took := time.Since(began); took < time.Second || took > 2*time.Second {
			t.Errorf("it took %v", took)
		}
		if len(got) != 1 || got[0].err != nil || got[0].State != launcher.StateUnreachable {
			t.Fatalf("List yields %+v", got)
		}
		podrig.MustSay(t, got[0].Why, "it did not answer within 1s")
		podrig.MustBe(t, got[0].Why, os.ErrDeadlineExceeded)

		enough := errors.New("enough")
		ctx, cancel := context.WithTimeoutCause(t.Context(), 100*time.Millisecond, enough)
		defer cancel()
		began = time.Now()
		got = listAll(ctx, &l)
		if took := time.Since(began); took > time.Second {
			t.Errorf("cancelled after 100ms it took %v", took)
		}
		if len(got) != 1 || !errors.Is(got[0].err, enough) || got[0].Name != "" {
			t.Errorf("List yields %+v", got)
		}
		close(hangs)
	})
}

// Why is one printable line, no matter what the record says, and wraps the error beneath.
func TestListIsPrintable(t *testing.T) {
	r := newRig(t, podrig.Serve...)
	r.Launch(podrig.Alice)
	r.EditRecord(func(m map[string]any) { m["address"] = "/\x1b[31m\nbob is ready" })
	got := r.mustListOne(t.Context())
	if got.State != launcher.StateUnreachable || strings.ContainsFunc(got.Why.Error(), unicode.IsControl) {
		t.Errorf("List yields %q: %q", got.State, got.Why)
	}
	podrig.MustBe(t, got.Why, syscall.ENOENT)
}

// environCleared reports whether the process was executed without any variable.
func environCleared(pid int) bool {
	environ, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "environ"))
	exe, _ := os.Readlink(filepath.Join("/proc", strconv.Itoa(pid), "exe"))
	return err == nil && len(environ) == 0 && strings.HasSuffix(exe, "/sleep")
}
