package examples_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/podlaunch/podlaunch/examples/internal/exampletest"
)

// blocks returns the code blocks of the README that are in language.
func blocks(t *testing.T, language string) (found []string) {
	t.Helper()
	for _, m := range regexp.MustCompile("(?s)\n```"+language+"\n(.*?\n)```\n").FindAllStringSubmatch(read(t, "..", "README.md"), -1) {
		found = append(found, m[1])
	}
	return found
}

// The README's program is 25 lines long. In a module of its own, made as the
// README says, it launches what the README says. The go command may ask the
// network here, as it does for a newcomer: go mod tidy reads the go.mod files of
// modules that this repository never needs.
func TestReadmeProgram(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped with -short: it builds a module of its own")
	}
	programs, scripts := blocks(t, "go"), blocks(t, "sh")
	if len(programs) != 1 || len(scripts) != 3 {
		t.Fatalf("the README has %d Go programs and %d scripts, want 1 and 3", len(programs), len(scripts))
	}
	if lines := strings.Count(programs[0], "\n"); lines != 25 {
		t.Errorf("the program has %d lines, want 25", lines)
	}
	dir := newModule(t)
	write(t, filepath.Join(dir, "main.go"), programs[0])
	if out := shell(t, dir, "gofmt -l ."); out != "" {
		t.Errorf("not formatted: %s", out)
	}
	run := filepath.Join(dir, "run")
	said := shell(t, dir, scripts[0]+scripts[1], "INSOMNIA_RUNTIME_DIR="+run)
	want := "alice: my name is alice\nalice: listening\nalice is ready at unix:" + run + "/alice/sock\n"
	if !strings.HasSuffix(said, want) {
		t.Errorf("it said %q, want %q at the end", said, want)
	}
	left, err := os.ReadDir(filepath.Join(run, "alice"))
	if err != nil || len(left) != 1 || left[0].Name() != "stderr.log" {
		t.Errorf("the pod's directory holds %v, %v; want its log alone", left, err)
	}
}

// The line that the README's third script prints is a ready line.
func TestReadmeReadyLine(t *testing.T) {
	said := shell(t, t.TempDir(), blocks(t, "sh")[2], "name=alice", "socket=/run/alice/sock")
	if said != "INSOMNIA-READY\talice\t/run/alice/sock\n" {
		t.Errorf("it said %q", said)
	}
}

// What the README shows of the quickstart is what it prints.
func TestReadmeOutput(t *testing.T) {
	console := blocks(t, "console")
	if len(console) != 2 || console[1] != "$ go test ./...\n" {
		t.Fatalf("the README shows the commands %q", console)
	}
	got := exampletest.Mask(console[0], "alice")
	if want := "$ go run ./examples/quickstart\n" + read(t, "quickstart", "testdata", "working.txt"); got != want {
		t.Errorf("the README shows\n%s\nwant\n%s", got, want)
	}
}

// Every link of the README to a file of this repository leads somewhere.
func TestReadmeLinks(t *testing.T) {
	links := regexp.MustCompile(`\]\(([^)#]+)\)`).FindAllStringSubmatch(read(t, "..", "README.md"), -1)
	if len(links) == 0 {
		t.Fatal("no link was found")
	}
	for _, link := range links {
		if strings.Contains(link[1], "://") {
			continue
		}
		if _, err := os.Stat(filepath.Join("..", link[1])); err != nil {
			t.Error(err)
		}
	}
}
