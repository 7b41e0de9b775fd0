package stdtests

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/build"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "postern/internal/stdtests"

// world is what is put together: files that lie in a temporary folder, and that the
// go command is told to see in this module, below std.
type world struct {
	*testing.T
	dir     string            // the temporary folder
	overlay map[string]string // where a file seems to be, to where it is
	copied  map[string]bool   // packages, by import path
}

func newWorld(t *testing.T) *world {
	if _, err := os.Stat(filepath.Join(build.Default.GOROOT, "src/net/http/serve_test.go")); err != nil {
		t.Skip("the Go toolchain has come without the sources of its tests: ", err)
	}
	w := &world{T: t, dir: t.TempDir(), overlay: map[string]string{}, copied: map[string]bool{}}
	w.aliases()
	return w
}

func (w *world) check(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// add adds a file; name is relative to this module.
func (w *world) add(name, content string) {
	here, err := filepath.Abs(name)
	w.check(err)
	there := filepath.Join(w.dir, strconv.Itoa(len(w.overlay))+"_"+filepath.Base(name))
	w.check(os.WriteFile(there, []byte(content), 0o600))
	w.overlay[here] = there
}

// sourceOf returns the folder of a package of the standard library, also of one
// that it has taken from elsewhere.
func sourceOf(importPath string) (dir string, vendored bool) {
	dir = filepath.Join(build.Default.GOROOT, "src/vendor", importPath)
	if _, err := os.Stat(dir); err == nil {
		return dir, true
	}
	return filepath.Join(build.Default.GOROOT, "src", importPath), false
}

// instead returns what is to be imported in the place of a package, which it copies
// if need be: those that use net/http's Server, and those that nobody else may
// import.
func (w *world) instead(importPath string) string {
	_, vendored := sourceOf(importPath)
	switch {
	case importPath == "net/http":
		return module + "/http"
	case importPath == "internal/testenv", importPath == "internal/godebug":
		return module + "/" + path.Base(importPath)
	case importPath == "internal/synctest":
		return "testing/synctest"
	case importPath == "net/http/httptest", importPath == "net/http/httputil", vendored,
		slices.Contains(strings.Split(importPath, "/"), "internal"):
		w.copy(importPath)
		return module + "/std/" + importPath
	}
	return importPath
}

// copy copies a package as it is, but for what it imports.
func (w *world) copy(importPath string) {
	if w.copied[importPath] {
		return
	}
	w.copied[importPath] = true
	dir, _ := sourceOf(importPath)
	p, err := build.ImportDir(dir, 0)
	w.check(err)
	for _, name := range p.GoFiles {
		f := w.parse(filepath.Join(dir, name))
		if importPath == "net/http/httptest" && name == "server.go" {
			f.replace("tls.NewListener(", "http.NewTLSListener(")
			f.replace("func newLocalListener(", "func _(")
		}
		w.add("std/"+importPath+"/"+name, f.withImports(w))
	}
	if importPath == "net/http/httptest" {
		w.add("std/net/http/httptest/ours.go", "package httptest\n\nimport \""+module+"/http\"\n\nvar newLocalListener = http.Listen\n")
	}
}

// source is a file of the standard library.
type source struct {
	*ast.File
	fset *token.FileSet
	name string
	text string
	w    *world
}

func (w *world) parse(name string) *source {
	text, err := os.ReadFile(name)
	w.check(err)
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, name, text, parser.ParseComments|parser.SkipObjectResolution)
	w.check(err)
	return &source{f, fset, name, string(text), w}
}

// replace replaces what stands there once, and must.
func (f *source) replace(old, new string) {
	if strings.Count(f.text, old) != 1 {
		f.w.Fatalf("%s: %q stands there %d times, not once", f.name, old, strings.Count(f.text, old))
	}
	f.text = strings.Replace(f.text, old, new, 1)
}

// withImports returns the file's text with other imports.
func (f *source) withImports(w *world) string {
	text := f.text
	for _, spec := range f.Imports {
		p, _ := strconv.Unquote(spec.Path.Value)
		if to := w.instead(p); to != p {
			text = strings.Replace(text, spec.Path.Value, strconv.Quote(to), 1)
		}
	}
	return text
}

// at returns the text of a node, with its comment, and where it stands.
func (f *source) at(from, to token.Pos) string {
	start, end := f.fset.Position(from), f.fset.Position(to)
	return fmt.Sprintf("//line %s:%d\n%s\n", f.name, start.Line, f.text[start.Offset:end.Offset])
}

// aliases gives our package http the names of net/http that it has not.
func (w *world) aliases() {
	have := map[string]bool{}
	own, err := filepath.Glob("http/*.go")
	w.check(err)
	for _, name := range own {
		for _, d := range declarations(w.parse(name)) {
			have[d.name] = true
		}
	}
	have["ListenAndServe"], have["ListenAndServeTLS"] = true, true // nobody's, rather than net/http's
	var b strings.Builder
	b.WriteString("package http\n\nimport \"net/http\"\n\n")
	dir := filepath.Join(build.Default.GOROOT, "src/net/http")
	p, err := build.ImportDir(dir, 0)
	w.check(err)
	for _, name := range p.GoFiles {
		for _, d := range declarations(w.parse(filepath.Join(dir, name))) {
			if ast.IsExported(d.name) && d.method == "" && !have[d.name] {
				kind := d.kind
				if kind == "func" {
					kind = "var"
				}
				fmt.Fprintf(&b, "%s %s = http.%s\n", kind, d.name, d.name)
			}
		}
	}
	w.add("http/aliases.go", b.String())
}

// compile compiles the tests of a package below std, and returns where the program is.
func (w *world) compile(importPath string) string {
	overlay, err := json.Marshal(map[string]any{"Replace": w.overlay})
	w.check(err)
	name := filepath.Join(w.dir, "overlay.json")
	w.check(os.WriteFile(name, overlay, 0o600))
	bin := filepath.Join(w.dir, "tests")
	args := []string{"test", "-c", "-vet=off", "-gcflags=-e", "-overlay", name, "-o", bin}
	if raceEnabled {
		args = append(args, "-race")
	}
	args = append(args, path.Join(module, "std", importPath))
	if out, err := exec.Command("go", args...).CombinedOutput(); err != nil {
		w.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return bin
}
