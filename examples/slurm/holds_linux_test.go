package slurm_test

import (
	"bufio"
	"errors"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/podlaunch/podlaunch/examples/slurm"
	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/launcher/launchertest"
	"github.com/podlaunch/podlaunch/runtimedir"
)

// What holds because srun is a process of this machine: a pod outlives its launcher, and
// is found again, with its log. The end of srun is noticed, and a program runs where Spec.Dir
// says.
func testAsHere(t *testing.T, l launcher.Launcher) {
	base := t.TempDir()
	killedLauncher(t, base, "RUNNING")
	l.Dir, l.Starter = runtimedir.Dir(base), slurm.Starter{}
	for s, err := range l.List(t.Context()) {
		if err != nil || s.Name != "web" || s.State != launcher.StateReady || s.PID == 0 {
			t.Errorf("List yields %+v, %v", s, err)
		}
	}
	pod, err := l.Attach(t.Context(), "web")
	if err != nil {
		t.Fatal(err)
	}
	log, err := pod.Follow(t.Context(), true)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	lines := bufio.NewScanner(log)
	for lines.Scan() && strings.HasPrefix(lines.Text(), "srun: ") {
	}
	if lines.Text() != "getting ready" {
		t.Errorf("the log has %q, %v", lines.Text(), lines.Err())
	}
	if file, err := os.ReadFile(pod.LogPath()); !strings.Contains(string(file), "getting ready\n") {
		t.Errorf("the file has %q, %v", file, err)
	}
	job, _, _ := strings.Cut(queue(t), " ")
	slurmDoes(t, "scancel", "--name="+job)
	<-pod.Done()

	dir := t.TempDir()
	l.Command = slurm.Srun{Command: launcher.Exec("/bin/pwd")}
	_, err = l.Launch(t.Context(), launcher.Spec{Name: "web", Dir: dir, LogStdout: true})
	var failure *launcher.Error
	if !errors.As(err, &failure) || !slices.Contains(failure.Tail, dir) {
		t.Errorf("it does not run in %s: %v", dir, err)
	}
}

// A pod never runs twice: Slurm ends its job with the node, and does not put it into the
// queue again. That is so without a Starter that cancels it.
func testOnce(t *testing.T, l launcher.Launcher) {
	l.Starter, l.Command = launcher.Local{}, slurm.Srun{Command: launchertest.FakePod(serves...)}
	pod, err := l.Launch(t.Context(), launcher.Spec{Name: "web"})
	if err != nil {
		t.Fatal(err)
	}
	conn, err := pod.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	slurmDoes(t, "scontrol", "update", "NodeName=here", "State=DOWN", "Reason=test")
	defer resume(t)
	<-pod.Done()
	if _, err := io.Copy(io.Discard, conn); err != nil && !strings.Contains(err.Error(), "reset") { // until it has ended
		t.Error(err)
	}
	resume(t)
	if left := queue(t); left != "" {
		t.Errorf("its node was down, and Slurm has %q", left)
	}
	if _, err := pod.Wait(t.Context()); err != nil {
		t.Error(err)
	}
}

// resume waits until the node takes jobs again. It does so by itself once its slurmd has
// registered again, and cannot be told to when it has.
func resume(t *testing.T) {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) { // Slurm tells nobody
		told, _ := exec.Command("scontrol", "update", "NodeName=here", "State=RESUME").CombinedOutput()
		if slurmDoes(t, "sinfo", "--noheader", "--format=%T") == "idle" {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("the node takes no jobs: %s", told)
		}
	}
}

// slurmDoes runs one of Slurm's programs, and returns what it says.
func slurmDoes(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v: %s", name, args, err, out)
	}
	return strings.TrimSpace(string(out))
}
