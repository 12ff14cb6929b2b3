package docs_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"text/template"
)

var update = flag.Bool("update", false, "write docs/faults.md")

// numbers are how many faults each part of the catalogue has.
var numbers = []struct {
	part string
	n    int
}{{"A", 36}, {"B", 36}, {"C", 35}, {"D", 34}, {"E", 16}}

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

// docs/faults.md is what the catalogue, the suite and the measured coverage
// make of its template: it cannot say that something is tested that is not, nor
// keep silent about a fault that is not tested.
func TestFaults(t *testing.T) {
	if *update {
		forgetLines(t)
	}
	s := readSuite(t)
	parts := readCatalogue(t)
	page := struct {
		Parts         []part
		Count, Tested int
		Skips         []skip
		Groups        []coverGroup
	}{Parts: parts, Skips: s.skips, Groups: readCoverage(t)}
	var all []string
	for _, p := range parts {
		for i := range p.Faults {
			f := &p.Faults[i]
			f.Proofs = s.proofs[f.Number]
			all = append(all, f.Number)
			if len(f.Proofs) > 0 {
				page.Tested++
			} else if f.Note == "" {
				t.Errorf("no test is about %s (%s), and nothing says why", f.Number, f.What)
			}
		}
	}
	page.Count = len(all)
	var want []string
	for _, p := range numbers {
		for n := range p.n {
			want = append(want, fmt.Sprint(p.part, n+1))
		}
	}
	if !slices.Equal(all, want) {
		t.Errorf("the catalogue has the numbers %q, want %q", all, want)
	}
	for number, tests := range s.proofs {
		if !slices.Contains(want, number) {
			t.Errorf("%s say that they are about %s, which there is not", tests, number)
		}
	}
	generated(t, "faults.md", page)
}

// generated fails the test unless the document is what data makes of the
// template of its name, or, with -update, writes it.
func generated(t *testing.T, file string, data any) {
	t.Helper()
	doc := template.Must(template.New(file + ".tmpl").Funcs(template.FuncMap{"join": strings.Join, "code": code}).
		ParseFiles(filepath.Join("testdata", file+".tmpl")))
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
