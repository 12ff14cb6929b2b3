//go:build linux

package podrig

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/launcher/internal/fakepod"
)

// Pod is the path of the fake pod's binary. [Main] sets it. A process that a test has
// started does not come to Main, and needs the path from the test.
var Pod string

// PodVariable is set, to the fake pod that is built already, for the test
// binaries that a test runs one of its own tests in.
const PodVariable = "PODLAUNCH_TEST_POD"

// Serve are the steps of a pod that is well.
var Serve = []string{"listen", "ready", "hang"}

// Script resolves to the fake pod, which follows steps.
func Script(steps ...string) launcher.CommandResolver {
	return launcher.CommandResolverFunc(func(_ context.Context, req launcher.Request) (launcher.Command, error) {
		return launcher.Command{
			Path: Pod,
			Args: fakepod.Args(req.Spec.Name, req.RuntimeDir, steps, req.Spec.Args),
			Env:  req.Spec.Env,
		}, nil
	})
}

// CopyProgram makes the file to, a copy of a program with that mode. The file is not open for
// writing in this process: another test may start a process just then, which has a copy of
// all descriptors until it comes to its exec, and execve(2) says that the file is busy
// (golang.org/issue/22315).
func CopyProgram(t *testing.T, from, to string, mode os.FileMode) {
	t.Helper()
	if out, err := exec.Command("cp", from, to).CombinedOutput(); err != nil {
		t.Fatalf("copy %s: %v: %s", from, err, out)
	}
	if err := os.Chmod(to, mode); err != nil {
		t.Fatal(err)
	}
}

// LivePods returns the pids of the fake pods that run in a runtime directory. A
// zombie is none: it has no arguments any more.
func LivePods(dir string) ([]int, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	var live []int
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		args, _ := os.ReadFile(filepath.Join("/proc", e.Name(), "cmdline")) // it may have just gone
		if f := strings.Split(string(args), "\x00"); len(f) > 2 && f[0] == Pod && f[2] == dir {
			live = append(live, pid)
		}
	}
	return live, nil
}

// Alive returns the pids of the fake pods that run in a runtime directory.
func Alive(t *testing.T, dir string) []int {
	t.Helper()
	live, err := LivePods(dir)
	if err != nil {
		t.Error(err)
	}
	return live
}

// Answers has the pod answer a request over its socket. Unlike [Ping] it can be
// called where there is no test.
func Answers(ctx context.Context, pod *launcher.Pod) error {
	conn, err := pod.Dial(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	fmt.Fprintln(conn, "hello")
	if answer, err := bufio.NewReader(conn).ReadString('\n'); err != nil || answer != "pong hello\n" {
		return fmt.Errorf("the pod answered %q, %v", answer, err)
	}
	return nil
}
