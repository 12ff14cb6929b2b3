package docs_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// hardWords hide the subject of a sentence, or put its verb last. They are no names of
// anything, so a plainer sentence can always do without.
var hardWords = regexp.MustCompile(`(?i)\b(whoever|whatever|but for|is told|are told|was told|of which|so does|so it does|lest|nobody else's|that is to say|as far as|one that)\b`)

// hardWordsLeft is how many there are in all comments and pages together. It only goes down.
const hardWordsLeft = 30

// The comments and the pages are written in plain English.
func TestPlainEnglish(t *testing.T) {
	var found []string
	for _, path := range sourceFiles(t) {
		for _, text := range prose(path, read(t, path)) {
			for _, at := range hardWords.FindAllStringIndex(text, -1) {
				found = append(found, path+": …"+text[max(0, at[0]-50):min(len(text), at[1]+30)]+"…")
			}
		}
	}
	if len(found) > hardWordsLeft {
		t.Errorf("%d words that hide the subject or put the verb last, and %d are allowed; name who does what instead:\n%s",
			len(found), hardWordsLeft, strings.Join(found, "\n"))
	}
}

// sourceFiles returns the paths of the Go files and pages of this repository, and of its
// nested modules. What a build or a package manager puts among them does not count.
func sourceFiles(t *testing.T) (paths []string) {
	t.Helper()
	err := filepath.WalkDir("..", func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		switch name := d.Name(); {
		case d.IsDir() && (name == "node_modules" || name == ".git"):
			return filepath.SkipDir
		case strings.HasSuffix(name, ".go"), strings.HasSuffix(name, ".md"), strings.HasSuffix(name, ".tmpl"):
			paths = append(paths, path)
		}
		return nil
	})
	if err != nil || len(paths) < 300 {
		t.Fatalf("there are %d sources: %v", len(paths), err)
	}
	return paths
}

// comment finds the comment of a line of Go. A string that holds two slashes after a blank
// counts as one.
var comment = regexp.MustCompile(`(?m)(?:^|[\s;{}()])//(.*)$`)

// prose returns the paragraphs of a page, or the comments of a Go file, each on one line.
func prose(path, text string) (paragraphs []string) {
	var lines []string
	end := func() {
		if lines != nil {
			paragraphs, lines = append(paragraphs, strings.Join(lines, " ")), nil
		}
	}
	for line := range strings.Lines(text) {
		if strings.HasSuffix(path, ".go") {
			m := comment.FindStringSubmatch(strings.TrimSuffix(line, "\n"))
			if m == nil {
				end()
				continue
			}
			line = m[1]
		}
		if line = strings.TrimSpace(line); line == "" {
			end()
			continue
		}
		lines = append(lines, line)
	}
	end()
	return paragraphs
}

// The check itself finds what it is for, also across the end of a line.
func TestHardWordsAreFound(t *testing.T) {
	source := "package p\n\n// F returns what\n// the caller is\n// told.\nfunc F() {} // but for nothing\n"
	if got := len(hardWords.FindAllString(strings.Join(prose("f.go", source), "\n"), -1)); got != 2 {
		t.Errorf("%d words were found, want 2", got)
	}
	if got := len(hardWords.FindAllString(strings.Join(prose("f.md", "It tells\nwhoever asks.\n\nThe best\n\nis told"), "\n"), -1)); got != 2 {
		t.Errorf("%d words were found on a page, want 2", got)
	}
}
