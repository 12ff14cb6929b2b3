package docs_test

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

var measure = flag.Bool("measure", false, "run the packages' tests to measure which statements they reach, and write that into docs/testdata/coverage.txt and docs/faults.md")

// module is what the paths in a profile begin with.
const module = "github.com/podlaunch/podlaunch/"

// measured are the packages whose statements are counted, and testing those
// whose tests are run for it.
var (
	measured = []string{"launcher", "launcher/internal/ownership", "launcher/internal/unixproc", "readiness", "logsource", "runtimedir"}
	testers  = append([]string{"launcher/internal/faults", "launcher/internal/onepod", "launcher/internal/port", "launcher/internal/signs"}, measured...)
)

// crowds are the tests that are left out: what they do many times others do once.
const crowds = "^(TestManyNames|TestManyPods|TestListMany|TestStorm|TestCrashPoints)$"

// groups are the files that decide about a pod.
var groups = []struct {
	name     string
	patterns []string
}{
	{"Ownership: who has a name", []string{"launcher/own.go", "launcher/attach.go", "launcher/list.go", "launcher/internal/ownership/*.go", "launcher/internal/unixproc/identity*.go", "launcher/internal/unixproc/stat_*.go", "launcher/internal/unixproc/lock*.go", "launcher/internal/unixproc/kill_*.go", "launcher/internal/unixproc/adopt_*.go"}},
	{"Framing: what a pod writes, line by line", []string{"logsource/*.go"}},
	{"Probes: when it is ready", []string{"readiness/*.go", "launcher/ready.go", "launcher/prepare.go"}},
	{"Start and stop", []string{"launcher/local.go", "launcher/internal/unixproc/*.go", "launcher/pod.go"}},
	{"Directories", []string{"runtimedir/*.go"}},
}

// A coverGroup is what of some files is executed by tests.
type coverGroup struct {
	Name      string
	Files     []coverFile
	Unreached []unreached
}

type coverFile struct {
	Path       string
	Statements int
	reached    int
}

func (f coverFile) Percent() float64 { return 100 * float64(f.reached) / float64(max(f.Statements, 1)) }

// An unreached is a run of statements that no test executes.
type unreached struct {
	Where string // file and function
	Line  string // the first of them
	Why   string
}

// What is recorded of the coverage is about the code as it is, and says of each
// line that no test reaches why that is so.
func TestCoverage(t *testing.T) {
	if *measure {
		measureCoverage(t)
		*update = true
		TestFaults(t)
		*update = false
	}
	for _, g := range readCoverage(t) {
		for _, u := range g.Unreached {
			if u.Why == "" {
				t.Errorf("%s does not say why no test reaches %s: %s", reasons, u.Where, u.Line)
			}
			if !u.exists() {
				t.Errorf("there is no line %q any more in %s; go test ./docs -run TestFaults -update forgets it, and -run %s -measure measures again", u.Line, u.Where, t.Name())
			}
		}
	}
}

// exists reports whether the code still has the line.
func (u unreached) exists() bool {
	file, _, _ := strings.Cut(u.Where, " ")
	source, err := os.ReadFile(filepath.Join("..", file))
	return err == nil && strings.Contains(string(source), u.Line)
}

// forgetLines takes the lines out of what was recorded that the code does not
// have any more.
func forgetLines(t *testing.T) {
	t.Helper()
	keep := func(path string, line func(text string) (unreached, bool)) {
		t.Helper()
		var kept []string
		for _, text := range strings.Split(read(t, path), "\n") {
			if u, ok := line(text); !ok || u.exists() {
				kept = append(kept, text)
			}
		}
		if err := os.WriteFile(path, []byte(strings.Join(kept, "\n")), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	file := ""
	keep(recordedCoverage, func(text string) (unreached, bool) {
		rest, indented := strings.CutPrefix(text, "\t")
		if !indented {
			file, _, _ = strings.Cut(text, " ")
			return unreached{}, false
		}
		_, line, ok := strings.Cut(rest, ": ")
		return unreached{Where: file, Line: line}, ok
	})
	keep(reasons, func(text string) (unreached, bool) {
		cells := strings.Split(text, "\t")
		if len(cells) != 3 {
			return unreached{}, false
		}
		return unreached{Where: cells[0], Line: cells[1]}, true
	})
}

// recordedCoverage has a line for each file: its path, how many statements it has, and
// how many of them were reached; and after it one for each that was not,
// indented: the function, a colon, and the line.
const recordedCoverage = "testdata/coverage.txt"

// reasons has a line for each line that no test reaches: its file and function,
// itself, and why that is so, separated by tabs.
const reasons = "testdata/unreached.txt"

// readCoverage reads what was measured, and why no test reaches some lines.
func readCoverage(t *testing.T) []coverGroup {
	t.Helper()
	why := make(map[string]string)
	for i, line := range strings.Split(read(t, reasons), "\n") {
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		cells := strings.Split(line, "\t")
		if len(cells) != 3 {
			t.Fatalf("%s:%d: want file and function, line, and why, separated by tabs: %q", reasons, i+1, line)
		}
		why[cells[0]+"\t"+cells[1]] = cells[2]
	}
	result := make([]coverGroup, len(groups))
	var group *coverGroup
	var file string
	for _, line := range strings.Split(strings.TrimSpace(read(t, recordedCoverage)), "\n") {
		if rest, ok := strings.CutPrefix(line, "\t"); ok && group != nil {
			function, text, _ := strings.Cut(rest, ": ")
			where := file + " " + function
			group.Unreached = append(group.Unreached, unreached{where, text, why[where+"\t"+text]})
			continue
		}
		f := coverFile{}
		if _, err := fmt.Sscan(line, &f.Path, &f.Statements, &f.reached); err != nil {
			continue // a comment
		}
		file = f.Path
		if i := groupOf(file); i >= 0 {
			group = &result[i]
			group.Name = groups[i].name
			group.Files = append(group.Files, f)
		}
	}
	return result
}

// groupOf returns the group that a file is in, or -1.
func groupOf(file string) int {
	for i, g := range groups {
		for _, pattern := range g.patterns {
			if ok, err := path.Match(pattern, file); err != nil || ok {
				return i
			}
		}
	}
	return -1
}

// measureCoverage runs the tests, and records what they reach.
func measureCoverage(t *testing.T) {
	profile := filepath.Join(t.TempDir(), "profile")
	var packages []string
	for _, p := range measured {
		packages = append(packages, module+p)
	}
	args := []string{"test", "-count=1", "-timeout=20m", "-skip=" + crowds, "-coverprofile=" + profile, "-coverpkg=" + strings.Join(packages, ",")}
	for _, p := range testers {
		args = append(args, "./"+p)
	}
	cmd := exec.Command("go", args...)
	cmd.Dir = ".."
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", cmd, err, out)
	}
	files := make(map[string]*profiled)
	for line := range strings.Lines(read(t, profile)) {
		// example.com/module/file.go:1.2,3.4 5 6
		name, rest, ok := strings.Cut(strings.TrimSpace(strings.TrimPrefix(line, module)), ":")
		if !ok || groupOf(name) < 0 {
			continue
		}
		var b block
		var statements, count int
		if _, err := fmt.Sscanf(rest, "%d.%d,%d.%d %d %d", &b.fromLine, &b.from, &b.toLine, &b.to, &statements, &count); err != nil {
			t.Fatalf("profile: %q: %v", line, err)
		}
		if files[name] == nil {
			files[name] = &profiled{statements: make(map[block]int), reached: make(map[block]bool)}
		}
		files[name].statements[b] = statements
		files[name].reached[b] = files[name].reached[b] || count > 0
	}
	var text strings.Builder
	fmt.Fprintf(&text, "# Written by go test ./docs -run %s -measure\n", t.Name())
	for _, name := range slices.Sorted(maps.Keys(files)) {
		files[name].describe(t, &text, name)
	}
	if err := os.WriteFile(recordedCoverage, []byte(text.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}

// A block is a run of statements, as a profile has it.
type block struct{ fromLine, from, toLine, to int }

// A profiled is a file of the profile.
type profiled struct {
	statements map[block]int
	reached    map[block]bool
}

// describe writes what was reached of the file called name.
func (p *profiled) describe(t *testing.T, to *strings.Builder, name string) {
	t.Helper()
	source := read(t, filepath.Join("..", name))
	set := token.NewFileSet()
	parsed, err := parser.ParseFile(set, name, source, 0)
	if err != nil {
		t.Fatal(err)
	}
	function := func(line int) string {
		for _, decl := range parsed.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && set.Position(f.Pos()).Line <= line && line <= set.Position(f.End()).Line {
				return f.Name.Name
			}
		}
		return "(a variable)"
	}
	lines := strings.Split(source, "\n")
	blocks := slices.SortedFunc(maps.Keys(p.statements), func(a, b block) int {
		if a.fromLine != b.fromLine {
			return a.fromLine - b.fromLine
		}
		return a.from - b.from
	})
	statements, reached := 0, 0
	var missed []string
	for _, b := range blocks {
		statements += p.statements[b]
		if p.reached[b] {
			reached += p.statements[b]
		} else if line := firstLine(lines, b); line != "" {
			missed = append(missed, function(b.fromLine)+": "+line)
		}
	}
	fmt.Fprintln(to, name, strconv.Itoa(statements), strconv.Itoa(reached))
	for _, m := range slices.Compact(missed) {
		fmt.Fprintf(to, "\t%s\n", m)
	}
}

// firstLine returns the first line of a block that says anything.
func firstLine(lines []string, b block) string {
	for n := b.fromLine; n <= b.toLine; n++ {
		line := lines[n-1]
		if n == b.toLine {
			line = line[:b.to-1]
		}
		if n == b.fromLine {
			line = line[b.from-1:]
		}
		line = strings.TrimSpace(line)
		if line = strings.TrimSpace(strings.TrimPrefix(line, "{")); line != "" && line != "}" && !strings.HasPrefix(line, "//") {
			return strings.TrimSpace(strings.TrimSuffix(line, "{"))
		}
	}
	return ""
}
