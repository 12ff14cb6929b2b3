//go:build linux && (amd64 || arm64)

package vfork

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// output starts script with sh, in a child that has the null device for 0, a pipe for 1
// and 2 and given, which are descriptors from 3 on, and returns what it says.
func output(t *testing.T, p Program, script string, given ...int) string {
	t.Helper()
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	p.Path, p.Argv = "/bin/sh", []string{"sh", "-c", script}
	p.Files = append([]int{int(null.Fd()), int(w.Fd()), int(w.Fd())}, given...)
	pid, pidfd, err := Start(&p)
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	out, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	reap(pid, pidfd)
	return string(out)
}

// bothWays runs f as the kernel lets it, and with children that forget the handlers of signals
// themselves.
func bothWays(t *testing.T, f func(t *testing.T)) {
	defer clearing.Store(clearing.Load())
	for name, way := range map[string]int32{"as the kernel lets it": clearingUnknown, "without clone3": clearingRefused} {
		clearing.Store(way)
		t.Run(name, f)
	}
}

// A child has the descriptors that it was given, each in its place, and no other one,
// however high.
func TestFiles(t *testing.T) {
	high, err := unix.FcntlInt(uintptr(open(t, "/dev/zero")), unix.F_DUPFD, 700) // not closed on exec
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(high)
	null, zero, full := open(t, "/dev/null"), open(t, "/dev/zero"), open(t, "/dev/full")
	for _, given := range [][]int{
		nil,
		{-1, -1, null},
		{zero, -1, -1, null, -1, full},
		{full, zero, null, null, zero},
		{-1, high, 3, 4, 5, 6, 7}, // what this program has there, or nothing
	} {
		p := Program{Env: []string{"A=b"}}
		for i, fd := range given {
			if fd >= 0 && fd < 10 {
				if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil {
					given[i] = -1
				}
			}
		}
		got := output(t, p, "ls -l /proc/$$/fd", given...)
		want := []string{"0 /dev/null", "1 pipe", "2 pipe"}
		for i, fd := range given {
			if fd < 0 {
				continue
			}
			switch name, _ := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd)); {
			case strings.HasPrefix(name, "/dev/"):
				want = append(want, fmt.Sprintf("%d %s", 3+i, name))
			case strings.HasPrefix(name, "pipe:"):
				want = append(want, fmt.Sprintf("%d pipe", 3+i))
			}
		}
		var lines []string
		for _, m := range regexp.MustCompile(`(\d+ )-> (/dev/\w+|pipe)`).FindAllStringSubmatch(got, -1) {
			lines = append(lines, m[1]+m[2])
		}
		slices.Sort(lines)
		slices.Sort(want)
		if !slices.Equal(lines, want) {
			t.Errorf("given %v: the child has\n%s\nwant\n%s", given, strings.Join(lines, "\n"), strings.Join(want, "\n"))
		}
	}
}

// open returns a descriptor of path until the test is over.
func open(t *testing.T, path string) int {
	t.Helper()
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return fd
}

// Descriptors trade places.
func TestFilesTradePlaces(t *testing.T) {
	const script = `a=$(readlink /proc/$$/fd/1); b=$(readlink /proc/$$/fd/2); echo $a $b >&2`
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	out, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	saved := [3]int{}
	for fd := 1; fd < 3; fd++ {
		if saved[fd], err = unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 10); err != nil {
			t.Fatal(err)
		}
	}
	unix.Dup3(int(out.Fd()), 1, unix.O_CLOEXEC)
	unix.Dup3(int(w.Fd()), 2, unix.O_CLOEXEC)
	pid, pidfd, err := Start(&Program{Path: "/bin/sh", Argv: []string{"sh", "-c", script}, Files: []int{-1, 2, 1}})
	for fd := 1; fd < 3; fd++ {
		unix.Dup3(saved[fd], fd, 0)
		unix.Close(saved[fd])
	}
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	reap(pid, pidfd)
	said, err := os.ReadFile(out.Name())
	if lines := strings.Fields(string(said)); err != nil || len(lines) != 2 || !strings.HasPrefix(lines[0], "pipe:") || lines[1] != out.Name() {
		t.Errorf("1 and 2 of the child are %q (%v), want a pipe and %s", said, err, out.Name())
	}
}

// In all that /proc tells, a child is as one of package os/exec is.
func TestLikeExec(t *testing.T) { bothWays(t, testLikeExec) }

func testLikeExec(t *testing.T) {
	c := make(chan os.Signal, 1)
	signal.Notify(c, unix.SIGUSR1)
	defer signal.Stop(c)
	signal.Ignore(unix.SIGUSR2)
	defer signal.Reset(unix.SIGUSR2)
	const script = `grep -v '^\(Pid\|PPid\|Tgid\|NSpid\|NStgid\|NSpgid\|NSsid\|VmPeak\|VmSize\|Vm.*\|Rss.*\|Cpus.*\|Mems.*\|FDSize\|SigQ\|.*ctxt_switches\):' /proc/self/status; cat /proc/self/limits; pwd; echo $A; cat /proc/self/oom_score_adj; cat /proc/$$/cmdline | tr '\0' ' '`
	for _, dir := range []string{"", "/usr"} {
		for _, setsid := range []bool{false, true} {
			got := output(t, Program{Env: []string{"A=b"}, Dir: dir, Setsid: setsid}, script)
			cmd := exec.Command("sh", "-c", script)
			cmd.Env, cmd.Dir, cmd.SysProcAttr = []string{"A=b"}, dir, &syscall.SysProcAttr{Setsid: setsid}
			want, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) || !strings.Contains(got, "SigIgn") {
				t.Errorf("in %q, a session: %v: the child is\n%q\none of package os/exec is\n%q", dir, setsid, got, want)
			}
		}
	}
}

// A child has a session of its own if it was asked for, and else that of its parent.
func TestSession(t *testing.T) {
	mine, _ := unix.Getsid(0)
	for _, own := range []bool{false, true} {
		got := output(t, Program{Setsid: own}, `read -r stat < /proc/self/stat; set -- $stat; echo $1 $6`)
		var pid, session int
		if _, err := fmt.Sscan(got, &pid, &session); err != nil || own != (pid == session) || !own && session != mine {
			t.Errorf("a session of its own: %v: pid and session are %q (%v), the parent's session is %d", own, got, err, mine)
		}
	}
}

// The limit on descriptors is what package os/exec gives, also after the program has
// changed its own.
func TestLimit(t *testing.T) {
	if os.Getenv("VFORK_LIMIT") != "" {
		var now unix.Rlimit
		if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &now); err != nil {
			t.Fatal(err)
		}
		if os.Getenv("VFORK_LIMIT") == "raise" {
			if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: now.Max, Max: now.Max}); err != nil {
				t.Fatal(err)
			}
		}
		want, err := exec.Command("sh", "-c", "ulimit -Sn; ulimit -Hn").Output()
		fmt.Printf("limits %q %q %v\n", output(t, Program{}, "ulimit -Sn; ulimit -Hn"), want, err)
		return
	}
	for _, c := range []struct{ limits, change, want string }{
		{"ulimit -Sn 100; ulimit -Hn 300", "keep", `limits "100\n300\n" "100\n300\n" <nil>`},
		{"ulimit -Sn 100; ulimit -Hn 300", "raise", `limits "300\n300\n" "300\n300\n" <nil>`},
		{"ulimit -Sn 300; ulimit -Hn 300", "keep", `limits "300\n300\n" "300\n300\n" <nil>`},
	} {
		cmd := exec.Command("/bin/sh", "-c", c.limits+`; exec "$0" -test.run=TestLimit`, os.Args[0])
		cmd.Env = append(os.Environ(), "VFORK_LIMIT="+c.change)
		out, err := cmd.CombinedOutput()
		if !strings.Contains(string(out), c.want) {
			t.Errorf("%s, and then %s: %v\n%s\nwant %s", c.limits, c.change, err, out, c.want)
		}
	}
}

// Errors are those of the system, and leave nothing: no child, and no descriptor.
func TestErrors(t *testing.T) {
	text := t.TempDir() + "/text"
	if err := os.WriteFile(text, []byte("no program"), 0o700); err != nil {
		t.Fatal(err)
	}
	before := descriptors(t)
	for _, c := range []struct {
		p    Program
		want error
	}{
		{Program{Path: "/nowhere"}, syscall.ENOENT},
		{Program{Path: "/dev/null"}, syscall.EACCES},
		{Program{Path: text}, syscall.ENOEXEC},
		{Program{Path: "/bin/true", Dir: "/nowhere"}, syscall.ENOENT},
		{Program{Path: "/bin/true", Dir: text}, syscall.ENOTDIR},
		{Program{Path: "/bin/true", Env: []string{strings.Repeat("x", 1<<18)}}, syscall.E2BIG},
		{Program{Path: "/bin/true\x00"}, syscall.EINVAL},
		{Program{Path: "/bin/true", Argv: []string{"\x00"}}, syscall.EINVAL},
		{Program{Path: "/bin/true", Env: []string{"\x00"}}, syscall.EINVAL},
		{Program{Path: "/bin/true", Dir: "\x00"}, syscall.EINVAL},
	} {
		if pid, pidfd, err := Start(&c.p); !errors.Is(err, c.want) || pid != 0 || pidfd != -1 {
			t.Errorf("Start(%.200v) = %d, %d, %v, want %v", c.p, pid, pidfd, err, c.want)
		}
	}
	if pid, err := unix.Wait4(-1, nil, unix.WNOHANG, nil); err != unix.ECHILD {
		t.Errorf("a child is left: %d, %v", pid, err)
	}
	if after := descriptors(t); after != before {
		t.Errorf("descriptors before:\n%s\nafter:\n%s", before, after)
	}
}

// descriptors lists those of this process.
func descriptors(t *testing.T) string {
	t.Helper()
	out, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(len(out))
}

// Many goroutines fork at once, and meanwhile grow their stacks, allocate and collect.
func TestMany(t *testing.T) { bothWays(t, testMany) }

func testMany(t *testing.T) {
	const goroutines, rounds = 16, 40
	stop := make(chan struct{})
	var busy, wg sync.WaitGroup
	for range 2 {
		busy.Add(1)
		go func() {
			defer busy.Done()
			for {
				select {
				case <-stop:
					return
				default:
					deep(200, bytes.Repeat([]byte("x"), 1<<10))
					runtime.GC()
				}
			}
		}()
	}
	for n := range goroutines {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := range rounds {
				word := fmt.Sprintf("%d-%d", n, i)
				if got := output(t, Program{Env: []string{"WORD=" + word}, Setsid: i%2 == 0}, "echo $WORD"); got != word+"\n" {
					t.Errorf("the child said %q, want %q", got, word)
				}
			}
		}()
	}
	wg.Wait()
	close(stop)
	busy.Wait()
}

// deep has a frame for each of n.
func deep(n int, data []byte) int {
	if n == 0 {
		return len(data)
	}
	var frame [64]byte
	copy(frame[:], data)
	return deep(n-1, frame[:]) + int(frame[0])
}

// A child shares no memory with the parent once it has executed, and the parent's
// handlers of signals are not called in it: those that come meanwhile are the parent's.
func TestSignalsMeanwhile(t *testing.T) { bothWays(t, testSignalsMeanwhile) }

func testSignalsMeanwhile(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped with -short: it starts many programs")
	}
	c := make(chan os.Signal, 1000)
	signal.Notify(c, unix.SIGUSR1)
	defer signal.Stop(c)
	stop := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
				unix.Kill(os.Getpid(), unix.SIGUSR1)
				runtime.Gosched()
			}
		}
	}()
	blocked := regexp.MustCompile(`SigBlk:\s*0+\n`)
	for range 200 {
		if got := output(t, Program{}, "cat /proc/self/status"); !blocked.MatchString(got) {
			t.Fatalf("signals are blocked in the child:\n%s", got)
		}
	}
	close(stop)
	<-done
}

// BenchmarkStart compares it with package syscall, which does not close anything.
func BenchmarkStart(b *testing.B) {
	argv, env := []string{"true"}, os.Environ()
	b.Run("vfork", func(b *testing.B) {
		for range b.N {
			pid, pidfd, err := Start(&Program{Path: "/bin/true", Argv: argv, Env: env, Setsid: true, Files: []int{0, 1, 2}})
			if err != nil {
				b.Fatal(err)
			}
			reap(pid, pidfd)
		}
	})
	b.Run("syscall", func(b *testing.B) {
		for range b.N {
			pidfd := -1
			pid, _, err := syscall.StartProcess("/bin/true", argv, &syscall.ProcAttr{Env: env, Files: []uintptr{0, 1, 2}, Sys: &syscall.SysProcAttr{Setsid: true, PidFD: &pidfd}})
			if err != nil {
				b.Fatal(err)
			}
			reap(pid, pidfd)
		}
	})
}

// While no descriptor is left there is an error, and once there is one it goes on: what is
// short is not refused for good.
func TestNoDescriptorIsLeft(t *testing.T) {
	var was unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &was); err != nil {
		t.Fatal(err)
	}
	defer unix.Setrlimit(unix.RLIMIT_NOFILE, &was)
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 3, Max: was.Max}); err != nil {
		t.Fatal(err)
	}
	p := Program{Path: "/bin/true", Argv: []string{"true"}, Files: []int{-1, -1, -1}}
	if pid, pidfd, err := Start(&p); err != syscall.EMFILE || pid != 0 || pidfd != -1 {
		t.Errorf("with no descriptor left Start = %d, %d, %v, want %v", pid, pidfd, err, syscall.EMFILE)
	}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &was); err != nil {
		t.Fatal(err)
	}
	pid, pidfd, err := Start(&p)
	if err != nil {
		t.Fatalf("with descriptors again: %v", err)
	}
	reap(pid, pidfd)
}
