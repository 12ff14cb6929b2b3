package runtimedir_test

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/podlaunch/podlaunch/runtimedir"
)

// badNames are the names that faults A1 to A9 are about, with a part of what
// the error has to say.
var badNames = []struct{ fault, name, says string }{
	{"A1: parent", "../x", "begins with a dot"},
	{"A1: absolute", "/abs", `'/' at byte 0`},
	{"A1: slash", "a/b", `'/' at byte 1`},
	{"A1: parent inside", "a/../../b", `'/' at byte 1`},
	{"A1: trailing slash", "a/", `'/' at byte 1`},
	{"A1: backslash", `a\b`, `'\\' at byte 1`},
	{"A2: empty", "", "empty"},
	{"A2: dot", ".", "begins with a dot"},
	{"A2: dot dot", "..", "begins with a dot"},
	{"A3: NUL", "a\x00b", "U+0000 at byte 1"},
	{"A4: newline", "a\nb", "U+000A"},
	{"A4: newline at the end", "a\n", "U+000A"},
	{"A4: CR", "a\rb", "U+000D"},
	{"A5: tab", "a\tb", "U+0009"},
	{"A6: one over", strings.Repeat("n", runtimedir.MaxName+1), "has 201 bytes, the limit is 200"},
	{"A6: one over, of two bytes each", strings.Repeat("é", runtimedir.MaxName/2) + "n", "has 201 bytes, the limit is 200"},
	{"A6: 300", strings.Repeat("n", 300), "has 300 bytes, the limit is 200"},
	{"A6: 1 MiB", strings.Repeat("\x00", 1<<20), "has 1048576 bytes, the limit is 200"},
	{"A8: escape", "a\x1b[31m", "U+001B"},
	{"A8: DEL", "a\x7f", "U+007F"},
	{"A8: C1 control", "a\u0085", "U+0085"},
	{"A8: right-to-left override", "a\u202eb", "U+202E at byte 1"},
	{"A8: isolate", "a\u2066b", "U+2066"},
	{"A8: zero width space", "a\u200bb", "U+200B"},
	{"A8: byte order mark", "\ufeffa", "U+FEFF at byte 0"},
	{"A8: line separator", "a\u2028b", "U+2028"},
	{"A8: paragraph separator", "a\u2029b", "U+2029"},
	{"A8: Hangul filler", "a\u3164b", "U+3164 at byte 1"},
	{"A8: combining grapheme joiner", "a\u034fb", "U+034F"},
	{"A8: variation selector", "a\ufe0f", "U+FE0F"},
	{"A8: variation selector of a plane of its own", "a\U000e0100", "U+E0100"},
	{"A8: no-break space", "a\u00a0b", "U+00A0"},
	{"A8: em space", "a\u2003b", "U+2003"},
	{"A8: ideographic space", "a\u3000b", "U+3000"},
	{"A8: Braille without a dot", "a\u2800b", "U+2800"},
	{"A9: a space before", " a", "begins or ends with a space"},
	{"A9: a space behind", "a ", "begins or ends with a space"},
	{"A9: a space alone", " ", "begins or ends with a space"},
	{"A8: a byte that is no UTF-8", "a\xffb", "not valid UTF-8"},
	{"A8: half a character", "a\xc3", "not valid UTF-8"},
	{"A8: surrogate", "a\xed\xa0\x80", "not valid UTF-8"},
	{"A9: hidden", ".lock", "begins with a dot"},
	{"A9: three dots", "...", "begins with a dot"},
	{"A9: flag", "-rf", "begins with a dash"},
}

// A1-A6, A8, A9: a name that cannot be used is refused with the reason, in a
// message that can be printed anywhere and stays short.
func TestValidateNameRefuses(t *testing.T) {
	for _, c := range badNames {
		t.Run(c.fault, func(t *testing.T) {
			err := runtimedir.ValidateName(c.name)
			if !errors.Is(err, runtimedir.ErrInvalidName) {
				t.Fatalf("got %v, want ErrInvalidName", err)
			}
			mustSay(t, err, c.says)
			msg := err.Error()
			if strings.ContainsFunc(msg, func(r rune) bool { return !unicode.IsPrint(r) }) || !utf8.ValidString(msg) {
				t.Errorf("the message cannot be printed: %q", msg)
			}
			if len(msg) > 1<<10 {
				t.Errorf("the message has %d bytes", len(msg))
			}
		})
	}
}

// A6, A8, A9: what is allowed: every byte up to the limit, spaces, letters of
// any script, dots and dashes that do not come first.
func TestValidateNameAccepts(t *testing.T) {
	names := []string{
		"a", "0", "pod-1", "a.b", "a..b", "a_b", "a-", "my pod", "%s", "~", "$HOME",
		"grüße", "捕獲", "под", "🚀", "e\u0301",
		strings.Repeat("n", runtimedir.MaxName-1),
		strings.Repeat("n", runtimedir.MaxName),
		strings.Repeat("é", runtimedir.MaxName/2),
	}
	if runtime.GOOS != "windows" { // see TestWindowsNamesRefused
		names = append(names, "a:b", "*", "a.", "nul", "COM1.log")
	}
	for _, name := range names {
		if err := runtimedir.ValidateName(name); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// A6: the limit keeps its promise: beside a directory with the longest name,
// a file with the same name, a leading dot and 54 bytes more can be made.
func TestLongestNameFits(t *testing.T) {
	base := tempDir(t)
	name := strings.Repeat("n", runtimedir.MaxName)
	dir, err := runtimedir.Dir(base).RuntimeDir(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	if fi, err := os.Stat(dir); err != nil || !fi.IsDir() {
		t.Errorf("no directory: %v", err)
	}
	beside := filepath.Join(base, "."+name+strings.Repeat("s", 54))
	if err := os.WriteFile(beside, nil, 0o600); err != nil {
		t.Error(err)
	}
}

// A1-A9: nothing is touched on the disk for a name that cannot be used, not
// even the base is made.
func TestInvalidNameTouchesNothing(t *testing.T) {
	for _, c := range badNames {
		t.Run(c.fault, func(t *testing.T) {
			home := tempDir(t)
			setChain(t, "INSOMNIA", map[string]string{"INSOMNIA_HOME": home})
			for what, r := range map[string]runtimedir.Resolver{
				"User": runtimedir.User{},
				"Dir":  runtimedir.Dir(filepath.Join(home, "run")),
			} {
				dir, err := r.RuntimeDir(t.Context(), c.name)
				if !errors.Is(err, runtimedir.ErrInvalidName) || dir != "" {
					t.Errorf("%s: got %q, %v", what, dir, err)
				}
			}
			entries, err := os.ReadDir(home)
			if err != nil || len(entries) != 0 {
				t.Errorf("the disk was touched: %v, %v", entries, err)
			}
		})
	}
}

// No name leaves its base: what ValidateName accepts is exactly one element of
// a path, and nothing that a flag, a hidden file or a terminal would read
// otherwise.
func FuzzName(f *testing.F) {
	f.Fuzz(func(t *testing.T, name string) {
		if err := runtimedir.ValidateName(name); err != nil {
			if !errors.Is(err, runtimedir.ErrInvalidName) {
				t.Errorf("%q: the error is not ErrInvalidName: %v", name, err)
			}
			if !utf8.ValidString(err.Error()) || strings.ContainsFunc(err.Error(), unicode.IsControl) {
				t.Errorf("%q: the message cannot be printed: %q", name, err)
			}
			return
		}
		base := filepath.FromSlash("/base/of/pods")
		path := filepath.Join(base, name)
		if filepath.Dir(path) != base || filepath.Base(path) != name || !filepath.IsLocal(name) {
			t.Errorf("%q leaves its base: %q", name, path)
		}
		if name[0] == '.' || name[0] == '-' || len(name) > runtimedir.MaxName || !utf8.ValidString(name) {
			t.Errorf("%q was accepted", name)
		}
		if strings.ContainsFunc(name, unicode.IsControl) || strings.ContainsAny(name, "/\\") {
			t.Errorf("%q was accepted", name)
		}
	})
}
