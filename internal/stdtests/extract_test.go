package stdtests

import (
	"fmt"
	"go/ast"
	"go/token"
	"maps"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// declaration is one name that a file declares, or a method.
type declaration struct {
	f        *source
	kind     string // "func", "type", "var" or "const"
	name     string
	method   string // name is its receiver's type, then
	node     ast.Node
	from, to token.Pos
	prefix   string // what the text lacks: "type " for one of a list
}

// declarations returns what a file declares. Constants of one list are one
// declaration under several names.
func declarations(f *source) (all []*declaration) {
	for _, d := range f.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			x := &declaration{f: f, kind: "func", name: d.Name.Name, node: d, from: d.Pos(), to: d.End()}
			if d.Recv != nil {
				x.name, x.method = receiver(d.Recv.List[0].Type), d.Name.Name
			}
			all = append(all, x)
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				x := declaration{f: f, kind: d.Tok.String(), node: spec, from: spec.Pos(), to: spec.End(), prefix: d.Tok.String() + " "}
				if d.Tok == token.CONST {
					x.node, x.from, x.to, x.prefix = d, d.Pos(), d.End(), ""
				}
				for _, name := range names(spec) {
					y := x
					y.name = name
					all = append(all, &y)
				}
			}
		}
	}
	return all
}

func names(spec ast.Spec) (all []string) {
	switch s := spec.(type) {
	case *ast.TypeSpec:
		all = append(all, s.Name.Name)
	case *ast.ValueSpec:
		for _, name := range s.Names {
			all = append(all, name.Name)
		}
	}
	return all
}

func receiver(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.StarExpr:
		return receiver(e.X)
	case *ast.IndexExpr:
		return receiver(e.X)
	case *ast.IndexListExpr:
		return receiver(e.X)
	case *ast.Ident:
		return e.Name
	}
	return ""
}

// tests are the test files of one package.
type tests struct {
	importPath string
	files      []*source
	declared   map[string][]*declaration // by name; a type's methods are under its own
}

// tests reads the test files of a package: those of the package with that name.
func (w *world) tests(importPath, packageName string) *tests {
	dir, _ := sourceOf(importPath)
	found, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	w.check(err)
	ts := &tests{importPath: importPath, declared: map[string][]*declaration{}}
	for _, name := range found {
		f := w.parse(name)
		if f.Name.Name != packageName {
			continue
		}
		ts.files = append(ts.files, f)
		for _, d := range declarations(f) {
			ts.declared[d.name] = append(ts.declared[d.name], d)
		}
	}
	return ts
}

// all returns the names of the tests.
func (ts *tests) all() []string {
	return slices.Sorted(func(yield func(string) bool) {
		for name, ds := range ts.declared {
			if strings.HasPrefix(name, "Test") && name != "TestMain" && ds[0].kind == "func" && ds[0].method == "" && !yield(name) {
				return
			}
		}
	})
}

// take adds tests and everything that they need, but for what helpers declares.
func (w *world) take(ts *tests, wanted []string, helpers string) {
	needed := map[*declaration]bool{}
	var need func(name string)
	walk := func(n ast.Node) {
		ast.Inspect(n, func(n ast.Node) bool {
			if id, ok := n.(*ast.Ident); ok {
				need(id.Name)
			}
			return true
		})
	}
	need = func(name string) {
		if name == "init" || name == "_" {
			return
		}
		for _, d := range ts.declared[name] {
			if !needed[d] {
				needed[d] = true
				walk(d.node)
			}
		}
	}
	if helpers != "" {
		h := w.parse(helpers)
		for _, d := range declarations(h) {
			delete(ts.declared, d.name)
		}
		walk(h.File)
		w.add("std/"+ts.importPath+"/ours_test.go", h.withImports(w))
	}
	for _, name := range wanted {
		need(name)
	}
	for _, d := range ts.declared["init"] {
		needed[d] = true
		walk(d.node)
	}
	for _, f := range ts.files {
		w.write(ts.importPath, f, slices.DeleteFunc(slices.Collect(maps.Keys(needed)), func(d *declaration) bool { return d.f != f }))
	}
}

// write adds a file with those declarations of f.
func (w *world) write(importPath string, f *source, ds []*declaration) {
	if len(ds) == 0 {
		return
	}
	slices.SortFunc(ds, func(a, b *declaration) int { return int(a.from - b.from) })
	var body strings.Builder
	last := token.NoPos
	for _, d := range ds {
		if d.from == last { // another name of the same
			continue
		}
		last = d.from
		text := f.at(d.from, d.to)
		line, rest, _ := strings.Cut(text, "\n")
		body.WriteString(line + "\n" + d.prefix + rest + "\n")
	}
	var head strings.Builder
	fmt.Fprintf(&head, "package %s\n\n", f.Name.Name)
	for _, spec := range f.Imports {
		p, _ := strconv.Unquote(spec.Path.Value)
		name := path.Base(p)
		if regexp.MustCompile(`^v[0-9]+$`).MatchString(name) {
			name = path.Base(path.Dir(p))
		}
		if spec.Name != nil {
			name = spec.Name.Name
		}
		switch {
		case name == ".":
			fmt.Fprintf(&head, "import . %q\n", w.instead(p))
			body.WriteString("var _ Handler\n") // it is used
		case name == "_" || regexp.MustCompile(`\b`+name+`\.`).MatchString(body.String()):
			fmt.Fprintf(&head, "import %s %q\n", name, w.instead(p))
		}
	}
	w.add("std/"+importPath+"/"+filepath.Base(f.name), head.String()+"\n"+body.String())
}
