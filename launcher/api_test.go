package launcher_test

import (
	"bytes"
	"flag"
	"fmt"
	"go/ast"
	"go/build"
	"go/format"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

var updateAPI = flag.Bool("update-api", false, "write testdata/api.txt anew")

// testdata/api.txt shows the exported API of the four packages and of their kits, the
// same on every system. So a change of the API shows in review, and a program that
// compiles on one system compiles on all of them.
func TestAPI(t *testing.T) {
	const golden = "testdata/api.txt"
	for _, system := range []string{"linux", "darwin", "freebsd", "windows"} {
		t.Run(system, func(t *testing.T) {
			var got bytes.Buffer
			for _, pkg := range []string{"launcher", "launcher/launchertest", "logsource", "logsource/logsourcetest", "readiness", "readiness/readinesstest", "runtimedir", "runtimedir/runtimedirtest"} {
				fmt.Fprintf(&got, "package %s\n\n", pkg)
				for _, decl := range exported(t, system, filepath.Join("..", pkg)) {
					fmt.Fprintf(&got, "%s\n", decl)
				}
				fmt.Fprintln(&got)
			}
			if *updateAPI && system == "linux" {
				if err := os.WriteFile(golden, got.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := difference(string(want), got.String()); diff != "" {
				t.Errorf("the API is not that of %s (go test -update-api writes it anew; -want +got):\n%s", golden, diff)
			}
		})
	}
}

// exported returns the exported declarations of the package in dir, as it is
// built on system, without comments and sorted.
func exported(t *testing.T, system, dir string) []string {
	t.Helper()
	target := build.Default
	target.GOOS = system
	pkg, err := target.ImportDir(dir, 0)
	if err != nil {
		t.Fatal(err)
	}
	var decls []string
	for _, name := range pkg.GoFiles {
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(dir, name), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.FileExports(file)
		ast.Inspect(file, func(n ast.Node) bool {
			if s, ok := n.(*ast.StructType); ok {
				s.Incomplete = false // or the printer would say so
			}
			return true
		})
		for _, decl := range file.Decls {
			for _, one := range separate(decl) {
				var b bytes.Buffer
				// Without the positions the comments leave no gaps.
				if err := format.Node(&b, token.NewFileSet(), one); err != nil {
					t.Fatal(err)
				}
				decls = append(decls, b.String())
			}
		}
	}
	slices.Sort(decls)
	return decls
}

// separate returns a declaration for each exported name that decl declares. Of
// a function only the types are kept, and of a variable only the name: what a
// message says is no part of the API.
func separate(decl ast.Decl) (decls []ast.Decl) {
	switch d := decl.(type) {
	case *ast.FuncDecl:
		if d.Recv == nil || ast.IsExported(typeName(d.Recv.List[0].Type)) {
			sig := &ast.FuncType{TypeParams: d.Type.TypeParams, Params: unnamed(d.Type.Params), Results: unnamed(d.Type.Results)}
			decls = append(decls, &ast.FuncDecl{Recv: unnamed(d.Recv), Name: d.Name, Type: sig})
		}
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			if v, ok := spec.(*ast.ValueSpec); ok && d.Tok == token.VAR {
				v.Values = nil
			}
			if d.Tok != token.IMPORT {
				decls = append(decls, &ast.GenDecl{Tok: d.Tok, Specs: []ast.Spec{spec}})
			}
		}
	}
	return decls
}

// typeName returns the name of a receiver's type.
func typeName(e ast.Expr) string {
	if p, ok := e.(*ast.StarExpr); ok {
		e = p.X
	}
	if generic, ok := e.(*ast.IndexExpr); ok {
		e = generic.X
	}
	return e.(*ast.Ident).Name
}

// unnamed returns parameters without their names, which no caller sees.
func unnamed(list *ast.FieldList) *ast.FieldList {
	if list == nil {
		return nil
	}
	types := &ast.FieldList{}
	for _, field := range list.List {
		for range max(1, len(field.Names)) {
			types.List = append(types.List, &ast.Field{Type: field.Type})
		}
	}
	return types
}
