package nomad_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Each cell of the table of what holds where, in docs/engines.md, names its test, which
// exists. Only a cell that promises nothing may have none.
func TestEachCellHasATest(t *testing.T) {
	page, err := os.ReadFile("../../docs/engines.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(page), "\n## What holds where\n")
	section, _, _ = strings.Cut(section, "\n## ")
	var tables [][][]string // rows of cells
	for line := range strings.Lines(section) {
		switch cells := strings.Split(strings.Trim(line, "| \n"), " | "); {
		case strings.HasPrefix(line, "| |"):
			tables = append(tables, nil)
		case strings.HasPrefix(line, "| ") && !strings.HasPrefix(line, "| ---") && len(tables) > 0:
			tables[len(tables)-1] = append(tables[len(tables)-1], cells)
		}
	}
	if len(tables) != 2 || len(tables[0]) < 15 || len(tables[0]) != len(tables[1]) {
		t.Fatalf("there are %d tables", len(tables))
	}
	sources := []string{1: source(t, "../../launcher", "../../logsource"), 2: source(t, "."), 3: source(t, "../slurm")}
	for i, row := range tables[1] {
		promises := tables[0][i]
		if row[0] != promises[0] || len(row) != 4 || len(promises) != 4 {
			t.Errorf("row %d of the tests is %q, and that of the promises %q", i, row, promises)
			continue
		}
		for column, in := range sources {
			if column == 0 {
				continue
			}
			tests := regexp.MustCompile("`(Test\\w+)`").FindAllStringSubmatch(row[column], -1)
			if none := row[column] == "none"; none == (len(tests) > 0) || none && !strings.HasPrefix(promises[column], "no") {
				t.Errorf("%s: %q is no test of %q", row[0], row[column], promises[column])
			}
			for _, test := range tests {
				if !strings.Contains(in, "\nfunc "+test[1]+"(t *testing.T)") {
					t.Errorf("%s: there is no %s", row[0], test[1])
				}
			}
		}
	}
}

// source is all tests below the directories.
func source(t *testing.T, dirs ...string) string {
	t.Helper()
	var all strings.Builder
	for _, dir := range dirs {
		err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, "_test.go") {
				return err
			}
			data, err := os.ReadFile(path)
			all.Write(data)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return all.String()
}
