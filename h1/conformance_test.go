package h1_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"postern/internal/h1test"
)

// evidence is what shows a row: for each role the transcripts, in the order of
// files and of lines, and for each Go test the file that it is in.
type evidence struct {
	transcripts map[string][]shown
	tests       map[string]string
}

type shown struct{ file, comment string }

// TestConformance holds the table of requirements, the transcripts and
// docs/conformance.md together: what the table claims is shown, and what the
// transcripts name is in the table.
func TestConformance(t *testing.T) {
	found := gather(t)
	for i, row := range h1test.Rows {
		if row.Number != i+1 {
			t.Fatalf("row %d stands in the place of %d", row.Number, i+1)
		}
		if row.RFC == "" || row.Rule == "" || row.Server == "" && row.Client == "" {
			t.Errorf("row %d is incomplete: %+v", row.Number, row)
		}
		of := found[row.Number].transcripts
		if row.Server == "" && len(of["server"]) > 0 || row.Client == "" && len(of["client"]) > 0 {
			t.Errorf("row %d says nothing of a side that a transcript shows: %v", row.Number, of)
		}
		if row.Server != "" && len(of["server"]) == 0 && len(row.Tests) == 0 {
			t.Errorf("row %d: no transcript of a server names it", row.Number)
		}
		if row.Client != "" && row.Client != h1test.Same && len(of["client"]) == 0 {
			t.Errorf("row %d: no transcript of a client names it", row.Number)
		}
	}
	const file = "../docs/conformance.md"
	want := conformance(found)
	if *update {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(b) != want {
		t.Errorf("%s is not what table and transcripts say; go test ./h1 -update writes it", file)
	}
}

// gather reads all transcripts, and finds the Go tests that the table names.
func gather(t *testing.T) map[int]evidence {
	found := make(map[int]evidence)
	for _, row := range h1test.Rows {
		e := evidence{make(map[string][]shown), make(map[string]string)}
		for _, name := range row.Tests {
			e.tests[name] = declaredIn(t, name)
		}
		found[row.Number] = e
	}
	files, err := h1test.Load("testdata/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range slices.Sorted(maps.Keys(files)) {
		for _, tr := range files[file] {
			rows, err := h1test.NamedRows(strings.Join(tr.Comments, "\n"))
			if err != nil {
				t.Errorf("%s: %v", tr.Name, err)
			}
			role, _, _ := strings.Cut(tr.Commands[0], " ")
			if role != "server" && role != "client" {
				t.Errorf("%s: begins with neither server nor client", tr.Name)
			}
			for _, row := range rows {
				of := found[row].transcripts
				of[role] = append(of[role], shown{filepath.Base(file), strings.TrimPrefix(tr.Comments[0], "# ")})
			}
		}
	}
	return found
}

// declaredIn returns the file of "package.Func", a test or an example in the
// folder of that name.
func declaredIn(t *testing.T, name string) string {
	dir, fn, _ := strings.Cut(name, ".")
	files, err := filepath.Glob("../" + dir + "/*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			if d, ok := d.(*ast.FuncDecl); ok && d.Recv == nil && d.Name.Name == fn {
				return filepath.ToSlash(file)
			}
		}
	}
	t.Errorf("there is no %s", name)
	return ""
}

// conformance writes docs/conformance.md.
func conformance(found map[int]evidence) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Conformance\n\n"+
		"The %d requirements of RFC 9110 and RFC 9112 that decide what an HTTP/1.1 message is and what may follow\n"+
		"it, what postern does about each, and where that is shown. Made from the table in\n"+
		"internal/h1test/rows.go and the comments in [h1/testdata](../h1/testdata) by `go test ./h1 -update`.\n\n"+
		"A number such as 400 means: one response with that status and `Connection: close`, nothing read after\n"+
		"it, and the connection closed in stages (row 65). For a client an error means that the response is\n"+
		"given up and the connection is not used again. Where postern is stricter than the RFC or leaves\n"+
		"something to the caller, the row says so. `server` is the engine of that name, all else is `h1`.\n\n"+
		"| Row | RFC | Requirement | Server | Client |\n|---|---|---|---|---|\n", len(h1test.Rows))
	for _, row := range h1test.Rows {
		fmt.Fprintf(&b, "| [%d](#row-%d) | %s | %s | %s | %s |\n", row.Number, row.Number, row.RFC, row.Rule, row.Server, row.Client)
	}
	b.WriteString("\n## Where it is shown\n\n" +
		"By transcripts, whose comments are quoted here; each is played whole, byte by byte and cut at every\n" +
		"point. And by Go tests, where a row is about more than one connection's bytes.\n")
	for _, row := range h1test.Rows {
		fmt.Fprintf(&b, "\n### Row %d\n\n", row.Number)
		e := found[row.Number]
		for _, name := range row.Tests {
			fmt.Fprintf(&b, "- `%s` in [%s](%s)\n", name, filepath.Base(e.tests[name]), e.tests[name])
		}
		for _, role := range []string{"server", "client"} {
			file := ""
			for _, s := range e.transcripts[role] {
				if s.file != file {
					file = s.file
					fmt.Fprintf(&b, "- %s, [%s](../h1/testdata/%s)\n", role, file, file)
				}
				fmt.Fprintf(&b, "  - %s\n", escape.Replace(s.comment))
			}
		}
	}
	return b.String()
}

// escape keeps Markdown from taking a comment's punctuation for its own.
var escape = strings.NewReplacer("*", `\*`, "_", `\_`, "<", `\<`, "`", "\\`", "[", `\[`, "|", `\|`)

func TestNamedRows(t *testing.T) {
	for _, tc := range []struct {
		comment string
		want    []int
		ok      bool
	}{
		{"# RFC 9112 3: none.", nil, true},
		{"# RFC 9112 3 (row 5): one.", []int{5}, true},
		{"# RFC 9112 3 (rows 2, 3): some.", []int{2, 3}, true},
		{"# RFC 9112 3 (rows 30 to 32, 60): a range.\n# And (row 78).", []int{30, 31, 32, 60, 78}, true},
		{"# (row 0)", nil, false},
		{"# (row 79)", nil, false},
		{"# (rows 3 to 2)", nil, false},
		{"# (rows 70 to 80)", nil, false},
		{"# (rows 2 and 3)", nil, false},
		{"# (row)", nil, false},
		{"# (row 5: not closed", nil, false},
		{"# (row 5", nil, false},
		{"# brackets of another kind (rowing)", nil, true},
	} {
		if got, err := h1test.NamedRows(tc.comment); !slices.Equal(got, tc.want) || (err == nil) != tc.ok {
			t.Errorf("%q: got %v, %v, want %v", tc.comment, got, err, tc.want)
		}
	}
}
