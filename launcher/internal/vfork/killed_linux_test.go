//go:build linux && (amd64 || arm64)

package vfork

import (
	"os"
	"os/exec"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Where a filter ends a process that calls close_range(2), as systemd's SystemCallFilter does
// with a call that it does not know, the child dies before its exec. That is no success. Where
// it ends who calls clone3(2), only a child does so, and it is started another time without.
func TestChildDiesBeforeItsExec(t *testing.T) {
	calls := map[string]uint32{"close_range": unix.SYS_CLOSE_RANGE, "clone3": unix.SYS_CLONE3}
	killed := os.Getenv("VFORK_KILLED")
	if killed == "" {
		major, minor, err := kernel()
		if err != nil {
			t.Fatal(err)
		}
		if major < 5 || major == 5 && minor < 16 {
			t.Skip("it needs Linux 5.16: before, the kernel ends the parent with the child (docs/platforms.md)")
		}
		for call := range calls {
			cmd := exec.Command(os.Args[0], "-test.run=^TestChildDiesBeforeItsExec$", "-test.v")
			cmd.Env = append(os.Environ(), "VFORK_KILLED="+call)
			if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS") {
				t.Errorf("%s: %v\n%s", call, err, out)
			}
		}
		return
	}
	program := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0}, // the number of the call
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: calls[killed], Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_KILL_PROCESS},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	}
	filter := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	if _, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&filter))); errno != 0 {
		t.Fatal(errno)
	}
	before := descriptors(t)
	for range 2 {
		pid, pidfd, err := Start(&Program{Path: "/bin/true", Argv: []string{"true"}, Files: []int{-1, -1, -1}})
		if err != nil {
			if t.Log(err); killed == "clone3" {
				t.Errorf("%v, although it can be done without %s", err, killed)
			}
			continue
		}
		var status unix.WaitStatus
		unix.Wait4(pid, &status, 0, nil)
		unix.Close(pidfd)
		if killed == "close_range" || !status.Exited() || clearing.Load() != clearingRefused {
			t.Fatalf("Start has succeeded, and the child has ended with %#x; clearing is %d", status, clearing.Load())
		}
	}
	if after := descriptors(t); after != before {
		t.Errorf("descriptors before: %s, after: %s", before, after)
	}
}
