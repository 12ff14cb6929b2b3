package goplugin_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"github.com/hashicorp/go-plugin/examples/grpc/shared"

	"github.com/podlaunch/podlaunch/examples/goplugin"
	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/runtimedir"
)

// roleVariable says which part this test binary plays: a plugin that go-plugin's
// examples do not have, or a host that is killed.
const roleVariable = "GOPLUGIN_TEST_ROLE"

// roles are the parts.
var roles = map[string]func(){
	"early":   early,
	"wrong":   wrong,
	"endless": func() { io.WriteString(stdout, strings.Repeat("x", 1<<20)); stay() },
	"stdin":   func() { go endWithStdin(); serve(kv{}) },
	"stays":   func() { startChild(); serve(kv{}); stay() },
	"parent":  func() { startChild(); serve(kv{}) },
	"chatty":  func() { serve(chatty{}) },
	"host":    host,
}

// plugins are those of go-plugin's examples, by the name of what they are built to.
var plugins = map[string]string{
	"grpc":       "examples/grpc/plugin-go-grpc",
	"netrpc":     "examples/grpc/plugin-go-netrpc",
	"greeter":    "examples/basic/plugin",
	"negotiated": "examples/negotiated/plugin-go",
}

// stdout and stderr are the plugin's own: plugin.Serve replaces those of package os.
var stdout, stderr = os.Stdout, os.Stderr

// built is the directory of the plugins.
var built string

func TestMain(m *testing.M) {
	if role := os.Getenv(roleVariable); role != "" {
		roles[role]()
		return
	}
	os.Exit(run(m))
}

// run builds the plugins and runs the tests.
func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "goplugin")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	built = dir
	for name, pkg := range plugins {
		out, err := exec.Command("go", "build", "-o", filepath.Join(dir, name), "github.com/hashicorp/go-plugin/"+pkg).CombinedOutput()
		if err != nil {
			fmt.Fprintf(os.Stderr, "go build %s: %v\n%s", pkg, err, out)
			return 1
		}
	}
	return m.Run()
}

// A kv that keeps nothing.
type kv struct{}

func (kv) Put(string, []byte) error   { return nil }
func (kv) Get(string) ([]byte, error) { return []byte("nothing"), nil }

func serve(store shared.KV) {
	plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig: shared.Handshake,
		Plugins:         map[string]plugin.Plugin{shared.PluginGRPC: &shared.KVGRPCPlugin{Impl: store}},
		GRPCServer:      plugin.DefaultGRPCServer,
	})
}

// early ends before the handshake. It says more than an Error holds.
func early() {
	for i := range 20 {
		fmt.Fprintf(os.Stderr, "line %d of why\n", i)
	}
	fmt.Print("usage: no")
	os.Exit(3)
}

// wrong writes a line that is no handshake, and stays.
func wrong() {
	fmt.Fprintln(os.Stderr, "I am no plugin")
	fmt.Println("hello")
	stay()
}

// stay stays for ever.
func stay() {
	signal.Ignore(syscall.SIGTERM)
	for {
		time.Sleep(time.Hour)
	}
}

// endWithStdin ends the plugin as soon as its standard input ends.
func endWithStdin() {
	data, _ := io.ReadAll(os.Stdin)
	fmt.Fprintf(stderr, "read %q\n", data)
	os.Exit(0)
}

// startChild starts a process that outlives the plugin, and names it on stderr. It keeps
// none of the plugin's streams open.
func startChild() {
	child := exec.Command("sleep", "1000")
	if err := child.Start(); err != nil {
		panic(err)
	}
	fmt.Fprintf(os.Stderr, "child %d\n", child.Process.Pid)
}

// A chatty store writes much more than go-plugin reads at once, on both streams.
type chatty struct{ kv }

func (chatty) Get(string) ([]byte, error) {
	line := strings.Repeat("x", 999) + "\n"
	for range 300 {
		io.WriteString(stdout, line)
		io.WriteString(stderr, line)
	}
	fmt.Fprintln(stderr, "all was written")
	return nil, nil
}

// host is a program with a plugin. It writes the plugin's pid, and waits until it is
// killed.
func host() {
	client := plugin.NewClient(config(goplugin.Plugin{
		Cmd:      exec.Command(os.Args[1]),
		Launcher: launcher.Launcher{Dir: runtimedir.Dir(os.Args[2])},
		Change: func(s *launcher.Spec) {
			s.Name = "kv"
			if os.Args[3] == "with-parent" {
				s.Lifetime = launcher.WithParent
			}
		},
	}, hclog.NewNullLogger()))
	if _, err := client.Client(); err != nil {
		panic(err)
	}
	fmt.Println(client.ID())
	stay()
}

// config is a client's, for a plugin that is a kv.
func config(p goplugin.Plugin, log hclog.Logger) *plugin.ClientConfig {
	return &plugin.ClientConfig{
		HandshakeConfig:  shared.Handshake,
		Plugins:          shared.PluginMap,
		RunnerFunc:       p.Run,
		AllowedProtocols: []plugin.Protocol{plugin.ProtocolNetRPC, plugin.ProtocolGRPC},
		Logger:           log,
	}
}

// playing returns the command of this binary in a role.
func playing(role string, args ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = []string{roleVariable + "=" + role, "GORACE=atexit_sleep_ms=0"}
	return cmd
}

// example returns the command of one of go-plugin's plugins, which may write to its
// working directory.
func example(t *testing.T, name string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(built, name))
	cmd.Dir = t.TempDir()
	return cmd
}

// newClient returns a client of p that is killed with the test, and its log.
func newClient(t *testing.T, p goplugin.Plugin, change func(*plugin.ClientConfig)) (*plugin.Client, *logged) {
	t.Helper()
	log := &logged{t: t}
	c := config(p, hclog.New(&hclog.LoggerOptions{Level: hclog.Trace, Output: log}))
	if change != nil {
		change(c)
	}
	client := plugin.NewClient(c)
	t.Cleanup(func() {
		client.Kill()
		endsItsGoroutines(t)
	})
	return client, log
}

// endsItsGoroutines waits until no goroutine of a Runner or of a pod's output is left.
func endsItsGoroutines(t *testing.T) {
	t.Helper()
	stacks := make([]byte, 1<<20)
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		all := string(stacks[:runtime.Stack(stacks, true)])
		if !strings.Contains(all, "goplugin.(*Runner)") && !strings.Contains(all, "launcher.(*stream).run") {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("goroutines are left:\n%s", all)
		}
	}
}

// A logged is what was logged.
type logged struct {
	t    *testing.T
	mu   sync.Mutex
	text strings.Builder
	more chan struct{} // closed when there is more; nil: nobody waits
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.more != nil {
		close(l.more)
		l.more = nil
	}
	return l.text.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// await returns the rest of the line behind words, once that was logged.
func (l *logged) await(words string) string {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(l.t.Context(), 20*time.Second)
	defer cancel()
	for {
		l.mu.Lock()
		_, rest, found := strings.Cut(l.text.String(), words)
		line, _, whole := strings.Cut(rest, "\n")
		if l.more == nil {
			l.more = make(chan struct{})
		}
		more := l.more
		l.mu.Unlock()
		if found && whole {
			return strings.TrimSpace(line)
		}
		select {
		case <-more:
		case <-ctx.Done():
			l.t.Fatalf("%q was not logged:\n%s", words, l)
		}
	}
}

// firstLine returns the first line that r yields.
func firstLine(t *testing.T, r io.Reader) string {
	t.Helper()
	line, err := bufio.NewReader(r).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(line)
}
