// Package clustertest runs a real cluster for tests: a server and some clients, each in
// a network namespace of its own, on one bridge. They are launched, waited for and
// stopped by the library itself.
package clustertest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/podlaunch/podlaunch/examples/nomad/internal/agent"
	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/readiness"
	"github.com/podlaunch/podlaunch/runtimedir"
)

// A Cluster is a server and its clients.
type Cluster struct {
	URL     string // of the server's API
	Clients []*Machine

	// Token is that of the management, if the cluster asks for tokens.
	Token string

	server *Machine
	t      *testing.T
	path   string // of the agent
	dir    string
	mark   string // is in the environment of all that it starts
	prefix string // of the names of interfaces and namespaces
	net    string // the first three bytes of its addresses
	l      launcher.Launcher
	http   *http.Client
}

// A Machine is one agent in a namespace of its own.
type Machine struct {
	Name string

	c        *Cluster
	ip       string
	pod      atomic.Pointer[launcher.Pod] // of its agent; nil before the first
	launches int
}

// New sets a cluster up, which is taken down with the test. The test is skipped, by
// name, where no bridge and no namespace can be made, or where the agent is not built; under
// CI the agent has to be there. It hears of a dead client after two to five seconds.
func New(t *testing.T, clients int, acl bool) *Cluster {
	t.Helper()
	return start(t, clients, acl, false)
}

// NewCalm is New for many pods. It takes Nomad's default time to hear of a dead client, so
// that a busy machine does not make it take one for dead, and it seldom looks at what each
// task uses of the processor: by default each second.
func NewCalm(t *testing.T, clients int) *Cluster {
	t.Helper()
	return start(t, clients, false, true)
}

func start(t *testing.T, clients int, acl, calm bool) *Cluster {
	t.Helper()
	path, err := agent.Path(t.Context())
	if err != nil && os.Getenv("CI") == "true" {
		t.Fatal(err)
	}
	if err == nil {
		err = may()
	}
	if err != nil {
		t.Skip("skipped without a cluster in network namespaces: ", err)
	}
	id := os.Getpid() % 200
	for range 200 { // a run that was killed has left its bridge
		if _, err := net.InterfaceByName(fmt.Sprintf("pl%d", id)); err != nil {
			break
		}
		id = (id + 1) % 200
	}
	c := &Cluster{
		t: t, path: path, dir: t.TempDir(), mark: "PODLAUNCH_TEST_CLUSTER=" + uuid.NewString(),
		prefix: fmt.Sprintf("pl%d", id), net: fmt.Sprintf("10.213.%d.", id),
		http: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second},
	}
	c.l = launcher.Launcher{Dir: runtimedir.Dir(filepath.Join(c.dir, "run")), Timeout: time.Minute} // a guard
	c.ip("link", "add", c.prefix, "type", "bridge")
	t.Cleanup(func() { _ = ipCommand("link", "del", c.prefix) })
	c.ip("addr", "add", c.net+"1/24", "dev", c.prefix)
	c.ip("link", "set", c.prefix, "up")
	c.server = c.machine("server", 2)
	c.URL = "http://" + c.server.ip + ":4646"
	for i := range clients {
		c.Clients = append(c.Clients, c.machine(fmt.Sprintf("client%d", i+1), 3+i))
	}
	t.Cleanup(c.stop)
	c.configure(acl, calm)
	c.server.Start()
	if acl {
		c.bootstrap()
	}
	for _, m := range c.Clients {
		m.Start()
	}
	c.awaitNodes("ready", clients)
	return c
}

// may reports whether namespaces can be made.
func may() error {
	const name = "podlaunch-may"
	if err := ipCommand("link", "add", name, "type", "bridge"); err != nil {
		return err
	}
	if err := ipCommand("link", "del", name); err != nil {
		return err
	}
	if err := ipCommand("netns", "add", name); err != nil {
		return err
	}
	return ipCommand("netns", "del", name)
}

func ipCommand(args ...string) error {
	out, err := exec.Command("ip", args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("ip %s: %w: %s", strings.Join(args, " "), err, bytes.TrimSpace(out))
	}
	return nil
}

func (c *Cluster) ip(args ...string) {
	c.t.Helper()
	if err := ipCommand(args...); err != nil {
		c.t.Fatal(err)
	}
}

// machine makes a namespace with one interface, on the bridge.
func (c *Cluster) machine(name string, number int) *Machine {
	m := &Machine{Name: name, c: c, ip: fmt.Sprint(c.net, number)}
	ns, link := m.namespace(), fmt.Sprint(c.prefix, "v", number)
	c.ip("netns", "add", ns)
	c.t.Cleanup(func() { _ = ipCommand("netns", "del", ns) })
	c.ip("link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", ns)
	c.ip("link", "set", link, "master", c.prefix, "up")
	c.ip("-n", ns, "addr", "add", m.ip+"/24", "dev", "eth0")
	c.ip("-n", ns, "link", "set", "lo", "up")
	c.ip("-n", ns, "link", "set", "eth0", "up")
	return m
}

func (m *Machine) namespace() string { return m.c.prefix + "-" + m.Name }

// configure writes the agents' files.
func (c *Cluster) configure(acl, calm bool) {
	server := map[string]any{"enabled": true, "bootstrap_expect": 1}
	interval := "1m"
	if !calm {
		maps.Copy(server, map[string]any{"heartbeat_grace": "1s", "min_heartbeat_ttl": "1s", "max_heartbeats_per_second": 50})
		interval = "1s"
	}
	for _, m := range append([]*Machine{c.server}, c.Clients...) {
		settings := map[string]any{
			"bind_addr": "0.0.0.0", "advertise": map[string]string{"http": m.ip, "rpc": m.ip, "serf": m.ip},
			"data_dir": filepath.Join(c.dir, m.Name), "name": m.Name, "disable_update_check": true, "log_level": "WARN",
			"acl": map[string]any{"enabled": acl}, "telemetry": map[string]any{"collection_interval": interval},
			"plugin": []any{map[string]any{"raw_exec": []any{map[string]any{"config": []any{map[string]any{"enabled": true, "no_cgroups": true}}}}}},
		}
		if m == c.server {
			settings["server"] = server
		} else {
			settings["client"] = map[string]any{
				"enabled": true, "servers": []string{c.server.ip}, "network_interface": "eth0", "cpu_total_compute": 4000, "memory_total_mb": 4000,
				"cgroup_parent": c.prefix + m.Name,
				"options": map[string]string{
					"driver.allowlist":     "raw_exec",
					"fingerprint.denylist": "env_aws,env_gce,env_azure,env_digitalocean,consul,vault,cni,bridge",
				},
			}
		}
		data, err := json.Marshal(settings)
		if err == nil {
			err = os.WriteFile(m.config(), data, 0o600)
		}
		if err != nil {
			c.t.Fatal(err)
		}
	}
}

func (m *Machine) config() string { return filepath.Join(m.c.dir, m.Name+".json") }

// Start launches the machine's agent, again if it was killed.
func (m *Machine) Start() {
	c := m.c
	l := c.l
	// Not "ip netns exec", which hides the cgroups.
	l.Command = launcher.Exec("/usr/bin/nsenter", "--net=/run/netns/"+m.namespace(), "--", c.path, "agent", "-config="+m.config())
	l.Ready = readiness.TCP{Address: m.ip + ":4646"}
	m.launches++
	temp := filepath.Join(c.dir, "tmp")
	if err := os.MkdirAll(temp, 0o700); err != nil {
		c.t.Fatal(err)
	}
	pod, err := l.Launch(context.Background(), launcher.Spec{
		Name: fmt.Sprintf("%s-%d", m.Name, m.launches), LogStdout: true, Env: append(os.Environ(), c.mark, "TMPDIR="+temp),
	})
	if err != nil {
		c.t.Fatal(err)
	}
	m.pod.Store(pod)
}

// Kill kills the agent, and nothing that it has started.
func (m *Machine) Kill() {
	pod := m.pod.Load()
	syscall.Kill(pod.PID(), syscall.SIGKILL)
	<-pod.Done()
}

// KillServer kills the server's agent.
func (c *Cluster) KillServer() { c.server.Kill() }

// StartServer launches it again.
func (c *Cluster) StartServer() { c.server.Start() }

// Cut cuts the machine off from all others; if not is, it is connected again.
func (m *Machine) Cut(is bool) {
	m.c.ip("-n", m.namespace(), "link", "set", "eth0", map[bool]string{true: "down", false: "up"}[is])
}

// Call calls the server's API, and returns the answer.
func (c *Cluster) Call(method, path string, body, answer any) error {
	data, err := json.Marshal(body)
	if err != nil {
		return err
	}
	req, err := http.NewRequest(method, c.URL+path, bytes.NewReader(data))
	if err != nil {
		return err
	}
	req.Header.Set("X-Nomad-Token", c.Token)
	resp, err := c.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode/100 != 2 {
		err = fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, text)
	}
	if err == nil && answer != nil {
		err = json.Unmarshal(text, answer)
	}
	return err
}

func (c *Cluster) mustCall(method, path string, body, answer any) {
	c.t.Helper()
	if err := c.Call(method, path, body, answer); err != nil {
		c.t.Fatal(err)
	}
}

// bootstrap gets the first token.
func (c *Cluster) bootstrap() {
	var token struct{ SecretID string }
	for end := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) { // it has to elect itself
		err := c.Call(http.MethodPost, "/v1/acl/bootstrap", struct{}{}, &token)
		if err == nil {
			break
		}
		if time.Now().After(end) {
			c.t.Fatal(err)
		}
	}
	c.Token = token.SecretID
}

// NewToken makes a token with the rules, and returns it and how it is revoked.
func (c *Cluster) NewToken(rules string) (secret string, revoke func()) {
	c.t.Helper()
	name := "policy-" + uuid.NewString()
	c.mustCall(http.MethodPost, "/v1/acl/policy/"+name, map[string]string{"Name": name, "Rules": rules}, nil)
	var token struct{ SecretID, AccessorID string }
	c.mustCall(http.MethodPost, "/v1/acl/token", map[string]any{"Name": name, "Type": "client", "Policies": []string{name}}, &token)
	return token.SecretID, func() { c.mustCall(http.MethodDelete, "/v1/acl/token/"+token.AccessorID, nil, nil) }
}

// A Node is what the server says of a client.
type Node struct{ ID, Name, Status string }

// Nodes are those that the server knows.
func (c *Cluster) Nodes() (nodes []Node, err error) {
	err = c.Call(http.MethodGet, "/v1/nodes", nil, &nodes)
	return nodes, err
}

// Node returns what the server says of m.
func (c *Cluster) Node(m *Machine) Node {
	nodes, err := c.Nodes()
	if err != nil {
		c.t.Error(err)
	}
	for _, n := range nodes {
		if n.Name == m.Name {
			return n
		}
	}
	return Node{}
}

// AwaitNode waits until the server says that m has the status.
func (c *Cluster) AwaitNode(m *Machine, status string) {
	for end := time.Now().Add(time.Minute); c.Node(m).Status != status; time.Sleep(100 * time.Millisecond) {
		if time.Now().After(end) {
			c.t.Fatalf("%s is %q after a minute, and should be %q", m.Name, c.Node(m).Status, status)
		}
	}
}

func (c *Cluster) awaitNodes(status string, n int) {
	for end := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) { // the server tells nobody
		nodes, err := c.Nodes()
		count := 0
		for _, node := range nodes {
			if node.Status == status {
				count++
			}
		}
		if count == n {
			return
		}
		if time.Now().After(end) {
			c.t.Fatalf("after a minute the nodes are %v, %v", nodes, err)
		}
	}
}

// Drain drains a client, or makes it take pods again.
func (c *Cluster) Drain(m *Machine, is bool) {
	c.t.Helper()
	body := map[string]any{"MarkEligible": true}
	if is {
		body = map[string]any{"DrainSpec": map[string]any{"Deadline": -1}} // at once
	}
	c.mustCall(http.MethodPost, "/v1/node/"+c.Node(m).ID+"/drain", body, nil)
}

// Purge has the server forget a client.
func (c *Cluster) Purge(m *Machine) {
	c.t.Helper()
	c.mustCall(http.MethodPost, "/v1/node/"+c.Node(m).ID+"/purge", nil, nil)
}

// Left are the processes that the cluster has started and that are not its agents, by
// their ids, with their commands.
func (c *Cluster) Left() map[int]string {
	found := make(map[int]string)
	entries, _ := filepath.Glob("/proc/[0-9]*/environ")
	agents := make(map[int]bool)
	for _, m := range append([]*Machine{c.server}, c.Clients...) {
		if pod := m.pod.Load(); pod != nil {
			agents[pod.PID()] = true
		}
	}
	for _, entry := range entries {
		env, err := os.ReadFile(entry)
		var pid int
		fmt.Sscanf(entry, "/proc/%d/", &pid)
		if err != nil || agents[pid] || !strings.Contains("\x00"+string(env), "\x00"+c.mark+"\x00") {
			continue
		}
		command, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		found[pid] = strings.ReplaceAll(string(command), "\x00", " ")
	}
	return found
}

// stop ends the agents, and what they have left.
func (c *Cluster) stop() {
	for end := time.Now().Add(10 * time.Second); len(c.Left()) > 0 && time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
	}
	for _, m := range append([]*Machine{c.server}, c.Clients...) {
		if pod := m.pod.Load(); pod != nil {
			if err := pod.Kill(context.Background()); err != nil {
				c.t.Error(err)
			}
		}
	}
	for pid := range c.Left() {
		syscall.Kill(pid, syscall.SIGKILL)
	}
	mounts, _ := os.ReadFile("/proc/self/mounts")
	for line := range strings.Lines(string(mounts)) {
		if f := strings.Fields(line); len(f) > 1 && strings.HasPrefix(f[1], c.dir+"/") {
			syscall.Unmount(f[1], syscall.MNT_DETACH)
		}
	}
}
