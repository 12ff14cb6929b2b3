package logsource_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/podlaunch/podlaunch/logsource"
	"github.com/podlaunch/podlaunch/runtimedir/conformance"
)

// opened is a log that is closed when the test ends.
func opened(t *testing.T, f logsource.File, dir string) *logsource.Log {
	t.Helper()
	log, err := f.Open(t.Context(), logsource.Launch{Name: "pod", Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		log.Sink.Close() // the test may have done so
		if err := log.Close(); err != nil {
			t.Errorf("closing the log: %v", err)
		}
	})
	return log
}

func put(t *testing.T, log *logsource.Log, text string) {
	t.Helper()
	if _, err := log.Sink.WriteString(text); err != nil {
		t.Fatal(err)
	}
}

func mustHold(t *testing.T, path, want string) {
	t.Helper()
	got, err := os.ReadFile(path)
	if err != nil {
		t.Error(err)
	} else if d := differ(want, string(got)); d != "" {
		t.Errorf("%s holds %s", filepath.Base(path), d)
	}
}

// Row 4, E11: each launch has a fresh inode and keeps one log before it. An
// earlier pod that is still writing writes into its own.
func TestFileKeepsThePreviousLog(t *testing.T) {
	leavesNothing(t)
	dir := t.TempDir()
	path := filepath.Join(dir, logsource.DefaultName)
	var infos []fs.FileInfo
	var logs []*logsource.Log
	for i := range 4 {
		log := opened(t, logsource.File{}, dir)
		if log.Path != path {
			t.Errorf("Path is %q, want %q", log.Path, path)
		}
		mustHold(t, path, "")
		put(t, log, fmt.Sprintf("launch %d\n", i))
		fi, err := log.Sink.Stat()
		if err != nil {
			t.Fatal(err)
		}
		for j, other := range infos {
			if os.SameFile(fi, other) {
				t.Errorf("launches %d and %d share a file", i, j)
			}
		}
		infos, logs = append(infos, fi), append(logs, log)
	}
	put(t, logs[2], "still here\n")
	put(t, logs[0], "so am I\n")
	mustHold(t, path, "launch 3\n")
	mustHold(t, path+".1", "launch 2\nstill here\n")
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 2 {
		t.Errorf("the directory holds %v, %v; want two files", entries, err)
	}
}

// Row 4: another name is another log, and is kept in the same way.
func TestFileName(t *testing.T) {
	leavesNothing(t)
	for _, name := range []string{
		"out.log", "-", "...", " ", "a\nb", "\xff",
		strings.Repeat("n", 255-len(".1")), // the longest that can be kept
	} {
		t.Run(fmt.Sprintf("%.10q", name), func(t *testing.T) {
			dir := t.TempDir()
			put(t, opened(t, logsource.File{Name: name}, dir), "first")
			put(t, opened(t, logsource.File{Name: name}, dir), "second")
			mustHold(t, filepath.Join(dir, name), "second")
			mustHold(t, filepath.Join(dir, name+".1"), "first")
		})
	}
}

// A name that leads elsewhere, or that could not be kept by the next launch,
// is refused by the first.
func TestFileBadName(t *testing.T) {
	for _, name := range []string{
		".", "..", "/", "a/b", "../a", "a/", "/abs", "./a", "a\x00b",
		strings.Repeat("n", 255-len(".1")+1), strings.Repeat("n", 256),
	} {
		t.Run(fmt.Sprintf("%.10q", name), func(t *testing.T) {
			refused(t, t.Context(), logsource.File{Name: name}, t.TempDir(), nil)
		})
	}
}

// refused makes sure that Open fails with target (nil: with anything), at once,
// and leaves neither a descriptor nor a new file. It returns the error.
func refused(t *testing.T, ctx context.Context, f logsource.File, dir string, target error) (err error) {
	t.Helper()
	before, files := conformance.Take(), listing(t, dir)
	within(t, "Open", func() {
		var log *logsource.Log
		log, err = f.Open(ctx, logsource.Launch{Name: "pod", Dir: dir})
		if log != nil || err == nil {
			t.Errorf("Open returned %v, %v; want an error alone", log, err)
		}
		if target != nil && !errors.Is(err, target) {
			t.Errorf("the error is %q, want %q", err, target)
		}
	})
	if left := before.Left(0, watcher...); left != nil {
		t.Errorf("left behind: %q", left)
	}
	if after := listing(t, dir); after != files {
		t.Errorf("the directory holds\n%s; it did hold\n%s", after, files)
	}
	return err
}

// listing tells the names, types and modes of what is in dir.
func listing(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTDIR) {
		t.Fatal(err)
	}
	for _, e := range entries {
		fi, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "%v %s\n", fi.Mode(), e.Name())
	}
	return b.String()
}

// An error of the directory is the system's own, and a context that is done
// keeps anything from being made.
func TestFileOpenFails(t *testing.T) {
	t.Run("no directory", func(t *testing.T) {
		refused(t, t.Context(), logsource.File{}, filepath.Join(t.TempDir(), "missing"), fs.ErrNotExist)
	})
	t.Run("a file instead", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		refused(t, t.Context(), logsource.File{}, path, nil)
	})
	t.Run("context", func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(errTest)
		refused(t, ctx, logsource.File{}, t.TempDir(), errTest)
	})
}

// B15, B16: if something other than an ordinary file stands where the log or the
// log before it should be, Open names it at once and leaves it as it is.
func TestFileNotRegular(t *testing.T) {
	for _, c := range []struct {
		name, told string
		make       func(t *testing.T, path, victim string)
	}{
		{"symbolic link", "symbolic link", func(t *testing.T, path, victim string) {
			must(t, os.Symlink(victim, path))
		}},
		{"dangling link", "symbolic link", func(t *testing.T, path, victim string) {
			must(t, os.Symlink(victim+".missing", path))
		}},
		{"link to itself", "symbolic link", func(t *testing.T, path, _ string) {
			must(t, os.Symlink(filepath.Base(path), path))
		}},
		{"FIFO", "FIFO", func(t *testing.T, path, _ string) {
			must(t, syscall.Mkfifo(path, 0o600))
		}},
		{"directory", "directory", func(t *testing.T, path, _ string) {
			must(t, os.Mkdir(path, 0o700))
		}},
		{"full directory", "directory", func(t *testing.T, path, victim string) {
			must(t, os.Mkdir(path, 0o700))
			must(t, os.Link(victim, filepath.Join(path, "inside")))
		}},
		{"device", "device", func(t *testing.T, path, _ string) {
			// The one device that anybody may make.
			must(t, syscall.Mknod(path, syscall.S_IFCHR|0o600, 0))
		}},
		{"socket", "socket", func(t *testing.T, path, _ string) {
			l, err := net.ListenUnix("unix", &net.UnixAddr{Name: short(t, path), Net: "unix"})
			must(t, err)
			t.Cleanup(func() { l.Close() })
		}},
	} {
		for _, place := range []string{logsource.DefaultName, logsource.DefaultName + ".1"} {
			t.Run(c.name+"/"+place, func(t *testing.T) { leftAsItIs(t, place, c.told, c.make) })
		}
	}
}

// leftAsItIs has something made in place, and Open refuse it, twice.
func leftAsItIs(t *testing.T, place, told string, irregular func(t *testing.T, path, victim string)) {
	t.Helper()
	leavesNothing(t)
	dir := t.TempDir()
	victim := filepath.Join(t.TempDir(), "victim")
	must(t, os.WriteFile(victim, []byte("precious"), 0o640))
	log := filepath.Join(dir, logsource.DefaultName)
	if place != logsource.DefaultName {
		must(t, os.WriteFile(log, []byte("earlier"), 0o600))
	}
	irregular(t, filepath.Join(dir, place), victim)
	for range 2 {
		err := refused(t, t.Context(), logsource.File{}, dir, logsource.ErrNotRegular)
		for _, part := range []string{place, told, "remove it"} {
			if !strings.Contains(fmt.Sprint(err), part) {
				t.Errorf("the message lacks %q: %v", part, err)
			}
		}
	}
	mustHold(t, victim, "precious")
	if place != logsource.DefaultName {
		mustHold(t, log, "earlier")
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// short returns a way to path that fits into the address of a socket.
func short(t *testing.T, path string) string {
	t.Helper()
	link, err := os.MkdirTemp("", "s")
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(link) })
	must(t, os.Symlink(filepath.Dir(path), filepath.Join(link, "d")))
	return filepath.Join(link, "d", filepath.Base(path))
}

// B17: a file that has other names as well is moved, never written to. When
// the log and the one before it are one file, a rename alone does nothing
// (rename(2)).
func TestFileHardLink(t *testing.T) {
	const log, kept = logsource.DefaultName, logsource.DefaultName + ".1"
	for _, c := range []struct {
		name  string
		links []string // to the victim
	}{
		{"the log", []string{log}},
		{"the one before", []string{kept}},
		{"both", []string{log, kept}},
	} {
		t.Run(c.name, func(t *testing.T) {
			leavesNothing(t)
			dir := t.TempDir()
			victim := filepath.Join(t.TempDir(), "victim")
			must(t, os.WriteFile(victim, []byte("precious"), 0o600))
			for _, link := range c.links {
				must(t, os.Link(victim, filepath.Join(dir, link)))
			}
			put(t, opened(t, logsource.File{}, dir), "first")
			put(t, opened(t, logsource.File{}, dir), "second")
			mustHold(t, filepath.Join(dir, log), "second")
			mustHold(t, filepath.Join(dir, kept), "first")
			mustHold(t, victim, "precious")
		})
	}
}

// B19: the mode is 0600 under any umask.
func TestFileMode(t *testing.T) {
	for _, umask := range []string{"000", "022", "0777"} {
		if out, err := child(t, "umask", umask, t.TempDir()).CombinedOutput(); err != nil {
			t.Errorf("umask %s: %v\n%s", umask, err, out)
		}
	}
}

func childUmask(args []string) error {
	umask, dir := args[0], args[1]
	mask, err := strconv.ParseInt(umask, 8, 0)
	if err != nil {
		return err
	}
	syscall.Umask(int(mask))
	for range 2 {
		log, err := logsource.File{}.Open(context.Background(), logsource.Launch{Dir: dir})
		if err != nil {
			return err
		}
		defer log.Close()
		defer log.Sink.Close()
	}
	for _, name := range []string{logsource.DefaultName, logsource.DefaultName + ".1"} {
		fi, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			return err
		}
		if fi.Mode() != 0o600 {
			return fmt.Errorf("%s has mode %v", name, fi.Mode())
		}
	}
	return nil
}

// C23: the sink appends, so a log that is truncated in place begins anew,
// without a hole; a program that is started meanwhile does not inherit it.
func TestFileSink(t *testing.T) {
	leavesNothing(t)
	log := opened(t, logsource.File{}, t.TempDir())
	put(t, log, strings.Repeat("old", 1000))
	must(t, os.Truncate(log.Path, 0))
	put(t, log, "new")
	mustHold(t, log.Path, "new")
	flags, _, errno := syscall.Syscall(syscall.SYS_FCNTL, log.Sink.Fd(), syscall.F_GETFD, 0)
	if errno != 0 || flags&syscall.FD_CLOEXEC == 0 {
		t.Errorf("F_GETFD: %x, %v; want FD_CLOEXEC", flags, errno)
	}
}

// D13: any number of launches may open one directory at the same time. Each
// gets a log of its own, and reads back all of it.
func TestFileOpenAtOnce(t *testing.T) {
	leavesNothing(t)
	for range 20 {
		dir := t.TempDir()
		var all sync.WaitGroup
		start := make(chan struct{})
		logs := make([]*logsource.Log, 10)
		errs := make([]error, len(logs))
		for i := range logs {
			all.Go(func() {
				<-start
				logs[i], errs[i] = logsource.File{}.Open(t.Context(), logsource.Launch{Dir: dir})
			})
		}
		close(start)
		all.Wait()
		for i, log := range logs {
			if errs[i] != nil {
				t.Errorf("launch %d: %v", i, errs[i])
				continue
			}
			put(t, log, fmt.Sprint("launch ", i))
			log.Sink.Close()
		}
		for i, log := range logs {
			if log == nil {
				continue
			}
			if got, err := readNow(log); got != fmt.Sprint("launch ", i) || !errors.Is(err, errTest) {
				t.Errorf("launch %d reads %q, %v", i, got, err)
			}
			must(t, log.Close())
		}
	}
}

// B14, B18: Open does not follow a symbolic link in the directory's place. Where the
// directory is open already, it does not matter what stands there.
func TestFileDirectory(t *testing.T) {
	leavesNothing(t)
	dir, victim := filepath.Join(t.TempDir(), "dir"), t.TempDir()
	must(t, os.Mkdir(dir, 0o700))
	must(t, os.WriteFile(filepath.Join(victim, logsource.DefaultName), []byte("precious"), 0o600))
	root, err := os.OpenRoot(dir)
	must(t, err)
	defer root.Close()
	must(t, os.Rename(dir, dir+".moved"))
	must(t, os.Symlink(victim, dir))
	before := listing(t, victim)

	if log, err := (logsource.File{}).Open(t.Context(), logsource.Launch{Name: "pod", Dir: dir}); log != nil || !strings.Contains(fmt.Sprint(err), "is a symbolic link; remove it") {
		t.Errorf("through a link Open returned %v, %v", log, err)
	}
	log, err := logsource.File{}.Open(t.Context(), logsource.Launch{Name: "pod", Dir: dir, Root: root})
	must(t, err)
	defer log.Close()
	defer log.Sink.Close()
	put(t, log, "text")
	mustHold(t, filepath.Join(dir+".moved", logsource.DefaultName), "text")
	if log.Path != filepath.Join(dir, logsource.DefaultName) {
		t.Errorf("Path is %q", log.Path)
	}
	mustHold(t, filepath.Join(victim, logsource.DefaultName), "precious")
	if after := listing(t, victim); after != before {
		t.Errorf("the victim holds\n%s; it did hold\n%s", after, before)
	}
	if _, err := root.Stat("."); err != nil {
		t.Errorf("Root is the caller's, and was closed: %v", err)
	}
}

// B15: a log that has become a link is not followed to where that leads.
func TestFollowOfALink(t *testing.T) {
	leavesNothing(t)
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "secret"), []byte("precious"), 0o600))
	must(t, os.Symlink("secret", filepath.Join(dir, "link")))
	r, err := logsource.Follow(t.Context(), filepath.Join(dir, "link"), true)
	if r != nil || !errors.Is(err, logsource.ErrNotRegular) || !strings.Contains(err.Error(), "symbolic link") {
		t.Errorf("Follow returned %v, %v, want %v", r, err, logsource.ErrNotRegular)
	}
}

// What a pod inherits as its stderr appends, blocks, and does nothing else.
func TestSinkFlags(t *testing.T) {
	log := opened(t, logsource.File{}, t.TempDir())
	flags, err := unix.FcntlInt(log.Sink.Fd(), unix.F_GETFL, 0)
	if got := flags & (unix.O_ACCMODE | unix.O_APPEND | unix.O_NONBLOCK | unix.O_ASYNC | unix.O_SYNC); err != nil || got != unix.O_WRONLY|unix.O_APPEND {
		t.Errorf("its flags are %#o (%v), want %#o", got, err, unix.O_WRONLY|unix.O_APPEND)
	}
}
