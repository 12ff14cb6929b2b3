package docs_test

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// A docTable is a table of a page.
type docTable struct {
	page string
	line int
	head []string
	rows [][]string // the cells, as words alone
}

// No page repeats a table of another, nor a row of it: what stands in two places is wrong
// in one of them some day. The report in benchmarks/results is left out: a run writes it,
// and measures the same of many things.
func TestEachTableStandsInOnePlace(t *testing.T) {
	var tables []docTable
	for _, page := range pages(t) {
		if filepath.Base(filepath.Dir(page)) == "results" {
			continue
		}
		tables = append(tables, tablesOf(page, read(t, page))...)
	}
	if len(tables) < 70 {
		t.Errorf("there are %d tables: they were not found", len(tables))
	}
	for _, said := range repeated(tables) {
		t.Error(said)
	}
}

// repeated says which tables hold the same. Two rows are the same if all cells are, and at
// least three say something. Two tables are the same if at least three of their rows, and
// half of the shorter one's, begin with the same cell.
func repeated(tables []docTable) (found []string) {
	for i, a := range tables {
		for _, b := range tables[i+1:] {
			where := fmt.Sprintf("%s:%d and %s:%d", a.page, a.line, b.page, b.line)
			for _, row := range a.rows {
				if said(row) >= 3 && contains(b.rows, row) {
					found = append(found, fmt.Sprintf("%s have the same row: %s", where, strings.Join(row, " | ")))
				}
			}
			if a.page == b.page {
				continue // a page may say several things of the same list
			}
			if common := inBoth(a, b); len(common) >= 3 && 2*len(common) >= min(len(a.rows), len(b.rows)) {
				found = append(found, fmt.Sprintf("%s are about the same: %s", where, strings.Join(common, ", ")))
			}
		}
	}
	return found
}

// faultNumber is a number of the catalogue of faults. Other pages refer to it by that, and
// say something else of the fault.
var faultNumber = regexp.MustCompile(`^[a-f][0-9]+$`)

// inBoth returns what rows of both tables begin with.
func inBoth(a, b docTable) (common []string) {
	begins := make(map[string]bool)
	for _, row := range a.rows {
		begins[row[0]] = true
	}
	for _, row := range b.rows {
		if begins[row[0]] && row[0] != "" && !faultNumber.MatchString(row[0]) {
			common = append(common, row[0])
			delete(begins, row[0])
		}
	}
	return common
}

// said counts the cells that are neither empty nor a dash or a tick.
func said(row []string) (n int) {
	for _, cell := range row {
		if strings.ContainsFunc(cell, func(r rune) bool { return r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' }) {
			n++
		}
	}
	return n
}

func contains(rows [][]string, row []string) bool {
	for _, other := range rows {
		if strings.Join(other, "\n") == strings.Join(row, "\n") {
			return true
		}
	}
	return false
}

var (
	tableRule   = regexp.MustCompile(`^\|( *:?-+:? *\|)+$`)
	emphasis    = regexp.MustCompile("[`*]+")
	cellDivider = regexp.MustCompile(`(^|[^\\])\|`)
)

// tablesOf returns the tables of a page that are not in a block of code.
func tablesOf(page, text string) (tables []docTable) {
	text = fencedText.ReplaceAllStringFunc(text, func(code string) string {
		return strings.Repeat("\n", strings.Count(code, "\n")) // lines keep their numbers
	})
	lines := strings.Split(text, "\n")
	for i := 0; i+1 < len(lines); i++ {
		if !strings.HasPrefix(lines[i], "|") || !tableRule.MatchString(lines[i+1]) {
			continue
		}
		table := docTable{page: page, line: i + 1, head: cells(lines[i])}
		for i += 2; i < len(lines) && strings.HasPrefix(lines[i], "|"); i++ {
			table.rows = append(table.rows, cells(lines[i]))
		}
		tables = append(tables, table)
	}
	return tables
}

// cells returns the cells of a row in small letters, without marks, links and repeated
// blanks.
func cells(row string) (found []string) {
	row = strings.ToLower(emphasis.ReplaceAllString(linkText.ReplaceAllString(row, "$1"), ""))
	row = cellDivider.ReplaceAllString(strings.Trim(strings.TrimSpace(row), "|"), "$1\x00")
	for cell := range strings.SplitSeq(row, "\x00") {
		found = append(found, strings.Join(strings.Fields(cell), " "))
	}
	return found
}

// The check finds a copy of a row, on the same page too, and a table that says the same in
// other words.
func TestRepeatedTablesAreFound(t *testing.T) {
	const head = "text\n\n| a | b | c |\n| --- | :-: | ---: |\n"
	row := tablesOf("a.md", head+"| `Dir` | [where](x.md) | in  **run** |\n| A1 | a | b |\n| A2 | a | b |\n| A3 | a | b |\n")
	for name, test := range map[string]struct {
		text string
		want int
	}{
		"a copy of a row":           {head + "| Dir | where | in run |\n| other | x | y |\n", 1},
		"a row with little in it":   {head + "| Dir | – |  |\n", 0},
		"numbers of the catalogue":  {head + "| A1 | x | y |\n| A2 | x | y |\n| A3 | x | y |\n", 0},
		"in a block of code":        {"```text\n" + head + "| Dir | where | in run |\n```\n", 0},
		"the same row with a pipe":  {head + "| Dir | wh\\|ere | in run |\n", 0},
		"another row, one the same": {head + "| Dir | whither | in run |\n", 0},
	} {
		if found := repeated(append(row, tablesOf("b.md", test.text)...)); len(found) != test.want {
			t.Errorf("%s: found %q, want %d", name, found, test.want)
		}
	}
	same := "| Command | x | y |\n| Dir | x | y |\n| Log | x | y |\n| none | x | y |\n"
	other := "| `Log` | p | q |\n| `Dir` | p | q |\n| `Command` | p | q |\n| one | x | y |\n| two | x | y |\n"
	if found := repeated(append(tablesOf("a.md", head+same), tablesOf("b.md", head+other)...)); len(found) != 1 {
		t.Errorf("tables about the same: found %q", found)
	}
	if found := repeated(tablesOf("a.md", head+same+"\n"+head+same)); len(found) != 4 {
		t.Errorf("a copy on the same page: found %q", found)
	}
}
