package docs_test

import (
	"fmt"
	"go/ast"
	"go/build"
	"go/parser"
	"go/token"
	"go/types"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// References point down: within each of these packages a file uses only what files
// below it define, so there is an order in which they can be read. A new circle
// names the files and what they use of each other.
func TestReferencesPointDown(t *testing.T) {
	for _, dir := range []string{"launcher", "launcher/internal/unixproc", "runtimedir"} {
		t.Run(dir, func(t *testing.T) {
			uses := fileUses(t, filepath.Join("..", dir))
			if len(uses) < 3 {
				t.Fatalf("only %d files use others: the check is broken", len(uses))
			}
			if circle := findCircle(uses); circle != nil {
				t.Errorf("these files use each other in a circle:\n%s", strings.Join(circle, "\n"))
			}
		})
	}
}

// fileUses says of each file of the package in dir which names it uses of each
// other one. Imported packages are not looked at.
func fileUses(t *testing.T, dir string) map[string]map[string][]string {
	t.Helper()
	target := build.Default
	target.GOOS = "linux"
	pkg, err := target.ImportDir(dir, 0)
	if err != nil {
		t.Fatal(err)
	}
	files := token.NewFileSet()
	var syntax []*ast.File
	for _, name := range pkg.GoFiles {
		f, err := parser.ParseFile(files, filepath.Join(dir, name), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		syntax = append(syntax, f)
	}
	info := types.Info{Uses: make(map[*ast.Ident]types.Object)}
	// What comes from imported packages is unknown, and so not all is correct.
	config := types.Config{Importer: emptyPackages{}, Error: func(error) {}}
	checked, _ := config.Check(dir, files, syntax, &info)
	uses := make(map[string]map[string][]string)
	for id, object := range info.Uses {
		if object.Pkg() != checked {
			continue
		}
		from, to := fileOf(files, id.Pos()), fileOf(files, object.Pos())
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

func fileOf(files *token.FileSet, pos token.Pos) string {
	return filepath.Base(files.Position(pos).Filename)
}

// An emptyPackages imports each package as one without anything in it.
type emptyPackages struct{}

func (emptyPackages) Import(path string) (*types.Package, error) {
	p := types.NewPackage(path, filepath.Base(path))
	p.MarkComplete()
	return p, nil
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
