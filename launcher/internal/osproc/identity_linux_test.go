package osproc_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/podlaunch/podlaunch/launcher/internal/osproc"
)

// roleVariable is set, to a role, for the processes that the tests start: they
// are this program.
const roleVariable = "PODLAUNCH_TEST_ROLE"

// oddName is a command name that imitates what follows it in /proc/PID/stat.
const oddName = ") Z 1 (x\n) "

func TestMain(m *testing.M) {
	// This binary, when it plays another process, need not linger for a second
	// under the race detector.
	os.Setenv("GORACE", "atexit_sleep_ms=0")
	role := os.Getenv(roleVariable)
	if os.Args[0] == "headless" { // without any variable
		role = os.Args[0]
	}
	switch role {
	case "":
		os.Exit(m.Run())
	case "wait":
		wait()
	case "odd": // under a name that is no name
		name := append([]byte(oddName), 0)
		runtime.LockOSThread() // in TestMain that is the main thread
		if _, _, errno := syscall.Syscall(syscall.SYS_PRCTL, unix.PR_SET_NAME, uintptr(unsafe.Pointer(&name[0])), 0); errno != 0 {
			fail(errno)
		}
		wait()
	case "headless": // with other threads than the main one
		go func() {
			runtime.LockOSThread()
			wait()
			os.Exit(0)
		}()
		runtime.LockOSThread()
		// Of this thread alone. A RawSyscall would take its processor along, which
		// with GOMAXPROCS=1 is the only one for the other threads.
		syscall.Syscall(syscall.SYS_EXIT, 0, 0, 0)
	case "identify": // itself
		_, err := osproc.Identify(os.Getpid())
		fmt.Println(err)
		if !errors.Is(err, errors.ErrUnsupported) {
			os.Exit(1)
		}
	case "elsewhen": // in another time namespace
		if err := elsewhen(); err != nil {
			fail(err)
		}
	case "apart":
		if err := apart(); err != nil {
			fail(err)
		}
	case "unproven":
		if err := unproven(); err != nil {
			fail(err)
		}
	case "hidden":
		if err := hidden(); err != nil {
			fail(err)
		}
	case "starved":
		if err := starved(os.Getenv("QUESTION")); err != nil {
			fail(err)
		}
	case "reexec":
		if err := reexec(); err != nil {
			fail(err)
		}
	case "again":
		if err := again(); err != nil {
			fail(err)
		}
	case "subreaper":
		if err := subreaper(); err != nil {
			fail(err)
		}
	case "keep":
		if err := keep(); err != nil {
			fail(err)
		}
	case "robbed", "heir":
		if err := inherit(role == "robbed"); err != nil {
			fail(err)
		}
	case "Kill", "KillGroup", "Adopt", "Start":
		if err := traced(role); err != nil {
			fail(err)
		}
	default:
		fail(fmt.Errorf("unknown role %q", role))
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// init locks the main thread for the roles of TestMain that are about it.
func init() { runtime.LockOSThread() }

// wait says that we are there, and waits for the end of stdin.
func wait() {
	fmt.Println("up")
	io.Copy(io.Discard, os.Stdin)
}

// A child is a process of this program in a role.
type child struct {
	*exec.Cmd
	in io.WriteCloser
}

func start(t *testing.T, role string, change ...func(*exec.Cmd)) child {
	t.Helper()
	c := exec.Command("/proc/self/exe")
	c.Env = append(os.Environ(), roleVariable+"="+role)
	c.Stderr = os.Stderr
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	for _, f := range change {
		f(c)
	}
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Process.Kill()
		c.Wait()
	})
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "up\n" {
		t.Fatalf("a child with the role %q does not come up: %q, %v", role, line, err)
	}
	return child{c, in}
}

// waitUnreaped waits until the child has ended, and leaves it a zombie.
func waitUnreaped(t *testing.T, pid int) {
	t.Helper()
	if err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil); err != nil {
		t.Fatal(err)
	}
}

func identify(t *testing.T, pid int) osproc.Identity {
	t.Helper()
	id, err := osproc.Identify(pid)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// D20, E2: a process is itself as long as it lives; a zombie is not alive,
// even if its parent never reaps it.
func TestIdentity(t *testing.T) {
	c := start(t, "wait")
	id := identify(t, c.Process.Pid)
	if id.PID != c.Process.Pid || id.Start == 0 || id.Boot == "" || id.PIDNamespace == "" {
		t.Errorf("%+v", id)
	}
	if self := identify(t, os.Getpid()); self.Boot != id.Boot || self.PIDNamespace != id.PIDNamespace || self == id {
		t.Errorf("we are %+v, and the child is %+v", self, id)
	}
	if err := id.Check(); err != nil {
		t.Error(err)
	}
	c.in.Close()
	waitUnreaped(t, id.PID)
	if err := id.Check(); !errors.Is(err, osproc.ErrGone) {
		t.Errorf("of a zombie Check returned %v", err)
	}
	c.Wait()
	if err := id.Check(); !errors.Is(err, osproc.ErrGone) {
		t.Errorf("of nobody Check returned %v", err)
	}
	if _, err := osproc.Identify(id.PID); !errors.Is(err, osproc.ErrGone) {
		t.Errorf("of nobody Identify returned %v", err)
	}
}

// E2, E7, E14: what differs in anything is another process, or none.
func TestIdentityOfAnother(t *testing.T) {
	c := start(t, "wait")
	for what, tc := range map[string]struct {
		change func(*osproc.Identity)
		want   error
	}{
		"earlier":     {func(id *osproc.Identity) { id.Start-- }, osproc.ErrStranger},
		"later":       {func(id *osproc.Identity) { id.Start++ }, osproc.ErrStranger},
		"never":       {func(id *osproc.Identity) { id.Start = 0 }, osproc.ErrStranger},
		"our own pid": {func(id *osproc.Identity) { id.PID, id.Start = os.Getpid(), 1 }, osproc.ErrStranger},
		"init":        {func(id *osproc.Identity) { id.PID = 1 }, osproc.ErrStranger},
		"our group":   {func(id *osproc.Identity) { id.PID = 0 }, osproc.ErrStranger},
		"everybody":   {func(id *osproc.Identity) { id.PID = -1 }, osproc.ErrStranger},
		"a group":     {func(id *osproc.Identity) { id.PID = -id.PID }, osproc.ErrStranger},
		"nobody":      {func(id *osproc.Identity) { id.PID = 1 << 30 }, osproc.ErrGone},
		"other boot":  {func(id *osproc.Identity) { id.Boot += "x" }, osproc.ErrGone},
		"elsewhere":   {func(id *osproc.Identity) { id.PIDNamespace = "pid:[1]" }, osproc.ErrElsewhere},
	} {
		id := identify(t, c.Process.Pid)
		tc.change(&id)
		if err := id.Check(); !errors.Is(err, tc.want) {
			t.Errorf("%s: Check returned %v, want %v", what, err, tc.want)
		}
	}
}

// Init is a process like any other, for it may launch pods: the entrypoint of a container does.
// It is no pod, and gets no signal.
func TestIdentityOfInit(t *testing.T) {
	init := identify(t, 1)
	if err := init.Check(); err != nil {
		t.Errorf("Check returned %v", err)
	}
	if err := osproc.Signal(init, 0); !errors.Is(err, osproc.ErrStranger) {
		t.Errorf("Signal returned %v", err)
	}
}

// startHeadless starts a process, and returns it once its main thread has ended.
func startHeadless(t *testing.T, change ...func(*exec.Cmd)) child {
	t.Helper()
	c := start(t, "headless", change...)
	// The threads end and start as they like; the state is that of the main one.
	for st, err := osproc.ReadStat(c.Process.Pid); st.State != 'Z'; st, err = osproc.ReadStat(c.Process.Pid) {
		if err != nil {
			t.Fatal(err)
		}
		runtime.Gosched()
	}
	return c
}

// startReexec starts a process that executes itself again and again, by another thread than its
// main one: a million times, unless change says otherwise.
func startReexec(t *testing.T, change ...func(*exec.Cmd)) child {
	t.Helper()
	c := exec.Command("/proc/self/exe")
	c.Env = append(os.Environ(), roleVariable+"=reexec", timesVariable+"=1000000")
	c.Stderr = os.Stderr
	for _, f := range change {
		f(c)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Process.Kill()
		c.Wait()
	})
	return child{Cmd: c}
}

// A process whose main thread has ended looks like a zombie, and lives, and still
// serves its sockets: a group that was killed is only gone when its threads are.
func TestIdentityWithoutMainThread(t *testing.T) {
	c := startHeadless(t)
	pid := c.Process.Pid
	id := identify(t, pid)
	if err := id.Check(); err != nil {
		t.Errorf("Check returned %v of a process that lives", err)
	}
	if members, err := osproc.GroupMembers(pid); err != nil || !slices.Equal(members, []int{pid}) {
		t.Errorf("GroupMembers returned %v, %v", members, err)
	}
	c.in.Close()
	waitUnreaped(t, pid)
	if err := id.Check(); !errors.Is(err, osproc.ErrGone) {
		t.Errorf("when it has ended, Check returned %v", err)
	}
}

// A process that executes itself in another thread than the first lives all the time.
func TestIdentityDuringExec(t *testing.T) {
	c := startReexec(t, func(c *exec.Cmd) { c.Env = append(c.Env, timesVariable+"=100") })
	id := identify(t, c.Process.Pid)
	looks, wrong := 0, 0
	for ; ; looks++ {
		if id.Check() == nil {
			continue
		}
		var ended unix.Siginfo // its Signo is 0 as long as the child runs
		if err := unix.Waitid(unix.P_PID, id.PID, &ended, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil); err != nil {
			t.Fatal(err)
		}
		if ended.Signo != 0 {
			break
		}
		wrong++
	}
	if wrong > 0 {
		t.Errorf("in %d of %d looks it was gone", wrong, looks)
	}
	if err := c.Wait(); err != nil {
		t.Error(err)
	}
}

// timesVariable says how often the role reexec executes this program again.
const timesVariable = "PODLAUNCH_TEST_TIMES"

func reexec() error {
	times, err := strconv.Atoi(os.Getenv(timesVariable))
	if err != nil || times == 0 {
		return err
	}
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	os.Setenv(timesVariable, strconv.Itoa(times-1))
	done := make(chan error) // TestMain has the first thread
	go func() { done <- syscall.Exec(exe, []string{exe}, os.Environ()) }()
	return <-done
}

// The command's name, which the process chooses, is not taken for the fields
// that follow it.
func TestReadStat(t *testing.T) {
	c := start(t, "odd")
	if comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", c.Process.Pid)); err != nil || string(comm) != oddName+"\n" {
		t.Fatalf("the child is called %q, %v", comm, err)
	}
	st, err := osproc.ReadStat(c.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	session, err := unix.Getsid(0)
	if err != nil {
		t.Fatal(err)
	}
	if st.Parent != os.Getpid() || st.Group != c.Process.Pid || st.Session != session || st.Threads < 1 || st.Dead() {
		t.Errorf("%+v, state %c", st, st.State)
	}
	if _, err := osproc.ReadStat(1 << 30); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("of nobody ReadStat returned %v", err)
	}
}

// A process says whether it has come to its exec: a shell has, and what it runs
// in brackets is a copy of the shell that has not.
func TestReadStatForked(t *testing.T) {
	sh := exec.Command("sh", "-c", "(echo forked; read line); read line")
	in, err := sh.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := sh.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := sh.Start(); err != nil {
		t.Fatal(err)
	}
	defer sh.Wait()
	defer in.Close()
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	pids, err := osproc.All()
	if err != nil {
		t.Fatal(err)
	}
	children := 0
	for _, pid := range pids {
		switch st, err := osproc.ReadStat(pid); {
		case err != nil: // it has just gone
		case pid == sh.Process.Pid && st.Forked:
			t.Errorf("the shell: %+v", st)
		case st.Parent == sh.Process.Pid:
			if children++; !st.Forked {
				t.Errorf("its copy: %+v", st)
			}
		}
	}
	if children != 1 {
		t.Errorf("the shell has %d children, want 1", children)
	}
}

// The members of a group are those that live.
func TestGroupMembers(t *testing.T) {
	leader := start(t, "wait")
	pid := leader.Process.Pid
	if members, err := osproc.GroupMembers(pid); err != nil || !slices.Equal(members, []int{pid}) {
		t.Errorf("GroupMembers returned %v, %v, want %d", members, err, pid)
	}
	pids, err := osproc.All()
	if err != nil || !slices.Contains(pids, pid) || !slices.Contains(pids, os.Getpid()) || slices.Contains(pids, 0) {
		t.Errorf("All returned %v, %v", pids, err)
	}
	leader.in.Close()
	waitUnreaped(t, pid)
	if members, err := osproc.GroupMembers(pid); err != nil || len(members) > 0 {
		t.Errorf("of a zombie GroupMembers returned %v, %v", members, err)
	}
}

// D19, B30: in a pid namespace whose /proc is another's, the numbers in it mean
// other processes: nobody is identified by them.
func TestProcOfAnotherNamespace(t *testing.T) {
	c := exec.Command("/proc/self/exe")
	c.Env = append(os.Environ(), roleVariable+"=identify")
	c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID}
	if os.Geteuid() != 0 {
		c.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
	}
	out, err := c.CombinedOutput()
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EACCES) {
		t.Skipf("not run, for no pid namespace can be made here: %v", err)
	}
	if err != nil {
		t.Errorf("%v: Identify returned %s", err, out)
	}
}

// A process has the same Identity in all time namespaces of its pid namespace.
func TestIdentityInAnotherTimeNamespace(t *testing.T) {
	c := start(t, "wait")
	id, err := json.Marshal(identify(t, c.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"--time", "--boottime", "100000"}
	if os.Geteuid() != 0 {
		args = append(args, "--user", "--map-current-user")
	}
	if out, err := exec.Command("unshare", append(args, "true")...).CombinedOutput(); err != nil {
		t.Skipf("not run, for no time namespace can be made here: %v\n%s", err, out)
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	unshare := exec.Command("unshare", append(args, exe)...)
	unshare.Env = append(os.Environ(), roleVariable+"=elsewhen", identityVariable+"="+string(id))
	if out, err := unshare.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

// identityVariable holds an Identity for the role elsewhen.
const identityVariable = "PODLAUNCH_TEST_IDENTITY"

// elsewhen is a role: it checks an Identity that was made in another time namespace,
// and makes the same one.
func elsewhen() error {
	var id osproc.Identity
	if err := json.Unmarshal([]byte(os.Getenv(identityVariable)), &id); err != nil {
		return err
	}
	if err := id.Check(); err != nil {
		return fmt.Errorf("Check returned %w", err)
	}
	if again, err := osproc.Identify(id.PID); err != nil || again != id {
		return fmt.Errorf("Identify returned %+v, %v; want %+v", again, err, id)
	}
	return nil
}

// Where the clock of a time namespace is no whole number of ticks away, the tick at which a
// process started may be another one: whether it is the same process cannot be told.
func TestIdentityApart(t *testing.T) {
	c := start(t, "wait")
	id, err := json.Marshal(identify(t, c.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	apart := exec.Command("/proc/self/exe")
	apart.Env = append(os.Environ(), roleVariable+"=apart", identityVariable+"="+string(id))
	out, err := apart.CombinedOutput()
	if bytes.Contains(out, []byte("time namespace: ")) {
		t.Skipf("not run, for no time namespace can be made here: %s", out)
	}
	if err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

// apart is a role: it makes a time namespace, and its child, of the same role, checks an
// Identity there.
func apart() error {
	var id osproc.Identity
	if err := json.Unmarshal([]byte(os.Getenv(identityVariable)), &id); err != nil {
		return err
	}
	const there = "there"
	if os.Args[0] != there {
		err := unix.Unshare(unix.CLONE_NEWTIME)
		if err == nil {
			err = os.WriteFile("/proc/self/timens_offsets", []byte("boottime 100 5000000\n"), 0)
		}
		if err != nil {
			return fmt.Errorf("time namespace: %w", err)
		}
		child := exec.Command("/proc/self/exe")
		child.Args[0], child.Stderr = there, os.Stderr
		return child.Run()
	}
	if err := id.Check(); !errors.Is(err, osproc.ErrElsewhere) || osproc.ProvesEnd(err) {
		return fmt.Errorf("Check returned %w", err)
	}
	own, err := osproc.Identify(os.Getpid())
	if err != nil {
		return err
	}
	return own.Check()
}

// B30: where /proc is missing or masked, nothing is started, and no error says that a
// process is not there; nor where /proc hides a process of ours that lives.
func TestWithoutProc(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("not run, for only root may mount a /proc and become another user")
	}
	for _, role := range []string{"unproven", "hidden"} {
		c := exec.Command("/proc/self/exe")
		c.Env = append(os.Environ(), roleVariable+"="+role)
		c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
		out, err := c.CombinedOutput()
		if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EACCES) {
			t.Skipf("not run, for no mount namespace can be made here: %v", err)
		}
		if err != nil {
			t.Errorf("%s: %v: %s", role, err, out)
		}
	}
}

// unproven is a role: it mounts an empty file over the boot id, and then an empty
// directory over /proc.
func unproven() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	id := osproc.Identity{PID: os.Getppid(), Start: 1}
	for _, mount := range [][3]string{{os.DevNull, "/proc/sys/kernel/random/boot_id", ""}, {"tmpfs", "/proc", "tmpfs"}} {
		flags := uintptr(unix.MS_BIND)
		if mount[2] != "" {
			flags = 0
		}
		if err := unix.Mount(mount[0], mount[1], mount[2], flags, ""); err != nil {
			return err
		}
		_, startErr := osproc.Start(context.Background(), osproc.Command{Path: "/bin/true"})
		_, idErr := osproc.Identify(os.Getpid())
		_, adoptErr := osproc.Adopt(id)
		for call, err := range map[string]error{"Start": startErr, "Identify": idErr, "Adopt": adoptErr, "Check": id.Check(), "KillGroup": osproc.KillGroup(id)} {
			if err := mustBeUnproven(err); err != nil {
				return fmt.Errorf("%s with %v: %w", call, mount, err)
			}
		}
		if pid, err := unix.Wait4(-1, nil, 0, nil); err != unix.ECHILD {
			return fmt.Errorf("with %v there is a child: %d, %v", mount, pid, err)
		}
	}
	return nil
}

func mustBeUnproven(err error) error {
	if !errors.Is(err, errors.ErrUnsupported) || errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "/proc") {
		return fmt.Errorf("the error is %w", err)
	}
	return nil
}

// hidden is a role: it asks about a program that may not be read, and so is hidden
// from its own user. It becomes another user than root, from whom /proc hides nothing.
func hidden() error {
	const nobody = 65534
	dir, err := os.MkdirTemp("", "hidden")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	program, err := os.ReadFile("/bin/cat")
	if err != nil {
		return err
	}
	cat := filepath.Join(dir, "cat")
	if err := errors.Join(os.Chmod(dir, 0o711), os.WriteFile(cat, program, 0o711)); err != nil {
		return err
	}
	c := exec.Command(cat)
	c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	stdin, err := c.StdinPipe()
	if err != nil {
		return err
	}
	if err := c.Start(); err != nil {
		return err
	}
	defer c.Wait()
	defer stdin.Close()
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	id, err := osproc.Identify(c.Process.Pid)
	if err != nil {
		return err
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	if err := unix.Mount("proc", "/proc", "proc", 0, "hidepid=2"); err != nil {
		return err
	}
	if err := errors.Join(syscall.Setgroups(nil), syscall.Setgid(nobody), syscall.Setuid(nobody)); err != nil {
		return err
	}
	if err := mustBeUnproven(id.Check()); err != nil {
		return err
	}
	others := id
	others.PID = os.Getppid()
	if err := mustBeUnproven(others.Check()); err != nil {
		return fmt.Errorf("another user's process: %w", err)
	}
	stdin.Close()
	if err := unix.Waitid(unix.P_PID, id.PID, nil, unix.WEXITED|unix.WNOWAIT, nil); err != nil {
		return err
	}
	if err := id.Check(); !errors.Is(err, osproc.ErrGone) {
		return fmt.Errorf("when it has ended Check returned %w", err)
	}
	return nil
}
