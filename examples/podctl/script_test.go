//go:build linux

package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

var update = flag.Bool("update", false, "write the expected output in the scripts anew")

// The test binary plays podctl itself and the pods. Another package could not
// run main.
func TestMain(m *testing.M) {
	os.Setenv("GORACE", "atexit_sleep_ms=0") // or every command under -race takes a second
	testscript.Main(m, map[string]func(){
		"podctl":   main,
		"echopod":  echoPod,
		"badpod":   badPod,
		"ordinary": ordinary,
		"serve":    serve,
	})
}

// Every script in testdata/script does what it says, and leaves no pod.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		UpdateScripts:       *update,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup:               setUp,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits,
			"fifo":  fifo,
			"scrub": scrub,
		},
	})
}

// marker is a variable that everything has in its environment that a script
// starts: its value is the script's own.
const marker = "PODCTL_SCRIPT"

// setUp gives a script a directory for its pods, short enough for a socket, and
// sees to it that no process of the script outlives it.
func setUp(env *testscript.Env) error {
	base, err := os.MkdirTemp("", "pc")
	if err != nil {
		return err
	}
	env.Setenv("INSOMNIA_RUNTIME_DIR", base)
	env.Setenv(marker, base)
	env.Setenv("GORACE", os.Getenv("GORACE"))
	env.Setenv("TZ", "UTC")
	env.Defer(func() {
		left := processes(marker + "=" + base)
		for _, pid := range left {
			syscall.Kill(pid, syscall.SIGKILL)
		}
		os.RemoveAll(base)
		if len(left) > 0 {
			env.T().Fatal("processes ", left, " were left behind")
		}
	})
	return nil
}

// processes returns those that have variable in their environment. A zombie has
// none any more.
func processes(variable string) (pids []int) {
	files, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil || len(files) == 0 {
		panic(fmt.Sprint("no /proc: ", err))
	}
	for _, file := range files {
		environ, err := os.ReadFile(file)
		if err != nil {
			continue // it has just gone, or is another user's
		}
		for _, v := range bytes.Split(environ, []byte{0}) {
			if string(v) == variable {
				pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(file)))
				pids = append(pids, pid)
			}
		}
	}
	return pids
}

// exits CODE PROGRAM [ARG]... is exec, for a program that must exit with CODE.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM [ARG]...")
	}
	err := ts.Exec(args[1], args[2:]...)
	code := 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		code, err = exit.ExitCode(), nil
	}
	ts.Check(err)
	if fmt.Sprint(code) != args[0] {
		ts.Fatalf("it exited with %d, not %s", code, args[0])
	}
}

// fifo PATH makes a FIFO: a script waits at it with cat, and is woken by a pod.
func fifo(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: fifo PATH")
	}
	ts.Check(syscall.Mkfifo(ts.MkAbs(args[0]), 0o600))
}

// scrub stdout|stderr FILE writes what the last command has written into FILE,
// with all that is different from run to run replaced by what it is.
func scrub(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: scrub stdout|stderr FILE")
	}
	echopod, err := exec.LookPath("echopod")
	ts.Check(err)
	text := strings.NewReplacer(
		ts.Getenv("INSOMNIA_RUNTIME_DIR"), "RUN",
		ts.Getenv("WORK"), "WORK",
		filepath.Dir(echopod), "BIN",
	).Replace(ts.ReadFile(args[0]))
	for _, r := range []struct{ found, is string }{
		{`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`, "UUID"},
		{`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)`, "TIME"},
		{`after [0-9.]+(µs|ms|s)`, "after DURATION"},
		{`("seconds": )[0-9.e-]+`, "${1}SECONDS"},
		{`(pid(":)? +)\d+`, "${1}PID"},
		{`(?m)^(\w+ +(ready|unreachable|starting) +)\d+`, "${1}PID"}, // in the table
		{`(\S) {2,}`, "$1  "},                                        // columns are as wide as what was replaced
	} {
		text = regexp.MustCompile(r.found).ReplaceAllString(text, r.is)
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(text), 0o600))
}
