// Package agenttest runs a real Nomad agent for tests. It is launched, waited for
// and stopped by the library itself.
package agenttest

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/podlaunch/podlaunch/examples/nomad/internal/agent"
	"github.com/podlaunch/podlaunch/examples/nomad/internal/loopback"
	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/readiness"
	"github.com/podlaunch/podlaunch/runtimedir"
)

// An Agent is a server and a client in one.
type Agent struct {
	URL string // of its API

	t        *testing.T
	l        launcher.Launcher
	pod      *launcher.Pod
	mark     string // is in the environment of all that it starts
	dir      string
	launches int
}

// New launches an agent, which is stopped with the test. One with a memory knows
// after its death what it knew before; the others are in dev mode, and forget.
// The test is skipped if the agent is not built, and under CI fails.
func New(t *testing.T, memory bool) *Agent {
	t.Helper()
	path, err := agent.Path(t.Context())
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	a := &Agent{t: t, mark: "PODLAUNCH_TEST_AGENT=" + uuid.NewString(), dir: t.TempDir()}
	if err := os.Mkdir(a.temp(), 0o700); err != nil {
		t.Fatal(err)
	}
	ip := loopback.Address() // its own, so that it can have its usual ports
	config := filepath.Join(a.dir, "agent.json")
	settings := map[string]any{
		"bind_addr":            ip,
		"disable_update_check": true,
		"client": map[string]any{
			"enabled":           true,
			"network_interface": "lo",
			"options": map[string]string{
				"driver.allowlist":     "raw_exec",
				"fingerprint.denylist": "env_aws,env_gce,env_azure,env_digitalocean,consul,vault,cni,bridge",
			},
		},
		"plugin": []any{map[string]any{"raw_exec": []any{map[string]any{"config": []any{map[string]any{"enabled": true}}}}}},
	}
	args := []string{"agent", "-config=" + config}
	if memory {
		settings["data_dir"] = filepath.Join(a.dir, "data")
		settings["server"] = map[string]any{"enabled": true, "bootstrap_expect": 1}
		settings["advertise"] = map[string]string{"http": ip, "rpc": ip, "serf": ip}
	} else {
		args = append(args, "-dev")
	}
	data, err := json.Marshal(settings)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(config, data, 0o600); err != nil {
		t.Fatal(err)
	}
	a.URL = "http://" + net.JoinHostPort(ip, "4646")
	a.l = launcher.Launcher{
		Command: launcher.Exec(path, args...),
		Dir:     runtimedir.Dir(filepath.Join(a.dir, "run")),
		// It answers long before it can run anything.
		Ready:   readiness.HTTP{URL: a.URL + "/v1/nodes", Body: nodeIsReady},
		Timeout: 2 * time.Minute, // a guard: it takes two seconds
	}
	if err := a.launch(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.stop)
	return a
}

func (a *Agent) launch() (err error) {
	// What a dead agent leaves behind holds its name, as descendants of a pod do.
	a.launches++
	a.pod, err = a.l.Launch(context.Background(), launcher.Spec{
		Name: fmt.Sprintf("nomad-%d", a.launches), LogStdout: true, Env: append(os.Environ(), a.mark, "TMPDIR="+a.temp()),
	})
	return err
}

// temp is where the agent puts what it does not clear away when it is killed.
func (a *Agent) temp() string { return filepath.Join(a.dir, "tmp") }

// Kill kills the agent, and nothing that it has started.
func (a *Agent) Kill() {
	syscall.Kill(a.pod.PID(), syscall.SIGKILL)
	<-a.pod.Done()
}

// Restart launches an agent in the place of a killed one. Any goroutine may call it.
func (a *Agent) Restart() {
	if err := a.launch(); err != nil {
		a.t.Error(err)
	}
}

// nodeIsReady looks for a node that can run programs, in what the agent says of
// its nodes.
func nodeIsReady(body []byte) error {
	var nodes []struct {
		Status  string
		Drivers map[string]struct{ Healthy bool }
	}
	if err := json.Unmarshal(body, &nodes); err != nil {
		return err
	}
	for _, n := range nodes {
		if n.Status == "ready" && n.Drivers["raw_exec"].Healthy {
			return nil
		}
	}
	return fmt.Errorf("of %d nodes none can run programs yet", len(nodes))
}

// stop ends the agent, and makes sure that it has left nothing: what it starts
// outlives it unless all allocations are terminal by then. Their helpers go a
// moment later, and nobody tells of that.
func (a *Agent) stop() {
	for end := time.Now().Add(time.Minute); len(a.Left()) > 0 && time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
	}
	if a.pod != nil { // nil: it could not be launched again
		if err := a.pod.Stop(context.Background()); err != nil {
			a.t.Error(err)
		}
	}
	for pid, command := range a.Left() {
		a.t.Errorf("the agent has left process %d: %s", pid, command)
		syscall.Kill(pid, syscall.SIGKILL)
	}
	unmount(a.dir)
}

// Left are the processes that the agent has started, and those that it has left,
// by their ids, with their commands.
func (a *Agent) Left() map[int]string {
	found := make(map[int]string)
	entries, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		a.t.Fatal(err)
	}
	for _, entry := range entries {
		env, err := os.ReadFile(entry)
		if err != nil || !strings.Contains("\x00"+string(env), "\x00"+a.mark+"\x00") {
			continue
		}
		var pid int
		fmt.Sscanf(entry, "/proc/%d/", &pid)
		if a.pod != nil && pid == a.pod.PID() {
			continue
		}
		command, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		found[pid] = strings.ReplaceAll(string(command), "\x00", " ")
	}
	return found
}

// unmount takes away what the engine has mounted below dir for its tasks, where
// that is root's: t.TempDir could not be removed.
func unmount(dir string) {
	mounts, _ := os.ReadFile("/proc/self/mounts")
	for line := range strings.Lines(string(mounts)) {
		if f := strings.Fields(line); len(f) > 1 && strings.HasPrefix(f[1], dir+"/") {
			syscall.Unmount(f[1], syscall.MNT_DETACH)
		}
	}
}
