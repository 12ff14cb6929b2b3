package runtimedir_test

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/podlaunch/podlaunch/runtimedir"
)

// setChain sets the four variables of the application whose prefix is given to
// values, and those that values lacks to nothing.
func setChain(t *testing.T, prefix string, values map[string]string) {
	t.Helper()
	for _, v := range []string{prefix + "_RUNTIME_DIR", prefix + "_HOME", "XDG_RUNTIME_DIR", home} {
		t.Setenv(v, values[v])
	}
	for v, value := range values {
		if os.Getenv(v) != value {
			t.Fatalf("%s is none of the four", v)
		}
	}
}

// Row 3, B2: each of the four variables wins over those after it. An empty variable
// counts as unset. Each leads to its own base.
func TestUserChain(t *testing.T) {
	root := tempDir(t)
	in := func(elem ...string) string { return filepath.Join(append([]string{root}, elem...)...) }
	chain := []struct{ variable, value, base string }{
		{"INSOMNIA_RUNTIME_DIR", in("own"), in("own")},
		{"INSOMNIA_HOME", in("app"), in("app", "run")},
		{"XDG_RUNTIME_DIR", in("xdg"), in("xdg", "insomnia")},
		{home, in("home"), in("home", belowHome("insomnia"))},
	}
	for i, c := range chain {
		t.Run(c.variable, func(t *testing.T) {
			values := make(map[string]string)
			for _, later := range chain[i:] {
				values[later.variable] = later.value
			}
			setChain(t, "INSOMNIA", values)
			base, err := runtimedir.User{}.Base(t.Context())
			if err != nil || base != c.base {
				t.Errorf("Base is %q, %v, want %q", base, err, c.base)
			}
			mustBeAbsent(t, c.value) // Base creates nothing
			dir, err := runtimedir.User{}.RuntimeDir(t.Context(), "pod")
			if want := filepath.Join(c.base, "pod"); err != nil || dir != want {
				t.Fatalf("RuntimeDir is %q, %v, want %q", dir, err, want)
			}
			if fi, err := os.Stat(dir); err != nil || !fi.IsDir() {
				t.Errorf("there is no directory: %v", err)
			}
		})
	}
}

// Row 3: a variable that is not there at all is as good as an empty one.
func TestUserUnset(t *testing.T) {
	root := tempDir(t)
	setChain(t, "INSOMNIA", map[string]string{home: root})
	for _, v := range []string{"INSOMNIA_RUNTIME_DIR", "INSOMNIA_HOME", "XDG_RUNTIME_DIR"} {
		os.Unsetenv(v) // setChain puts it back
	}
	base, err := runtimedir.User{}.Base(t.Context())
	if want := filepath.Join(root, belowHome("insomnia")); err != nil || base != want {
		t.Errorf("got %q, %v, want %q", base, err, want)
	}
}

// B1: when nothing resolves, the error names all four variables.
func TestUserNothingSet(t *testing.T) {
	for prefix, app := range map[string]string{"INSOMNIA": "", "YOI": "yoi"} {
		setChain(t, prefix, nil)
		dir, err := runtimedir.User{App: app}.RuntimeDir(t.Context(), "pod")
		if dir != "" || !errors.Is(err, runtimedir.ErrUnavailable) {
			t.Fatalf("got %q, %v", dir, err)
		}
		mustSay(t, err, "$"+prefix+"_RUNTIME_DIR", "$"+prefix+"_HOME", "$XDG_RUNTIME_DIR", "$"+home)
	}
}

// B3: a relative variable of ours, or a relative HOME, is refused with its
// value; it is not resolved, and the search does not go on behind it.
func TestUserRelativeRefused(t *testing.T) {
	for _, v := range []string{"INSOMNIA_RUNTIME_DIR", "INSOMNIA_HOME", home} {
		for _, value := range []string{"run", "./run", "../run", ".", "~/run", " /run"} {
			t.Chdir(tempDir(t))
			values := map[string]string{home: t.TempDir()}
			values[v] = value
			setChain(t, "INSOMNIA", values)
			dir, err := runtimedir.User{}.RuntimeDir(t.Context(), "pod")
			if dir != "" || !errors.Is(err, runtimedir.ErrUnavailable) {
				t.Errorf("$%s %q: got %q, %v", v, value, dir, err)
				continue
			}
			mustSay(t, err, "$"+v, `"`+value+`"`, "absolute")
			if entries, err := os.ReadDir("."); err != nil || len(entries) != 0 {
				t.Errorf("$%s %q: the disk was touched: %v, %v", v, value, entries, err)
			}
		}
	}
}

// B3: a relative XDG_RUNTIME_DIR is passed over, as its specification says,
// and told of when nothing else resolves.
func TestUserRelativeXDGIgnored(t *testing.T) {
	root := tempDir(t)
	setChain(t, "INSOMNIA", map[string]string{"XDG_RUNTIME_DIR": "run/user", home: root})
	base, err := runtimedir.User{}.Base(t.Context())
	if want := filepath.Join(root, belowHome("insomnia")); err != nil || base != want {
		t.Errorf("got %q, %v, want %q", base, err, want)
	}
	setChain(t, "INSOMNIA", map[string]string{"XDG_RUNTIME_DIR": "run/user"})
	_, err = runtimedir.User{}.Base(t.Context())
	mustBe(t, err, runtimedir.ErrUnavailable)
	mustSay(t, err, `$XDG_RUNTIME_DIR is "run/user"`, "ignored", "$"+home+" is not set")
}

// B4: a value with bytes that are no UTF-8, or that a terminal would obey, is
// used as it is, never skipped; an error quotes it.
func TestUserOddBytes(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("not run: a variable of Windows has UTF-16, and a file name no control characters")
	}
	const odd = "a\xff\x1b[31m\n b"
	root := tempDir(t)
	setChain(t, "INSOMNIA", map[string]string{"INSOMNIA_RUNTIME_DIR": filepath.Join(root, odd), home: root})
	base, err := runtimedir.User{}.Base(t.Context())
	if want := root + "/" + odd; err != nil || base != want {
		t.Errorf("got %q, %v, want %q", base, err, want)
	}
	if runtime.GOOS == "darwin" {
		t.Skip("not run: making the directory, for the file system takes nothing but UTF-8")
	}
	dir, err := runtimedir.User{}.RuntimeDir(t.Context(), "pod")
	if want := root + "/" + odd + "/pod"; err != nil || dir != want {
		t.Errorf("got %q, %v, want %q", dir, err, want)
	}
	if _, err := os.Stat(dir); err != nil {
		t.Error(err)
	}
	setChain(t, "INSOMNIA", map[string]string{"INSOMNIA_RUNTIME_DIR": odd})
	_, err = runtimedir.User{}.Base(t.Context())
	mustBe(t, err, runtimedir.ErrUnavailable)
	mustSay(t, err, `"a\xff\x1b[31m\n b"`)
}

// Row 3: the application's name gives the variables their prefix and the
// directories their name.
func TestUserApp(t *testing.T) {
	for _, c := range []struct{ app, prefix string }{
		{"yoi", "YOI"},
		{"my-app", "MY_APP"},
		{"My App.2", "MY_APP_2"},
		{"INSOMNIA", "INSOMNIA"},
		{"grün", "GR_N"},
	} {
		t.Run(c.app, func(t *testing.T) {
			root := tempDir(t)
			for _, v := range []struct{ name, below string }{
				{c.prefix + "_RUNTIME_DIR", ""},
				{c.prefix + "_HOME", "run"},
				{"XDG_RUNTIME_DIR", c.app},
				{home, belowHome(c.app)},
			} {
				setChain(t, c.prefix, map[string]string{v.name: root})
				base, err := runtimedir.User{App: c.app}.Base(t.Context())
				if want := filepath.Join(root, v.below); err != nil || base != want {
					t.Errorf("$%s: got %q, %v, want %q", v.name, base, err, want)
				}
			}
		})
	}
}

// Row 3: two applications do not see each other's variables.
func TestUserAppIsAlone(t *testing.T) {
	root := tempDir(t)
	setChain(t, "INSOMNIA", map[string]string{"INSOMNIA_RUNTIME_DIR": filepath.Join(root, "other")})
	setChain(t, "YOI", map[string]string{home: root})
	base, err := runtimedir.User{App: "yoi"}.Base(t.Context())
	if want := filepath.Join(root, belowHome("yoi")); err != nil || base != want {
		t.Errorf("got %q, %v, want %q", base, err, want)
	}
}

// A1: the application's name becomes an element of a path too, and is checked
// as a pod's is.
func TestUserAppRefused(t *testing.T) {
	root := tempDir(t)
	for _, app := range []string{"../x", "a/b", ".", "a\x00", "-x", strings.Repeat("a", 300)} {
		t.Setenv("XDG_RUNTIME_DIR", root)
		dir, err := runtimedir.User{App: app}.RuntimeDir(t.Context(), "pod")
		if dir != "" || !errors.Is(err, runtimedir.ErrUnavailable) {
			t.Errorf("%q: got %q, %v", app, dir, err)
			continue
		}
		mustSay(t, err, "User.App")
	}
	if entries, err := os.ReadDir(root); err != nil || len(entries) != 0 {
		t.Errorf("the disk was touched: %v, %v", entries, err)
	}
}

// B3: a fixed base that is empty or relative is refused with its value, and
// nothing is made below the working directory.
func TestDirMustBeAbsolute(t *testing.T) {
	t.Chdir(tempDir(t))
	for _, base := range []string{"", ".", "run", "../run", "./run"} {
		dir, err := runtimedir.Dir(base).RuntimeDir(t.Context(), "pod")
		if dir != "" || !errors.Is(err, runtimedir.ErrUnavailable) {
			t.Errorf("%q: got %q, %v", base, dir, err)
			continue
		}
		mustSay(t, err, `"`+base+`"`, "absolute")
	}
	if entries, err := os.ReadDir("."); err != nil || len(entries) != 0 {
		t.Errorf("the disk was touched: %v, %v", entries, err)
	}
}
