package goplugin_test

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/go-plugin"
	greeter "github.com/hashicorp/go-plugin/examples/basic/shared"
	"github.com/hashicorp/go-plugin/examples/grpc/shared"

	"github.com/podlaunch/podlaunch/examples/goplugin"
	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/readiness"
	"github.com/podlaunch/podlaunch/runtimedir"
)

// dispense returns the plugin called name of client.
func dispense[T any](t *testing.T, client *plugin.Client, name string) T {
	t.Helper()
	protocol, err := client.Client()
	if err != nil {
		t.Fatal(err)
	}
	raw, err := protocol.Dispense(name)
	if err != nil {
		t.Fatal(err)
	}
	return raw.(T)
}

// putAndGet uses the key-value store name of client.
func putAndGet(t *testing.T, client *plugin.Client, name string) {
	t.Helper()
	store := dispense[shared.KV](t, client, name)
	if err := store.Put("key", []byte("the value")); err != nil {
		t.Fatal(err)
	}
	if got, err := store.Get("key"); err != nil || !strings.HasPrefix(string(got), "the value") {
		t.Fatalf("Get: %q, %v", got, err)
	}
}

// pidOf returns the pid of client's plugin.
func pidOf(t *testing.T, client *plugin.Client) int {
	t.Helper()
	pid, err := strconv.Atoi(client.ID())
	if err != nil || pid <= 0 {
		t.Fatalf("the ID is %q", client.ID())
	}
	return pid
}

// isThere reports whether there is a process of that pid, other than a zombie.
func isThere(pid int) bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err == nil && !strings.Contains(string(stat), ") Z ")
}

// isGone waits until the process of pid is gone.
func isGone(t *testing.T, pid int) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); isThere(pid); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("process %d is still there", pid)
		}
	}
}

// The plugins of go-plugin's examples answer, by both protocols, and end when the client
// asks them to, without a kill.
func TestExamples(t *testing.T) {
	store := func(name string) func(*testing.T, *plugin.Client) {
		return func(t *testing.T, c *plugin.Client) { putAndGet(t, c, name) }
	}
	for _, tt := range []struct {
		name, plugin string
		change       func(*plugin.ClientConfig)
		use          func(*testing.T, *plugin.Client)
	}{
		{"gRPC", "grpc", nil, store(shared.PluginGRPC)},
		{"gRPC with TLS", "grpc", func(c *plugin.ClientConfig) { c.AutoMTLS = true }, store(shared.PluginGRPC)},
		{"net rpc", "netrpc", nil, store(shared.PluginNetRPC)},
		{"net rpc with TLS", "netrpc", func(c *plugin.ClientConfig) { c.AutoMTLS = true }, store(shared.PluginNetRPC)},
		{"no environment of the host", "grpc", func(c *plugin.ClientConfig) { c.SkipHostEnv = true }, store(shared.PluginGRPC)},
		{"negotiated", "negotiated", versioned(3, &shared.KVGRPCPlugin{}), store("kv")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := goplugin.Plugin{Cmd: example(t, tt.plugin)}
			client, log := newClient(t, p, func(c *plugin.ClientConfig) {
				// The example has the store by gRPC under the name of that by net/rpc.
				c.Plugins = plugin.PluginSet{shared.PluginGRPC: &shared.KVGRPCPlugin{}, shared.PluginNetRPC: &shared.KVPlugin{}}
				if tt.change != nil {
					tt.change(c)
				}
			})
			tt.use(t, client)
			pid := pidOf(t, client)
			client.Kill()
			if !client.Exited() || isThere(pid) {
				t.Errorf("Kill has returned, and the plugin has not ended")
			}
			// A plugin by net/rpc may have ended before go-plugin has its answer.
			if tt.plugin == "grpc" && strings.Contains(log.String(), "failed to exit gracefully") {
				t.Errorf("it was killed:\n%s", log)
			}
		})
	}
}

// versioned has a client speak one version of a protocol.
func versioned(version int, kv plugin.Plugin) func(*plugin.ClientConfig) {
	return func(c *plugin.ClientConfig) {
		c.Plugins = nil
		c.VersionedPlugins = map[int]plugin.PluginSet{version: {"kv": kv}}
	}
}

// What a plugin logs through hclog on its standard error is logged here with its level,
// from the first line, which it writes before the handshake.
func TestLogs(t *testing.T) {
	client, log := newClient(t, goplugin.Plugin{Cmd: example(t, "greeter")}, func(c *plugin.ClientConfig) {
		c.Plugins = plugin.PluginSet{"greeter": &greeter.GreeterPlugin{}}
	})
	if said := dispense[greeter.Greeter](t, client, "greeter").Greet(); said != "Hello!" {
		t.Errorf("it says %q", said)
	}
	client.Kill()
	for _, want := range []string{
		"[DEBUG] greeter: message from plugin: foo=bar",
		"[DEBUG] greeter: message from GreeterHello.Greet",
		"[INFO]  plugin process exited",
	} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("%q was not logged:\n%s", want, log)
		}
	}
}

// A plugin may write much more on both streams than any buffer holds.
func TestMuchOutput(t *testing.T) {
	var stderr strings.Builder
	client, log := newClient(t, goplugin.Plugin{Cmd: playing("chatty")}, func(c *plugin.ClientConfig) { c.Stderr = &stderr })
	if _, err := dispense[shared.KV](t, client, shared.PluginGRPC).Get("key"); err != nil {
		t.Fatal(err)
	}
	log.await("all was written")
	client.Kill()
	if n := strings.Count(stderr.String(), strings.Repeat("x", 999)+"\n"); n != 300 {
		t.Errorf("%d of 300 lines of the standard error came", n)
	}
}

// A plugin that ends before the handshake: the error says how it ended, and has its last
// lines on both streams; the log has all lines; and nothing is left.
func TestExitsEarly(t *testing.T) {
	temp := t.TempDir()
	client, log := newClient(t, goplugin.Plugin{Cmd: playing("early")}, func(c *plugin.ClientConfig) {
		c.UnixSocketConfig = &plugin.UnixSocketConfig{TempDir: temp}
	})
	_, err := client.Start()
	var failed *launcher.Error
	if !errors.As(err, &failed) || !errors.Is(err, launcher.ErrExitedEarly) {
		t.Fatalf("Start: %v", err)
	}
	if failed.Exit == nil || failed.Exit.Code != 3 || failed.PID == 0 {
		t.Errorf("exit %v of pid %d, want status 3", failed.Exit, failed.PID)
	}
	for _, want := range []string{"line 19 of why", "exit status 3", `standard output began with "usage: no"`} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in the error: %v", want, err)
		}
	}
	if !strings.Contains(log.String(), "line 0 of why") {
		t.Errorf("its first line was not logged:\n%s", log)
	}
	if left, _ := filepath.Glob(temp + "/*"); len(left) > 0 {
		t.Errorf("left behind: %s", left)
	}
}

// If the program is missing, the error is the system's.
func TestNoProgram(t *testing.T) {
	client, _ := newClient(t, goplugin.Plugin{Cmd: &exec.Cmd{Path: "/nowhere/plugin"}}, nil)
	if _, err := client.Start(); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "/nowhere/plugin") {
		t.Errorf("Start: %v", err)
	}
}

// A line that is no handshake: go-plugin's error says so, with all that is known of the
// plugin, and the plugin is gone.
func TestNoHandshake(t *testing.T) {
	client, _ := newClient(t, goplugin.Plugin{Cmd: playing("wrong")}, nil)
	_, err := client.Start()
	if err == nil {
		t.Fatal("Start has succeeded")
	}
	for _, want := range []string{"Unrecognized remote plugin message: hello", "pid " + client.ID(), "it is running", `"I am no plugin"`} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in the error: %v", want, err)
		}
	}
	isGone(t, pidOf(t, client))
}

// A plugin that writes a line without end: go-plugin reads up to its limit for a line,
// and no more. Nothing waits for the rest.
func TestEndlessLine(t *testing.T) {
	client, _ := newClient(t, goplugin.Plugin{Cmd: playing("endless")}, nil)
	if _, err := client.Start(); err == nil || !strings.Contains(err.Error(), "Unrecognized remote plugin message") {
		t.Errorf("Start: %v", err)
	}
	pid := pidOf(t, client)
	client.Kill()
	if isThere(pid) || !client.Exited() {
		t.Error("the plugin is still there")
	}
}

// If a plugin says nothing, the client gives up at its timeout.
func TestSaysNothing(t *testing.T) {
	client, _ := newClient(t, goplugin.Plugin{Cmd: exec.Command("sleep", "1000")}, func(c *plugin.ClientConfig) {
		c.StartTimeout = 50 * time.Millisecond
	})
	_, err := client.Start()
	var failed *launcher.Error
	if !errors.As(err, &failed) || !errors.Is(err, launcher.ErrTimeout) || !strings.Contains(err.Error(), "no line on its standard output") {
		t.Fatalf("Start: %v", err)
	}
	isGone(t, failed.PID)
}

// A plugin that ends with its standard input gets the standard input of the Cmd, and
// can have a standard input that stays open.
func TestStdin(t *testing.T) {
	input, feed, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer input.Close()
	defer feed.Close()
	t.Run("that ends", func(t *testing.T) {
		cmd := playing("stdin")
		cmd.Stdin = input
		client, log := newClient(t, goplugin.Plugin{Cmd: cmd}, nil)
		if _, err := client.Start(); err != nil {
			t.Fatal(err)
		}
		io.WriteString(feed, "some words")
		feed.Close()
		log.await(`read "some words"`)
		log.await("plugin process exited")
	})
	t.Run("that stays open", func(t *testing.T) {
		client, log := newClient(t, goplugin.Plugin{
			Cmd:    playing("stdin"),
			Change: func(s *launcher.Spec) { s.StdinOpen = true },
		}, nil)
		if _, err := dispense[shared.KV](t, client, shared.PluginGRPC).Get("key"); err != nil {
			t.Fatal(err)
		}
		client.Kill()
		// The client's own log says "read unix …" as well; only the plugin quotes what it read.
		if strings.Contains(log.String(), `read "`) {
			t.Errorf("its standard input has ended:\n%s", log)
		}
	})
}

// Kill ends a plugin and the processes that it has started, whether the plugin ends on
// request or not.
func TestKill(t *testing.T) {
	for role, killed := range map[string]bool{"parent": false, "stays": true} {
		t.Run(role, func(t *testing.T) {
			client, log := newClient(t, goplugin.Plugin{Cmd: playing(role)}, nil)
			if _, err := client.Client(); err != nil {
				t.Fatal(err)
			}
			child, err := strconv.Atoi(log.await(": child "))
			if err != nil || !isThere(child) {
				t.Fatalf("the child is %d, %v:\n%s", child, err, log)
			}
			pid := pidOf(t, client)
			client.Kill()
			if isThere(pid) || isThere(child) {
				t.Errorf("plugin %d is there: %v; its child %d: %v", pid, isThere(pid), child, isThere(child))
			}
			if got := strings.Contains(log.String(), "signal: killed"); got != killed {
				t.Errorf("killed: %v, want %v:\n%s", got, killed, log)
			}
		})
	}
}

// If a plugin dies, the client learns that, and how the plugin ended.
func TestCrash(t *testing.T) {
	client, log := newClient(t, goplugin.Plugin{Cmd: example(t, "grpc")}, nil)
	if _, err := client.Client(); err != nil {
		t.Fatal(err)
	}
	process, err := os.FindProcess(pidOf(t, client))
	if err != nil {
		t.Fatal(err)
	}
	if err := process.Signal(syscall.SIGSEGV); err != nil {
		t.Fatal(err)
	}
	if line := log.await("plugin process exited"); !strings.Contains(line, "error=") {
		t.Errorf("it was logged as %q", line)
	}
	client.Kill()
	if !client.Exited() {
		t.Error("the client does not know it")
	}
}

// Another client finds the plugin by its name, by both protocols, and ends it.
func TestReattach(t *testing.T) {
	for protocol, name := range map[plugin.Protocol]string{plugin.ProtocolGRPC: shared.PluginGRPC, plugin.ProtocolNetRPC: shared.PluginNetRPC} {
		t.Run(string(protocol), func(t *testing.T) {
			p := goplugin.Plugin{
				Cmd:      example(t, string(protocol)),
				Launcher: launcher.Launcher{Dir: runtimedir.Dir(shortDir(t))},
				Change:   func(s *launcher.Spec) { s.Name = "kv" },
			}
			if _, _, err := p.Reattach(t.Context(), "kv"); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("before it is launched: %v", err)
			}
			first, _ := newClient(t, p, kvOnly(protocol))
			putAndGet(t, first, name)
			pid := pidOf(t, first)
			second := reattached(t, p, protocol)
			putAndGet(t, second, name)
			if second.ID() != first.ID() {
				t.Errorf("its ID is %s, and was %s", second.ID(), first.ID())
			}
			second.Kill()
			if isThere(pid) || !second.Exited() {
				t.Error("the plugin is still there")
			}
			if _, _, err := p.Reattach(t.Context(), "kv"); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("after it has ended: %v", err)
			}
		})
	}
}

// kvOnly has a client use the store of one protocol.
func kvOnly(protocol plugin.Protocol) func(*plugin.ClientConfig) {
	return func(c *plugin.ClientConfig) { c.AllowedProtocols = []plugin.Protocol{protocol} }
}

// reattached returns a client of the plugin that runs as kv.
func reattached(t *testing.T, p goplugin.Plugin, protocol plugin.Protocol) *plugin.Client {
	t.Helper()
	addr, attach, err := p.Reattach(t.Context(), "kv")
	if err != nil {
		t.Fatal(err)
	}
	client, _ := newClient(t, p, func(c *plugin.ClientConfig) {
		c.RunnerFunc = nil
		c.Reattach = &plugin.ReattachConfig{Protocol: protocol, Addr: addr, ReattachFunc: attach}
	})
	return client
}

// shortDir returns a directory whose path leaves room for a socket.
func shortDir(t *testing.T) string {
	dir, err := os.MkdirTemp("", "pods")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// A program with a plugin is killed with SIGKILL. A plugin that ends with its parent is
// gone. Any other plugin answers the next program that asks for it.
func TestHostIsKilled(t *testing.T) {
	for _, lifetime := range []string{"with-parent", "detached"} {
		t.Run(lifetime, func(t *testing.T) {
			base := shortDir(t)
			cmd := playing("host", filepath.Join(built, "grpc"), base, lifetime)
			cmd.Env = append(os.Environ(), cmd.Env...)
			cmd.Env = append(cmd.Env, "TMPDIR="+shortDir(t)) // the client's directory stays
			cmd.Dir, cmd.Stderr = t.TempDir(), os.Stderr
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			pid, err := strconv.Atoi(firstLine(t, out))
			if err != nil {
				t.Fatal(err)
			}
			if !isThere(pid) {
				t.Error("the plugin is not there")
			}
			cmd.Process.Kill()
			cmd.Wait()
			if lifetime == "with-parent" {
				isGone(t, pid)
				return
			}
			p := goplugin.Plugin{Launcher: launcher.Launcher{Dir: runtimedir.Dir(base)}}
			client := reattached(t, p, plugin.ProtocolGRPC)
			putAndGet(t, client, shared.PluginGRPC)
			if pidOf(t, client) != pid {
				t.Errorf("the plugin is %d, and was %d", pidOf(t, client), pid)
			}
			client.Kill()
			isGone(t, pid)
		})
	}
}

// The directory of a private plugin goes with it, and its sockets with that.
func TestLeavesNothing(t *testing.T) {
	cmd := example(t, "grpc")
	temp := shortDir(t)
	t.Setenv("TMPDIR", temp)
	t.Setenv("XDG_RUNTIME_DIR", "")
	client, _ := newClient(t, goplugin.Plugin{Cmd: cmd}, nil)
	addr, err := client.Start()
	if err != nil {
		t.Fatal(err)
	}
	if base := filepath.Join(temp, "podlaunch-"); !strings.HasPrefix(addr.String(), base) {
		t.Errorf("the socket is %s, want below %s", addr, base)
	}
	client.Kill()
	if left, _ := filepath.Glob(temp + "/*/*"); len(left) > 0 {
		t.Errorf("left behind: %s", left)
	}
}

// If a runner cannot do something, the error names it before anything starts.
func TestRefused(t *testing.T) {
	for name, tt := range map[string]struct {
		plugin goplugin.Plugin
		want   string
	}{
		"a command":       {goplugin.Plugin{Cmd: exec.Command("true"), Launcher: launcher.Launcher{Command: launcher.Path("true")}}, "Launcher.Command is set"},
		"no program":      {goplugin.Plugin{}, "Path is empty"},
		"standard output": {goplugin.Plugin{Cmd: &exec.Cmd{Path: "/bin/true", Stdout: io.Discard}}, "Stdout or Stderr is set"},
		"standard error": {goplugin.Plugin{Cmd: exec.Command("true"), Change: func(s *launcher.Spec) {
			s.Stderr = io.Discard
		}}, "Stdout or Stderr is set"},
		"a context": {goplugin.Plugin{Cmd: exec.CommandContext(t.Context(), "true")}, "Cancel is set"},
	} {
		t.Run(name, func(t *testing.T) {
			temp := t.TempDir()
			client, _ := newClient(t, tt.plugin, func(c *plugin.ClientConfig) {
				c.UnixSocketConfig = &plugin.UnixSocketConfig{TempDir: temp}
			})
			if _, err := client.Start(); !errors.Is(err, launcher.ErrInvalidSpec) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Start: %v, want %q", err, tt.want)
			}
			if left, _ := filepath.Glob(temp + "/*"); len(left) > 0 {
				t.Errorf("left behind: %s", left)
			}
		})
	}
}

// The Launcher's Ready runs after the handshake, and knows the address.
func TestReadyToo(t *testing.T) {
	client, _ := newClient(t, goplugin.Plugin{Cmd: example(t, "grpc"), Launcher: launcher.Launcher{Ready: readiness.Socket{}}}, nil)
	putAndGet(t, client, shared.PluginGRPC)
}
