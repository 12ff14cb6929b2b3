//go:build linux

package kernels_test

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/podlaunch/podlaunch/launcher/internal/osproc"
)

// lost is what the table in docs/platforms.md says, by its first column: has reports
// whether the kernel has it. The error is that of a filter of system calls, or of a missing
// right.
var lost = map[string]func(t *testing.T) (has bool, err error){
	"6.15": tellsAfar,
	"6.9":  signalsGroup,
	"6.2":  countsDescriptors,
	"5.16": outlivesChild,
	"5.14": killsCgroup,
	"5.9":  closesRange,
	"5.7":  startsInCgroup,
	"5.4":  waitsOnPidfd,
	"5.3":  opensPidfd,
}

// Every row of the table has a check, and is true of this kernel.
func TestLost(t *testing.T) {
	rows := tableRows(t)
	for version := range lost {
		if !slices.Contains(rows, version) {
			t.Errorf("docs/platforms.md says nothing of Linux %s", version)
		}
	}
	major, minor := kernel(t)
	for _, version := range rows {
		t.Run(version, func(t *testing.T) {
			check := lost[version]
			if check == nil {
				t.Fatal("docs/platforms.md has a row that nothing checks")
			}
			var since [2]int
			if _, err := fmt.Sscanf(version, "%d.%d", &since[0], &since[1]); err != nil {
				t.Fatal(err)
			}
			want := major > since[0] || major == since[0] && minor >= since[1]
			has, err := check(t)
			if want && (errors.Is(err, fs.ErrPermission) || errors.Is(err, unix.ENOSYS)) {
				t.Skipf("it is refused to this process: %v", err)
			}
			t.Attr("there", map[bool]string{true: "yes", false: "no"}[has])
			if has != want {
				t.Errorf("Linux %d.%d: it is there: %v (%v), and the table says: %v", major, minor, has, err, want)
			}
		})
	}
}

// tableRows returns the first column of the table.
func tableRows(t *testing.T) (versions []string) {
	t.Helper()
	f, err := os.Open(filepath.FromSlash("../../../docs/platforms.md"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	row := regexp.MustCompile(`^\| (\d+\.\d+) \|`)
	in := false
	for lines := bufio.NewScanner(f); lines.Scan(); {
		in = in && lines.Text() != "" || lines.Text() == "| before Linux | then |"
		if m := row.FindStringSubmatch(lines.Text()); in && m != nil {
			versions = append(versions, m[1])
		}
	}
	if len(versions) == 0 {
		t.Fatal("docs/platforms.md has no such table")
	}
	return versions
}

func kernel(t *testing.T) (major, minor int) {
	t.Helper()
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Sscanf(unix.ByteSliceToString(name.Release[:]), "%d.%d", &major, &minor); err != nil {
		t.Fatal(err)
	}
	return major, minor
}

// start starts sh with a script, in a group of its own, and returns its pid and a pidfd.
// It is killed and reaped when the test ends.
func start(t *testing.T, script string) (pid, pidfd int) {
	t.Helper()
	cmd := exec.Command("/bin/sh", "-c", script)
	pidfd = -1
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, PidFD: &pidfd}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		cmd.Wait()
		unix.Close(pidfd)
	})
	if pidfd < 0 {
		t.Fatal("the child has no pidfd")
	}
	return cmd.Process.Pid, pidfd
}

// tellsAfar reports whether a process that is not the parent learns how a process ended,
// even after the parent has reaped it.
func tellsAfar(t *testing.T) (bool, error) {
	// What runs behind & has no standard input.
	cmd := exec.Command("/bin/sh", "-c", `/bin/sh -c 'echo $$; read -r line <&3; exit 3' & wait $!`)
	in, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	defer w.Close()
	cmd.ExtraFiles = []*os.File{in}
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	var pid int
	if _, err := fmt.Fscan(out, &pid); err != nil {
		t.Fatal(err)
	}
	id, err := osproc.Identify(pid)
	if err != nil {
		t.Fatal(err)
	}
	p, err := osproc.Adopt(id)
	if err != nil {
		w.Close()
		return false, err
	}
	defer p.Release()
	fmt.Fprintln(w)
	exit, err := p.Wait(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if exit.Known && exit.Code != 3 {
		t.Errorf("it ended with %d, not 3", exit.Code)
	}
	return exit.Known, nil
}

// signalsGroup: a pidfd signals a whole group.
func signalsGroup(t *testing.T) (bool, error) {
	_, pidfd := start(t, "sleep 1000 & wait")
	err := unix.PidfdSendSignal(pidfd, 0, nil, 1<<2) // PIDFD_SIGNAL_PROCESS_GROUP
	return err == nil, err
}

// countsDescriptors: the size of /proc/self/fd is the number of descriptors.
func countsDescriptors(t *testing.T) (bool, error) {
	fi, err := os.Stat("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return fi.Size() > 0, nil
}

// cgroup makes a cgroup for the test.
func cgroup(t *testing.T) string {
	t.Helper()
	const mount = "/sys/fs/cgroup"
	var fs unix.Statfs_t
	if err := unix.Statfs(mount, &fs); err != nil || fs.Type != unix.CGROUP2_SUPER_MAGIC {
		t.Skipf("it needs cgroup v2 at %s (%v)", mount, err)
	}
	dir, err := os.MkdirTemp(mount, "kernels")
	if err != nil {
		t.Skipf("it needs the right to make a cgroup: %v", err)
	}
	t.Cleanup(func() { os.Remove(dir) })
	return dir
}

// killsCgroup: there is a cgroup.kill.
func killsCgroup(t *testing.T) (bool, error) {
	_, err := os.Stat(filepath.Join(cgroup(t), "cgroup.kill"))
	return err == nil, nil
}

// closesRange: there is close_range(2).
func closesRange(*testing.T) (bool, error) {
	err := unix.CloseRange(1<<30, 1<<30, 0)
	return err == nil, err
}

// startsInCgroup: a child starts in a cgroup (CLONE_INTO_CGROUP).
func startsInCgroup(t *testing.T) (bool, error) {
	dir, err := os.Open(cgroup(t))
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	cmd := exec.Command("/bin/true")
	cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(dir.Fd())}
	err = cmd.Run()
	runtime.KeepAlive(dir)
	return err == nil, err
}

// waitsOnPidfd: waitid(2) takes a pidfd.
func waitsOnPidfd(t *testing.T) (bool, error) {
	_, pidfd := start(t, "read -r line")
	err := unix.Waitid(unix.P_PIDFD, pidfd, nil, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil)
	return err == nil, err
}

// opensPidfd: there is pidfd_open(2).
func opensPidfd(*testing.T) (bool, error) {
	pidfd, err := unix.PidfdOpen(os.Getpid(), 0)
	if err == nil {
		unix.Close(pidfd)
	}
	return err == nil, err
}
