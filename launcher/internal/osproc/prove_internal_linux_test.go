package osproc

import (
	"errors"
	"os"
	"os/exec"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"
)

// Prove calls the proof only for a process that lives, and returns no process that has ended
// meanwhile.
func TestProve(t *testing.T) {
	refused := errors.New("refused")
	cmd := exec.Command("sleep", "1000")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	pid := cmd.Process.Pid
	id, err := Prove(pid, func(id Identity) error { return id.Check() })
	if err != nil || id.PID != pid || id.Check() != nil {
		t.Errorf("%v, %v", id, err)
	}
	if _, err := Prove(pid, func(Identity) error { return refused }); err != refused {
		t.Errorf("the proof fails: %v", err)
	}
	_, err = Prove(pid, func(Identity) error {
		cmd.Process.Kill()
		_, err := waitid(unix.P_PID, pid, unix.WNOWAIT)
		return err
	})
	if !errors.Is(err, ErrGone) {
		t.Errorf("it ends meanwhile: %v", err)
	}
	never := func(Identity) error { t.Error("the proof was called"); return nil }
	if _, err := Prove(pid, never); !errors.Is(err, ErrGone) {
		t.Errorf("a zombie: %v", err)
	}
	cmd.Wait()
	for _, pid := range []int{-1, 0, pid} {
		if _, err := Prove(pid, never); !errors.Is(err, ErrGone) {
			t.Errorf("pid %d: %v", pid, err)
		}
	}
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil || len(threads) < 2 {
		t.Fatalf("%d threads, %v", len(threads), err)
	}
	for _, thread := range threads {
		number, err := strconv.Atoi(thread.Name())
		if err != nil || number == os.Getpid() {
			continue
		}
		if _, err := Prove(number, never); !errors.Is(err, ErrThread) || errors.Is(err, ErrGone) {
			t.Errorf("a thread: %v", err)
		}
	}
}

// IsApart tells a process in a pid namespace of its own.
func TestIsApart(t *testing.T) {
	for _, c := range []struct {
		flags uintptr
		want  bool
	}{{0, false}, {unix.CLONE_NEWPID, true}} {
		cmd := exec.Command("sleep", "1000")
		cmd.SysProcAttr = &unix.SysProcAttr{Cloneflags: c.flags}
		if err := cmd.Start(); err != nil {
			if errors.Is(err, unix.EPERM) && c.want {
				t.Logf("it takes root to make a pid namespace: %v", err)
				continue
			}
			t.Fatal(err)
		}
		apart, err := IsApart(cmd.Process.Pid)
		if apart != c.want || err != nil {
			t.Errorf("with flags %#x: %v, %v", c.flags, apart, err)
		}
		cmd.Process.Kill()
		cmd.Wait()
		if apart, err := IsApart(cmd.Process.Pid); apart || err != nil {
			t.Errorf("it is gone: %v, %v", apart, err)
		}
	}
}
