package docs_test

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// A snippet is a block of a page that is fenced, or a list of commands that is indented.
type snippet struct {
	page     string // from the root
	line     int
	heading  string // above it
	language string // empty: it is indented
	first    bool   // in its language below that heading
	text     string // without the indentation
}

// A proof says who runs snippets of a page. The others are found by themselves: see runs.
type proof struct {
	page   string
	begins string // of the snippet; empty: each of the language
	fence  string // the language; empty: any
	in     string // the file of a test that runs it
	holds  string // what that file holds: it takes the snippet from the page, by name
}

var proofs = []proof{
	{"README.md", "$ go run ./examples/quickstart\n", "console", "examples/readme_test.go", "func TestReadmeOutput("},
	{"README.md", "$ go test ./...\n", "console", ".ci/run", "readme_test_command"},
	{"README.md", "", "go", "examples/readme_test.go", "func TestReadmeProgram("},
	{"README.md", "go ", "sh", "examples/readme_test.go", "func TestReadmeProgram("},
	{"README.md", "printf", "sh", "examples/readme_test.go", "func TestReadmeReadyLine("},
	{"docs/engines.md", "", "hcl", "examples/nomad/cluster_linux_test.go", "func policyOfDocs("},
	{"docs/migrate.md", "", "sh", "examples/podctl/readme_test.go", `"../../docs/migrate.md", "sh"`},
	{"docs/protocol.md", "INSOMNIA-", "", "docs/lines_test.go", "func TestFormsOfTheProtocol("},
	{"docs/protocol.md", "printf", "", "docs/lines_test.go", "func TestShellOfTheProtocol("},
	{"docs/recipes.md", "", "go", "examples/daemons/recipes_test.go", `"../../docs/recipes.md"`},
	{"docs/recipes.md", "", "text", "examples/daemons/recipes_test.go", `"../../docs/recipes.md"`},
	{"docs/strategies.md", "package strategies\n", "go", "docs/strategies_test.go", `goBlocks(t, "strategies.md")`},
	{"examples/podctl/README.md", "$ ", "console", "examples/podctl/readme_test.go", "func TestReadme("},
}

// notRun are the commands that no test can run as they stand, and where they are run.
var notRun = []struct {
	page, begins string
	why          string
	in, holds    string // where it is run in another form
}{
	{"docs/design.md", "launcher ──►", "a drawing", "docs/structure_test.go", "func TestReferencesPointDown("},
	{"docs/design.md", "Launch(ctx, spec)\n", "a drawing", "launcher/step.go", "stepTable"},
	{"docs/engines.md", "$ cd examples/nomad && export", "it builds Nomad and takes a fixed port; TestNomad runs the same on an agent of its own", "examples/nomad/fleet/real_linux_test.go", `"-on", "nomad", "-n", "20"`},
	{"docs/engines.md", "$ cd examples/nomad\n", "it needs a cluster; TestLocal runs the first command, and TestNomad the last", "examples/nomad/fleet/fleet_test.go", `n := "200"`},
	{"docs/platforms.md", ".ci/kernels ", "it needs qemu, and kernels from the network; the tables on that page are its output", ".ci/kernels", "-update"},
	{"docs/recipes.md", "go run ./examples/daemons ", "it needs fifty daemons; CI launches those of the recipes", ".ci/run", "daemons redis postgres nginx"},
	{"docs/internals/faults.md", "go test ./launcher -run TestFaultC/C07 -v\n", "go test runs it with all others", ".ci/run", "./launcher"},
	{"docs/internals/model/README.md", "docs/internals/model/check ", "it needs spin, and a minute", ".ci/run", "\ndocs/internals/model/check\n"},
	{"docs/benchmarks/README.md", "cd docs/benchmarks && go run .\n", "it takes half an hour; go test there runs the same launchers", ".ci/run", "cd docs/benchmarks"},
	{"docs/benchmarks/FAULTS.md", "cd docs/benchmarks && go test -run TestMatrix", "it tries other launchers, and takes half an hour; without the flag it is run", ".ci/run", "cd docs/benchmarks"},
}

// Each snippet of the README, of the pages below docs and of those of the examples is run
// by a test, or is in the list of those that cannot be, with the reason.
func TestEverySnippetIsRun(t *testing.T) {
	tested := make(map[string]string) // the tests' files, without indentation
	for _, path := range sourceFiles(t) {
		if strings.HasSuffix(path, "_test.go") {
			tested[path] = unindented(read(t, path))
		}
	}
	used := make(map[string]bool)
	all := 0
	for _, page := range pages(t) {
		name := filepath.ToSlash(strings.TrimPrefix(page, "../"))
		if name != "README.md" && !strings.HasPrefix(name, "docs/") && !strings.HasPrefix(name, "examples/") {
			continue // .github and findings: each says how it is tried
		}
		for _, s := range snippetsOf(name, read(t, page)) {
			all++
			if by := s.runs(tested); by == "" {
				t.Errorf("%s:%d: no test runs this; let one take it from the page, or cut it out of a test (%s), and name the test in proofs:\n%s", s.page, s.line, s.language, s.text)
			} else {
				used[by] = true
			}
		}
	}
	if all < 60 {
		t.Errorf("there are %d snippets: they were not found", all)
	}
	for _, p := range proofs {
		if !used[fmt.Sprint(p)] {
			t.Errorf("%s has no snippet that begins with %q (%s): take it out of proofs", p.page, p.begins, p.fence)
		}
		if !strings.Contains(read(t, filepath.Join("..", p.in)), p.holds) {
			t.Errorf("%s does not hold %s, by which it would run %s", p.in, p.holds, p.page)
		}
	}
	for _, n := range notRun {
		if !used[fmt.Sprint(n)] {
			t.Errorf("%s has no snippet that begins with %q: take it out of notRun", n.page, n.begins)
		}
		if !strings.Contains(read(t, filepath.Join("..", n.in)), n.holds) {
			t.Errorf("%s does not hold %s, which takes the place of %s: %s", n.in, n.holds, n.page, n.why)
		}
	}
}

// runs returns what runs s; empty if nothing does. Code is run by a test that holds it as it
// stands. A program of docs/protocol.md is run by a test that names the heading above it and
// its language: see codeBlock.
func (s snippet) runs(tested map[string]string) string {
	for _, n := range notRun {
		if n.page == s.page && strings.HasPrefix(s.text, n.begins) {
			return fmt.Sprint(n)
		}
	}
	for _, p := range proofs {
		if p.page == s.page && (p.fence == "" || p.fence == s.language) && strings.HasPrefix(s.text, p.begins) {
			return fmt.Sprint(p)
		}
	}
	for path, text := range tested {
		byHeading := s.first && s.page == "docs/protocol.md" && filepath.Dir(path) == "../docs" &&
			strings.Contains(text, fmt.Sprintf("%q, %q", s.heading, s.language))
		if byHeading || s.language == "go" && strings.Contains(text, "\n"+unindented(s.text)) {
			return path
		}
	}
	return ""
}

// unindented returns text with no blank before any line.
func unindented(text string) string {
	return regexp.MustCompile(`(?m)^[ \t]+`).ReplaceAllString(text, "")
}

// snippetsOf returns the snippets of a page.
func snippetsOf(page, text string) (found []snippet) {
	var s *snippet
	heading, before := "", make(map[string]bool)
	lines := strings.SplitAfter(text, "\n")
	for i, line := range lines {
		fence, isFence := strings.CutPrefix(line, "```")
		indented, isIndented := strings.CutPrefix(line, "    ")
		switch {
		case s != nil && s.language != "" && isFence:
			found, s = append(found, *s), nil
		case s != nil && s.language != "":
			s.text += line
		case isFence:
			if fence = strings.TrimSpace(fence); fence == "" {
				fence = "text"
			}
			s = &snippet{page: page, line: i + 1, heading: heading, language: fence, first: !before[fence]}
			before[fence] = true
		case s != nil && isIndented:
			s.text += indented
		case s != nil && line == "\n" && i+1 < len(lines) && strings.HasPrefix(lines[i+1], "    "):
			s.text += line
		case s != nil:
			found, s = append(found, *s), nil
		case isIndented && (i == 0 || lines[i-1] == "\n"):
			s = &snippet{page: page, line: i + 1, heading: heading, text: indented}
		case strings.HasPrefix(line, "## "):
			heading, before = strings.TrimSpace(line[3:]), make(map[string]bool)
		}
	}
	if s != nil {
		found = append(found, *s)
	}
	return found
}

// The check finds snippets of both kinds, and one that no test runs.
func TestSnippetsAreFound(t *testing.T) {
	const page = "text\n\n    one\n\n    two\n\ntext\n\n```go\nx := 1\n\ty()\n```\n\n```\nplain\n```\n- item\n    no code\n"
	found := snippetsOf("docs/faq.md", page)
	var said []string
	for _, s := range found {
		said = append(said, fmt.Sprintf("%d %s %q", s.line, s.language, s.text))
	}
	if got, want := strings.Join(said, "; "), `3  "one\n\ntwo\n"; 9 go "x := 1\n\ty()\n"; 14 text "plain\n"`; got != want {
		t.Fatalf("found %s, want %s", got, want)
	}
	tested := map[string]string{"a_test.go": unindented("func f() {\n\t\tx := 1\n\t\t\ty()\n}\n")}
	for i, want := range []string{"", "a_test.go", ""} {
		if got := found[i].runs(tested); got != want {
			t.Errorf("%q is run by %q, want %q", found[i].text, got, want)
		}
	}
	if got := (snippet{language: "go", text: "x := 2\n"}).runs(tested); got != "" {
		t.Errorf("code that is in no test is run by %q", got)
	}
}
