//go:build linux

package launcher_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/launcher/internal/leaktest"
	"github.com/podlaunch/podlaunch/launcher/internal/podrig"
)

var recordFailures = flag.Bool("record-failures", false, "make the outputs in testdata/failures anew, with the programs that are installed")

// A failure is a program that does not start, as a file in testdata/failures has it:
// lines "key: value", then files, each after a line "-- NAME --". The one called output
// is what the program has written, to standard output and standard error.
type failure struct {
	path  string
	facts []fact // program, version-of, run, reason; recorded are version and exit
	files []fact
}

type fact struct{ key, value string }

const outputFile = "output"

// wantedShare is how many of the failures have to be explained, in sixtieths.
const wantedShare = 56

// W33, W34: programs of many kinds have failed to start. The message of each holds the true
// reason, as a person has read it in the output. It is no longer than 12 lines of 160
// characters.
func TestFailures(t *testing.T) {
	leaktest.Parallel(t)
	all := readFailures(t)
	explained, caused, within8 := 0, 0, 0
	for _, f := range all {
		if *recordFailures {
			t.Run("record "+f.name(), f.record)
		}
		t.Run(f.name(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := f.launch(t)
				if strings.Contains(e.Error(), f.printable()) {
					explained++
				} else {
					t.Logf("the reason is %q, and the cause %q: %v", f.get("reason"), e.Cause, e)
				}
				if strings.Contains(e.Cause, f.get("reason")) {
					caused++
				}
				if strings.Contains(strings.Join(e.Tail[max(0, len(e.Tail)-8):], "\n"), f.get("reason")) {
					within8++
				}
				if n := len(e.Error()); n > 12*160 {
					t.Errorf("the message has %d bytes: %v", n, e)
				}
			})
		})
	}
	t.Logf("of %d failures the message holds the reason of %d, and Error.Cause that of %d; the last 8 lines hold that of %d", len(all), explained, caused, within8)
	if explained*60 < wantedShare*len(all) {
		t.Errorf("the reason of %d of %d failures is told, want %d of 60", explained, len(all), wantedShare)
	}
}

// launch launches a pod that writes what f has recorded, and ends as that has ended.
func (f *failure) launch(t *testing.T) *launcher.Error {
	t.Helper()
	fake := newFake(t)
	fake.log.write(f.file(outputFile))
	exit := launcher.Exit{Known: true}
	number := func(s string) int {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatalf("%s: exit: %v", f.path, err)
		}
		return n
	}
	if s, signalled := strings.CutPrefix(f.get("exit"), "signal "); signalled {
		exit.Signal = syscall.Signal(number(s))
	} else {
		exit.Code = number(f.get("exit"))
	}
	fake.proc.endAt(time.Now().Add(time.Second), exit)
	e := fake.mustFail(t, t.Context())
	podrig.MustBe(t, e, launcher.ErrExitedEarly)
	return e
}

// readFailures reads all of them.
func readFailures(t *testing.T) (all []*failure) {
	t.Helper()
	paths, err := filepath.Glob("testdata/failures/*.txt")
	if err != nil || len(paths) == 0 {
		t.Fatalf("there are no failures: %v", err)
	}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		f := &failure{path: path}
		for line := range strings.Lines(string(text)) {
			name, isFile := strings.CutPrefix(line, "-- ")
			key, value, isFact := strings.Cut(line, ": ")
			switch {
			case isFile && strings.HasSuffix(name, " --\n"):
				f.files = append(f.files, fact{key: strings.TrimSuffix(name, " --\n")})
			case len(f.files) > 0:
				f.files[len(f.files)-1].value += line
			case isFact:
				f.facts = append(f.facts, fact{key, strings.TrimSuffix(value, "\n")})
			default:
				t.Fatalf("%s: neither a fact nor a file: %q", path, line)
			}
		}
		all = append(all, f)
	}
	return all
}

func (f *failure) name() string { return strings.TrimSuffix(filepath.Base(f.path), ".txt") }

func find(facts []fact, key string) string {
	if i := slices.IndexFunc(facts, func(f fact) bool { return f.key == key }); i >= 0 {
		return facts[i].value
	}
	return ""
}

func (f *failure) get(key string) string   { return find(f.facts, key) }
func (f *failure) file(name string) string { return find(f.files, name) }

// printable is the reason as a message has it.
func (f *failure) printable() string { return strings.ReplaceAll(f.get("reason"), "\t", `\t`) }

// record runs the program, and writes down what it says.
func (f *failure) record(t *testing.T) {
	dir := t.TempDir()
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	_, port, _ := net.SplitHostPort(busy.Addr().String())
	if _, err := exec.LookPath(f.get("program")); err != nil && f.get("program") != "postgres" {
		t.Skipf("%s is not recorded anew: %v", f.name(), err)
	}
	f.files = slices.DeleteFunc(f.files, func(f fact) bool { return f.key == outputFile })
	for _, file := range f.files {
		text := strings.ReplaceAll(file.value, "@BUSY@", port)
		if err := os.WriteFile(filepath.Join(dir, file.key), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	version, _ := f.run(t, dir, port, f.get("version-of"))
	first, _, _ := strings.Cut(strings.TrimSpace(version), "\n")
	output, exit := f.run(t, dir, port, f.get("run"))
	facts := []fact{}
	for _, key := range []string{"program", "version-of", "run", "reason"} {
		facts = append(facts, fact{key, f.get(key)})
	}
	f.facts = append(facts, fact{"version", first}, fact{"exit", exit})
	f.files = append(f.files, fact{outputFile, output})
	var b bytes.Buffer
	for _, fact := range f.facts {
		fmt.Fprintf(&b, "%s: %s\n", fact.key, fact.value)
	}
	for _, file := range f.files {
		fmt.Fprintf(&b, "-- %s --\n%s", file.key, file.value)
	}
	if err := os.WriteFile(f.path, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

// run runs a script in dir, with a port in $BUSY that is taken, and returns what it has
// written and how it has ended. Names of this machine are replaced.
func (f *failure) run(t *testing.T, dir, port, script string) (output, exit string) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	out, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	cmd := exec.CommandContext(ctx, "sh", "-c", script)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, out, out
	home := t.TempDir()
	own, _ := os.UserHomeDir()
	cmd.Env = append(os.Environ(), "RUSTUP_HOME="+filepath.Join(own, ".rustup"), "GOCACHE="+filepath.Join(own, ".cache/go-build"), "PATH=/usr/sbin:/usr/bin:/sbin:/bin:"+os.Getenv("PATH"), "HOME="+home, "LC_ALL=C.UTF-8", "BUSY="+port)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	err = cmd.Run()
	var ended *exec.ExitError
	if err != nil && !errors.As(err, &ended) {
		t.Fatal(err)
	}
	text, err := os.ReadFile(out.Name())
	if err != nil {
		t.Fatal(err)
	}
	if ctx.Err() != nil {
		t.Errorf("it does not end: %s", text)
	}
	host, _ := os.Hostname()
	output = strings.NewReplacer(dir, "/pod", home, "/home/pod", port, "40000", cmp.Or(host, "localhost"), "host").Replace(string(text))
	if output != "" && !strings.HasSuffix(output, "\n") {
		output += "\n"
	}
	exit = strconv.Itoa(cmd.ProcessState.ExitCode())
	if status := cmd.ProcessState.Sys().(syscall.WaitStatus); status.Signaled() {
		exit = fmt.Sprintf("signal %d", status.Signal())
	}
	return output, exit
}
