package launchertest_test

import (
	"bytes"
	"context"
	"fmt"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/podlaunch/podlaunch/launcher"
	"github.com/podlaunch/podlaunch/launcher/internal/fakepod"
	"github.com/podlaunch/podlaunch/launcher/launchertest"
	"github.com/podlaunch/podlaunch/runtimedir/conformance"
)

// forgetful is set for a process that resolves a fake pod and has not said that
// it would play it.
const forgetful = "PODLAUNCH_TEST_FORGETFUL"

// TestMain is what the documentation has an embedder write, after its first lines.
func TestMain(m *testing.M) {
	if os.Getenv(forgetful) != "" {
		_, err := resolve(launcher.Spec{Name: "alice"}, "hang")
		fmt.Print(err)
		os.Exit(0)
	}
	conformance.InMemory()
	launchertest.Main(m)
}

func resolve(spec launcher.Spec, steps ...string) (launcher.Command, error) {
	return launchertest.FakePod(steps...).ResolveCommand(context.Background(), launcher.Request{Spec: spec, RuntimeDir: "/run/alice"})
}

// A program that would not play the pod, but run its tests again, which launch
// pods, does not get to launch one.
func TestForgottenTestMain(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command(self)
	c.Env = append(os.Environ(), forgetful+"=1", "GORACE=atexit_sleep_ms=0")
	out, err := c.CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte("let TestMain call launchertest.Main")) {
		t.Errorf("%v: %s", err, out)
	}
}

// A script that cannot be followed is an error before anything is started, which
// names the step and says what it wants.
func TestBadScripts(t *testing.T) {
	for step, wants := range map[string][]string{
		"":                    {`there is no verb ""`},
		"lisn":                {`there is no verb "lisn"`, "there are ", ", bytes, ", ", write"},
		" say":                {`there is no verb ""`},
		"hang now":            {`"hang now", want hang: "now" is too much`},
		"exit":                {`"exit", want exit CODE`},
		"exit soon":           {`"soon" is no number`},
		"flood -1":            {`"-1" is no number`},
		"repeat many x":       {`"many" is no number`},
		"sleep long":          {"want sleep DURATION", "invalid duration"},
		"write plain":         {"want write QUOTED", "no Go string literal"},
		`write "open`:         {"no Go string literal"},
		"fail":                {"want fail REASON: it is missing"},
		"pid":                 {"want pid PATH: it is missing"},
		"file":                {"want file PATH [LITERAL]: there is no path"},
		`file "open x`:        {"the path: invalid syntax"},
		`file a "open`:        {"no Go string literal"},
		"http 127.0.0.1:0":    {"the address or the status is missing"},
		"http :0 200,teapot":  {`"teapot" is no status`},
		"http :0 100":         {`"100" is no status`},
		"spawn say a ; hangs": {`want spawn STEPS: step 2 of 2: "hangs": there is no verb "hangs"`},
		"spawn":               {`want spawn STEPS: step 1 of 1: "": there is no verb ""`},
	} {
		_, err := resolve(launcher.Spec{Name: "alice"}, "say one", step)
		if err == nil {
			t.Errorf("%q is a step", step)
			continue
		}
		for _, part := range append(wants, "launchertest.FakePod: step 2 of 2") {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("the message for %q lacks %q: %v", step, part, err)
			}
		}
	}
}

// FakePod neither changes nor keeps what its caller gives it, and the caller may change
// what it returns.
func TestFakePodKeepsNothing(t *testing.T) {
	steps := []string{"say one", "hang"}
	pod := launchertest.FakePod(steps...)
	steps[0] = "nonsense"
	env := append(make([]string, 0, 9), "A=1")
	req := launcher.Request{Spec: launcher.Spec{Name: "alice", Env: env}, RuntimeDir: "/run/alice"}
	for range 2 {
		c, err := pod.ResolveCommand(context.Background(), req)
		if err != nil || !slices.Contains(c.Args, "say one") {
			t.Fatalf("%+v, %v", c, err)
		}
		c.Args[0], c.Env[0] = "spoiled", "spoiled"
	}
	if env[0] != "A=1" || env[:2][1] != "" {
		t.Errorf("the caller's environment became %q", env[:2])
	}
}

// A pod does not linger in the race detector's runtime. Other settings in GORACE stay.
func TestEnvironment(t *testing.T) {
	for _, c := range []struct{ env, want []string }{
		{[]string{"A=1"}, []string{"A=1", "GORACE=atexit_sleep_ms=0"}},
		{[]string{}, []string{"GORACE=atexit_sleep_ms=0"}},
		{
			[]string{"GORACE=halt_on_error=1 atexit_sleep_ms=5", "A=1"},
			[]string{"A=1", "GORACE=halt_on_error=1 atexit_sleep_ms=5 atexit_sleep_ms=0"},
		},
	} {
		got, err := resolve(launcher.Spec{Name: "alice", Env: c.env}, "hang")
		if err != nil || !slices.Equal(got.Env, c.want) {
			t.Errorf("of %q became %q, %v", c.env, got.Env, err)
		}
	}
	t.Setenv("PODLAUNCH_TEST_INHERITED", "1")
	if got, err := resolve(launcher.Spec{Name: "alice"}, "hang"); err != nil || !slices.Contains(got.Env, "PODLAUNCH_TEST_INHERITED=1") {
		t.Errorf("without Spec.Env the pod gets %q, %v", got.Env, err)
	}
}

// The package documentation has every verb, as the table of verbs has it, and no
// other.
func TestVerbsAreDocumented(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the documentation is that of unix, which has more verbs")
	}
	file, err := parser.ParseFile(token.NewFileSet(), "doc.go", nil, parser.ParseComments|parser.PackageClauseOnly)
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(file.Doc.Text(), "# The script\n")
	section, _, found := strings.Cut(section, "What may be left out")
	if !found {
		t.Fatal("the script is not documented, or no longer where it was")
	}
	var documented []string
	for line := range strings.Lines(section) {
		if text, indented := strings.CutPrefix(line, "\t"); indented {
			documented = append(documented, strings.TrimSuffix(text, "\n"))
		}
	}
	if want := fakepod.Help(); !slices.Equal(documented, want) {
		t.Errorf("the documentation has\n%s\n\nand should have\n%s", strings.Join(documented, "\n"), strings.Join(want, "\n"))
	}
}
