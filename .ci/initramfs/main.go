//go:build linux

// Command initramfs is the first process of a machine on which .ci/kernels tries a
// kernel. It mounts what programs expect, runs each program that /tests lists, prints
// what came of it, and turns the machine off.
package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// runner is the argument of the child that runs the programs. The first process itself
// only reaps, as tests expect of it.
const runner = "run"

func main() {
	if len(os.Args) > 1 && os.Args[1] == runner {
		if err := runAll("/tests"); err != nil {
			fmt.Println("RUNNER", err)
		}
		return
	}
	if err := prepare(); err != nil {
		fmt.Println("INIT", err)
	} else if err := reapUntilRun(); err != nil {
		fmt.Println("INIT", err)
	}
	syscall.Sync()
	syscall.Reboot(syscall.LINUX_REBOOT_CMD_POWER_OFF)
}

// prepare gives the bare machine what tests may expect.
func prepare() error {
	for _, m := range []struct{ kind, at, options string }{
		{"proc", "/proc", ""},
		{"sysfs", "/sys", ""},
		{"devtmpfs", "/dev", ""},
		{"devpts", "/dev/pts", "ptmxmode=666"},
		{"tmpfs", "/dev/shm", "mode=1777"},
		{"tmpfs", "/tmp", "mode=1777"},
		{"tmpfs", "/run", "mode=755"},
		{"cgroup2", "/sys/fs/cgroup", ""},
	} {
		if err := os.MkdirAll(m.at, 0o755); err != nil {
			return err
		}
		if err := syscall.Mount(m.kind, m.at, m.kind, 0, m.options); err != nil {
			return fmt.Errorf("mount %s at %s: %w", m.kind, m.at, err)
		}
	}
	for name, target := range map[string]string{"/dev/fd": "/proc/self/fd", "/dev/stdin": "fd/0", "/dev/stdout": "fd/1", "/dev/stderr": "fd/2"} {
		if err := os.Symlink(target, name); err != nil {
			return err
		}
	}
	out, err := exec.Command("/bin/busybox", "--install", "-s", "/bin").CombinedOutput()
	if err != nil {
		return fmt.Errorf("busybox: %w: %s", err, out)
	}
	out, err = exec.Command("/bin/ip", "link", "set", "lo", "up").CombinedOutput()
	if err != nil {
		return fmt.Errorf("ip: %w: %s", err, out)
	}
	return nil
}

// reapUntilRun reaps every orphan until the runner has ended.
func reapUntilRun() error {
	pid, err := syscall.ForkExec("/proc/self/exe", []string{"init", runner}, &syscall.ProcAttr{
		Env:   []string{"PATH=/bin", "HOME=/root", "TMPDIR=/tmp", "PODLAUNCH_TEST_POD=/bin/fakepod"},
		Files: []uintptr{0, 1, 2},
		Sys:   &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		return err
	}
	for {
		switch got, err := syscall.Wait4(-1, nil, 0, nil); {
		case got == pid:
			return nil
		case err != nil && err != syscall.EINTR:
			return err
		}
	}
}

// runAll runs what a file lists: in each line a name, a directory, a program in it and
// the program's arguments.
func runAll(path string) error {
	list, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var name syscall.Utsname
	if err := syscall.Uname(&name); err != nil {
		return err
	}
	release := make([]byte, 0, len(name.Release))
	for _, c := range name.Release {
		if c == 0 {
			break
		}
		release = append(release, byte(c))
	}
	fmt.Printf("\nKERNEL %s\n", release) // the firmware ends no line
	for line := range strings.Lines(string(list)) {
		if f := strings.Fields(line); len(f) >= 3 {
			run(f[0], f[1], f[2], f[3:])
		}
	}
	return nil
}

// run runs one program and prints its result. All that it says is printed only if it
// fails, for the console of an emulated machine is slow.
func run(name, dir, program string, args []string) {
	cmd := exec.Command(filepath.Join(dir, program), args...)
	cmd.Dir = dir
	began := time.Now()
	out, err := cmd.CombinedOutput()
	took := time.Since(began).Round(time.Second)
	passed, skipped, failed := 0, 0, 0
	lines := bufio.NewScanner(bytes.NewReader(out))
	lines.Buffer(nil, 1<<20)
	for last := ""; lines.Scan(); last = lines.Text() {
		switch line := lines.Text(); {
		case strings.HasPrefix(line, "--- PASS"):
			passed++
		case strings.HasPrefix(line, "--- FAIL"):
			failed++
		case strings.HasPrefix(line, "=== ATTR"):
			fmt.Println(strings.TrimPrefix(line, "=== "))
		case strings.HasPrefix(line, "--- SKIP"):
			skipped++
			fmt.Printf("SKIP %s %s %s\n", name, strings.TrimPrefix(line, "--- SKIP: "), strings.TrimSpace(last))
		}
	}
	verdict := "ok"
	if err != nil || failed > 0 {
		verdict = "FAILED"
		fmt.Printf("FAILED %s: %v\n%s\n", name, err, out)
	}
	fmt.Printf("RESULT %s %s %d %d %d %v\n", name, verdict, passed, skipped, failed, took)
}
