package launcher

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/podlaunch/podlaunch/launcher/internal/leaktest"
)

// Each rule finds the cause of a real program's failure.
func TestCauseRules(t *testing.T) {
	leaktest.Parallel(t)
	paths, _ := filepath.Glob("testdata/failures/*.txt")
	users := make(map[int][]string)
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		_, output, _ := strings.Cut(string(text), "-- output --\n")
		lines := strings.Split(strings.TrimSuffix(output, "\n"), "\n")
		cause, rule := findCause(lines[:min(keptLines, len(lines))], lines[max(0, len(lines)-keptLines):])
		if (cause == "") != (rule < 0) || cause != "" && !slices.Contains(lines, cause) {
			t.Errorf("%s: the cause is %q, by rule %d", path, cause, rule)
		}
		users[rule] = append(users[rule], filepath.Base(path))
	}
	for i, r := range causeRules {
		if users[i] == nil {
			t.Errorf("no failure needs the rule for %s", r.kind)
		}
		t.Logf("%s: %v", r.kind, users[i])
	}
	t.Logf("without a cause: %v", users[-1])
}

// What has the words of an error and is none is no cause.
func TestNoCause(t *testing.T) {
	for _, line := range []string{
		"", "ready", "no errors found", "0 errors, 3 warnings", `level=info msg="saved" error=null`, `{"level":"info","error":null,"msg":"saved"}`,
		"writing to /var/log/error.log", "the error handler is installed", "errors: 0", "panicking is not my way", "an exceptional day",
		"loaded module fatal_handler", "usage: prog [-error-level N] [-fatal]", `{"level":"info","msg":"error budget"}`, "exit on fatal signals", "Error handling is on",
	} {
		if got := causeIn([]string{line}, []string{line}); got != "" {
			t.Errorf("%q is taken for a cause", got)
		}
	}
}

// The lines of many loggers and runtimes are causes, also if much comes after them.
func TestCauseOfManyKinds(t *testing.T) {
	for _, line := range []string{
		"ERROR:root:database is locked", "2026-01-01 00:00:00 ERROR app: port 80 taken", "2026-01-01T00:00:00.123Z ERROR port 80 taken",
		"2026-01-01 00:00:00,123 [main] ERROR com.example.App - port 80 taken", "12:00:00 [ERROR] port 80 taken", "[E] port 80 taken", "<3>port 80 taken", "<2>port 80 taken",
		"F0101 12:00:00.000001       1 main.go:10] port 80 taken", "java.lang.OutOfMemoryError: Java heap space", "Segmentation fault (core dumped)",
		"Port 80 is already in use", "dial tcp 10.0.0.1:5432: i/o timeout", "x509: certificate signed by unknown authority", "/usr/bin/x: /lib/libfoo.so: undefined symbol: bar",
		"syntax error near unexpected token", "Missing required argument: config", "invalid configuration in /etc/x.conf", "npm ERR! code ENOENT", "  [cause]: Error: connect ECONNREFUSED 10.0.0.1:5432",
	} {
		later := slices.Repeat([]string{"goes on for a while"}, 20)
		if got := causeIn(append([]string{"begins", line}, later...), later); got != line {
			t.Errorf("the cause is %q, want %q", got, line)
		}
	}
}

// The first line of a rule counts, or the last one, in all that is kept.
func TestCauseIn(t *testing.T) {
	for _, c := range []struct {
		head, tail []string
		want       string
	}{
		{[]string{"error: one"}, []string{"error: two"}, "error: one"},
		{[]string{"error: one"}, []string{"panic: two"}, "panic: two"},
		{[]string{"Caused by: one"}, []string{"Caused by: two", "Caused by: three"}, "Caused by: three"},
		{[]string{"Caused by: one"}, nil, "Caused by: one"},
		{[]string{"\x1b[31mError:\x1b[0m red"}, nil, "\x1b[31mError:\x1b[0m red"},
		{[]string{"\x1b[1mbold, and an end that is missing \x1b["}, nil, ""},
		{[]string{"Traceback (most recent call last):", "  File x", "a.B: c", "", "Traceback (most recent call last):", "  File y", "d.E", "f: bye"}, nil, "d.E"},
		{[]string{"thread 'main' panicked at src/main.rs:2:5:", "", "the message", "note: run with"}, nil, "the message"},
		{[]string{strings.Repeat("x", 2<<10) + " error: far away"}, nil, ""},
		{[]string{"WARNING bind(): Address already in use", "FATAL nowhere to listen on"}, nil, "WARNING bind(): Address already in use"},
		{[]string{"bind() failed: Address already in use (98)", "unable to bind any sockets", "prog error: error in socket IO (code 10)"}, nil, "bind() failed: Address already in use (98)"},
		{[]string{"x.conf:3: unknown keyword 'nosuch'", "prog: fatal error: could not read x.conf"}, nil, "x.conf:3: unknown keyword 'nosuch'"},
		{[]string{"no such luck", "[::1]:80: Cannot assign requested address", "one", "two", "three", "fatal: the database is locked"}, nil, "fatal: the database is locked"},
		{[]string{"/etc/optional.conf: No such file or directory", "fatal: the database is locked"}, nil, "fatal: the database is locked"},
		{[]string{"fatal: the database is locked", "bind: Address already in use"}, nil, "fatal: the database is locked"},
		{[]string{"Error opening specified endpoint", "exiting"}, nil, "Error opening specified endpoint"},
		{[]string{"ERROR\xff: no UTF-8", "fatal: \xff"}, nil, "fatal: \xff"},
	} {
		if got := causeIn(c.head, c.tail); got != c.want {
			t.Errorf("%q, %q: %q, want %q", c.head, c.tail, got, c.want)
		}
	}
}
