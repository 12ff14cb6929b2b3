//go:build linux

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// A session runs what a page shows: in a home directory of its own, with podctl and stand-ins
// for programs on PATH. Ports are others, for those of the page may be taken.
type session struct {
	home string // $HOME
	run  string // $XDG_RUNTIME_DIR
	bin  string // before all others on PATH
	port string
}

func newSession(t *testing.T) *session {
	t.Helper()
	place, err := os.MkdirTemp("", "pr") // short enough for a socket
	if err != nil {
		t.Fatal(err)
	}
	s := &session{filepath.Join(place, "home"), filepath.Join(place, "run"), filepath.Join(place, "bin"), freePort(t)}
	for _, dir := range []string{s.home, s.run, s.bin} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		for _, base := range []string{"", "export INSOMNIA_RUNTIME_DIR=~/pods\n"} {
			if out, err := s.shell(t, s.home, base+"podctl stop --all --grace 5s"); err != nil {
				t.Errorf("podctl stop --all: %v\n%s", err, out)
			}
		}
		if left := processes(marker + "=" + place); len(left) > 0 {
			t.Errorf("processes %v are left", left)
		}
		os.RemoveAll(place)
	})
	return s
}

// shell runs a script in dir, and returns all that it prints.
func (s *session) shell(t *testing.T, dir, script string) (string, error) {
	cmd := exec.Command("sh", "-c", script)
	cmd.Dir = dir
	cmd.Env = []string{"HOME=" + s.home, "XDG_RUNTIME_DIR=" + s.run, "PATH=" + s.bin + ":" + os.Getenv("PATH"),
		"TZ=UTC", "GOFLAGS=", "GOWORK=off", "GOBIN=" + s.bin, marker + "=" + filepath.Dir(s.home)}
	for _, name := range []string{"GOCACHE", "GOMODCACHE", "GOPATH", "GOPROXY"} {
		value, err := exec.Command("go", "env", name).Output()
		if err != nil {
			t.Fatalf("go env %s: %v", name, err)
		}
		cmd.Env = append(cmd.Env, name+"="+strings.TrimSpace(string(value)))
	}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// program puts a script onto PATH, or wherever path says.
func (s *session) program(t *testing.T, path, script string) {
	t.Helper()
	if !filepath.IsAbs(path) {
		path = filepath.Join(s.bin, path)
	}
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+script), 0o700); err != nil {
		t.Fatal(err)
	}
}

// blocksOf returns the blocks of a page in a language.
func blocksOf(t *testing.T, page, language string) (blocks []string) {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile("(?s)\n```"+language+"\n(.*?\n)```\n").FindAllStringSubmatch(string(text), -1) {
		blocks = append(blocks, m[1])
	}
	return blocks
}

// show runs the commands of a console's block, and returns what the console would show.
func (s *session) show(t *testing.T, dir, block string) string {
	t.Helper()
	var script strings.Builder
	for line := range strings.Lines(block) {
		if command, is := strings.CutPrefix(line, "$ "); is {
			fmt.Fprintf(&script, "printf '%%s\\n' '$ %s'\n%s", strings.ReplaceAll(strings.TrimSuffix(command, "\n"), "'", `'\''`), command)
		}
	}
	out, err := s.shell(t, dir, s.withPort(script.String()))
	t.Logf("%v\n%s", err, out)
	return out
}

func (s *session) withPort(text string) string {
	return regexp.MustCompile(`\b(6379|8080)\b`).ReplaceAllString(text, s.port)
}

// plain replaces what differs from run to run by a word.
func (s *session) plain(text string) string {
	text = strings.NewReplacer(s.home, "/home/me", s.run, "/run/user/1000", ":"+s.port, ":PORT").Replace(text)
	for _, r := range []struct{ found, is string }{
		{`:(6379|8080)\b`, ":PORT"},
		{`--port \d+`, "--port PORT"},
		{`\n {9,}`, " "}, // lines are as wide as the terminal
		{`\(attempts: .*\)`, "(ATTEMPTS)"},
		{`exit status unknown`, "exit status 0"}, // see README.md
		{`\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)?`, "DATE"},
		{`\d\d \w{3} \d{4} [0-9:.]+`, "DATE"},
		{`\b\d+(\.\d+)?(µs|ms|s)\b`, "TIME"},
		{`\bpid \d+`, "pid PID"},
		{`\b\d+:M\b`, "PID:M"},
		{`( ready +)\d+`, "${1}PID"}, // in the table
		{`(?m) +[#-]+$`, " BAR"},     // of the timeline
		{`(?m)^[ A-Z]+ STARTED +\w+$`, "HEAD"},
		{`(\S) {2,}`, "$1  "},
	} {
		text = regexp.MustCompile(r.found).ReplaceAllString(text, r.is)
	}
	return text
}

// What README.md shows of podctl is what podctl prints.
func TestReadme(t *testing.T) {
	blocks := blocksOf(t, "README.md", "console")
	if len(blocks) != 5 {
		t.Fatalf("the README shows %d sessions, want 5", len(blocks))
	}
	if !installed("redis-server") {
		if os.Getenv("CI") == "true" {
			t.Fatal("redis-server is not installed")
		}
		t.Skip("redis-server is not installed")
	}
	if testing.Short() {
		t.Skip("skipped with -short: it builds programs")
	}
	s := newSession(t)
	same := func(name, dir, block string) {
		t.Run(name, func(t *testing.T) {
			got := s.show(t, dir, block)
			// On a terminal, run shows the program's lines in one line that it redraws.
			got = regexp.MustCompile(`(?m)^(redis|web): .*\n`).ReplaceAllString(got, "")
			if got, want := s.plain(got), s.plain(block); got != want {
				t.Errorf("it printed\n%s\nand the README shows\n%s", got, want)
			}
		})
	}
	same("run", "../..", blocks[0])
	s.program(t, s.home+"/web", "echo 'bind 127.0.0.1:9090: address already in use' >&2\nexit 1\n")
	same("failure", s.home, blocks[1])
	s.program(t, "pg_isready", "exit 0\n")
	if out, err := s.shell(t, s.home, `podctl run postgres --ready socket=.s.PGSQL.5432 --ready 'exec=pg_isready -h $POD_RUNTIME_DIR' -- serve unix {dir}/.s.PGSQL.5432`); err != nil {
		t.Fatalf("podctl run postgres: %v\n%s", err, out)
	}
	same("timeline", s.home, blocks[2])
	same("pods", ".", blocks[3])
	if err := os.WriteFile(s.home+"/alice.toml", []byte("name = \"alice\"\nlevel = 2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	same("ensure", s.home, "$ export INSOMNIA_RUNTIME_DIR=$HOME/pods\n"+blocks[4])
}

// The commands of docs/migrate.md that take the place of a shell's loop launch a server, and
// stop it.
func TestMigrate(t *testing.T) {
	scripts := blocksOf(t, "../../docs/migrate.md", "sh")
	if len(scripts) != 1 {
		t.Fatalf("the page shows %d scripts, want 1", len(scripts))
	}
	s := newSession(t)
	s.program(t, "my-server", `[ "$1" = --port ] && exec serve tcp 127.0.0.1:"$2"`)
	out, err := s.shell(t, s.home, "set -e\n"+s.withPort(scripts[0]))
	want := regexp.MustCompile(`^web is ready: pid \d+, tcp:127\.0\.0\.1:` + s.port + `\nweb is stopped: [^\n]*\n$`)
	if err != nil || !want.MatchString(out) {
		t.Errorf("it printed, %v:\n%s", err, out)
	}
}
