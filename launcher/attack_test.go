//go:build linux

package launcher_test

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/launcher/internal/leaktest"
	"github.com/podlaunch/podlaunch/launcher/internal/podrig"
	"github.com/podlaunch/podlaunch/logsource"
	"github.com/podlaunch/podlaunch/readiness"
	"github.com/podlaunch/podlaunch/runtimedir"
)

// anotherUser is an ordinary user. The tests run as a different user.
const anotherUser = 65534

// asRoot skips a test that needs another user. CI runs as root, too.
func asRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("not run: only root can act as another user")
	}
}

// A victim is a directory that no launch may change, with a file in it.
type victim struct {
	t      *testing.T
	dir    string
	file   string
	before []string
}

func newVictim(t *testing.T) *victim {
	t.Helper()
	v := &victim{t: t, dir: filepath.Join(t.TempDir(), "victim")}
	v.file = filepath.Join(v.dir, "stderr.log")
	if err := errors.Join(os.Mkdir(v.dir, 0o755), os.WriteFile(v.file, []byte("precious"), 0o644)); err != nil {
		t.Fatal(err)
	}
	v.before = listing(t, v.dir)
	return v
}

// mustBeSpared fails the test if anything has become of the victim.
func (v *victim) mustBeSpared() {
	v.t.Helper()
	if diff := difference(v.before, listing(v.t, v.dir)); diff != "" {
		v.t.Errorf("the victim has changed (-before +after):\n%s", diff)
	}
	if got := readFile(v.t, v.file); got != "precious" {
		v.t.Errorf("the victim holds %q", got)
	}
}

// B14, B15, B16, B17: somebody has put a file or a link where a launch keeps something.
// Nothing is written through it. The launch replaces what is its own to replace. It
// refuses the rest, and says what is there.
func TestPlanted(t *testing.T) {
	leaktest.Parallel(t)
	kinds := []struct {
		name  string
		plant func(path string, v *victim) error
	}{
		{"link to a file", func(path string, v *victim) error { return os.Symlink(v.file, path) }},
		{"link to a directory", func(path string, v *victim) error { return os.Symlink(v.dir, path) }},
		{"link to nothing", func(path string, v *victim) error { return os.Symlink(filepath.Join(v.dir, "new"), path) }},
		{"hard link", func(path string, v *victim) error { return os.Link(v.file, path) }},
		{"FIFO", func(path string, _ *victim) error { return syscall.Mkfifo(path, 0o666) }},
	}
	noLock, noRecord := errors.New("is not a regular file"), errors.New("whether the pod runs cannot be told")
	for _, c := range []struct {
		path    string
		refused error            // by what; nil: the pod is launched
		but     map[string]error // the kinds that are exceptions to that
	}{
		{"alice", runtimedir.ErrInsecure, nil},
		{"alice/stderr.log", logsource.ErrNotRegular, map[string]error{"hard link": nil}},
		{"alice/stderr.log.1", logsource.ErrNotRegular, map[string]error{"hard link": nil}},
		{"alice/sock", nil, nil},
		{".alice.launch", noLock, map[string]error{"hard link": nil}},
		{".alice.pod", noLock, map[string]error{"hard link": nil}},
		{".alice.json", noRecord, nil},
		{".alice.overlay", nil, nil},
	} {
		for _, kind := range kinds {
			t.Run(c.path+" is a "+kind.name, func(t *testing.T) {
				r := newRig(t, podrig.Serve...)
				v := newVictim(t)
				path := filepath.Join(r.Base, c.path)
				if filepath.Dir(c.path) == "alice" {
					if err := os.Mkdir(r.Dir("alice"), 0o700); err != nil {
						t.Fatal(err)
					}
					if c.path != "alice/stderr.log" { // else there is no log to be kept
						r.file("alice/stderr.log", "earlier", 0o600)
					}
				}
				if err := kind.plant(path, v); err != nil {
					t.Fatal(err)
				}
				want := c.refused
				if other, ok := c.but[kind.name]; ok {
					want = other
				}
				if want == nil {
					podrig.Ping(t, r.Launch(launcher.Spec{Name: "alice"}))
					v.mustBeSpared()
					return
				}
				before := listing(t, r.Base)
				e := r.Fail(t.Context(), launcher.Spec{Name: "alice"})
				switch want {
				case noLock:
					podrig.MustSay(t, e, noLock.Error(), path, "remove it")
				case noRecord:
					podrig.MustSay(t, e, noRecord.Error(), path, "remove the file")
				default:
					podrig.MustBe(t, e, want)
				}
				if e.PID != 0 {
					t.Error("a process was started")
				}
				v.mustBeSpared()
				if fi, err := os.Lstat(path); err != nil || !strings.Contains(strings.Join(before, "\n"), fmt.Sprintf("%s %v", path, fi.Mode())) {
					t.Errorf("what was planted is not there as it was: %v, %v", fi, err)
				}
				if err := os.Remove(path); err != nil {
					t.Fatal(err)
				}
				r.Relaunch("alice")
			})
		}
	}
}

// B13: a directory that another user has made first, as the base or as the
// pod's, is refused, and nothing about it is changed: not even by root, who could.
func TestMadeFirstByAnother(t *testing.T) {
	asRoot(t)
	for what, plan := range map[string]func(r *rig) (foreign string){
		"base":          func(r *rig) string { r.L.Dir = runtimedir.Dir(r.Dir("base")); return r.Dir("base") },
		"pod directory": func(r *rig) string { return r.Dir("alice") },
	} {
		for _, mode := range []fs.FileMode{0o700, 0o755, 0o777} {
			t.Run(fmt.Sprintf("%s, mode %03o", what, mode), func(t *testing.T) {
				r := newRig(t, podrig.Serve...)
				dir := plan(r)
				if err := errors.Join(os.Mkdir(dir, 0o700), os.Chmod(dir, mode), os.Chown(dir, anotherUser, anotherUser)); err != nil {
					t.Fatal(err)
				}
				before := listing(t, dir)
				e := r.Fail(t.Context(), launcher.Spec{Name: "alice"})
				podrig.MustBe(t, e, runtimedir.ErrInsecure)
				podrig.MustSay(t, e, dir, fmt.Sprintf("belongs to user %d", anotherUser))
				if diff := difference(before, listing(t, dir)); diff != "" || e.PID != 0 {
					t.Errorf("it has changed (-before +after), or pid %d was started:\n%s", e.PID, diff)
				}
				if fi, err := os.Stat(dir); err != nil || fi.Sys().(*syscall.Stat_t).Uid != anotherUser {
					t.Errorf("it is another's now: %v, %v", fi, err)
				}
			})
		}
	}
}

// A29: another user cannot forge a ready line. He can neither write to the log nor reach
// it, under any umask and any mode of the directories above.
func TestReadyLineForgedByAnother(t *testing.T) {
	asRoot(t)
	r := newRig(t)
	up, goOn := r.Fifo("up"), r.Fifo("go")
	if err := os.Chmod(r.Base, 0o755); err != nil {
		t.Fatal(err)
	}
	defer syscall.Umask(syscall.Umask(0))
	r.L.Command = podrig.Script("notify "+up, "await "+goOn, "listen", "ready", "hang")
	log := filepath.Join(r.Dir("alice"), logsource.DefaultName)
	forge := func(script string) string {
		c := exec.Command("/bin/sh", "-c", script, "forger", log, r.readyLine("alice"), r.Dir("alice"))
		c.Dir, c.SysProcAttr = "/", &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: anotherUser, Gid: anotherUser}}
		out, err := c.CombinedOutput()
		if err == nil {
			t.Errorf("%s: it worked", script)
		}
		return string(out)
	}
	forged := make(chan struct{}) // closed by the goroutine
	go func() {
		defer close(forged)
		podrig.Await(t, up)
		for _, script := range []string{`printf %s "$2" >> "$1"`, `cat "$1"`, `ls "$3"`, `: > "$3/sock"`, `mv "$3" "$3.away"`, `: > "$3/../.alice.json"`} {
			if out := forge(script); !strings.Contains(out, "denied") {
				t.Errorf("%s: %s", script, out)
			}
		}
		// Not even with the directory open to all.
		if err := os.Chmod(r.Dir("alice"), 0o777); err != nil {
			t.Error(err)
		}
		if out := forge(`printf %s "$2" >> "$1"`); !strings.Contains(out, "denied") {
			t.Errorf("with the directory open to all: %s", out)
		}
		podrig.Wake(t, goOn)
	}()
	podrig.Ping(t, r.Launch(launcher.Spec{Name: "alice"}))
	<-forged
	if got := r.ReadLog("alice"); got != r.readyLine("alice") {
		t.Errorf("the log holds %q", got)
	}
}

// C6, C14: a process of our user that is none of the pod's has the pod's socket
// before the launch, or takes it while the pod starts. The launch fails; the
// stranger and its socket are left alone.
func TestSocketSquatted(t *testing.T) {
	leaktest.Parallel(t)
	for when, squatFirst := range map[string]bool{"before": true, "between": false} {
		t.Run(when, func(t *testing.T) {
			r := newRig(t)
			up, goOn := r.Fifo("up"), r.Fifo("go")
			r.L.Command = podrig.Script("notify "+up, "await "+goOn, "ready", "hang")
			if err := os.Mkdir(r.Dir("alice"), 0o700); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(r.Dir("alice"), "sock")
			if squatFirst {
				listen(t, path)
			}
			done := make(chan struct{}) // closed by the goroutine
			go func() {
				defer close(done)
				podrig.Await(t, up)
				if !squatFirst {
					listen(t, path)
				}
				podrig.Wake(t, goOn)
			}()
			pod, err := r.L.Launch(t.Context(), launcher.Spec{Name: "alice"})
			<-done
			var e *launcher.Error
			if pod != nil || !errors.As(err, &e) || e.Leftover != nil {
				t.Fatalf("Launch returned %v, %v", pod, err)
			}
			podrig.MustBe(t, e, readiness.ErrForeignPeer)
			podrig.MustSay(t, e, path, fmt.Sprintf("pid %d", os.Getpid()))
			podrig.MustBeGone(t, e.PID)
			conn, err := net.Dial("unix", path)
			if err != nil {
				t.Fatalf("the stranger's socket does not answer any more: %v", err)
			}
			conn.Close()
		})
	}
}

// C15: another user takes the path of a socket outside the runtime directory when the pod
// is ready. A caller who dials the pod does not talk to him, if the launch would not
// have. The pod goes on.
func TestSocketTakenByAnother(t *testing.T) {
	asRoot(t)
	for name, c := range map[string]struct {
		peer func(readiness.Peer, readiness.Target) error
		may  bool
	}{
		"default": {nil, false}, "SameUser": {readiness.SameUser, false}, "AnyPeer": {readiness.AnyPeer, true},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			path := filepath.Join(r.Base, "shared")
			r.L.Command = podrig.Script("listen "+path, "ready "+path, "hang")
			r.L.Ready = readiness.Sequence{readiness.ReadyLine{}, readiness.Socket{Peer: c.peer}}
			launched := r.Launch(launcher.Spec{Name: "alice"})
			attached, err := r.L.Attach(t.Context(), "alice")
			if err != nil {
				t.Fatal(err)
			}
			defer attached.Release()
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			listenAs(t, anotherUser, path)
			for _, pod := range []*launcher.Pod{launched, attached} {
				conn, err := pod.Dial(t.Context())
				if c.may {
					if err != nil {
						t.Fatal(err)
					}
					conn.Close()
					continue
				}
				if conn != nil || err == nil {
					t.Fatalf("Dial returned %v, %v", conn, err)
				}
				podrig.MustBe(t, err, launcher.ErrNotOurs, readiness.ErrForeignPeer)
				podrig.MustSay(t, err, path, fmt.Sprintf("of user %d", anotherUser))
			}
			if err := syscall.Kill(launched.PID(), 0); err != nil {
				t.Errorf("the pod is gone: %v", err)
			}
		})
	}
}

// B19: with a umask of 000 everything that the library makes is its user's
// alone, while the pod starts and when it is ready.
func TestNothingIsForOthers(t *testing.T) {
	r := overlayRig(t, launcher.OverlayAsFile)
	base := filepath.Join(r.Base, "a", "b")
	r.L.Dir = runtimedir.Dir(base)
	up, goOn := r.Fifo("up"), r.Fifo("go")
	r.Base = base
	r.follow("notify "+up, "await "+goOn, "ready /nowhere", "hang")
	r.L.Ready = readiness.ReadyLine{}
	mustBeOurs := func(when string, want ...string) {
		t.Helper()
		there := map[string]bool{}
		for _, line := range listing(t, filepath.Dir(base)) {
			path, mode := strings.Fields(line)[0], strings.Fields(line)[1]
			if there[filepath.Base(path)] = true; !strings.HasSuffix(mode, "------") {
				t.Errorf("%s: %s", when, line)
			}
		}
		for _, name := range want {
			if !there[name] {
				t.Errorf("%s there is no %s: %v", when, name, there)
			}
		}
	}
	always := []string{"a", "b", "alice", "stderr.log", ".alice.launch", ".alice.pod"}
	looked := make(chan struct{}) // closed by the goroutine
	go func() {
		defer close(looked)
		podrig.Await(t, up)
		mustBeOurs("before the pod is ready", append([]string{".alice.overlay"}, always...)...)
		podrig.Wake(t, goOn)
	}()
	defer syscall.Umask(syscall.Umask(0))
	r.Launch(launcher.Spec{Name: "alice", Overlay: secretOverlay})
	<-looked
	mustBeOurs("when it is ready", append([]string{".alice.json"}, always...)...)
}

// B3, B35, A1: hostile variables of the user who started the launcher. They lead a launch
// neither out of its base nor to another program, and the error quotes their values.
func TestHostileVariables(t *testing.T) {
	v := newVictim(t)
	for _, name := range []string{"INSOMNIA_RUNTIME_DIR", "INSOMNIA_HOME", "HOME"} {
		for _, value := range []string{"../../victim", ".", "~root", "$HOME", "`id`", "a\x1b[31m\nb", v.file, "/dev/null", "/proc/self/fd", "/proc/self/root/proc"} {
			t.Run(fmt.Sprintf("%s=%q", name, value), func(t *testing.T) {
				t.Chdir(v.dir)
				for _, other := range []string{"INSOMNIA_RUNTIME_DIR", "INSOMNIA_HOME", "XDG_RUNTIME_DIR", "HOME"} {
					t.Setenv(other, "")
				}
				t.Setenv(name, value)
				r := newRig(t, podrig.Serve...)
				r.L.Dir = nil
				e := r.Fail(t.Context(), launcher.Spec{Name: "alice"})
				if !errors.Is(e, runtimedir.ErrUnavailable) && !errors.Is(e, runtimedir.ErrInsecure) || e.PID != 0 {
					t.Errorf("pid %d: %v", e.PID, e)
				}
				v.mustBeSpared()
			})
		}
	}
	r := newRefuser(t)
	r.L.Command = nil
	for _, value := range []string{"pod; id", "$(id)", "../pod", "/nowhere/pod", "-c", "pod\nid", v.dir, v.file} {
		t.Run(fmt.Sprintf("%s=%q", launcher.DefaultCommandEnv, value), func(t *testing.T) {
			t.Setenv(launcher.DefaultCommandEnv, value)
			t.Chdir(t.TempDir())
			r.T = t
			if e := r.refuse(t.Context(), launcher.Spec{Name: "alice"}); e.Stage != launcher.StageResolve {
				t.Errorf("stage %q: %v", e.Stage, e)
			}
			v.mustBeSpared()
		})
	}
}
