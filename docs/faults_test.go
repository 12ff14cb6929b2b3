package docs_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"text/template"
)

var update = flag.Bool("update", false, "write docs/internals/faults.md")

// A fault is one row of the catalogue.
type fault struct {
	Number, What, Happens, Note string

	Proofs []string // the tests that are about it
}

// A part is a part of the catalogue.
type part struct {
	Title  string
	Faults []fault
}

// docs/internals/faults.md is what the catalogue and the suite make of its template: it
// names no test that does not exist, and is not silent about a fault without one.
func TestFaults(t *testing.T) {
	proofs := readSuite(t)
	parts := readCatalogue(t)
	known := make(map[string]bool)
	for _, p := range parts {
		for i := range p.Faults {
			f := &p.Faults[i]
			f.Proofs = proofs[f.Number]
			known[f.Number] = true
			if len(f.Proofs) == 0 && f.Note == "" {
				t.Errorf("no test is about %s (%s), and nothing says why", f.Number, f.What)
			}
		}
	}
	for number, tests := range proofs {
		if !known[number] {
			t.Errorf("%s say that they are about %s, which the catalogue does not have", tests, number)
		}
	}
	generated(t, "internals/faults.md", parts)
}

// generated fails the test unless the document is what data makes of the
// template of its name, or, with -update, writes it.
func generated(t *testing.T, file string, data any) {
	t.Helper()
	name := filepath.Base(file) + ".tmpl"
	doc := template.Must(template.New(name).Funcs(template.FuncMap{"join": strings.Join, "code": code}).
		ParseFiles(filepath.Join("testdata", name)))
	var want bytes.Buffer
	if err := doc.Execute(&want, data); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(file, want.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(file); err != nil || !bytes.Equal(got, want.Bytes()) {
		t.Errorf("docs/%s is not what the suite says (%v); go test ./docs -run %s -update writes it, and the difference shows what has changed", file, err, t.Name())
	}
}

// code shows text as code in a table.
func code(text string) string {
	fence := "`"
	for strings.Contains(text, fence) {
		fence += "`"
	}
	if len(fence) > 1 {
		text = " " + text + " "
	}
	return fence + strings.ReplaceAll(text, "|", `\|`) + fence
}

// readCatalogue reads the faults that there are.
func readCatalogue(t *testing.T) (parts []part) {
	t.Helper()
	for i, line := range strings.Split(read(t, "testdata/faults.txt"), "\n") {
		title, isTitle := strings.CutPrefix(line, "## ")
		cells := strings.Split(line, " | ")
		switch {
		case isTitle:
			parts = append(parts, part{Title: title})
		case line == "" || strings.HasPrefix(line, "#"):
		case len(parts) == 0 || len(cells) < 3 || len(cells) > 4:
			t.Fatalf("testdata/faults.txt:%d: want a number, a fault, what happens, and perhaps a note, separated by \" | \": %s", i+1, line)
		default:
			f := fault{Number: cells[0], What: cells[1], Happens: cells[2]}
			if len(cells) == 4 {
				f.Note = cells[3]
			}
			last := &parts[len(parts)-1]
			last.Faults = append(last.Faults, f)
		}
	}
	return parts
}
