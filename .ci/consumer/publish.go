package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"
	"golang.org/x/mod/zip"
)

// A published is a module that people can fetch.
type published struct {
	path  string
	gomod *modfile.File
	data  []byte // gomod's text
	files []zip.File
}

// findModules returns the modules of the repository at root that are published:
// first the library, then the others. Each file belongs to the innermost module
// around it, as in the zips that the go command makes. The names of all files
// must be fit for a zip, also those of modules that are not published.
func findModules(root string) ([]*published, error) {
	names, err := tracked(root)
	if err != nil {
		return nil, err
	}
	at := map[string]*published{} // by directory; "." is root
	var all []*published
	for _, name := range names {
		if path.Base(name) != "go.mod" {
			continue
		}
		data, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			return nil, err
		}
		parsed, err := modfile.Parse(name, data, nil)
		if err != nil {
			return nil, err
		}
		m := &published{path: parsed.Module.Mod.Path, gomod: parsed, data: data}
		at[path.Dir(name)] = m
		switch where := path.Join(library, path.Dir(name)); {
		case m.path == library && where == library:
			all = append([]*published{m}, all...)
		case m.path == where:
			all = append(all, m)
		case !strings.HasPrefix(m.path, "example.com/"):
			return nil, fmt.Errorf("%s: the module's path is %s, want %s, or one below example.com if it is not published", name, m.path, where)
		}
	}
	if len(all) == 0 || all[0].path != library {
		return nil, fmt.Errorf("no module %s at %s", library, root)
	}
	for _, name := range names {
		dir := path.Dir(name)
		for at[dir] == nil {
			dir = path.Dir(dir)
		}
		within := strings.TrimPrefix(name, dir+"/")
		at[dir].files = append(at[dir].files, file{filepath.Join(root, name), within})
	}
	return all, nil
}

// tracked returns the names of the files that git tracks below root, and of
// those that it would add. It fails if a module's zip cannot hold one of them.
func tracked(root string) ([]string, error) {
	cmd := exec.Command("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate")
	cmd.Dir, cmd.Stderr = root, os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("git ls-files: %w", err)
	}
	var names []string
	var unfit []error
	for name := range strings.SplitSeq(strings.TrimSuffix(string(out), "\x00"), "\x00") {
		if _, err := os.Lstat(filepath.Join(root, name)); errors.Is(err, os.ErrNotExist) {
			continue // deleted, and not committed yet
		}
		names = append(names, name)
		unfit = append(unfit, module.CheckFilePath(name))
	}
	if err := errors.Join(unfit...); err != nil {
		return nil, fmt.Errorf("no module's zip can hold these files: %w", err)
	}
	return names, nil
}

// commonVersion returns the version at which all nested modules require the
// library.
func commonVersion(modules []*published) (string, error) {
	version := ""
	for _, m := range modules[1:] {
		for _, r := range m.gomod.Require {
			switch {
			case r.Mod.Path != library:
			case version == "":
				version = r.Mod.Version
			case r.Mod.Version != version:
				return "", fmt.Errorf("%s requires %s, another nested module %s", m.path, r.Mod, version)
			}
		}
	}
	if version == "" {
		return "", fmt.Errorf("no nested module requires %s", library)
	}
	return version, nil
}

// publish adds a module to the module proxy in the directory proxy, as
// "go help goproxy" describes one.
func publish(proxy string, m *published, version string) error {
	escaped, err := module.EscapePath(m.path)
	if err != nil {
		return err
	}
	dir := filepath.Join(proxy, filepath.FromSlash(escaped), "@v")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	var archive bytes.Buffer
	if err := zip.Create(&archive, module.Version{Path: m.path, Version: version}, m.files); err != nil {
		return err
	}
	for name, data := range map[string][]byte{
		"list":            []byte(version + "\n"),
		version + ".info": fmt.Appendf(nil, `{"Version": %q}`, version),
		version + ".mod":  m.data,
		version + ".zip":  archive.Bytes(),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			return err
		}
	}
	fmt.Printf("published %s@%s: %d files, %d KiB\n", m.path, version, len(m.files), archive.Len()>>10)
	return nil
}

// A file is one of a module's files on the disk.
type file struct{ disk, within string }

func (f file) Path() string                 { return f.within }
func (f file) Lstat() (os.FileInfo, error)  { return os.Lstat(f.disk) }
func (f file) Open() (io.ReadCloser, error) { return os.Open(f.disk) }
