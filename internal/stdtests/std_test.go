package stdtests

import (
	"os"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
)

func TestNetHTTP(t *testing.T)  { run(t, "net/http", "http_test", "testdata/helpers.go") }
func TestHTTPTest(t *testing.T) { run(t, "net/http/httptest", "httptest", "") }
func TestHTTPUtil(t *testing.T) { run(t, "net/http/httputil", "httputil", "") }

// run runs the tests of one package of the standard library.
func run(t *testing.T, importPath, packageName, helpers string) {
	t.Parallel()
	w := newWorld(t)
	ts, rows := w.tests(importPath, packageName), table(t, importPath)
	if !strings.HasSuffix(packageName, "_test") {
		w.copy(importPath)
	}
	w.take(ts, choose(t, ts, rows), helpers)
	dir, _ := sourceOf(importPath)
	program := w.compile(importPath)
	for _, over := range []string{"", "net.Listen"} {
		some := slices.DeleteFunc(slices.Clone(rows), func(r row) bool { return r.verdict == "left out" || r.over() != over })
		if len(some) > 0 {
			all, out := results(t, program, dir, over, some)
			judge(t, some, all, out)
		}
	}
}

// row says what is done with a test.
type row struct {
	test    string
	verdict string   // "taken", "taken over net.Listen", "left out", "differs" or "bug"
	reason  string   // why it is not simply taken
	says    []string // what it complains of, if it differs
}

// over returns what the server listens with: net.Listen, or "" for transport/tcp.
func (r row) over() string {
	_, over, _ := strings.Cut(r.verdict, " over ")
	return over
}

// table reads what tests.txt says of a package.
func table(t *testing.T, importPath string) (rows []row) {
	text, err := os.ReadFile("tests.txt")
	if err != nil {
		t.Fatal(err)
	}
	here, r := false, row{}
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSuffix(line, "\n")
		if p, ok := strings.CutPrefix(line, "package "); ok {
			here = p == importPath
		} else if says, ok := strings.CutPrefix(line, "\t| "); ok && here {
			rows[len(rows)-1].says = append(rows[len(rows)-1].says, says)
		} else if !strings.HasPrefix(line, "\t") {
			r.verdict, r.reason, _ = strings.Cut(line, ": ")
		} else if here && !strings.HasPrefix(line, "\t| ") {
			for r.test = range strings.FieldsSeq(line) {
				rows = append(rows, r)
			}
		}
	}
	return rows
}

// choose returns the tests that are run. Each that there is must be in the table,
// once.
func choose(t *testing.T, ts *tests, rows []row) (taken []string) {
	named, there := map[string]bool{}, ts.all()
	for _, r := range rows {
		if named[r.test] {
			t.Errorf("%s stands twice in tests.txt", r.test)
		}
		if !slices.Contains(there, r.test) {
			t.Errorf("%s of tests.txt is no test of %s in %s", r.test, ts.importPath, runtime.Version())
		} else if r.verdict != "left out" {
			taken = append(taken, r.test)
		}
		named[r.test] = true
	}
	for _, name := range there {
		if !named[name] {
			t.Errorf("%s of %s, in %s, is not in tests.txt: say there that it is taken, or why not", name, ts.importPath, runtime.Version())
		}
	}
	return taken
}

// judge compares what came of the tests with the table.
func judge(t *testing.T, rows []row, all map[string]*result, out string) {
	for _, r := range rows {
		t.Run(r.test, func(t *testing.T) {
			got := all[r.test]
			switch {
			case got == nil || got.verdict == "":
				t.Errorf("did not end:\n%s", tail(out))
			case got.skipped:
				t.Errorf("was skipped, in part at least:\n%s", got.log.String())
			case !strings.HasPrefix(r.verdict, "taken"):
				r.compare(t, got)
			case got.verdict == "FAIL":
				t.Errorf("failed:\n%s", got.log.String())
			}
		})
	}
}

var complaint = regexp.MustCompile(`(?m)^ +\w+_test\.go:\d+: (.*)`)

// compare compares what a test complains of with what it should.
func (r row) compare(t *testing.T, got *result) {
	if got.verdict == "PASS" {
		t.Errorf("passes: take it. It failed since %s", r.reason)
		return
	}
	met := map[string]bool{}
	for _, m := range complaint.FindAllStringSubmatch(got.log.String(), -1) {
		i := slices.IndexFunc(r.says, func(s string) bool { return strings.Contains(m[1], s) })
		if i >= 0 {
			met[r.says[i]] = true
		} else if !strings.HasPrefix(m[1], "server log: ") {
			t.Errorf("is not in tests.txt: %s", m[1])
		}
	}
	for _, s := range r.says {
		if !met[s] {
			t.Errorf("not said any more: %s", s)
		}
	}
	if len(r.says) == 0 {
		t.Errorf("tests.txt does not say what it complains of:\n%s", got.log.String())
	}
}

// tail returns the last 4 KiB.
func tail(s string) string { return s[max(0, len(s)-4<<10):] }
