package launcher_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/podlaunch/podlaunch/launcher"
)

// program makes a file that can be run by its name, and returns its path.
func program(t *testing.T, elem ...string) string {
	t.Helper()
	path := filepath.Join(elem...)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("@echo off\r\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

// resolve returns the path that r resolves to.
func resolve(r launcher.CommandResolver) (string, error) {
	cmd, err := r.ResolveCommand(context.Background(), launcher.Request{Spec: launcher.Spec{Name: "web"}, RuntimeDir: `C:\run\web`})
	return cmd.Path, err
}

// A program is found as package os/exec finds it: with an extension of PATHEXT, in the
// order of PATH, then of PATHEXT. A path gets an extension too.
func TestWindowsFindsByPATHEXT(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(t.TempDir())
	exe := program(t, dir, "a", "pod.exe")
	program(t, dir, "a", "pod.cmd")
	bat := program(t, dir, "b", "Other.BAT")
	program(t, dir, "b", "pod.exe")
	program(t, dir, "b", "text.txt")
	t.Setenv("PATHEXT", ".COM;.EXE;.BAT;.CMD")
	t.Setenv("PATH", strings.Join([]string{filepath.Join(dir, "none"), "", filepath.Join(dir, "a"), filepath.Join(dir, "b")}, ";"))
	t.Setenv("INSOMNIA_POD_COMMAND", "")
	for _, c := range []struct {
		r    launcher.CommandResolver
		want string
	}{
		{launcher.PodCommand{}, exe},
		{launcher.Exec("pod"), exe},
		{launcher.Exec("POD.exe"), exe},
		{launcher.Exec("pod.cmd"), filepath.Join(dir, "a", "pod.cmd")},
		{launcher.Exec("other"), bat},
		{launcher.Exec(filepath.Join(dir, "b", "other")), bat},
		{launcher.Exec(filepath.ToSlash(filepath.Join(dir, "b", "pod"))), filepath.Join(dir, "b", "pod.exe")},
		{launcher.Path(filepath.Join(dir, "a", "pod")), exe},
	} {
		got, err := resolve(c.r)
		if err != nil || !strings.EqualFold(got, c.want) {
			t.Errorf("%v: got %q, %v, want %q", c.r, got, err, c.want)
		}
		// Package os/exec agrees.
		if e, ok := c.r.(launcher.PodCommand); ok && e.Program == "" {
			if std, err := exec.LookPath("pod"); err != nil || std != got {
				t.Errorf("package os/exec finds %q, %v", std, err)
			}
		}
	}
	for _, missing := range []string{"text", "nowhere", `C:\nowhere\pod`} {
		_, err := resolve(launcher.Exec(missing))
		var notFound *launcher.NotFoundError
		if !errors.As(err, &notFound) || !errors.Is(err, exec.ErrNotFound) {
			t.Errorf("%s: %v", missing, err)
		}
	}
}

// A program in the current directory is refused, also in front of one on PATH, as package
// os/exec refuses it. It is not if PATH leads to it, or if a variable keeps shells from
// looking there.
func TestWindowsRefusesTheCurrentDirectory(t *testing.T) {
	dir := t.TempDir()
	here, there := program(t, dir, "here", "pod.bat"), program(t, dir, "there", "pod.exe")
	t.Chdir(filepath.Dir(here))
	for _, c := range []struct {
		path, off string
		want      string // "": ErrDot
	}{
		{filepath.Join(dir, "none"), "", ""},
		{filepath.Dir(there), "", ""},
		{filepath.Dir(here), "", here},
		{".", "", ""},
		{filepath.Dir(there), "1", there},
	} {
		t.Setenv("PATH", c.path)
		t.Setenv("NoDefaultCurrentDirectoryInExePath", c.off)
		if c.off == "" {
			os.Unsetenv("NoDefaultCurrentDirectoryInExePath") // Setenv puts it back
		}
		got, err := resolve(launcher.Exec("pod"))
		std, stdErr := exec.LookPath("pod")
		switch {
		case c.want == "" && !errors.Is(err, exec.ErrDot), c.want != "" && (err != nil || !strings.EqualFold(got, c.want)):
			t.Errorf("with PATH=%s: got %q, %v", c.path, got, err)
		case errors.Is(stdErr, exec.ErrDot) != errors.Is(err, exec.ErrDot):
			t.Errorf("with PATH=%s package os/exec finds %q, %v", c.path, std, stdErr)
		}
	}
	if got, err := resolve(launcher.Exec(`.\pod`)); err != nil || !strings.EqualFold(got, here) {
		t.Errorf("as a path: %q, %v", got, err)
	}
}
