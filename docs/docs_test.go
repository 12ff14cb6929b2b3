// Package docs_test makes sure that what the documentation says is so.
package docs_test

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/podlaunch/podlaunch/logsource"
	"github.com/podlaunch/podlaunch/readiness"
)

// Every row of the tables of lines in docs/protocol.md is what becomes of that
// line.
func TestLinesOfTheProtocol(t *testing.T) {
	doc := read(t, "protocol.md")
	rows := 0
	for _, row := range append(tableRows(doc, "written"), tableRows(doc, "said")...) {
		rows++
		written, err := strconv.Unquote(strings.Trim(row[0], "`"))
		if err != nil {
			t.Fatalf("row %q: %v", row, err)
		}
		got := taken(t, written)
		if want := row[1]; !strings.HasPrefix(want, got) {
			t.Errorf("%s is taken for %q, the document says %q", row[0], got, want)
		}
	}
	if rows < 25 {
		t.Errorf("the table has %d rows: it was not found or not read", rows)
	}
}

// taken says, in the table's words, what the ready line's probe takes output
// for.
func taken(t *testing.T, output string) string {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var statuses []string
	target := readiness.Target{
		Name:       "alice",
		WorkDir:    "/the/working/directory",
		RuntimeDir: t.TempDir(),
		Lines: func(context.Context) iter.Seq2[[]byte, error] {
			return func(yield func([]byte, error) bool) {
				for line, err := range logsource.Lines(strings.NewReader(output)) {
					if err == io.EOF {
						cancel() // the pod says nothing more
						return
					}
					if !yield(line, err) {
						return
					}
				}
			}
		},
	}
	for line, err := range logsource.Lines(strings.NewReader(output)) {
		if text, ok := (readiness.ReadyLine{}).Status(target, line); ok && err == nil {
			statuses = append(statuses, string(text))
		}
	}
	endpoint, err := readiness.ReadyLine{}.Wait(ctx, target)
	var pending *readiness.PendingError
	var failed *readiness.FailedError
	switch {
	case statuses != nil:
		return "status: `" + statuses[0] + "`"
	case errors.As(err, &failed) && failed.Reason == "":
		return "failed, without a reason"
	case errors.As(err, &failed):
		quoted := strconv.Quote(failed.Reason)
		return "failed: `" + quoted[1:len(quoted)-1] + "`"
	case err == nil:
		quoted := strconv.Quote(endpoint.Address)
		return "ready at `" + quoted[1:len(quoted)-1] + "`"
	case errors.Is(err, readiness.ErrMalformedReadyLine):
		return "malformed: "
	case errors.Is(err, readiness.ErrNameMismatch):
		return "another pod's"
	case errors.As(err, &pending) && len(pending.Notes) > 0:
		return "noise, told at a timeout: "
	case errors.As(err, &pending):
		return "noise"
	}
	return "an error of its own: " + err.Error()
}

// Every test and subtest that a document names exists. A document may also show the
// test itself.
func TestNamedTestsExist(t *testing.T) {
	source := sources(t)
	named := regexp.MustCompile(`(?:^|[^.\w])((?:Test|Fuzz|Benchmark|Example)[A-Z]\w*)(?:/(\w+))?`)
	// A case has a name that begins so; go test -run takes that for enough.
	opens := func(text, name string) bool { return strings.Contains(text, `"`+strings.ReplaceAll(name, "_", " ")) }
	for _, pattern := range []string{"*.md", "internals/*.md", "internals/*/*.md"} {
		files, err := filepath.Glob(pattern)
		if err != nil || files == nil {
			t.Fatalf("no documents in %s: %v", pattern, err)
		}
		for _, file := range files {
			doc := read(t, file)
			for _, name := range named.FindAllStringSubmatch(doc, -1) {
				text, found := source[name[1]]
				if !found && strings.Contains(doc, "\nfunc "+name[1]+"(t *testing.T) {\n") {
					continue
				}
				if !found {
					t.Errorf("%s names %s, which does not exist", file, name[1])
				} else if name[2] != "" && !opens(text, name[2]) {
					t.Errorf("%s names %s, and there is no %q where %s is", file, name[0], name[2], name[1])
				}
			}
		}
	}
}

// sources returns the text of the file that each test is in.
func sources(t *testing.T) map[string]string {
	t.Helper()
	in := make(map[string]string)
	declared := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Benchmark|Example)\w+)\(`)
	err := filepath.WalkDir("..", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text := read(t, path)
		for _, test := range declared.FindAllStringSubmatch(text, -1) {
			in[test[1]] = text
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return in
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// codeBlock returns the code in the first block that is fenced as fence below
// heading.
func codeBlock(t *testing.T, doc, heading, fence string) string {
	t.Helper()
	_, section, found := strings.Cut(doc, "\n## "+heading+"\n")
	if !found {
		t.Fatalf("no heading %q", heading)
	}
	section, _, _ = strings.Cut(section, "\n## ")
	_, code, found := strings.Cut(section, "\n```"+fence+"\n")
	code, _, closed := strings.Cut(code, "\n```\n")
	if !found || !closed {
		t.Fatalf("no code in %q below %q", fence, heading)
	}
	return code + "\n"
}

// tableRows returns the cells of each row of the table in doc whose first
// column is called column.
func tableRows(doc, column string) [][]string {
	_, table, _ := strings.Cut(doc, "\n| "+column+" |")
	var rows [][]string
	for i, line := range strings.Split(table, "\n") {
		switch {
		case i < 2: // what is left of the head, and the rule below it
		case !strings.HasPrefix(line, "| "):
			return rows
		default:
			rows = append(rows, strings.Split(strings.Trim(line, "| "), " | "))
		}
	}
	return rows
}
