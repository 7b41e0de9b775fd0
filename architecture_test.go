package postern_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// layers says which packages of this module a folder's packages may import; "std"
// stands for the standard library, other names for modules. A folder that is not
// listed is governed by the one above it. Tests may import more: rapid, and the
// packages that exist for tests.
var layers = []struct {
	dir  string
	may  []string
	only []string // standard packages allowed, where not all are
}{
	{"h1", nil, []string{"bytes", "encoding/binary", "errors", "iter", "math/bits", "strconv"}},
	{"transport", []string{"std", "postern/transport"}, nil},
	{"kvstore", []string{"std", "postern/kvstore", "zombiezen.com/go/sqlite", "modernc.org/sqlite"}, nil},
	{"kvstore/storetest", []string{"std", "postern/kvstore", "pgregory.net/rapid"}, nil},
	{"server", []string{"std", "postern/h1", "postern/transport"}, nil},
	{"server/kvhttp", []string{"std", "postern/server", "postern/h1", "postern/kvstore"}, nil},
	{"cmd", []string{"std", "postern"}, nil},
	{"examples", []string{"std", "postern"}, nil},
	{"internal/faultvfs", []string{"std", "modernc.org/sqlite", "modernc.org/libc"}, nil},
	{"internal/h1test", []string{"std", "postern/h1", "pgregory.net/rapid"}, nil},
	{"internal/mutants", []string{"std"}, nil},
	{"fuzz", []string{"std", "postern", "pgregory.net/rapid"}, nil},
}

// unsafeFiles may import unsafe; each says why it is sound.
var unsafeFiles = []string{"h1/load_unsafe.go", "transport/internal/socket/raw_linux.go", "internal/faultvfs/abi.go"}

// assembly is where there is any; each has a Go file that does the same elsewhere.
var assembly = []string{"h1/ends_amd64.s"}

func TestAssembly(t *testing.T) {
	var found []string
	err := fs.WalkDir(os.DirFS("."), ".", func(path string, _ fs.DirEntry, err error) error {
		if strings.HasSuffix(path, ".s") {
			found = append(found, path)
		}
		return err
	})
	if err != nil || !slices.Equal(found, assembly) {
		t.Errorf("assembly in %v, %v; want %v", found, err, assembly)
	}
}

func TestWhoImportsWhom(t *testing.T) {
	everyFile(t, func(path string, f *ast.File) {
		if strings.HasSuffix(path, "_test.go") {
			return
		}
		rule := -1
		for i, l := range layers {
			if strings.HasPrefix(path, l.dir+"/") && (rule < 0 || len(l.dir) > len(layers[rule].dir)) {
				rule = i
			}
		}
		if rule < 0 {
			t.Errorf("%s is in no layer: add its folder to the table", path)
			return
		}
		for _, spec := range f.Imports {
			name, _ := strconv.Unquote(spec.Path.Value)
			if name == "unsafe" {
				if !slices.Contains(unsafeFiles, path) {
					t.Errorf("%s imports unsafe", path)
				}
				continue
			}
			if !allowed(name, layers[rule].may, layers[rule].only) {
				t.Errorf("%s imports %s, which the layer %s may not", path, name, layers[rule].dir)
			}
		}
	})
}

// A transport knows no other: what it wraps or listens on is given to it. Package
// inherit is none: it makes listeners of either kind of socket.
func TestTransportsImportNoSibling(t *testing.T) {
	everyFile(t, func(path string, f *ast.File) {
		if strings.HasSuffix(path, "_test.go") || !strings.HasPrefix(path, "transport/") || strings.HasPrefix(path, "transport/inherit/") {
			return
		}
		for _, spec := range f.Imports {
			if name, _ := strconv.Unquote(spec.Path.Value); strings.HasPrefix(name, "postern/transport/") && !strings.HasPrefix(name, "postern/transport/internal/") {
				t.Errorf("%s imports %s", path, name)
			}
		}
	})
}

func allowed(name string, may, only []string) bool {
	if first, _, _ := strings.Cut(name, "/"); !strings.Contains(first, ".") && first != "postern" {
		return slices.Contains(only, name) || slices.Contains(may, "std")
	}
	for _, m := range may {
		if name == m || strings.HasPrefix(name, m+"/") {
			return true
		}
	}
	return false
}

// The core starts no goroutine, and neither do the transports, but for the one that
// watches for hang-ups.
func TestNoGoroutines(t *testing.T) {
	everyFile(t, func(path string, f *ast.File) {
		if strings.HasSuffix(path, "test.go") || !strings.HasPrefix(path, "h1/") && !strings.HasPrefix(path, "transport/") ||
			strings.HasPrefix(path, "transport/transporttest/") || path == "transport/internal/socket/hangup_linux.go" {
			return
		}
		ast.Inspect(f, func(n ast.Node) bool {
			switch n.(type) {
			case *ast.GoStmt:
				t.Errorf("%s starts a goroutine", path)
			case *ast.ChanType:
				if strings.HasPrefix(path, "h1/") {
					t.Errorf("%s uses a channel", path)
				}
			}
			return true
		})
	})
}

// Every exported name of a library package is documented.
func TestExportedNamesAreDocumented(t *testing.T) {
	everyFile(t, func(path string, f *ast.File) {
		if strings.HasSuffix(path, "_test.go") || f.Name.Name == "main" {
			return
		}
		for _, d := range f.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if d.Name.IsExported() && d.Doc == nil && (d.Recv == nil || exportedReceiver(d)) {
					t.Errorf("%s: %s has no doc comment", path, d.Name.Name)
				}
			case *ast.GenDecl:
				for _, s := range d.Specs {
					if ts, ok := s.(*ast.TypeSpec); ok && ts.Name.IsExported() && d.Doc == nil && ts.Doc == nil {
						t.Errorf("%s: %s has no doc comment", path, ts.Name.Name)
					}
				}
			}
		}
	})
}

func exportedReceiver(d *ast.FuncDecl) bool {
	x := d.Recv.List[0].Type
	for {
		switch v := x.(type) {
		case *ast.StarExpr:
			x = v.X
		case *ast.IndexExpr:
			x = v.X
		case *ast.Ident:
			return v.IsExported()
		default:
			return true
		}
	}
}

// everyFile parses each Go file of this module; nested modules are not of it.
func everyFile(t *testing.T, visit func(path string, f *ast.File)) {
	t.Helper()
	seen := 0
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if path != "." {
				if _, err := os.Stat(filepath.Join(path, "go.mod")); err == nil || strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" {
					return filepath.SkipDir
				}
			}
			return nil
		}
		if !strings.HasSuffix(path, ".go") || !strings.Contains(path, "/") {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		seen++
		visit(filepath.ToSlash(path), f)
		return nil
	})
	if err != nil || seen == 0 {
		t.Fatalf("%d files, %v", seen, err)
	}
}
