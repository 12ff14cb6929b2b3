package runtimedirtest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/podlaunch/podlaunch/runtimedir"
	"github.com/podlaunch/podlaunch/runtimedir/conformance"
)

func exists(s *subject, dir string) error {
	fi, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if !fi.IsDir() {
		return fmt.Errorf("%s is not a directory (mode %v)", dir, fi.Mode())
	}
	return os.WriteFile(filepath.Join(dir, "sock"), nil, 0o600)
}

func absolute(s *subject, dir string) error {
	if !filepath.IsAbs(dir) {
		return fmt.Errorf("RuntimeDir returned %q", dir)
	}
	return nil
}

func private(s *subject, dir string) error {
	return checkPrivate(dir)
}

// checkPrivate makes sure that dir is a directory, that it is ours, and that
// nobody else may enter it.
func checkPrivate(dir string) error {
	fi, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	if !fi.IsDir() || modeMatters && fi.Mode().Perm() != 0o700 {
		return fmt.Errorf("%s has mode %v, want drwx------", dir, fi.Mode())
	}
	return checkOwner(dir, fi)
}

func narrows(s *subject, dir string) error {
	for _, way := range waysIn {
		if _, err := letOthersIn(dir, way); err != nil {
			return err
		}
		if err := s.refusesOr(checkPrivate, runtimedir.ErrInsecure); err != nil {
			return fmt.Errorf("a directory that was there, open to %s: %w", way.who, err)
		}
	}
	return nil
}

// refusesOr makes sure that RuntimeDir fails with an error that wraps one of
// refusals, or returns a directory that check is content with.
func (s *subject) refusesOr(check func(dir string) error, refusals ...error) error {
	dir, err := s.resolve(s.ctx, "web")
	if err == nil {
		return check(dir)
	}
	for _, refusal := range refusals {
		if errors.Is(err, refusal) {
			return nil
		}
	}
	return fmt.Errorf("RuntimeDir fails with %q, which does not wrap %q", err, refusals)
}

// alike are names that somebody might take for one, with what differs.
func alike() []string {
	names := []string{
		"web", "web1", "web2", "web-1", "web_1", "web.1", "web 1", "web  1", "web:1", "we", "w",
		"web%20", "web%201", "web+", "web+1", "web,1", "web=1", "web.", "web..", "web.service",
		"%s", "~", "$HOME", "*", "wéb", "под", "捕獲", "🚀",
		strings.Repeat("n", runtimedir.MaxName-1) + "1",
		strings.Repeat("n", runtimedir.MaxName-1) + "2",
		strings.Repeat("n", runtimedir.MaxName-1),
		// Each two have one CRC-32, FNV-1a or FNV-1 of 32 bits, or the same first 40 bits of
		// MD5, SHA-1, SHA-256 or SHA-512.
		"plumless", "buckeroo", "costarring", "liquid", "creamwove", "quists",
		"db641869", "db2231545", "db923856", "db1592417", "db189930", "db2093173", "db718710", "db1812769",
	}
	if runtime.GOOS != "darwin" { // whose file systems take them for one
		names = append(names, "Web", "WEB", "we\u0301b")
	}
	return names
}

func apart(s *subject) error {
	type made struct {
		name string
		fi   os.FileInfo
	}
	var all []made
	for _, name := range alike() {
		dir, err := s.resolve(s.ctx, name)
		if errors.Is(err, runtimedir.ErrInvalidName) && name != "web" && name != "web1" {
			continue // it may refuse more
		}
		if err != nil {
			return fmt.Errorf("RuntimeDir(%q): %w", name, err)
		}
		fi, err := os.Stat(dir)
		if err != nil {
			return err
		}
		for _, other := range all {
			if os.SameFile(fi, other.fi) {
				return fmt.Errorf("the directory of %q is that of %q too: %s", name, other.name, dir)
			}
		}
		all = append(all, made{name, fi})
	}
	return nil
}

func same(s *subject, first string) error {
	if _, err := s.runtimeDir("db"); err != nil {
		return err
	}
	gives := func() error {
		again, err := s.runtimeDir("web")
		if err == nil && again != first {
			err = fmt.Errorf("RuntimeDir(\"web\") returned %q, then %q", first, again)
		}
		return err
	}
	if err := gives(); err != nil {
		return err
	}
	if err := elsewhere(s.dir, gives); err != nil {
		return fmt.Errorf("with another working directory: %w", err)
	}
	return nil
}

func keeps(s *subject, dir string) error {
	files := []string{filepath.Join("sub", "file"), "sock", "web.sock", "web.pid", "web.log", "web.tmp", "lock"}
	if err := os.Mkdir(filepath.Join(dir, "sub"), 0o700); err != nil {
		return err
	}
	for _, file := range files {
		if err := os.WriteFile(filepath.Join(dir, file), []byte("kept"), 0o600); err != nil {
			return err
		}
	}
	if _, err := s.runtimeDir("web"); err != nil {
		return err
	}
	for _, file := range files {
		data, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil {
			return fmt.Errorf("a file in the directory was not kept: %w", err)
		}
		if string(data) != "kept" {
			return fmt.Errorf("the file %s in the directory holds %q, and held %q", file, data, "kept")
		}
	}
	return nil
}

func again(s *subject, dir string) error {
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	dir, err := s.runtimeDir("web")
	if err != nil {
		return fmt.Errorf("after the directory was removed: %w", err)
	}
	if _, err := os.Stat(dir); err != nil {
		return fmt.Errorf("after the directory was removed RuntimeDir returned it, but: %w", err)
	}
	return nil
}

func concurrent(s *subject) error {
	const n = 32
	err := conformance.AtOnce("the Resolver", n, func(i int) error {
		name := "web" // half of them
		if i%2 == 1 {
			name = fmt.Sprintf("web%d", i)
		}
		dir, err := s.runtimeDir(name)
		if err == nil {
			_, err = os.Stat(dir)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("one of %d calls at once: %w", n, err)
	}
	return nil
}

func contextDone(s *subject) error {
	if _, err := s.resolve(conformance.Stopped(), "web"); err != nil && !errors.Is(err, conformance.ErrStopped) {
		return fmt.Errorf("RuntimeDir with a context that is done returned %q, which does not wrap its cause (%q)", err, conformance.ErrStopped)
	}
	return nil
}
