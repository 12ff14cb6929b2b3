//go:build linux

package podrig

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/podlaunch/podlaunch/launcher"
)

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
