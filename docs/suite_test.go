package docs_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// A suite has the tests that say of themselves that they are about a fault of the
// catalogue, by the number of the fault; each as "package Test/case".
//
// A test says that in the comment on it, which opens with the numbers ("B20: a
// program that is missing …"); in the comment on a function that it calls, or has
// in its table; or in the name of a case ("C05 exit between …").
type suite map[string][]string

// readSuite reads the tests of the four packages and of what is below them.
func readSuite(t *testing.T) suite {
	t.Helper()
	s := make(suite)
	for _, root := range []string{"launcher", "readiness", "logsource", "runtimedir"} {
		err := filepath.WalkDir(filepath.Join("..", root), func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.IsDir() {
				return err
			}
			if d.Name() == "testdata" {
				return filepath.SkipDir
			}
			return s.readPackage(path)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for number, tests := range s {
		slices.Sort(tests)
		s[number] = slices.Compact(tests)
	}
	return s
}

// readPackage reads the tests in dir.
func (s suite) readPackage(dir string) error {
	paths, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	if err != nil {
		return err
	}
	p := testPackage{suite: s, name: filepath.ToSlash(strings.TrimPrefix(dir, ".."+string(filepath.Separator))), about: make(map[string][]string)}
	for _, path := range paths {
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		p.files = append(p.files, file)
	}
	for _, file := range p.files {
		for _, decl := range file.Decls {
			p.note(decl)
		}
	}
	for _, file := range p.files {
		for _, decl := range file.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok {
				p.read(f)
			}
		}
	}
	return nil
}

type testPackage struct {
	suite suite
	name  string
	files []*ast.File
	about map[string][]string // numbers, by the name of a function that is no test, or of a variable
}

// note notes what a declaration that is no test says it is about.
func (p *testPackage) note(decl ast.Decl) {
	switch decl := decl.(type) {
	case *ast.FuncDecl:
		if !isTest(decl) {
			p.about[decl.Name.Name] = append(p.about[decl.Name.Name], opening(decl.Doc.Text())...)
		}
	case *ast.GenDecl:
		for _, spec := range decl.Specs {
			v, ok := spec.(*ast.ValueSpec)
			if !ok {
				continue
			}
			for number := range cases(v) {
				for _, name := range v.Names {
					p.about[name.Name] = append(p.about[name.Name], number)
				}
			}
		}
	}
}

// isTest reports whether go test runs f.
func isTest(f *ast.FuncDecl) bool {
	return f.Recv == nil && (strings.HasPrefix(f.Name.Name, "Test") || strings.HasPrefix(f.Name.Name, "Fuzz")) && f.Name.Name != "TestMain"
}

// read reads a test.
func (p *testPackage) read(f *ast.FuncDecl) {
	if !isTest(f) {
		return
	}
	test := p.name + " " + f.Name.Name
	ast.Inspect(f, func(n ast.Node) bool {
		if id, ok := n.(*ast.Ident); ok && id != f.Name {
			p.credit(test, p.about[id.Name]...)
		}
		return true
	})
	p.credit(test, opening(f.Doc.Text())...)
	for number, name := range cases(f) {
		if strings.HasPrefix(f.Name.Name, "TestFault") {
			// The table is of functions that say the same; the case is what to run.
			p.suite[number] = slices.DeleteFunc(p.suite[number], func(s string) bool { return s == test })
			p.credit(test+"/"+name, number)
		} else {
			p.credit(test, number)
		}
	}
}

func (p *testPackage) credit(test string, numbers ...string) {
	for _, number := range numbers {
		p.suite[number] = append(p.suite[number], test)
	}
}

var (
	// caseName is how the name of a case opens that is about a fault.
	caseName = regexp.MustCompile(`^([A-E][0-9]{1,2})(?:$|[: ])`)

	// heading is how a sentence opens that says what a fault must come to: with
	// numbers, among which there may be rows of the port, and a colon.
	heading = regexp.MustCompile(`(?:[A-E][0-9]{1,2}|[Rr]ows?|Rule|[0-9]+|, (?:and )?|-| to | and | )*[A-E0-9][0-9]*(?:, for an? \w+)?:`)

	// faults are the numbers in a heading, and ranges of them.
	faults = regexp.MustCompile(`([A-E])([0-9]{1,2})(?:(?:-| to )[A-E]([0-9]{1,2}))?`)
)

// cases returns the first words of the cases in n that are about a fault, by
// number.
func cases(n ast.Node) map[string]string {
	found := make(map[string]string)
	ast.Inspect(n, func(n ast.Node) bool {
		list, ok := n.(*ast.CompositeLit)
		if !ok || len(list.Elts) == 0 {
			return true
		}
		if lit, ok := list.Elts[0].(*ast.BasicLit); ok && lit.Kind == token.STRING {
			text, _ := strconv.Unquote(lit.Value)
			if name := caseName.FindStringSubmatch(text); name != nil {
				found[canonical(name[1])] = name[1]
			}
		}
		return true
	})
	return found
}

// opening returns the numbers of the faults that a comment's sentences open
// with.
func opening(comment string) []string {
	found := make(map[string]bool)
	comment = strings.Join(strings.Fields(comment), " ")
	for _, head := range heading.FindAllString(comment, -1) {
		for _, f := range faults.FindAllStringSubmatch(head, -1) {
			from, _ := strconv.Atoi(f[2])
			to := from
			if f[3] != "" {
				to, _ = strconv.Atoi(f[3])
			}
			for n := from; n <= to; n++ {
				found[f[1]+strconv.Itoa(n)] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// canonical is a number without a zero before it: A7 of A07.
func canonical(number string) string {
	return number[:1] + strings.TrimLeft(number[1:], "0")
}
