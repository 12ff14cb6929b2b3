package docs_test

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// What docs/errors.md looks messages up by is in the messages of the launcher, as its golden
// file has them, or is the text of the sentinel in the row. Each sentinel has a row.
func TestErrorsOfThePage(t *testing.T) {
	messages := read(t, "../launcher/testdata/messages.txt")
	texts := sentinels(t)
	rows := tableRows(read(t, "errors.md"), "the message has")
	if len(rows) < 20 || len(texts) < 10 {
		t.Fatalf("the table has %d rows, and there are %d sentinels: they were not found or not read", len(rows), len(texts))
	}
	left := maps.Clone(texts)
	for _, row := range rows {
		named := regexp.MustCompile("`([a-z]*\\.?Err\\w+)`").FindStringSubmatch(row[1])
		text := ""
		if named != nil {
			text = texts[named[1]]
			delete(left, named[1])
		}
		if words := strings.Trim(row[0], "`"); !strings.Contains(messages, words) && !strings.Contains(text, words) {
			t.Errorf("no message has %q", words)
		}
	}
	if len(left) > 0 {
		t.Errorf("the page has no row for %q", slices.Sorted(maps.Keys(left)))
	}
}

// sentinels returns the texts of the errors that the four packages export, by the names that
// the page gives them.
func sentinels(t *testing.T) map[string]string {
	t.Helper()
	found := make(map[string]string)
	declared := regexp.MustCompile(`(?m)^(?:\t|var )(Err\w+) += errors\.New\("(.*)"\)`)
	for _, dir := range []string{"launcher", "readiness", "logsource", "runtimedir"} {
		files, err := os.ReadDir(filepath.Join("..", dir))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			if !strings.HasSuffix(file.Name(), ".go") || strings.HasSuffix(file.Name(), "_test.go") {
				continue
			}
			for _, m := range declared.FindAllStringSubmatch(read(t, filepath.Join("..", dir, file.Name())), -1) {
				found[strings.TrimPrefix(dir+"."+m[1], "launcher.")] = m[2]
			}
		}
	}
	return found
}
