//go:build linux || darwin || freebsd

package docs_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The strategies of docs/strategies.md pass their kits, in a module outside this
// repository that holds nothing but what the page shows. It needs no module that
// this repository does not need.
func TestStrategies(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped with -short: it builds a module of its own")
	}
	dir := t.TempDir()
	repository, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	var kits []string
	for i, code := range goBlocks(t, "strategies.md") {
		name := "block" + string(rune('a'+i)) + ".go"
		if tests := regexp.MustCompile(`(?m)^func (Test\w+)`).FindStringSubmatch(code); tests != nil {
			name = strings.Replace(name, ".go", "_test.go", 1)
			kits = append(kits, tests[1])
		}
		write(t, filepath.Join(dir, name), code)
	}
	if want := []string{"TestBanner", "TestPIDFile", "TestPipe", "TestCentral", "TestTenant", "TestVersioned", "TestLimited"}; !slices.Equal(kits, want) {
		t.Fatalf("the page has the tests %q, want %q", kits, want)
	}
	write(t, filepath.Join(dir, "go.mod"), moduleLike(t, "example.com/strategies", repository))
	write(t, filepath.Join(dir, "go.sum"), read(t, "../go.sum"))
	if out := goCommand(t, dir, "gofmt", "-l", "."); out != "" {
		t.Errorf("not formatted: %s", out)
	}
	goCommand(t, dir, "go", "vet", "-mod=mod", ".")
	out := goCommand(t, dir, "go", "test", "-mod=mod", "-count=1", "-v", ".")
	for _, kit := range kits {
		if !strings.Contains(out, "--- PASS: "+kit+" ") || strings.Count(out, "--- PASS: "+kit+"/") < 10 {
			t.Errorf("%s did not pass, or hardly a rule applied:\n%s", kit, out)
		}
	}
}

// goBlocks returns the Go files that a page shows.
func goBlocks(t *testing.T, page string) (blocks []string) {
	t.Helper()
	for _, m := range regexp.MustCompile("(?s)\n```go\n(.*?\n)```\n").FindAllStringSubmatch(read(t, page), -1) {
		blocks = append(blocks, m[1])
	}
	return blocks
}

// moduleLike is the go.mod of a module that needs this one, and what this one
// needs.
func moduleLike(t *testing.T, path, repository string) string {
	t.Helper()
	needs := regexp.MustCompile(`(?ms)^require \(.*?^\)$`).FindAllString(read(t, "../go.mod"), -1)
	return "module " + path + "\n\ngo 1.25.0\n\n" +
		"require github.com/podlaunch/podlaunch v0.0.0\n\n" +
		"replace github.com/podlaunch/podlaunch => " + repository + "\n\n" +
		strings.Join(needs, "\n\n") + "\n"
}

// goCommand runs a program of the Go distribution in dir, without the network.
func goCommand(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=", "GOPROXY=off")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, passed.ReplaceAll(out, nil))
	}
	return string(out)
}

// passed are the lines that go test -v prints of what is in order.
var passed = regexp.MustCompile(`(?m)^(=== RUN .*|\s*--- (PASS|SKIP): .*|.*: does not apply: .*)\n`)

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
