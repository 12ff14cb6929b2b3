package runtimedirtest

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"

	"github.com/podlaunch/podlaunch/runtimedir"
	"github.com/podlaunch/podlaunch/runtimedir/conformance"
)

// mark is in every name that could lead to where a rule must not leave
// anything.
const mark = "podlaunch-runtimedirtest"

// refused are names that nobody may use.
var refused = []string{
	"", ".", "..", "...", ".hidden", "-flag",
	"../" + mark, "../../" + mark, "web/../../" + mark, "web/" + mark, "web/", `web\` + mark, `..\` + mark,
	"web\x00", "web\n", "we\rb", "we\tb", "web\x1b[31m", "web\x7f", "web\u0085",
	"web\u202e", "web\u200b", "\ufeffweb", "web\u2028", "web\xff", "we\xc3",
	strings.Repeat("n", runtimedir.MaxName+1), strings.Repeat("n", 300), strings.Repeat("n", 1<<16),
}

func invalidName(s *subject) error {
	for _, name := range refused {
		dir, err := s.resolve(s.ctx, name)
		if err == nil {
			return fmt.Errorf("RuntimeDir(%.64q) returned %.64q and no error", name, dir)
		}
		if !errors.Is(err, runtimedir.ErrInvalidName) {
			return fmt.Errorf("RuntimeDir(%.64q) fails with %q, which does not wrap ErrInvalidName", name, err)
		}
	}
	return nil
}

func invalidNameClean(s *subject) error {
	base, err := s.base()
	if errors.As(err, new(conformance.Inapplicable)) {
		base, err = s.parent()
	}
	if err != nil {
		return err
	}
	for _, name := range refused {
		before, err := entries(base)
		if err != nil {
			return err
		}
		if _, err := s.resolve(s.ctx, name); err == nil {
			continue // that is for another rule to say
		}
		after, err := entries(base)
		if err != nil {
			return err
		}
		if !slices.Equal(after, before) {
			return fmt.Errorf("RuntimeDir(%.64q) fails, and left %q in %s, where %q had been", name, after, base, before)
		}
		if !strings.Contains(name, mark) {
			continue
		}
		escaped := filepath.Join(base, name)
		if _, err := os.Lstat(escaped); err == nil {
			return errors.Join(fmt.Errorf("RuntimeDir(%.64q) fails, and left %s", name, escaped), os.Remove(escaped))
		}
	}
	return nil
}

// entries lists what is in dir, and dir itself if it is there.
func entries(dir string) (names []string, err error) {
	found, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	names = append(names, ".")
	for _, e := range found {
		names = append(names, e.Name())
	}
	return names, err
}

// parent returns the directory that holds the pod's.
func (s *subject) parent() (string, error) {
	dir, err := s.runtimeDir("web")
	return filepath.Dir(dir), err
}

// instead puts something else where the pod's directory was.
func (s *subject) instead(put func(path string) error) error {
	dir, err := s.runtimeDir("web")
	if err != nil {
		return err
	}
	if err := os.Remove(dir); err != nil {
		return err
	}
	return put(dir)
}

func symlink(s *subject) error {
	victim := filepath.Join(s.dir, "victim")
	if err := os.Mkdir(victim, 0o755); err != nil {
		return err
	}
	if err := os.Chmod(victim, 0o755); err != nil { // under any umask
		return err
	}
	if err := s.instead(func(path string) error { return link(victim, path) }); err != nil {
		return err
	}
	if err := s.refusesOr(checkPrivate, runtimedir.ErrInsecure); err != nil {
		return err
	}
	fi, err := os.Stat(victim)
	if err != nil {
		return fmt.Errorf("what the link led to: %w", err)
	}
	if modeMatters && fi.Mode().Perm() != 0o755 {
		return fmt.Errorf("what the link led to has mode %v now", fi.Mode())
	}
	return nil
}

func notADirectory(s *subject) error {
	if err := s.instead(func(path string) error { return os.WriteFile(path, nil, 0o600) }); err != nil {
		return err
	}
	return s.refusesOr(checkPrivate, runtimedir.ErrInsecure, runtimedir.ErrUnavailable)
}

func foreign(s *subject) error {
	const nobody = 65534
	if !modeMatters || os.Geteuid() != 0 {
		return conformance.Inapplicable("only root can give a directory to somebody else")
	}
	dir, err := s.runtimeDir("web")
	if err != nil {
		return err
	}
	if err := os.Chown(dir, nobody, nobody); err != nil {
		return err
	}
	return s.refusesOr(checkPrivate, runtimedir.ErrInsecure)
}

func openBase(s *subject) error {
	parent, err := s.parent()
	if err != nil {
		return err
	}
	for _, way := range waysIn {
		restore, err := letOthersIn(parent, way)
		if err != nil {
			return err
		}
		err = s.refusesOr(func(string) error {
			fi, err := os.Stat(parent)
			if err == nil {
				err = checkWriters(parent, fi)
			}
			if err != nil {
				err = fmt.Errorf("RuntimeDir returned no error, and %w", err)
			}
			return err
		}, runtimedir.ErrInsecure)
		restore()
		if err != nil {
			return fmt.Errorf("the directory above the pod's is open to %s: %w", way.who, err)
		}
	}
	return nil
}

// link makes a symbolic link, where the system lets it be made. Wine 8 returns no error,
// and makes none.
func link(to, path string) error {
	err := os.Symlink(to, path)
	if runtime.GOOS != "windows" {
		return err
	}
	if err == nil {
		_, err = os.Readlink(path)
	}
	if err != nil {
		return conformance.Inapplicable(fmt.Sprintf("no symbolic link can be made (Wine 8 makes none, Windows only with a privilege): %v", err))
	}
	return nil
}

// aside does something while path is not there, having been moved away, and
// then puts it back in place of what is there by then.
func aside(path string, do func() error) error {
	away := path + "." + mark
	if err := os.Rename(path, away); err != nil {
		return conformance.Inapplicable(fmt.Sprintf("%s cannot be moved away: %v", path, err))
	}
	err := do()
	if removeErr := os.RemoveAll(path); removeErr != nil {
		return errors.Join(err, removeErr)
	}
	return errors.Join(err, os.Rename(away, path))
}

func unavailable(s *subject) error {
	parent, err := s.parent()
	if err != nil {
		return err
	}
	return aside(parent, func() error {
		if err := os.WriteFile(parent, nil, 0o600); err != nil {
			return err
		}
		_, err := s.resolve(s.ctx, "web")
		switch {
		case err == nil || errors.Is(err, runtimedir.ErrInsecure):
			return nil
		case !errors.Is(err, runtimedir.ErrUnavailable):
			return fmt.Errorf("with a file in place of %s RuntimeDir fails with %q, which does not wrap ErrUnavailable", parent, err)
		case !errors.As(err, new(syscall.Errno)):
			return fmt.Errorf("RuntimeDir fails with %q, which does not wrap the system's own error", err)
		case !strings.Contains(err.Error(), filepath.Base(parent)):
			return fmt.Errorf("RuntimeDir fails with %q, which does not tell that %s was tried", err, parent)
		}
		return nil
	})
}

// withBase is a rule about Base once there is something in it.
func withBase(rule func(s *subject, base string) error) func(s *subject) error {
	return func(s *subject) error {
		base, err := s.base()
		if err != nil {
			return err
		}
		return withDir(func(s *subject, _ string) error { return rule(s, base) })(s)
	}
}

func baseResolved(s *subject, base string) error {
	if !filepath.IsAbs(base) {
		return fmt.Errorf("Baser.Base returned %q, which is not absolute", base)
	}
	elsewhere := filepath.Join(s.dir, "elsewhere")
	if err := os.Mkdir(elsewhere, 0o700); err != nil {
		return err
	}
	return aside(base, func() error {
		if err := link(elsewhere, base); err != nil {
			return err
		}
		linked, err := s.base()
		if errors.Is(err, runtimedir.ErrInsecure) {
			return nil
		}
		if err != nil {
			return err
		}
		if resolved, err := filepath.EvalSymlinks(linked); err != nil || resolved != linked {
			return fmt.Errorf("Baser.Base returned %s, which leads to %s, %v", linked, resolved, err)
		}
		return nil
	})
}

func baseHolds(s *subject) error {
	base, err := s.base()
	if err != nil {
		return err
	}
	absolute, err := filepath.Abs(base) // that it is so, another rule sees to
	if err != nil {
		return err
	}
	for _, name := range []string{"web", "db"} {
		dir, err := s.runtimeDir(name)
		if err != nil {
			return err
		}
		if dir, err = filepath.Abs(dir); err != nil {
			return err
		}
		if dir, err = filepath.EvalSymlinks(dir); err != nil {
			return err
		}
		if below, err := filepath.Rel(absolute, dir); err != nil || below == "." || !filepath.IsLocal(below) {
			return fmt.Errorf("Baser.Base returned %q, and the directory of %q is %q", base, name, dir)
		}
		if again, err := s.base(); err != nil || again != base {
			return fmt.Errorf("Baser.Base returned %q, then %q, %v", base, again, err)
		}
	}
	return nil
}

func baseCreatesNothing(s *subject, base string) error {
	return aside(base, func() error {
		if _, err := s.base(); err != nil && !errors.Is(err, runtimedir.ErrUnavailable) {
			return err
		}
		if _, err := os.Lstat(base); err == nil {
			return fmt.Errorf("Baser.Base has created %s", base)
		}
		return nil
	})
}

func baseError(s *subject, base string) error {
	return aside(base, func() error {
		if err := link(base, base); err != nil { // it leads to itself
			return err
		}
		_, err := s.base()
		if err != nil && !errors.Is(err, runtimedir.ErrUnavailable) && !errors.Is(err, runtimedir.ErrInsecure) {
			return fmt.Errorf("%q wraps neither ErrInsecure nor ErrUnavailable", err)
		}
		return nil
	})
}
