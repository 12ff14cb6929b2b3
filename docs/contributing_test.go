package docs_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	room      = regexp.MustCompile(`^\| \*\*(\w+)\*\*: `)
	mapEntry  = regexp.MustCompile("`([\\w/]+\\.(?:go|s))`(?: → ((?:`[\\w.]+`(?:, | and )?)+))?")
	mapName   = regexp.MustCompile("`(?:\\w+\\.)?(\\w+)`")
	mapHeader = "### A map of package launcher\n"
)

// Each file that the map in CONTRIBUTING.md names is there, and declares what the map says
// that it has.
func TestMapOfTheCode(t *testing.T) {
	_, text, found := strings.Cut(read(t, "../.github/CONTRIBUTING.md"), mapHeader)
	text, _, ends := strings.Cut(text, "\nThe others are for tests:")
	if !found || !ends {
		t.Fatal("CONTRIBUTING.md has no map")
	}
	dir := filepath.Join("..", "launcher")
	files, names := 0, 0
	for line := range strings.Lines(text) {
		if m := room.FindStringSubmatch(line); m != nil {
			if inside := filepath.Join("..", "launcher", "internal", m[1]); isDir(inside) {
				dir = inside
			}
		}
		if !strings.HasPrefix(line, "|") {
			continue
		}
		for _, entry := range mapEntry.FindAllStringSubmatch(line, -1) {
			path := filepath.Join(dir, entry[1])
			if strings.Contains(entry[1], "/") {
				path = filepath.Join("..", "launcher", "internal", entry[1])
			}
			files++
			source := read(t, path)
			for _, name := range mapName.FindAllStringSubmatch(entry[2], -1) {
				names++
				declared := regexp.MustCompile(`(?m)^(?:func (?:\([^)]*\) )?|type |var |\t)` + name[1] + `\b`)
				if !declared.MatchString(source) {
					t.Errorf("%s declares no %s; the map says so: %s", path, name[1], line)
				}
			}
		}
	}
	if files < 60 || names < 50 {
		t.Errorf("the map has %d files and %d names: they were not found", files, names)
	}
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}
