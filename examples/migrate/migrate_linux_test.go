package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/podlaunch/podlaunch/examples/internal/exampletest"
)

// The test binary plays the server.
func TestMain(m *testing.M) {
	if len(os.Args) == 4 && os.Args[1] == "serve" {
		serve(os.Args[2], os.Args[3])
	}
	os.Exit(m.Run())
}

// A result describes how a program ended.
type result struct {
	ended string // how the server ended, if there is no error
	says  string // in the error
	lacks string // in the error
	waits bool   // until its patience ends
	left  int    // processes that are left behind
}

// Both programs, in the same situations.
func TestSituations(t *testing.T) {
	const killed, words = "signal: killed", "the server did not answer"
	for _, c := range []struct {
		situation               string
		withExec, withPodlaunch result
	}{
		{"well", result{ended: killed}, result{ended: "exit status 0"}},
		{"fails", result{says: words, lacks: "configuration", waits: true}, result{says: "cannot read the configuration"}},
		{"hangs", result{says: words, lacks: "database", waits: true}, result{says: "waiting for the database", waits: true}},
		{"deaf", result{ended: killed}, result{ended: killed}},
		{"forks", result{ended: killed, left: 1}, result{ended: "exit status 0"}},
	} {
		t.Run(c.situation, func(t *testing.T) {
			if testing.Short() && c.withExec.waits {
				t.Skip("skipped with -short: one waits until its time is over")
			}
			t.Run("os/exec", func(t *testing.T) { try(t, withExec, c.situation, c.withExec) })
			t.Run("podlaunch", func(t *testing.T) { try(t, withPodlaunch, c.situation, c.withPodlaunch) })
		})
	}
}

// try runs a program, and compares its result.
func try(t *testing.T, run func(context.Context, string) (string, error), situation string, want result) {
	t.Helper()
	tmp, err := os.MkdirTemp("", "m") // short, for sockets
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(tmp) })
	mark := fmt.Sprintf("MIGRATE_TEST=%s", tmp)
	t.Setenv("MIGRATE_TEST", tmp)
	t.Setenv("TMPDIR", tmp)
	t.Setenv("XDG_RUNTIME_DIR", "")
	t.Setenv("GORACE", "atexit_sleep_ms=0") // else the detector of races waits a second, longer than the grace
	began := time.Now()
	ended, err := run(t.Context(), situation)
	took := time.Since(began)
	left := marked(t, mark)
	for _, pid := range left {
		syscall.Kill(pid, syscall.SIGKILL)
	}
	if len(left) != want.left {
		t.Errorf("it has left %d processes behind, want %d", len(left), want.left)
	}
	if entries, err := os.ReadDir(tmp); err != nil || len(entries) > 0 {
		t.Errorf("it has left files behind: %v, %v", entries, err)
	}
	if want.waits && took < patience {
		t.Errorf("it took %v, and its patience is %v", took, patience)
	}
	if want.says == "" {
		if err != nil || ended != want.ended {
			t.Errorf("the server has ended with %q, and the error is %v; want %q", ended, err, want.ended)
		}
		return
	}
	if err == nil || !strings.Contains(err.Error(), want.says) || want.lacks != "" && strings.Contains(err.Error(), want.lacks) {
		t.Errorf("the error is %q; want one with %q and without %q", err, want.says, want.lacks)
	}
}

// marked returns the processes that have mark in the environment and have not ended.
func marked(t *testing.T, mark string) (pids []int) {
	t.Helper()
	paths, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil || len(paths) == 0 {
		t.Fatalf("processes cannot be listed here: %v", err)
	}
	for _, path := range paths {
		env, _ := os.ReadFile(path) // it may have gone
		if strings.Contains(string(env), mark+"\x00") {
			pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
			if err != nil {
				t.Fatal(err)
			}
			pids = append(pids, pid)
		}
	}
	return pids
}

// The command shows both, side by side.
func TestCommand(t *testing.T) {
	r := exampletest.Run(t, exampletest.Build(t, "."), nil)
	want := `^os/exec    after \S+: signal: killed\npodlaunch  after \S+: exit status 0\n$`
	if r.Code != 0 || r.Stderr != "" || !regexp.MustCompile(want).MatchString(r.Stdout) {
		t.Errorf("exit status %d, stderr %q, stdout:\n%s", r.Code, r.Stderr, r.Stdout)
	}
}
