package readiness

import (
	"errors"
	"os"
	"os/exec"
	"testing"
)

// A process has ended only if a pidfd says so as well: while a thread other than the first is
// in execve(2), the first one may look dead. Without pidfds it has to look so three times.
func TestConfirmedEnd(t *testing.T) {
	refused := errors.New("no pidfd")
	for name, c := range map[string]struct {
		looks []bool // whether it looks dead; the last one is repeated
		ended bool   // says the pidfd
		err   error
		want  bool
	}{
		"alive":                  {looks: []bool{false}, err: refused},
		"zombie":                 {looks: []bool{true}, ended: true, want: true},
		"exec":                   {looks: []bool{true}},
		"exec, without pidfds":   {looks: []bool{true, true, false}, err: refused},
		"zombie, without pidfds": {looks: []bool{true}, err: refused, want: true},
	} {
		looks := 0
		look := func(int) (procStat, bool) {
			looks++
			return procStat{ending: c.looks[min(looks, len(c.looks))-1]}, true
		}
		if got := confirmedEnd(1, look, func(int) (bool, error) { return c.ended, c.err }); got != c.want {
			t.Errorf("%s: after %d looks it has ended: %v", name, looks, got)
		}
	}
}

// A pidfd tells those that live from zombies and from those that were reaped.
func TestPolledEnd(t *testing.T) {
	if ended, err := polledEnd(os.Getpid()); ended || err != nil {
		t.Errorf("this process has ended: %v, %v", ended, err)
	}
	cmd := exec.Command("true")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	awaitExit(cmd.Process)
	if ended, err := polledEnd(cmd.Process.Pid); !ended || err != nil {
		t.Errorf("a zombie has ended: %v, %v", ended, err)
	}
	cmd.Wait()
	const nobody = 1<<22 + 1 // beyond what the kernel gives
	if ended, err := polledEnd(nobody); !ended || err != nil {
		t.Errorf("nobody has ended: %v, %v", ended, err)
	}
}

// A process has its parent also while another thread than its first executes a program.
func TestDescendsInExec(t *testing.T) {
	t.Parallel()
	again := exec.Command("/proc/self/exe", "")
	again.Env = append(os.Environ(), "READINESS_TEST_PLAY=again")
	if err := again.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = again.Process.Kill(); _ = again.Wait() }()
	for range 10_000 {
		if pid := again.Process.Pid; !descends(pid, os.Getpid()) || hasEnded(pid) {
			t.Fatalf("pid %d is our child: %v, and has ended: %v", pid, descends(pid, os.Getpid()), hasEnded(pid))
		}
	}
}
