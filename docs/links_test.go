package docs_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

var (
	fencedText = regexp.MustCompile("(?ms)^```.*?^```$")
	codeText   = regexp.MustCompile("`[^`\n]*`")
	linkTarget = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	linkText   = regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`)
	notInSlug  = regexp.MustCompile(`[^\p{L}\p{N}_\- ]`)
)

// Every link of a page to a file of this repository, and to a heading of a page, leads
// somewhere.
func TestLinks(t *testing.T) {
	links := 0
	for _, page := range pages(t) {
		for _, target := range linksOf(read(t, page)) {
			path, anchor, _ := strings.Cut(target, "#")
			to := page
			if path != "" {
				to = filepath.Join(filepath.Dir(page), path)
			}
			links++
			if _, err := os.Stat(to); err != nil {
				t.Errorf("%s: %v", page, err)
			} else if anchor != "" && strings.HasSuffix(to, ".md") && !anchors(read(t, to))[anchor] {
				t.Errorf("%s: %s has no heading for #%s", page, to, anchor)
			}
		}
	}
	if links < 200 {
		t.Errorf("there are %d links: they were not found", links)
	}
}

// Each folder of pages has an index that lists all of them: the README those for users,
// docs/internals/README.md those for maintainers.
func TestEveryPageIsListed(t *testing.T) {
	for dir, index := range map[string]string{
		".":                   "../README.md",
		"internals":           "internals/README.md",
		"internals/decisions": "internals/decisions/README.md",
	} {
		listed := make(map[string]bool)
		for _, target := range linksOf(read(t, index)) {
			path, _, _ := strings.Cut(target, "#")
			listed[absolute(t, filepath.Join(filepath.Dir(index), path))] = true
		}
		found, err := filepath.Glob(filepath.Join(dir, "*.md"))
		if err != nil || len(found) == 0 {
			t.Fatalf("there are no pages in %s: %v", dir, err)
		}
		for _, page := range found {
			if page != index && !listed[absolute(t, page)] {
				t.Errorf("%s has no link to %s", index, page)
			}
		}
	}
}

func absolute(t *testing.T, path string) string {
	t.Helper()
	path, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// pages returns the paths of all pages of this repository.
func pages(t *testing.T) (found []string) {
	t.Helper()
	for _, path := range sourceFiles(t) {
		if strings.HasSuffix(path, ".md") {
			found = append(found, path)
		}
	}
	if len(found) < 30 {
		t.Fatalf("there are %d pages", len(found))
	}
	return found
}

// linksOf returns the targets of the links in text that lead to this repository.
func linksOf(text string) (targets []string) {
	text = codeText.ReplaceAllString(fencedText.ReplaceAllString(text, ""), "")
	for _, m := range linkTarget.FindAllStringSubmatch(text, -1) {
		if !strings.Contains(m[1], ":") {
			targets = append(targets, m[1])
		}
	}
	return targets
}

// anchors returns the names that GitHub gives to the headings of a page.
func anchors(text string) map[string]bool {
	found := make(map[string]bool)
	for line := range strings.Lines(fencedText.ReplaceAllString(text, "")) {
		heading, is := strings.CutPrefix(strings.TrimLeft(line, "#"), " ")
		if !is || !strings.HasPrefix(line, "#") {
			continue
		}
		heading = strings.ToLower(strings.TrimSpace(linkText.ReplaceAllString(heading, "$1")))
		slug := strings.ReplaceAll(notInSlug.ReplaceAllString(heading, ""), " ", "-")
		name := slug
		for n := 1; found[name]; n++ {
			name = slug + "-" + strconv.Itoa(n)
		}
		found[name] = true
	}
	return found
}

// The checks of links find what they are for.
func TestLinksAreFound(t *testing.T) {
	const text = "# A `head`, or 2\n\n[a](b.md#c) `[no](code.md)` [out](https://x.y/z)\n\n```sh\n# no heading\n[no](fence.md)\n```\n\n## A [link](d.md)!\n## A link\n"
	if got := strings.Join(linksOf(text), " "); got != "b.md#c d.md" {
		t.Errorf("the links are %q", got)
	}
	got := anchors(text)
	if len(got) != 3 || !got["a-head-or-2"] || !got["a-link"] || !got["a-link-1"] {
		t.Errorf("the headings are %v", got)
	}
}
