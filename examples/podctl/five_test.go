//go:build linux

package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A helpExample is one of the help's five, with what a test has to know besides.
type helpExample struct {
	heading string   // its comment begins so
	name    string   // the pod's
	needs   []string // programs, or patterns of their paths
	port    string   // in the help; a free one takes its place. Empty: a socket in its directory
	asks    string   // in the program's own protocol: a URL, or for the shell
	answer  string   // is in the answer
	notRoot string   // the user that it has if this test is run by root
}

var helpExamples = []helpExample{
	{"redis", "redis", []string{"redis-server", "redis-cli"}, "6379", `redis-cli -p $PORT ping`, "PONG", ""},
	{"nginx", "nginx", []string{"/usr/sbin/nginx"}, "8080", "http://127.0.0.1:$PORT/", "hello", ""},
	{"postgres", "postgres", []string{"/usr/lib/postgresql/*/bin/initdb", "psql"}, "",
		`psql -h $INSOMNIA_RUNTIME_DIR/postgres -d postgres -tAc 'select 40+2'`, "42", "postgres"},
	{"vite", "vite", []string{"npm", "node"}, "5173", "http://localhost:$PORT/", "<h1>hello</h1>", ""},
	{"a gRPC server", "grpc", []string{"go"}, "50051", `go run google.golang.org/grpc/interop/client@v1.80.0 ` +
		`--server_host 127.0.0.1 --server_port $PORT --test_case empty_unary && echo answered`, "answered", ""},
}

// The five programs of the help are launched by what stands there, asked something,
// restarted and stopped. Only the port is another, for that one may be taken.
func TestHelpExamples(t *testing.T) {
	if testing.Short() {
		t.Skip("real programs, two of which are downloaded; run without -short")
	}
	bin := t.TempDir()
	if out, err := exec.Command("go", "build", "-o", filepath.Join(bin, "podctl"), ".").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	for dir := bin; dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil { // another user runs it
			t.Fatal(err)
		}
	}
	for _, e := range helpExamples {
		t.Run(e.name, func(t *testing.T) { e.run(t, bin) })
	}
}

func (e helpExample) run(t *testing.T, bin string) {
	for _, program := range e.needs {
		if !installed(program) {
			if os.Getenv("CI") == "true" {
				t.Fatalf("%s is not installed", program)
			}
			t.Skipf("%s is not installed", program)
		}
	}
	place, err := os.MkdirTemp("", "pf") // short enough for a socket
	if err != nil {
		t.Fatal(err)
	}
	var as []string
	if e.notRoot != "" && os.Geteuid() == 0 {
		as = []string{"setpriv", "--reuid=" + e.notRoot, "--regid=" + e.notRoot, "--clear-groups"}
		if out, err := exec.Command("chown", e.notRoot, place).CombinedOutput(); err != nil {
			t.Fatalf("chown: %v\n%s", err, out)
		}
	}
	port := freePort(t)
	sh := func(script string) (string, error) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
		defer cancel()
		words := append(as, "sh", "-ec", script)
		cmd := exec.CommandContext(ctx, words[0], words[1:]...)
		cmd.Dir = place
		cmd.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "PORT="+port, marker+"="+place,
			"INSOMNIA_RUNTIME_DIR="+filepath.Join(place, "run"))
		if as != nil {
			cmd.Env = append(cmd.Env, "HOME="+place)
		}
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	t.Cleanup(func() {
		sh("podctl stop --all --grace 5s")
		if left := processes(marker + "=" + place); len(left) > 0 {
			t.Errorf("processes %v are left", left)
		}
		os.RemoveAll(place)
	})
	e.try(t, sh, port)
}

// ask asks the program.
func (e helpExample) ask(sh func(string) (string, error), port string) (string, error) {
	if !strings.HasPrefix(e.asks, "http") {
		return sh(e.asks)
	}
	answer, err := http.Get(strings.ReplaceAll(e.asks, "$PORT", port))
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	return string(text), err
}

// try runs the example, and asks what it has launched something, before and after a
// restart.
func (e helpExample) try(t *testing.T, sh func(string) (string, error), port string) {
	text := e.text(t)
	if e.port != "" {
		text = regexp.MustCompile(`\b`+e.port+`\b`).ReplaceAllString(text, port)
	}
	for _, script := range []string{text, "podctl restart " + e.name} {
		if out, err := sh(script); err != nil || !strings.Contains(out, e.name+" is ready") {
			t.Fatalf("%s\n%v:\n%s", script, err, out)
		}
		if out, err := e.ask(sh, port); err != nil || !strings.Contains(out, e.answer) {
			t.Fatalf("%s: %v, want %s:\n%s", e.asks, err, e.answer, out)
		}
	}
	out, err := sh("podctl timeline " + e.name + "; podctl stop " + e.name)
	if err != nil || !strings.Contains(out, e.name+" is stopped: ") {
		t.Fatalf("%v:\n%s", err, out)
	}
	t.Log(out)
}

// text is the example as it stands in the help, with its indentation.
func (e helpExample) text(t *testing.T) string {
	_, text, found := strings.Cut(fiveExamples, "  # "+e.heading)
	if !found {
		t.Fatalf("the help has no example %q", e.heading)
	}
	text, _, _ = strings.Cut(text, "\n\n")
	return "  # " + e.heading + text
}

// installed reports whether there is a program: on PATH, or where a pattern says.
func installed(program string) bool {
	if found, err := filepath.Glob(program); err == nil && len(found) > 0 && strings.HasPrefix(program, "/") {
		return true
	}
	_, err := exec.LookPath(program)
	return err == nil
}

// freePort returns a port that was free a moment ago.
func freePort(t *testing.T) string {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
}
