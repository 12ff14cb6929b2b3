package docs_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// A row of the systems in docs/platforms.md names a test that is built for Windows, in a
// package that .ci/wine runs. An error that the row quotes is in what that package says
// there. The page says where all of it was tried.
func TestSystems(t *testing.T) {
	page := read(t, "platforms.md")
	_, table, _ := strings.Cut(page, "<!-- systems -->\n")
	table, _, ok := strings.Cut(table, "<!-- end of systems -->")
	rows := strings.Split(strings.TrimSpace(table), "\n")
	if !ok || len(rows) < 15 {
		t.Fatalf("the table has %d rows", len(rows))
	}
	if !strings.Contains(page, "tested under Wine 8, not on Windows itself") {
		t.Error("docs/platforms.md does not say where Windows was tested")
	}
	wine := read(t, "../.ci/wine")
	quotes := regexp.MustCompile("`([^`]+)`")
	for _, row := range rows[2:] {
		cells := strings.Split(strings.Trim(row, "|"), " | ")
		if len(cells) != 5 {
			t.Errorf("a row has %d cells: %s", len(cells), row)
			continue
		}
		pkg, test, ok := strings.Cut(strings.Trim(cells[4], " `"), " ")
		if !ok || !strings.Contains(wine, "./"+pkg) {
			t.Errorf(".ci/wine does not run the test %q", cells[4])
			continue
		}
		source, tests := windowsFiles(t, pkg)
		if !strings.Contains(tests, "func "+test+"(t *testing.T)") {
			t.Errorf("%s has no %s for Windows", pkg, test)
		}
		if !strings.HasPrefix(cells[3], "an error") {
			continue
		}
		said := quotes.FindAllStringSubmatch(cells[3], -1)
		if len(said) == 0 {
			t.Errorf("the row does not say which error: %s", row)
		}
		for _, m := range said {
			if !strings.Contains(source, m[1]) {
				t.Errorf("on Windows %s says nowhere %q", pkg, m[1])
			}
		}
	}
}

// windowsFiles returns the text of the files of a package that are built for Windows, and
// that of its tests.
func windowsFiles(t *testing.T, pkg string) (source, tests string) {
	t.Helper()
	list := exec.CommandContext(t.Context(), "go", "list", "-json=GoFiles,TestGoFiles,XTestGoFiles", "../"+pkg)
	list.Env = append(os.Environ(), "GOOS=windows", "GOARCH=amd64", "CGO_ENABLED=0")
	out, err := list.Output()
	if err != nil {
		t.Fatalf("%v: %v", list, err)
	}
	var listed struct{ GoFiles, TestGoFiles, XTestGoFiles []string }
	if err := json.Unmarshal(out, &listed); err != nil {
		t.Fatal(err)
	}
	for _, name := range listed.GoFiles {
		source += read(t, filepath.Join("..", pkg, name))
	}
	for _, name := range append(listed.TestGoFiles, listed.XTestGoFiles...) {
		tests += read(t, filepath.Join("..", pkg, name))
	}
	return source, tests
}
