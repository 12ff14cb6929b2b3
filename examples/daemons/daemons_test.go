package main

import (
	"bytes"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/podlaunch/podlaunch/examples/internal/exampletest"
	"github.com/podlaunch/podlaunch/launcher"
)

var update = flag.Bool("update", false, "write testdata and docs/recipes.md instead of comparing with them")

// mustHave sees to it that d is installed. Where the gate runs it has to be.
func mustHave(t *testing.T, d daemon) {
	t.Helper()
	if _, err := exec.LookPath(find(d.programs...)); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("CI must have %s (%s): %v", d.name, d.pkg, err)
		}
		t.Skipf("%s is not installed (%s): %v", d.name, d.pkg, err)
	}
}

// Each real daemon is launched, shows its progress, answers a real request,
// and is stopped in its own way; it leaves neither a process nor a file.
func TestWorks(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped with -short: it starts real daemons")
	}
	bin := exampletest.Build(t, ".")
	for _, d := range daemons {
		t.Run(d.name, func(t *testing.T) {
			mustHave(t, d)
			r := exampletest.Run(t, bin, nil, d.name)
			if r.Code != 0 || r.Stderr != "" {
				t.Fatalf("exit status %d, stderr %q, stdout:\n%s", r.Code, r.Stderr, r.Stdout)
			}
			for step, want := range map[string]string{
				"ready":   `^(unix:/\S+|tcp:127\.0\.0\.1:\d+), pid \d+$`,
				"asked":   d.answer,
				"stopped": "^(" + d.exit + ")$",
			} {
				if got := after(r.Stdout, step); len(got) != 1 || !regexp.MustCompile(want).MatchString(got[0]) {
					t.Errorf("%s: %q, want one that matches %s", step, got, want)
				}
			}
			// nginx listens before it says its first word: it may be ready by then.
			if len(after(r.Stdout, "it says")) == 0 && d.name != "nginx" {
				t.Errorf("it showed no progress:\n%s", r.Stdout)
			}
		})
	}
}

// Each real daemon is launched as it cannot work. The launch fails, and its
// error quotes what the daemon itself complains of; again nothing is left.
//
// What was recorded for docs/recipes.md need not be the same, word by word,
// for another version of the daemon says it in other words. It too must be
// such an error.
func TestBroken(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped with -short: it starts real daemons")
	}
	bin := exampletest.Build(t, ".")
	frame := regexp.MustCompile(`^launch \S+: pod exited before becoming ready: .+ \(exit status \d+, stage ready, pid PID, after TIME, log DIR/run/\S+/stderr\.log\)$`)
	for _, d := range daemons {
		t.Run(d.name, func(t *testing.T) {
			mustHave(t, d)
			r := exampletest.Run(t, bin, nil, "-broken", d.name)
			if r.Code != 0 || r.Stderr != "" {
				t.Fatalf("exit status %d, stderr %q, stdout:\n%s", r.Code, r.Stderr, r.Stdout)
			}
			said := after(r.Stdout, "failed")
			for i := range said {
				said[i] = scrub(said[i])
			}
			if *update {
				write(t, recorded(d), strings.Join(said, "\n")+"\n")
			}
			for _, errs := range [][]string{said, recordedErrors(t, d)} {
				if len(errs) != len(d.faults) || len(errs) == 0 {
					t.Fatalf("there are %d errors of %d faults: %q", len(errs), len(d.faults), errs)
				}
				for i, f := range d.faults {
					if !regexp.MustCompile(f.complaint).MatchString(errs[i]) || !frame.MatchString(errs[i]) {
						t.Errorf("%s: the error is\n%s\nwant one that matches %s", f.what, errs[i], f.complaint)
					}
				}
			}
		})
	}
}

// A program that is not installed is no failure of a launch: it is said which
// package has it, the others are launched none the less, and the exit status
// tells.
func TestNotInstalled(t *testing.T) {
	absent := func(name string) daemon {
		return daemon{name: name, pkg: name + "-package", programs: []string{"no-such-" + name},
			launch: func(*place) (launcher.Launcher, launcher.Spec) {
				return launcher.Launcher{Command: launcher.Exec(find("no-such-" + name))}, launcher.Spec{Name: name}
			},
		}
	}
	table := daemons
	t.Cleanup(func() { daemons = table })
	daemons = []daemon{absent("one"), absent("two")}
	var stdout, stderr bytes.Buffer
	if status := run(t.Context(), &stdout, &stderr, []string{"one", "two"}); status != notInstalled {
		t.Errorf("exit status %d, want %d", status, notInstalled)
	}
	for _, want := range []string{"apt-get install one-package ", "apt-get install two-package "} {
		if strings.Count(stderr.String(), want) != 1 {
			t.Errorf("it lacks %q:\n%s", want, &stderr)
		}
	}
	stdout.Reset()
	run(t.Context(), &stdout, &stderr, nil)
	if n := strings.Count(stdout.String(), "not installed: apt-get install "); n != 2 {
		t.Errorf("the list tells of %d that are not installed, want 2:\n%s", n, &stdout)
	}
}

// Without arguments the table is listed; a name that is not in it is refused
// before anything is launched.
func TestUsage(t *testing.T) {
	bin := exampletest.Build(t, ".")
	r := exampletest.Run(t, bin, nil)
	lines := strings.Split(strings.TrimSpace(r.Stdout), "\n")
	if r.Code != 0 || r.Stderr != "" || len(lines) != len(daemons) {
		t.Fatalf("exit status %d, stderr %q, stdout:\n%s", r.Code, r.Stderr, r.Stdout)
	}
	for i, d := range daemons {
		if !strings.HasPrefix(lines[i], d.name+" ") || !strings.Contains(lines[i], d.about) {
			t.Errorf("line %d is not about %s: %q", i+1, d.name, lines[i])
		}
	}
	r = exampletest.Run(t, bin, nil, "redis", "rediss")
	if r.Code != misused || r.Stdout != "" || !strings.Contains(r.Stderr, `"rediss"`) {
		t.Errorf("exit status %d, stdout %q, stderr %q", r.Code, r.Stdout, r.Stderr)
	}
	r = exampletest.Run(t, bin, nil, "-brocken", "redis")
	if r.Code != misused || r.Stdout != "" {
		t.Errorf("exit status %d, stdout %q, stderr %q", r.Code, r.Stdout, r.Stderr)
	}
}

// after returns what output says at each of its lines for a step.
func after(output, step string) (found []string) {
	line := regexp.MustCompile(`(?m)^  ` + step + `  +(?:[0-9.]+ ms  )?(.*)$`)
	for _, m := range line.FindAllStringSubmatch(output, -1) {
		found = append(found, m[1])
	}
	return found
}

// scrub takes out of an error what differs from run to run.
func scrub(s string) string {
	for _, r := range [][2]string{
		{`/[^\s"]*/daemons\d+/`, `DIR/`},
		{`pid \d+`, `pid PID`},
		{`after [\d.]+(µs|ms|s)`, `after TIME`},
		{`attempts: \d+`, `attempts: N`},
		{`\d{4}[-/]\d\d[-/]\d\d \d\d:\d\d:\d\d(\.\d+ \w+)?`, `DATE`},
		{`\d+#\d+:`, `PID#0:`},   // nginx
		{`\[\d+\]`, `[PID]`},     // PostgreSQL
		{`\(\d+\) :`, `(PID) :`}, // haproxy
		{`"/[^"]*(/lib/python3\.\d+/)`, `"/usr$1`},
		{`\[\d+:\d+:[\d/.]+:`, `[PID:DATE:`},                 // Chromium
		{`/usr/bin/chromium: \d+: .*?unexpected.*? \| `, ``}, // its wrapper, of a machine with two /dev/shm
	} {
		s = regexp.MustCompile(r[0]).ReplaceAllString(s, r[1])
	}
	return s
}

// recorded is the file with the errors of d's faults, one a line.
func recorded(d daemon) string { return filepath.Join("testdata", d.name+".txt") }

func recordedErrors(t *testing.T, d daemon) []string {
	t.Helper()
	return strings.Split(strings.TrimSuffix(read(t, recorded(d)), "\n"), "\n")
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
