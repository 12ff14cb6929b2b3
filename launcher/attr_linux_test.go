package launcher_test

import (
	"context"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/launcher/internal/leaktest"
	"github.com/podlaunch/podlaunch/launcher/internal/podrig"
	"github.com/podlaunch/podlaunch/readiness"
)

// What Local.Attr says of user, groups and namespaces holds for the pod, and what Local
// sees to itself does too.
func TestLocalAttr(t *testing.T) {
	r := newRig(t)
	attr := &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(os.Getuid()), Gid: uint32(os.Getgid()), NoSetGroups: true}}
	if os.Getuid() == 0 {
		attr.Credential = &syscall.Credential{Uid: 65534, Gid: 65533, Groups: []uint32{65532}}
		attr.Cloneflags = syscall.CLONE_NEWUTS
	}
	before := *attr
	r.L.Starter = launcher.Local{Attr: attr}
	r.L.Ready = readiness.ReadyLine{}
	r.L.Command = launcher.Exec("/bin/sh", "-c", `printf 'INSOMNIA-READY\t{name}\t/nowhere\n' >&2; kill -STOP $$`)
	pod := r.Launch(launcher.Spec{Name: "alice", Dir: "/"})
	got := status(t, pod.PID(), "Uid", "Gid")
	for field, id := range map[string]uint32{"Uid": attr.Credential.Uid, "Gid": attr.Credential.Gid} {
		if !strings.HasPrefix(got[field], strconv.Itoa(int(id))+"\t") {
			t.Errorf("%s of the pod is %q, want %d", field, got[field], id)
		}
	}
	if own := procLink(t, os.Getpid(), "ns/uts"); attr.Cloneflags != 0 && procLink(t, pod.PID(), "ns/uts") == own {
		t.Errorf("the pod is in our namespace %s", own)
	}
	if group, session := groupOf(t, pod.PID()); group != pod.PID() || session != pod.PID() {
		t.Errorf("the pod %d is in group %d of session %d", pod.PID(), group, session)
	}
	if attr.PidFD != before.PidFD || attr.Setsid != before.Setsid {
		t.Errorf("the caller's Attr has become %+v", attr)
	}
}

// groupOf returns the process group and the session of a process.
func groupOf(t *testing.T, pid int) (group, session int) {
	t.Helper()
	stat := procFile(t, pid, "stat")
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	group, _ = strconv.Atoi(fields[2])
	session, _ = strconv.Atoi(fields[3])
	return group, session
}

// What cannot be merged is refused by its name, before anything is touched, whether the
// Local is given by value or not.
func TestLocalAttrRefused(t *testing.T) {
	for field, attr := range map[string]*syscall.SysProcAttr{
		"Ptrace":              {Ptrace: true},
		"Setpgid":             {Setpgid: true},
		"Pgid":                {Pgid: 1},
		"Foreground":          {Foreground: true},
		"Setctty":             {Setctty: true},
		"Noctty":              {Noctty: true},
		"Ctty":                {Ctty: 1},
		"PidFD":               {PidFD: new(int)},
		"Cloneflags":          {Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_PARENT},
		"Cloneflags cannot h": {Cloneflags: syscall.CLONE_FILES},
	} {
		for _, starter := range []launcher.Starter{launcher.Local{Attr: attr}, &launcher.Local{Attr: attr}} {
			r := newRig(t)
			r.L.Starter = starter
			e := r.Fail(t.Context(), launcher.Spec{Name: "alice"})
			podrig.MustBe(t, e, launcher.ErrInvalidSpec)
			podrig.MustSay(t, e, "Local.Attr: "+field)
			if _, err := os.Stat(r.Dir("alice")); err == nil {
				t.Errorf("%s: the directory was made", field)
			}
			_, err := starter.Start(context.Background(), launcher.StartRequest{Command: launcher.Command{Path: "/bin/true"}})
			podrig.MustBe(t, err, launcher.ErrInvalidSpec)
			r.L.Starter = nil // for what the rig launches now
			r.Spoil()
		}
	}
}

// What this program may not do for the pod is an error that names Local.Attr.
func TestLocalAttrForbidden(t *testing.T) {
	r := newRig(t)
	r.L.Starter = launcher.Local{Attr: &syscall.SysProcAttr{Chroot: "/nowhere"}}
	e := r.Fail(t.Context(), launcher.Spec{Name: "alice"})
	podrig.MustSay(t, e, `in the root "/nowhere" of Local.Attr`)
	r.L.Starter = nil
}

// W18: a program that makes a session of its own, and takes a refusal for fatal, can be
// launched, and is then as any other: it is ended with its group.
func TestNoSession(t *testing.T) {
	steps := []string{"own-session", "spawn hang", "listen", "ready", "hang"}
	r := newRig(t, steps...)
	podrig.MustBe(t, r.Fail(t.Context(), launcher.Spec{Name: "alice"}), launcher.ErrExitedEarly)

	r.L.Starter = launcher.Local{NoSession: true}
	pod := r.Launch(launcher.Spec{Name: "alice"})
	if group, session := groupOf(t, pod.PID()); group != pod.PID() || session != pod.PID() {
		t.Errorf("the pod %d is in group %d of session %d", pod.PID(), group, session)
	}
	mustStop(t, pod)
	podrig.MustBeGone(t, pod.PID())
}

// W18: until a pod without a session makes one it is in the launcher's, and can be
// stopped, or ended with a launch that fails, all the same.
func TestNoSessionOfItsOwn(t *testing.T) {
	leaktest.Parallel(t)
	group, session := groupOf(t, os.Getpid())
	for _, c := range [][]string{{"listen", "ready", "hang"}, {"ignore 15", "listen", "ready", "hang"}} {
		r := newRig(t, c...)
		r.L.Starter, r.L.Grace = launcher.Local{NoSession: true}, podrig.Short
		pod := r.Launch(launcher.Spec{Name: "alice"})
		if g, s := groupOf(t, pod.PID()); g != group || s != session {
			t.Errorf("the pod is in group %d of session %d, and we are in %d of %d", g, s, group, session)
		}
		attached := r.MustAttach(pod)
		mustStop(t, attached)
		exit, err := pod.Wait(t.Context())
		if want := []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL}; err != nil || !slices.Contains(want, exit.Signal) {
			t.Errorf("it has ended with %v (%v)", exit, err)
		}
	}
	r := newRig(t)
	up := r.Fifo("up")
	r.L.Starter = launcher.Local{NoSession: true}
	r.L.Command = podrig.Script("ignore 15", "notify "+up, "hang")
	d := podrig.NewDeadline()
	d.PassAt(t, up)
	podrig.MustBe(t, r.Fail(d, launcher.Spec{Name: "alice"}), launcher.ErrTimeout)
}
