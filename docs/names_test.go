package docs_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The packages whose names the pages use.
var documented = []string{
	"launcher", "readiness", "logsource", "runtimedir", "launcher/launchertest",
	"readiness/readinesstest", "logsource/logsourcetest", "runtimedir/runtimedirtest", "runtimedir/conformance",
	"examples/nomad", "examples/slurm",
}

var (
	ofPackage = regexp.MustCompile(`\b([a-z]+)\.([A-Z]\w*)(?:\.([A-Z]\w*))?`)
	ofType    = regexp.MustCompile(`(^|[^.\w])([A-Z]\w*)\.([A-Z]\w*)`)
)

// Every name of an exported thing that a page has as code exists: `launcher.Spec`,
// `launcher.Spec.Name`, and `Spec.Name`. The changelog is about names that were, too, and FAULTS.md about
// another package launcher.
func TestNamesExist(t *testing.T) {
	packages := make(map[string]members)
	types := make(members) // of all packages
	for _, dir := range documented {
		p := membersOf(t, filepath.Join("..", dir))
		packages[filepath.Base(dir)] = p
		for name, of := range p {
			if of != nil {
				if types[name] == nil {
					types[name] = make(map[string]bool)
				}
				for member := range of {
					types[name][member] = true
				}
			}
		}
	}
	checked := 0
	for _, page := range pages(t) {
		if name := filepath.Base(page); name == "CHANGELOG.md" || name == "FAULTS.md" {
			continue
		}
		for _, code := range codeText.FindAllString(fencedText.ReplaceAllString(read(t, page), ""), -1) {
			for _, m := range ofPackage.FindAllStringSubmatch(code, -1) {
				p, known := packages[m[1]]
				if !known {
					continue
				}
				checked++
				if of, exists := p[m[2]]; !exists || m[3] != "" && !of[m[3]] {
					t.Errorf("%s: there is no %s", page, m[0])
				}
			}
			for _, m := range ofType.FindAllStringSubmatch(code, -1) {
				if of, known := types[m[2]]; known {
					checked++
					if !of[m[3]] {
						t.Errorf("%s: %s has no %s", page, m[2], m[3])
					}
				}
			}
		}
	}
	if checked < 400 {
		t.Errorf("%d names were checked: they were not found", checked)
	}
}

// members are the exported names of a package, and of each type those of its fields and
// methods.
type members map[string]map[string]bool

// membersOf reads the package in dir, as all systems together have it.
func membersOf(t *testing.T, dir string) members {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	found := make(members)
	embedded := make(map[string][]string)
	for _, entry := range entries {
		if !strings.HasSuffix(entry.Name(), ".go") || strings.HasSuffix(entry.Name(), "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(dir, entry.Name()), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range file.Decls {
			found.add(decl, embedded)
		}
	}
	for range 3 { // what an embedded type embeds
		for outer, all := range embedded {
			for _, inner := range all {
				for member := range found[inner] {
					found[outer][member] = true
				}
			}
		}
	}
	if len(found) == 0 {
		t.Fatalf("%s has no names", dir)
	}
	return found
}

func (m members) of(name string) map[string]bool {
	if m[name] == nil {
		m[name] = make(map[string]bool)
	}
	return m[name]
}

func (m members) add(decl ast.Decl, embedded map[string][]string) {
	if f, ok := decl.(*ast.FuncDecl); ok {
		if f.Recv == nil {
			m[f.Name.Name] = nil
		} else {
			m.of(typeName(f.Recv.List[0].Type))[f.Name.Name] = true
		}
		return
	}
	for _, spec := range decl.(*ast.GenDecl).Specs {
		switch spec := spec.(type) {
		case *ast.ValueSpec:
			for _, name := range spec.Names {
				m[name.Name] = nil
			}
		case *ast.TypeSpec:
			own := m.of(spec.Name.Name)
			var fields *ast.FieldList
			switch kind := spec.Type.(type) {
			case *ast.StructType:
				fields = kind.Fields
			case *ast.InterfaceType:
				fields = kind.Methods
			default:
				continue
			}
			for _, field := range fields.List {
				for _, name := range field.Names {
					own[name.Name] = true
				}
				if field.Names == nil {
					own[typeName(field.Type)] = true
					embedded[spec.Name.Name] = append(embedded[spec.Name.Name], typeName(field.Type))
				}
			}
		}
	}
}

// typeName returns the last name of a type: T of *p.T.
func typeName(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.StarExpr:
		return typeName(e.X)
	case *ast.SelectorExpr:
		return e.Sel.Name
	case *ast.IndexExpr:
		return typeName(e.X)
	case *ast.Ident:
		return e.Name
	}
	return ""
}
