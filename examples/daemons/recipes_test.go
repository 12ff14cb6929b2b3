package main

import (
	"bytes"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"text/template"
	"unicode/utf8"

	"github.com/podlaunch/podlaunch/readiness"
)

// docs/recipes.md is what the table, the source and the recorded errors make
// of its template: it says what is run, and cannot say anything else.
func TestRecipes(t *testing.T) {
	const path = "../../docs/recipes.md"
	source := parse(t)
	page := template.New("recipes.md.tmpl").Funcs(template.FuncMap{"wrap": wrap, "wrapItem": wrapItem, "cell": cell, "code": code, "exit": exit, "notified": notified, "join": strings.Join})
	template.Must(page.ParseFiles("testdata/recipes.md.tmpl"))
	var content struct {
		Recipes   []recipe
		Observed  []observed
		Confirmed []confirmation
	}
	for _, d := range daemons {
		content.Recipes = append(content.Recipes, newRecipe(t, source, d))
	}
	content.Observed = observations(t, source)
	content.Confirmed = confirmations(t)
	var want bytes.Buffer
	if err := page.Execute(&want, content); err != nil {
		t.Fatal(err)
	}
	if *update {
		write(t, path, want.String())
	}
	if got := read(t, path); got != want.String() {
		t.Errorf("%s is not what the table says; go test ./examples/daemons -run TestRecipes -update writes it, and the difference shows what has changed", path)
	}
}

// A recipe is the template's data for one daemon.
type recipe struct {
	Name, Anchor, About, Package, Program string

	Code                string
	Waits               string // in the probe's own words
	Ready, Stops, Notes string
	Broken              []broken
}

// A broken start is a fault, and the error that was recorded of it.
type broken struct{ What, Error string }

func newRecipe(t *testing.T, source program, d daemon) recipe {
	t.Helper()
	l, _ := d.launch(&place{run: "RUN", data: "DATA", port: "PORT"})
	r := recipe{
		Name: d.name, About: d.about, Package: d.pkg, Program: d.programs[0],
		Anchor: strings.ReplaceAll(d.name, ".", ""), // as GitHub makes it of a heading
		Code:   source.code(t, d),
		Waits:  readiness.Describe(l.Ready),
		Ready:  d.ready, Stops: d.stops, Notes: d.notes,
	}
	errs := recordedErrors(t, d)
	if len(errs) != len(d.faults) {
		t.Fatalf("%s has %d errors of %d faults", recorded(d), len(errs), len(d.faults))
	}
	for i, f := range d.faults {
		r.Broken = append(r.Broken, broken{f.what, errs[i]})
	}
	return r
}

// wrap breaks a paragraph into lines of at most 80 characters, if its words
// allow that.
func wrap(paragraph string) string {
	var b strings.Builder
	width := 0
	for _, word := range strings.Fields(paragraph) {
		n := utf8.RuneCountInString(word)
		switch {
		case width == 0:
		case width+1+n > 80:
			b.WriteByte('\n')
			width = 0
		default:
			b.WriteByte(' ')
			width++
		}
		b.WriteString(word)
		width += n
	}
	return b.String()
}

// A program is the source of this one.
type program struct {
	files  *token.FileSet
	text   map[string]string   // of each file
	decls  map[string]ast.Decl // by what they declare at the top level
	syntax []*ast.File
}

func parse(t *testing.T) program {
	t.Helper()
	p := program{files: token.NewFileSet(), text: make(map[string]string), decls: make(map[string]ast.Decl)}
	paths, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		p.text[path] = read(t, path)
		file, err := parser.ParseFile(p.files, path, p.text[path], parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		p.syntax = append(p.syntax, file)
		for _, decl := range file.Decls {
			for _, name := range declared(decl) {
				p.decls[name] = decl
			}
		}
	}
	return p
}

// declared returns the names that a declaration of a function, or of
// constants, declares.
func declared(decl ast.Decl) (names []string) {
	switch decl := decl.(type) {
	case *ast.FuncDecl:
		if decl.Recv == nil {
			names = append(names, decl.Name.Name)
		}
	case *ast.GenDecl:
		for _, spec := range decl.Specs {
			if v, ok := spec.(*ast.ValueSpec); ok && decl.Tok == token.CONST {
				for _, name := range v.Names {
					names = append(names, name.Name)
				}
			}
		}
	}
	return names
}

// code returns how d is launched, as it stands in the source: its functions
// setup and launch, and what these use of the same file.
func (p program) code(t *testing.T, d daemon) string {
	t.Helper()
	var decls []ast.Decl
	p.collect(&decls, funcName(d.launch))
	if d.setup != nil {
		p.collect(&decls, funcName(d.setup))
	}
	slices.SortFunc(decls, func(a, b ast.Decl) int { return int(a.Pos() - b.Pos()) })
	var code []string
	for _, decl := range decls {
		code = append(code, p.print(decl))
	}
	formatted, err := format.Source([]byte(strings.Join(code, "\n\n")))
	if err != nil {
		t.Fatal(err)
	}
	return string(formatted)
}

// collect adds the declaration of name to decls, and those of the same file
// that it uses.
func (p program) collect(decls *[]ast.Decl, name string) {
	decl := p.decls[name]
	if decl == nil || slices.Contains(*decls, decl) {
		return
	}
	if len(*decls) > 0 && p.file(decl) != p.file((*decls)[0]) {
		return
	}
	*decls = append(*decls, decl)
	ast.Inspect(decl, func(n ast.Node) bool {
		if id, ok := n.(*ast.Ident); ok {
			p.collect(decls, id.Name)
		}
		return true
	})
}

func (p program) file(n ast.Node) string { return p.files.Position(n.Pos()).Filename }

// print returns a declaration with its comment, as it was written.
func (p program) print(decl ast.Decl) string {
	from := decl.Pos()
	var doc *ast.CommentGroup
	switch decl := decl.(type) {
	case *ast.FuncDecl:
		doc = decl.Doc
	case *ast.GenDecl:
		doc = decl.Doc
	}
	if doc != nil {
		from = doc.Pos()
	}
	return p.text[p.file(decl)][p.files.Position(from).Offset:p.files.Position(decl.End()).Offset]
}

// funcName returns the name of a function of this package.
func funcName(f any) string {
	name := runtime.FuncForPC(reflect.ValueOf(f).Pointer()).Name()
	return name[strings.LastIndexByte(name, '.')+1:]
}
