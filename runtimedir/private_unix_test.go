//go:build unix

package runtimedir_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/podlaunch/podlaunch/runtimedir"
)

// someoneElse is an ordinary user, but not the user that runs the tests.
const someoneElse = 65534

// ordinary reports whether the caller's test shall go on: it must run as a user
// whom permissions bind. Root runs the same test again in a child that is such
// a user, and takes its verdict.
func ordinary(t *testing.T) bool {
	t.Helper()
	if os.Geteuid() != 0 {
		return true
	}
	if runtime.GOOS != "linux" {
		t.Skip("not run: as root this needs /proc; run it as an ordinary user")
	}
	// Not the binary's path: the user may not enter the directory it is in.
	cmd := exec.Command("/proc/self/exe", "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Dir = "/"
	// Under -race a process lingers for a second at its end otherwise.
	cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: someoneElse, Gid: someoneElse}}
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Errorf("as user %d: %v\n%s", someoneElse, err, out)
	}
	return false
}

// needsRoot skips a test that gives files to another user.
func needsRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("not run: only root can give a file to another user")
	}
}

// mkdir makes a directory with exactly this mode, and returns its path.
func mkdir(t *testing.T, mode fs.FileMode, elem ...string) string {
	t.Helper()
	path := filepath.Join(elem...)
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

// mustHaveMode fails the test unless the entry at path has exactly this mode.
func mustHaveMode(t *testing.T, path string, mode fs.FileMode) {
	t.Helper()
	if fi, err := os.Lstat(path); err != nil {
		t.Error(err)
	} else if fi.Mode() != mode {
		t.Errorf("%s has mode %v, want %v", path, fi.Mode(), mode)
	}
}

// setUmask sets the umask until the test ends.
func setUmask(t *testing.T, mask int) {
	old := syscall.Umask(mask)
	t.Cleanup(func() { syscall.Umask(old) })
}

// B6, B19: new directories have mode 0700 under any umask, the parents too. Directories
// that were there keep their mode.
func TestCreated(t *testing.T) {
	if !ordinary(t) {
		return
	}
	for _, mask := range []int{0o000, 0o002, 0o022, 0o077, 0o277, 0o777} {
		t.Run(fmt.Sprintf("umask %03o", mask), func(t *testing.T) {
			there := mkdir(t, 0o755, tempDir(t), "there")
			setUmask(t, mask)
			base := filepath.Join(there, "a", "b", "c")
			for range 2 { // the second time all is there
				dir, err := runtimedir.Dir(base).RuntimeDir(t.Context(), "pod")
				if want := filepath.Join(base, "pod"); err != nil || dir != want {
					t.Fatalf("got %q, %v, want %q", dir, err, want)
				}
				mustHaveMode(t, there, fs.ModeDir|0o755)
				for path := dir; path != there; path = filepath.Dir(path) {
					mustHaveMode(t, path, fs.ModeDir|0o700)
				}
			}
		})
	}
}

// B5: a home that cannot be written to, or is the root directory, is an error
// that names the path and the operation, over the system's own error.
func TestHomeUnwritable(t *testing.T) {
	if !ordinary(t) {
		return
	}
	locked := mkdir(t, 0o500, tempDir(t), "home")
	closed := mkdir(t, 0o000, tempDir(t), "home")
	for home, path := range map[string]string{
		"/":               "/.insomnia",
		locked:            locked + "/.insomnia",
		locked + "/no/pe": locked + "/no",
		closed:            closed + "/.insomnia",
	} {
		setChain(t, "INSOMNIA", map[string]string{"HOME": home})
		dir, err := runtimedir.User{}.RuntimeDir(t.Context(), "pod")
		if dir != "" || err == nil {
			t.Fatalf("HOME %s: got %q, %v", home, dir, err)
		}
		mustBe(t, err, runtimedir.ErrUnavailable, fs.ErrPermission, syscall.EACCES)
		mustSay(t, err, path)
		var pathErr *fs.PathError
		if !errors.As(err, &pathErr) || pathErr.Op == "" || !strings.HasPrefix(pathErr.Path, path) {
			t.Errorf("HOME %s: no operation and path in %v", home, err)
		}
	}
}

// B5: a base of ours that is there and cannot be written to is an error that
// names the whole path of the pod's directory, not its last element alone.
func TestBaseUnwritable(t *testing.T) {
	if !ordinary(t) {
		return
	}
	base := mkdir(t, 0o500, tempDir(t), "base")
	dir, err := runtimedir.Dir(base).RuntimeDir(t.Context(), "pod")
	if dir != "" {
		t.Errorf("got %q", dir)
	}
	mustBe(t, err, runtimedir.ErrUnavailable, fs.ErrPermission, syscall.EACCES)
	var pathErr *fs.PathError
	if !errors.As(err, &pathErr) || pathErr.Op == "" || pathErr.Path != base+"/pod" {
		t.Errorf("no operation and path in %v", err)
	}
}

// B5: a home that is missing is made if that is allowed; if not, the error
// wraps the system's.
func TestHomeMissing(t *testing.T) {
	home := filepath.Join(tempDir(t), "not", "there")
	setChain(t, "INSOMNIA", map[string]string{"HOME": home})
	dir, err := runtimedir.User{}.RuntimeDir(t.Context(), "pod")
	if err != nil {
		t.Fatal(err)
	}
	mustHaveMode(t, dir, fs.ModeDir|0o700)
	mustHaveMode(t, home, fs.ModeDir|0o700)

	// Nobody can make a directory in this one, not even root.
	const nowhere = "/dev/null/home"
	setChain(t, "INSOMNIA", map[string]string{"HOME": nowhere})
	_, err = runtimedir.User{}.RuntimeDir(t.Context(), "pod")
	mustBe(t, err, runtimedir.ErrUnavailable, syscall.ENOTDIR)
	mustSay(t, err, "/dev/null")
}

// B7: an element of the base that is a file is "not a directory", wherever it
// stands, with its path.
func TestComponentIsAFile(t *testing.T) {
	file := filepath.Join(tempDir(t), "file")
	if err := os.WriteFile(file, []byte("kept"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, base := range []string{file, file + "/run", file + "/a/b"} {
		dir, err := runtimedir.Dir(base).RuntimeDir(t.Context(), "pod")
		if dir != "" || err == nil {
			t.Fatalf("%s: got %q, %v", base, dir, err)
		}
		mustBe(t, err, runtimedir.ErrUnavailable, syscall.ENOTDIR)
		mustSay(t, err, file, "not a directory")
	}
	if data, err := os.ReadFile(file); err != nil || string(data) != "kept" {
		t.Errorf("the file was touched: %q, %v", data, err)
	}
}

// B12, row 3: a base of ours that others may write to loses that bit. A base that they
// may only read stays as it is. A pod's directory that an older program made too wide
// is narrowed.
func TestTooWideIsNarrowed(t *testing.T) {
	if !ordinary(t) {
		return
	}
	for _, c := range []struct{ before, after fs.FileMode }{
		{0o700, 0o700},
		{0o711, 0o711},
		{0o755, 0o755},
		{0o775, 0o755},
		{0o777, 0o755},
		{0o702, 0o700},
		{0o720, 0o700},
	} {
		t.Run(c.before.String(), func(t *testing.T) {
			base := mkdir(t, c.before, tempDir(t), "base")
			pod := mkdir(t, c.before, base, "pod")
			dir, err := runtimedir.Dir(base).RuntimeDir(t.Context(), "pod")
			if err != nil || dir != pod {
				t.Fatalf("got %q, %v, want %q", dir, err, pod)
			}
			mustHaveMode(t, base, fs.ModeDir|c.after)
			mustHaveMode(t, pod, fs.ModeDir|0o700)
		})
	}
	// A directory that even we cannot enter is opened up for us.
	base := mkdir(t, 0o700, tempDir(t), "base")
	pod := mkdir(t, 0o000, base, "pod")
	if _, err := runtimedir.Dir(base).RuntimeDir(t.Context(), "pod"); err != nil {
		t.Error(err)
	}
	mustHaveMode(t, pod, fs.ModeDir|0o700)
}

// B12: what the pod keeps in its directory survives.
func TestExistingIsKept(t *testing.T) {
	base := tempDir(t)
	file := filepath.Join(mkdir(t, 0o755, base, "pod"), "history.json")
	if err := os.WriteFile(file, []byte("{}"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := runtimedir.Dir(base).RuntimeDir(t.Context(), "pod"); err != nil {
		t.Fatal(err)
	}
	mustHaveMode(t, file, 0o644)
	if data, err := os.ReadFile(file); err != nil || string(data) != "{}" {
		t.Errorf("got %q, %v", data, err)
	}
}

// B12: a base that is shared on purpose, as /tmp is, is refused and left as it
// is, even if it is ours.
func TestSharedBaseRefused(t *testing.T) {
	const mode = fs.ModeDir | fs.ModeSticky
	for _, perm := range []fs.FileMode{0o777, 0o775} {
		base := mkdir(t, fs.ModeSticky|perm, tempDir(t), "tmp")
		dir, err := runtimedir.Dir(base).RuntimeDir(t.Context(), "pod")
		if dir != "" || !errors.Is(err, runtimedir.ErrInsecure) {
			t.Fatalf("got %q, %v", dir, err)
		}
		mustSay(t, err, base, "shared", "below it")
		mustHaveMode(t, base, mode|perm)
		mustBeAbsent(t, filepath.Join(base, "pod"))
		// Below it all is well.
		if _, err := runtimedir.Dir(filepath.Join(base, "mine")).RuntimeDir(t.Context(), "pod"); err != nil {
			t.Error(err)
		}
	}
}

// B12, B13: a base that belongs to somebody else is refused by an ordinary
// user, with both users in the message.
func TestForeignBaseRefused(t *testing.T) {
	if !ordinary(t) {
		return
	}
	for _, base := range []string{"/", "/usr", "/dev"} {
		dir, err := runtimedir.Dir(base).RuntimeDir(t.Context(), "pod")
		if dir != "" || !errors.Is(err, runtimedir.ErrInsecure) {
			t.Errorf("%s: got %q, %v", base, dir, err)
			continue
		}
		mustSay(t, err, base, "user 0", fmt.Sprintf("we are user %d", os.Geteuid()))
		mustBeAbsent(t, filepath.Join(base, "pod"))
	}
}

// B13: root too refuses what belongs to another user, the base as well as the
// pod's directory, and changes nothing about it.
func TestForeignOwnerRefused(t *testing.T) {
	needsRoot(t)
	root := tempDir(t)
	foreignBase := mkdir(t, 0o777, root, "foreign")
	base := mkdir(t, 0o700, root, "base")
	foreignPod := mkdir(t, 0o755, base, "pod")
	link := filepath.Join(root, "link")
	if err := os.Symlink(foreignBase, link); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{foreignBase, foreignPod} {
		if err := os.Chown(path, someoneElse, someoneElse); err != nil {
			t.Fatal(err)
		}
	}
	for base, says := range map[string]string{foreignBase: foreignBase, link: foreignBase, base: foreignPod} {
		dir, err := runtimedir.Dir(base).RuntimeDir(t.Context(), "pod")
		if dir != "" || !errors.Is(err, runtimedir.ErrInsecure) {
			t.Errorf("%s: got %q, %v", base, dir, err)
			continue
		}
		mustSay(t, err, says, fmt.Sprintf("belongs to user %d", someoneElse), "we are user 0")
	}
	mustHaveMode(t, foreignBase, fs.ModeDir|0o777)
	mustHaveMode(t, foreignPod, fs.ModeDir|0o755)
	mustBeAbsent(t, filepath.Join(foreignBase, "pod"))
}

// B14: a base may be a symbolic link, or lie behind one: it is resolved, and
// the path that is returned has no link in it.
func TestBaseIsASymlink(t *testing.T) {
	root := tempDir(t)
	real := mkdir(t, 0o777, root, "real")
	for name, target := range map[string]string{"link": real, "relative": "real", "chain": "link"} {
		if err := os.Symlink(target, filepath.Join(root, name)); err != nil {
			t.Fatal(err)
		}
	}
	for base, want := range map[string]string{
		"link":          real + "/pod",
		"relative":      real + "/pod",
		"chain":         real + "/pod",
		"link/deep/er":  real + "/deep/er/pod",
		"link/../real/": real + "/pod",
	} {
		dir, err := runtimedir.Dir(root+"/"+base).RuntimeDir(t.Context(), "pod")
		if err != nil || dir != want {
			t.Errorf("%s: got %q, %v, want %q", base, dir, err, want)
			continue
		}
		mustHaveMode(t, dir, fs.ModeDir|0o700)
	}
	mustHaveMode(t, real, fs.ModeDir|0o755)
}

// B14: a link that leads nowhere or in a circle is no base, and nothing is made
// where it points.
func TestBaseIsABrokenSymlink(t *testing.T) {
	root := tempDir(t)
	for name, target := range map[string]string{"dangling": "missing", "loop": "loop"} {
		if err := os.Symlink(target, filepath.Join(root, name)); err != nil {
			t.Fatal(err)
		}
	}
	for _, base := range []string{"dangling", "dangling/below", "loop", "loop/below"} {
		dir, err := runtimedir.Dir(root+"/"+base).RuntimeDir(t.Context(), "pod")
		if dir != "" || !errors.Is(err, runtimedir.ErrUnavailable) {
			t.Errorf("%s: got %q, %v", base, dir, err)
			continue
		}
		mustSay(t, err, root)
		if strings.HasPrefix(base, "dangling") {
			mustSay(t, err, root+"/dangling is a symbolic link that leads nowhere")
		}
	}
	mustBeAbsent(t, filepath.Join(root, "missing"))
}

// B14, B7: a pod's directory that is a symbolic link, or anything else that is
// no directory, is refused with its kind and its path, and neither it nor what
// it leads to is touched.
func TestPodDirIsNoDirectory(t *testing.T) {
	root := tempDir(t)
	victim := mkdir(t, 0o755, root, "victim")
	for kind, plant := range map[string]func(path string) error{
		"symbolic link": func(path string) error { return os.Symlink(victim, path) },
		"symbolic link; remove it": func(path string) error {
			return os.Symlink("../missing", path)
		},
		"file":   func(path string) error { return os.WriteFile(path, nil, 0o644) },
		"FIFO":   func(path string) error { return syscall.Mkfifo(path, 0o644) },
		"socket": bindSocket,
	} {
		t.Run(kind, func(t *testing.T) {
			// Short, so that a socket can be bound there.
			base, err := os.MkdirTemp("", "b")
			if err != nil {
				t.Fatal(err)
			}
			defer os.RemoveAll(base)
			if base, err = filepath.EvalSymlinks(base); err != nil {
				t.Fatal(err)
			}
			pod := filepath.Join(base, "pod")
			if err := plant(pod); err != nil {
				t.Fatal(err)
			}
			before, err := os.Lstat(pod)
			if err != nil {
				t.Fatal(err)
			}
			dir, err := runtimedir.Dir(base).RuntimeDir(t.Context(), "pod")
			if dir != "" || !errors.Is(err, runtimedir.ErrInsecure) {
				t.Fatalf("got %q, %v", dir, err)
			}
			mustSay(t, err, pod, kind, "remove it")
			mustHaveMode(t, pod, before.Mode())
		})
	}
	mustHaveMode(t, victim, fs.ModeDir|0o755)
	mustBeAbsent(t, filepath.Join(root, "missing"))
}

// bindSocket leaves a unix socket at path.
func bindSocket(path string) error {
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return err
	}
	l.SetUnlinkOnClose(false)
	return l.Close()
}

// A16: nothing is made once the context is done, and its cause is the error.
func TestContextDone(t *testing.T) {
	root := tempDir(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("given up")
	cancel(cause)
	dir, err := runtimedir.Dir(filepath.Join(root, "base")).RuntimeDir(ctx, "pod")
	if dir != "" || !errors.Is(err, cause) {
		t.Errorf("got %q, %v", dir, err)
	}
	mustBeAbsent(t, filepath.Join(root, "base"))
}

// D13: many goroutines may ask for the same name at once, where not even the
// base is there yet, and all get the same directory.
func TestConcurrent(t *testing.T) {
	base := filepath.Join(tempDir(t), "a", "b", "c")
	want := filepath.Join(base, "pod")
	start := make(chan struct{})
	var all sync.WaitGroup
	for range 32 {
		all.Go(func() {
			<-start
			dir, err := runtimedir.Dir(base).RuntimeDir(t.Context(), "pod")
			if err != nil || dir != want {
				t.Errorf("got %q, %v, want %q", dir, err, want)
			}
		})
	}
	close(start)
	all.Wait()
	mustHaveMode(t, want, fs.ModeDir|0o700)
	mustHaveMode(t, base, fs.ModeDir|0o700)
}

// E10: a directory that the pod which had the name before removes at this very
// moment is made again. A remover who never gives up would win some time; this
// one has nine tries for each launch.
func TestRemovedMeanwhile(t *testing.T) {
	base := t.TempDir()
	path := filepath.Join(base, "alice")
	var left, removed atomic.Int32
	over, stop := context.WithCancel(t.Context())
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		for over.Err() == nil {
			if left.Load() > 0 && os.Remove(path) == nil {
				left.Add(-1)
				removed.Add(1)
			}
			runtime.Gosched()
		}
	}()
	// However late the remover gets its turn, it is waited for.
	for i := 0; i < 2000 || removed.Load() < 20; i++ {
		left.Store(9)
		if _, err := runtimedir.Dir(base).RuntimeDir(t.Context(), "alice"); err != nil {
			t.Error(err)
			break
		}
	}
	stop()
	<-stopped
}

// Root does not make its base in the session directory of a user, where that user could not
// enter it any more.
func TestSessionOfAnotherUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give a directory away")
	}
	theirs := filepath.Join(t.TempDir(), "session")
	if err := errors.Join(os.Mkdir(theirs, 0o700), os.Chown(theirs, 1234, 1234)); err != nil {
		t.Fatal(err)
	}
	setChain(t, "INSOMNIA", map[string]string{"XDG_RUNTIME_DIR": theirs, home: t.TempDir()})
	_, err := runtimedir.User{}.RuntimeDir(t.Context(), "alice")
	mustBe(t, err, runtimedir.ErrInsecure)
	mustSay(t, err, "$XDG_RUNTIME_DIR", theirs, "another user", "$INSOMNIA_RUNTIME_DIR")
	if left, err := os.ReadDir(theirs); err != nil || len(left) > 0 {
		t.Errorf("there are %v, %v", left, err)
	}
}
