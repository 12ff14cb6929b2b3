package docs_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// References point down: within each of these packages a file uses only what files
// below it define, so there is an order in which they can be read. A new circle
// names the files and what they use of each other. Linux has files of its own;
// darwin stands for the other systems.
func TestReferencesPointDown(t *testing.T) {
	packages := []string{
		"launcher",
		"launcher/internal/crashpoint",
		"launcher/internal/fakepod",
		"launcher/internal/keeper",
		"launcher/internal/leaktest",
		"launcher/internal/ownership",
		"launcher/internal/podrig",
		"launcher/internal/program",
		"launcher/internal/osproc",
		"launcher/launchertest",
		"logsource",
		"logsource/logsourcetest",
		"readiness",
		"readiness/readinesstest",
		"runtimedir",
		"runtimedir/conformance",
		"runtimedir/runtimedirtest",
	}
	for _, system := range []string{"linux", "darwin", "windows"} {
		t.Run(system, func(t *testing.T) {
			if testing.Short() && system != runtime.GOOS {
				t.Skip("skipped with -short: it reads the sources once more, as another system has them")
			}
			source := readSource(t, system)
			for _, dir := range packages {
				p := source.listed["github.com/podlaunch/podlaunch/"+dir]
				if p == nil {
					if system == "linux" {
						t.Errorf("there is no package %s", dir)
					}
					continue // its files are for Linux alone
				}
				uses := source.fileUses(t, p)
				if len(p.GoFiles) > 1 && len(uses) == 0 {
					t.Errorf("no file of %s uses another: the check is broken", dir)
				}
				if circle := findCircle(uses); circle != nil {
					t.Errorf("these files of %s use each other in a circle:\n%s", dir, strings.Join(circle, "\n"))
				}
			}
		})
	}
}

// A listedPackage is what go list says of a package.
type listedPackage struct {
	ImportPath, Dir string
	GoFiles         []string
	ImportMap       map[string]string // from what a file imports to what that is
}

// A source is the module and all that it imports, as one system sees it.
type source struct {
	files    *token.FileSet
	listed   map[string]*listedPackage
	imported map[string]*types.Package
}

func readSource(t *testing.T, system string) *source {
	t.Helper()
	list := exec.CommandContext(t.Context(), "go", "list", "-deps", "-e", "-json=ImportPath,Dir,GoFiles,ImportMap", "./...")
	list.Dir = ".."
	list.Env = append(os.Environ(), "GOOS="+system, "GOARCH=amd64", "CGO_ENABLED=0")
	out, err := list.Output()
	if err != nil {
		t.Fatalf("%v: %v", list, err)
	}
	s := &source{token.NewFileSet(), make(map[string]*listedPackage), make(map[string]*types.Package)}
	for packages := json.NewDecoder(bytes.NewReader(out)); packages.More(); {
		p := new(listedPackage)
		if err := packages.Decode(p); err != nil {
			t.Fatal(err)
		}
		s.listed[p.ImportPath] = p
	}
	return s
}

// fileUses says of each file of p which names it uses of each other one.
func (s *source) fileUses(t *testing.T, p *listedPackage) map[string]map[string][]string {
	t.Helper()
	info := types.Info{Uses: make(map[*ast.Ident]types.Object)}
	checked, err := s.check(p, types.Config{}, &info)
	if err != nil {
		t.Fatal(err)
	}
	uses := make(map[string]map[string][]string)
	for id, object := range info.Uses {
		if object.Pkg() != checked {
			continue
		}
		from, to := fileOf(s.files, id.Pos()), fileOf(s.files, object.Pos())
		if from == to {
			continue
		}
		if uses[from] == nil {
			uses[from] = make(map[string][]string)
		}
		if !slices.Contains(uses[from][to], object.Name()) {
			uses[from][to] = append(uses[from][to], object.Name())
		}
	}
	return uses
}

// check finds out what the names in p stand for.
func (s *source) check(p *listedPackage, config types.Config, info *types.Info) (*types.Package, error) {
	var syntax []*ast.File
	for _, name := range p.GoFiles {
		f, err := parser.ParseFile(s.files, filepath.Join(p.Dir, name), nil, parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		syntax = append(syntax, f)
	}
	config.Importer = imports{s, p}
	return config.Check(p.ImportPath, s.files, syntax, info)
}

// imports are those of one package.
type imports struct {
	source *source
	by     *listedPackage
}

func (i imports) Import(path string) (*types.Package, error) {
	if path == "unsafe" {
		return types.Unsafe, nil
	}
	if mapped, ok := i.by.ImportMap[path]; ok {
		path = mapped
	}
	if p := i.source.imported[path]; p != nil {
		return p, nil
	}
	listed := i.source.listed[path]
	if listed == nil {
		return nil, fmt.Errorf("go list does not know %s", path)
	}
	p, err := i.source.check(listed, types.Config{IgnoreFuncBodies: true}, nil)
	i.source.imported[path] = p
	return p, err
}

func fileOf(files *token.FileSet, pos token.Pos) string {
	return filepath.Base(files.Position(pos).Filename)
}

// findCircle returns a circle, a line for each of its arrows, or nil.
func findCircle(uses map[string]map[string][]string) []string {
	done := make(map[string]bool)
	var path []string
	var visit func(file string) []string
	visit = func(file string) []string {
		if i := slices.Index(path, file); i >= 0 {
			return append(path[i:len(path):len(path)], file)
		}
		if done[file] {
			return nil
		}
		path = append(path, file)
		defer func() { path, done[file] = path[:len(path)-1], true }()
		for to := range uses[file] {
			if circle := visit(to); circle != nil {
				return circle
			}
		}
		return nil
	}
	for file := range uses {
		circle := visit(file)
		if circle == nil {
			continue
		}
		var lines []string
		for i, from := range circle[:len(circle)-1] {
			lines = append(lines, fmt.Sprintf("%s uses %v of %s", from, uses[from][circle[i+1]], circle[i+1]))
		}
		return lines
	}
	return nil
}
