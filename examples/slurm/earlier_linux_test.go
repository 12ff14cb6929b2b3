package slurm_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/podlaunch/podlaunch/examples/slurm"
	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/launcher/launchertest"
	"github.com/podlaunch/podlaunch/runtimedir"
)

// asLauncher is the variable that makes this program a launcher of one pod, below that
// directory, until somebody kills it. asLauncherArgs has the arguments of srun.
const (
	asLauncher     = "PODLAUNCH_TEST_SLURM_BASE"
	asLauncherArgs = "PODLAUNCH_TEST_SLURM_ARGS"
)

// serves is what the pods do.
var serves = []string{"say getting ready", "tcp 127.0.0.1:0", `write "INSOMNIA-READY\t{name}\t{addr}\n"`, "hang"}

// playLauncher is that launcher.
func playLauncher(base string) error {
	l := launcher.Launcher{
		Dir:     runtimedir.Dir(base),
		Command: slurm.Srun{Command: launchertest.FakePod(serves...), Args: strings.Fields(os.Getenv(asLauncherArgs))},
		Starter: slurm.Starter{},
		Ready:   probe,
		Timeout: -1,
	}
	if _, err := l.Launch(context.Background(), launcher.Spec{Name: "web"}); err != nil {
		return err
	}
	fmt.Println("ready")
	select {}
}

// killedLauncher runs that launcher until there is a job in that state, and kills it. If
// the state is RUNNING the pod is ready by then.
func killedLauncher(t *testing.T, base, state string, args ...string) {
	t.Helper()
	other := exec.Command(os.Args[0])
	other.Env = append(os.Environ(), asLauncher+"="+base, asLauncherArgs+"="+strings.Join(args, " "))
	other.Stderr = os.Stderr
	stdout, err := other.StdoutPipe()
	if err == nil {
		err = other.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	if state == "RUNNING" {
		if line, err := bufio.NewReader(stdout).ReadString('\n'); line != "ready\n" {
			t.Fatalf("the launcher says %q, %v", line, err)
		}
	}
	awaitQueue(t, " "+state)
	other.Process.Kill()
	other.Wait()
}

// awaitQueue waits until Slurm's queue has want, and nothing else.
func awaitQueue(t *testing.T, want string) {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) { // Slurm tells nobody
		has := queue(t)
		if strings.HasSuffix(has, want) && strings.Count(has, "\n") == 0 {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("Slurm has %q, want %q", has, want)
		}
	}
}

// E11: a launcher that dies leaves a job in the queue, whether its srun lives or not. The
// next launch of the name cancels the job.
func testLauncherDies(t *testing.T, l launcher.Launcher) {
	for _, srunDies := range []bool{true, false} {
		base := t.TempDir()
		killedLauncher(t, base, "PENDING", "--begin=now+1hour")
		l.Dir, l.Starter = runtimedir.Dir(base), slurm.Starter{}
		l.Command = slurm.Srun{Command: launchertest.FakePod(serves...)}
		if srunDies {
			for s, err := range l.List(t.Context()) {
				if err != nil || s.PID == 0 {
					t.Fatal(s, err)
				}
				syscall.Kill(s.PID, syscall.SIGKILL)
			}
		}
		before := queue(t)
		if !strings.HasSuffix(before, " PENDING") {
			t.Errorf("the launcher is dead, and Slurm has %q", before)
		}
		pod, err := l.Launch(t.Context(), launcher.Spec{Name: "web"})
		if err != nil {
			t.Fatal(err)
		}
		awaitQueue(t, " RUNNING")
		if now := queue(t); strings.Fields(now)[0] == strings.Fields(before)[0] {
			t.Errorf("Slurm had %q, and has %q", before, now)
		}
		if err := pod.Stop(t.Context()); err != nil {
			t.Error(err)
		}
		if left := queue(t); left != "" {
			t.Errorf("it was stopped, and Slurm has %q", left)
		}
		if notes, _ := filepath.Glob(filepath.Join(base, "web", "*.slurm")); len(notes) > 0 {
			t.Errorf("the notes %q are left", notes)
		}
	}
}

// script writes a program that appends its name and arguments to a file, and says words.
func script(t *testing.T, name, calls, says string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	text := fmt.Sprintf("#!/bin/sh\necho %s \"$*\" >> %s\necho %s\n", name, calls, says)
	if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

// An earlierCase is a pod's directory with the note of an earlier launch, and other files
// that are no notes. Slurm's programs write down how they are called.
type earlierCase struct {
	dir, calls string
	job        string   // of the earlier launch
	files      []string // the others
	starter    slurm.Starter
	req        launcher.StartRequest
}

// newEarlierCase returns one in which squeue says words.
func newEarlierCase(t *testing.T, says string) *earlierCase {
	t.Helper()
	c := &earlierCase{dir: t.TempDir(), calls: filepath.Join(t.TempDir(), "calls"), job: slurm.JobName(uuid.New())}
	c.files = []string{"pod.log", "podlaunch-.slurm", "podlaunch-" + strings.ToUpper(uuid.NewString()) + ".slurm", uuid.NewString() + ".slurm"}
	for _, file := range append(c.files, c.job+".slurm") {
		write(t, filepath.Join(c.dir, file), "")
	}
	c.starter = slurm.Starter{Scancel: script(t, "scancel", c.calls, ""), Squeue: script(t, "squeue", c.calls, says)}
	srun := slurm.Srun{Command: launcher.Exec("/bin/true"), Path: script(t, "srun", c.calls, "")}
	command, err := srun.ResolveCommand(t.Context(), launcher.Request{})
	if err != nil {
		t.Fatal(err)
	}
	c.req = launcher.StartRequest{Name: "web", ID: uuid.New(), Command: command, WorkDir: c.dir, RuntimeDir: c.dir}
	return c
}

// made returns the calls, one a line.
func (c *earlierCase) made() string {
	data, _ := os.ReadFile(c.calls)
	return string(data)
}

// Before it starts a pod a Starter cancels the jobs that have notes. Its own note
// is there as long as its job may be.
func TestEarlierJob(t *testing.T) {
	c := newEarlierCase(t, "")
	p, err := c.starter.Start(t.Context(), c.req)
	if err != nil {
		t.Fatal(err)
	}
	mustHave(t, c.dir, append(c.files, slurm.JobName(c.req.ID)+".slurm"))
	if _, err := p.Wait(t.Context()); err != nil {
		t.Error(err)
	}
	if err := p.(launcher.Reaper).Reap(t.Context()); err != nil {
		t.Error(err)
	}
	mustHave(t, c.dir, c.files)
	want := []string{"scancel --name=" + c.job, "squeue ", "srun --job-name=" + slurm.JobName(c.req.ID), "scancel --name=" + slurm.JobName(c.req.ID), "squeue "}
	made := strings.Split(strings.TrimSpace(c.made()), "\n")
	for i, call := range made {
		if len(made) != len(want) || !strings.HasPrefix(call, want[i]) {
			t.Fatalf("the calls are %q", made)
		}
	}
}

// A Starter that cannot cancel the job of an earlier launch starts nothing, and the note
// stays.
func TestEarlierJobStays(t *testing.T) {
	c := newEarlierCase(t, "4711")
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	_, err := c.starter.Start(ctx, c.req)
	if err == nil || !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "an earlier launch has left a job, which may get a node: cancel the job "+c.job+": ") {
		t.Errorf("Start says %v", err)
	}
	mustHave(t, c.dir, append(c.files, c.job+".slurm"))
	if strings.Contains(c.made(), "srun") {
		t.Errorf("the calls are:\n%s", c.made())
	}
}

// mustHave fails the test unless dir has those files.
func mustHave(t *testing.T, dir string, files []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != len(files) {
		t.Errorf("there are %v, %v, want %q", entries, err, files)
	}
	for _, file := range files {
		if _, err := os.Stat(filepath.Join(dir, file)); errors.Is(err, fs.ErrNotExist) {
			t.Error(err)
		}
	}
}
