package runtimedir_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/podlaunch/podlaunch/runtimedir"
)

// A name that Windows cuts, or knows as a device, is refused before anything is made.
func TestWindowsNamesRefused(t *testing.T) {
	for name, says := range map[string]string{
		"web.":      "ends with a dot",
		"web. .":    "ends with a dot",
		"a:b":       "':' at byte 1",
		"web::$":    "':' at byte 3",
		"*":         "'*' at byte 0",
		"a?":        "'?' at byte 1",
		`a"b`:       "file name",
		"a<b":       "file name",
		"a>b":       "file name",
		"a|b":       "file name",
		"nul":       "device",
		"NUL":       "device",
		"nul.txt":   "device",
		"nul .txt":  "device",
		"Aux.a.b":   "device",
		"con":       "device",
		"prn":       "device",
		"com1":      "device",
		"COM0":      "device",
		"LPT9.log":  "device",
		"lpt\u00b3": "device",
		"CONIN$":    "device",
		"conout$":   "device",
	} {
		base := filepath.Join(tempDir(t), "base")
		dir, err := runtimedir.Dir(base).RuntimeDir(t.Context(), name)
		if err == nil {
			t.Errorf("%q has the directory %s", name, dir)
			continue
		}
		mustBe(t, err, runtimedir.ErrInvalidName)
		mustSay(t, err, says)
		mustBeAbsent(t, base)
	}
	for _, name := range []string{"console", "com", "com10", "lpt", "nula", "a.nul", "com1a", "null.txt"} {
		if err := runtimedir.ValidateName(name); err != nil {
			t.Error(err)
		}
	}
}

// Two names that the file system takes for one never share a directory: the second one is
// refused while the first one's is there.
func TestNamesThatDifferByCase(t *testing.T) {
	base := runtimedir.Dir(tempDir(t))
	first, err := base.RuntimeDir(t.Context(), "Web-Größe")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"web-größe", "WEB-GRÖSSE", "Web-größe"} {
		dir, err := base.RuntimeDir(t.Context(), name)
		if name == "WEB-GRÖSSE" { // two letters are not one
			if err != nil {
				t.Error(err)
			}
			continue
		}
		if err == nil {
			t.Errorf("%q has the directory %s, beside %s", name, dir, first)
			continue
		}
		mustBe(t, err, runtimedir.ErrInvalidName)
		mustSay(t, err, `takes it for "Web-Größe"`)
	}
	if again, err := base.RuntimeDir(t.Context(), "Web-Größe"); err != nil || again != first {
		t.Errorf("the first name has %q now, %v", again, err)
	}
	if err := os.Remove(first); err != nil {
		t.Fatal(err)
	}
	if dir, err := base.RuntimeDir(t.Context(), "web-größe"); err != nil || filepath.Base(dir) != "web-größe" {
		t.Errorf("then the other has %q, %v", dir, err)
	}
}
