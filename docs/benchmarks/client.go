//go:build linux

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// A client gives a worker its orders.
type client struct {
	peer peer
	cmd  *exec.Cmd
	in   io.WriteCloser
	enc  *json.Encoder
	dec  *json.Decoder
	root string
	hung bool // it was killed because an order took too long

	givenUp bool // it gets no more orders
}

// startWorker starts this program again, as the worker of one peer.
func startWorker(p peer, base string) (*client, error) {
	program, name := p.program, ourName
	if program == "" {
		var err error
		if program, err = os.Executable(); err != nil {
			return nil, err
		}
		name = p.name
	}
	root, err := os.MkdirTemp(base, "b")
	if err != nil {
		return nil, err
	}
	c := &client{peer: p, root: root, cmd: exec.Command(program, "-worker", name, "-base", root)}
	if p.name != "go-plugin" { // yamux complains of each pod that is killed
		c.cmd.Stderr = os.Stderr
	}
	c.cmd.Dir = root // which is there as long as it is
	c.cmd.Env = append(os.Environ(), workerEnv+"=1")
	in, err := c.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	c.in, c.enc, c.dec = in, json.NewEncoder(in), json.NewDecoder(out)
	return c, c.cmd.Start()
}

// workerEnv makes a test binary be a worker, too.
const workerEnv = "PODLAUNCH_BENCHMARK_WORKER"

// hangs is how long an order may take.
const hangs = time.Minute

// errHung says that an order took longer.
var errHung = errors.New("it hangs")

// do gives an order and waits for the answer.
func (c *client) do(o order) (answer, error) {
	var a answer
	guard := time.AfterFunc(hangs, func() { c.cmd.Process.Kill() })
	defer guard.Stop()
	if err := c.enc.Encode(o); err != nil {
		return a, fmt.Errorf("%s: %w", c.peer.name, err)
	}
	if err := c.dec.Decode(&a); err != nil {
		if !guard.Stop() {
			c.hung, err = true, errHung
		}
		return a, fmt.Errorf("%s: %s: %w", c.peer.name, o.Op, err)
	}
	if a.Error != "" {
		return a, fmt.Errorf("%s: %s: %s", c.peer.name, o.Op, a.Error)
	}
	return a, nil
}

// close ends the worker and its pods.
func (c *client) close() error {
	c.in.Close()
	err := c.cmd.Wait()
	if c.hung {
		err = nil // it was killed
	}
	return errors.Join(err, killBelow(c.root), os.RemoveAll(c.root))
}

// build builds the pods into dir.
func build(dir string) (cPod, goPod string, err error) {
	cPod, goPod = filepath.Join(dir, "cpod"), filepath.Join(dir, "gopod")
	source, err := moduleDir()
	if err != nil {
		return "", "", err
	}
	for _, args := range [][]string{
		{"cc", "-O2", "-Wall", "-static", "-o", cPod, filepath.Join(source, "pods", "pod.c")},
		{"go", "build", "-C", source, "-o", goPod, "./pods/gopod"},
	} {
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			return "", "", fmt.Errorf("%v: %w\n%s", args, err, out)
		}
	}
	return cPod, goPod, nil
}

// settle waits until the programs that were built just now count as unchanged. Until then
// podlaunch reads the build id of its program at each launch: another change could leave the
// time of the file as it is.
func settle() { time.Sleep(3 * time.Second) }

// moduleDir is where this module's source is.
func moduleDir() (string, error) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/podlaunch/podlaunch/docs/benchmarks").Output()
	if err != nil {
		return "", fmt.Errorf("run it in docs/benchmarks: %w", err)
	}
	return string(out[:len(out)-1]), nil
}

// killBelow kills the pods that a worker has left behind, pending or because it
// was given up: they have their slots below root.
func killBelow(root string) error {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return err
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		args, _ := os.ReadFile("/proc/" + e.Name() + "/cmdline")
		if fields := strings.Split(string(args), "\x00"); len(fields) > 3 && fields[3] == filepath.Join(root, "slots") {
			syscall.Kill(pid, syscall.SIGKILL)
		}
	}
	return nil
}
