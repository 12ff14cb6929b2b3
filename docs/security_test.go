package docs_test

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// Every claim of docs/security.md names a test, and so does every option. That
// those tests exist is TestNamedTestsExist's; that a case of one does is told
// here, by the function that each has.
func TestClaimsOfSecurity(t *testing.T) {
	doc := read(t, "security.md")
	source := testText(t)
	claim := regexp.MustCompile("`((?:Test|Fuzz)\\w+)`(?: \\(([^)]*)\\))?")
	number := regexp.MustCompile(`^case ([A-E])(\d+)$`)
	for column, atLeast := range map[string]int{"attack": 20, "option": 6} {
		rows := tableRows(doc, column)
		if len(rows) < atLeast {
			t.Errorf("the table of each %s has %d rows: it was not found or not read", column, len(rows))
		}
		for _, row := range rows {
			if len(row) != 3 {
				t.Errorf("a row of the table of each %s has %d cells, want 3: %q", column, len(row), row)
				continue
			}
			tests := claim.FindAllStringSubmatch(row[2], -1)
			if tests == nil {
				t.Errorf("no test is named for %q", row[0])
			}
			for _, test := range tests {
				if test[2] == "" {
					continue
				}
				for _, c := range strings.Split(test[2], ", ") {
					part := number.FindStringSubmatch(c)
					if part == nil {
						t.Errorf("%q: %q is no case of %s", row[0], c, test[1])
						continue
					}
					n, err := strconv.Atoi(part[2])
					if err != nil {
						t.Fatal(err)
					}
					f := fmt.Sprintf("\nfunc %s%02d(t *testing.T)", strings.ToLower(part[1]), n)
					if !strings.Contains(source, f) {
						t.Errorf("%q: there is no %s of %s", row[0], c, test[1])
					}
				}
			}
		}
	}
	if rows := tableRows(doc, "what"); len(rows) < 5 {
		t.Errorf("what is out of scope has %d rows", len(rows))
	}
}

// testText is the text of all files with tests.
func testText(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	err := filepath.WalkDir("..", func(path string, _ fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, "_test.go") {
			all.WriteString(read(t, path))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all.String()
}
