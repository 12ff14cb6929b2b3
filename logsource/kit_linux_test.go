package logsource_test

import (
	"errors"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"github.com/podlaunch/podlaunch/logsource"
	"github.com/podlaunch/podlaunch/logsource/logsourcetest"
)

// unwatchedVariable says that this process may have no watcher.
const unwatchedVariable = "LOGSOURCE_TEST_UNWATCHED"

// B27: a File that can have no watcher keeps the contract by polling.
func TestFileConformsWithoutWatcher(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped with -short: it needs a user namespace of its own")
	}
	if os.Getenv(unwatchedVariable) != "" {
		// It is a limit of the user namespace.
		must(t, os.WriteFile("/proc/sys/user/max_inotify_instances", []byte("0"), 0))
		if _, err := syscall.InotifyInit1(syscall.IN_CLOEXEC); !errors.Is(err, syscall.EMFILE) {
			t.Fatalf("inotify_init1: %v, want EMFILE", err)
		}
		logsourcetest.Test(t, func(*testing.T) logsource.Source { return logsource.File{} })
		return
	}
	exe, err := os.Executable()
	must(t, err)
	cmd := exec.CommandContext(t.Context(), exe, "-test.run=^TestFileConformsWithoutWatcher$")
	cmd.Env = append(os.Environ(), unwatchedVariable+"=1", "GORACE=atexit_sleep_ms=0")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
	}
	out, err := cmd.CombinedOutput()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Skipf("not run: no user namespace can be had here, which alone may have a limit of its own: %v", err)
	}
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
