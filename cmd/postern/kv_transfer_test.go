package main_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	main "postern/cmd/postern"
	"postern/kvstore"
)

// makeStore makes a store of the table "default" for fn to fill.
func makeStore(t *testing.T, fn func(*kvstore.Tx) error) (db string) {
	t.Helper()
	db = filepath.Join(t.TempDir(), "my.db")
	useStore(t, db, fn)
	return db
}

func useStore(t *testing.T, db string, fn func(*kvstore.Tx) error) {
	t.Helper()
	store, err := kvstore.Open(db, kvstore.Options{Tables: kvstore.Tables("default"), SweepEvery: -1})
	if err != nil {
		t.Fatal(err)
	}
	err = store.Execute(t.Context(), fn)
	if err := errors.Join(err, store.Close(t.Context())); err != nil {
		t.Fatal(err)
	}
}

// contents is what is in the table, counters aside.
func contents(t *testing.T, db string) (all string) {
	t.Helper()
	useStore(t, db, func(tx *kvstore.Tx) error {
		all = ""
		for e, err := range tx.Entries("default", kvstore.Range{}) {
			if err != nil {
				return err
			}
			all += fmt.Sprintf("%q=%q until %s\n", e.Key, e.Value, e.ExpiresAt.Format(time.RFC3339Nano))
		}
		return nil
	})
	return all
}

func TestKVExportAndImport(t *testing.T) {
	expiry := time.Date(2090, 1, 2, 3, 4, 5, 678e6, time.UTC)
	db := makeStore(t, func(tx *kvstore.Tx) error {
		for key, value := range map[string]string{
			"":            "empty key",
			"empty":       "",
			"plain":       "text",
			"twice":       "x",
			"\x00\xff":    "\xfe\x00\r\n",
			"line\nbreak": "a\r\nb\rc\nd",
			"\r":          "carriage",
			`"quoted",`:   `\.` + `"a","b"`,
			`\.`:          " leading and trailing ",
			"größe":       "\u2028\ufffd<&>\U0001f600",
			"=cmd()":      strings.Repeat("long ", 30_000),
		} {
			if _, err := tx.Add("default", key, []byte(value)); err != nil {
				return err
			}
		}
		_, err1 := tx.Overwrite("default", "twice", []byte("y"))
		_, err2 := tx.Add("default", "session", []byte("s"), kvstore.ExpiresAt(expiry))
		_, err3 := tx.Add("default", "for ever", []byte("s"), kvstore.ExpiresAt(time.UnixMilli(1<<60)))
		return errors.Join(err1, err2, err3)
	})
	want := contents(t, db)
	// What RFC 3339 cannot say becomes the last instant that it can.
	want = strings.Replace(want, time.UnixMilli(1<<60).UTC().Format(time.RFC3339Nano), "9999-12-31T23:59:59.999Z", 1)

	for _, format := range []string{"ndjson", "csv"} {
		exported := run(t, "", "kv", "export", "--db", db, "--format", format)
		if exported.status != 0 || exported.stderr != "" {
			t.Fatalf("%s: %d, %s", format, exported.status, exported.stderr)
		}
		if again := run(t, "", "kv", "export", "--db", db, "--format", format); again != exported {
			t.Errorf("%s: a second export differs", format)
		}
		// Into a new file, from stdin.
		fresh := filepath.Join(t.TempDir(), "fresh.db")
		done := result{0, "13 entries\n", ""}
		if got := run(t, exported.stdout, "kv", "import", "--db", fresh, "--format", format, "--create"); got != done {
			t.Errorf("%s: import: %+v", format, got)
		}
		if got := contents(t, fresh); got != want {
			t.Errorf("%s: in the new store:\n%.2000s\nwant\n%.2000s", format, got, want)
		}
		// Over what is there, from a file by its name.
		file := filepath.Join(t.TempDir(), "rows."+format)
		if err := os.WriteFile(file, []byte(exported.stdout), 0o600); err != nil {
			t.Fatal(err)
		}
		old := makeStore(t, func(tx *kvstore.Tx) error {
			_, err1 := tx.Add("default", "plain", []byte("old"), kvstore.ExpiresAt(expiry))
			_, err2 := tx.Add("default", "other", []byte("stays"))
			return errors.Join(err1, err2)
		})
		if got := run(t, "", "kv", "import", file, "--db", old); got != done {
			t.Errorf("%s: import over: %+v", format, got)
		}
		got := strings.Replace(contents(t, old), "\"other\"=\"stays\" until 0001-01-01T00:00:00Z\n", "", 1)
		if got != want {
			t.Errorf("%s: over an older store:\n%.2000s\nwant\n%.2000s", format, got, want)
		}
		// Counters are of the store, not of the file.
		for key, counter := range map[string]string{"plain": `"counter":1}`, "twice": `"counter":0}`} {
			if got := run(t, "", "kv", "get", key, "--json", "--db", old); !strings.Contains(got.stdout, counter) {
				t.Errorf("%s: %s is %s, want %s", format, key, got.stdout, counter)
			}
		}
	}
}

func TestKVExportSelects(t *testing.T) {
	db := makeStore(t, func(tx *kvstore.Tx) error {
		for _, key := range []string{"a", "b/1", "b/2", "c"} {
			if _, err := tx.Add("default", key, []byte("v")); err != nil {
				return err
			}
		}
		return nil
	})
	want := `{"key":"b/1","value":"v","counter":0}` + "\n" + `{"key":"b/2","value":"v","counter":0}` + "\n"
	if got := run(t, "", "kv", "export", "b/", "--db", db); got != (result{0, want, ""}) {
		t.Errorf("%+v", got)
	}
	for prefix, want := range map[string]string{
		"c":    "key,key_base64,value,value_base64,counter,expires_at\nc,,v,,0,\n",
		"none": "key,key_base64,value,value_base64,counter,expires_at\n",
	} {
		if got := run(t, "", "kv", "export", prefix, "--format", "csv", "--db", db); got != (result{0, want, ""}) {
			t.Errorf("%s: %+v", prefix, got)
		}
	}
}

func TestKVImportForms(t *testing.T) {
	const never = ` until 0001-01-01T00:00:00Z` + "\n"
	for _, tt := range []struct {
		name, format, in string
		want             string // contents
		said             string // on stdout, or on stderr behind "postern: kv import: stdin "
	}{
		{"no newline at the end", "ndjson", `{"key":"a","value":"1"}`, `"a"="1"` + never, "1 entry"},
		{"blank lines and CR LF", "ndjson", "\n{\"key\":\"a\",\"value\":\"1\"}\r\n \n", `"a"="1"` + never, "1 entry"},
		{"nothing", "ndjson", "", "", "0 entries"},
		{"the last one counts", "ndjson", `{"key":"a","value":"1"}` + "\n" + `{"key":"a","value":"2"}`, `"a"="2"` + never, "2 entries"},
		{"escapes", "ndjson", `{"key":"\u0000\ud83d\ude00\\ud800","value":"\u00e9"}`, `"\x00😀\\ud800"="é"` + never, "1 entry"},
		{"base64", "ndjson", `{"key_base64":"/w==","value_base64":"","counter":18446744073709551615}`, `"\xff"=""` + never, "1 entry"},
		{"expired", "ndjson", `{"key":"a","value":"1","expires_at":"2001-02-03T04:05:06Z"}` + "\n" + `{"key":"b","value":"1"}`,
			`"b"="1"` + never, "1 entry, and 1 had expired"},
		{"zone", "ndjson", `{"key":"a","value":"1","expires_at":"2090-01-02T03:04:05+02:00"}`, `"a"="1" until 2090-01-02T01:04:05Z` + "\n", "1 entry"},

		{"no JSON", "ndjson", `{"key":"a","value":"1"}` + "\n\nkey=a\n", `"a"="1"` + never,
			"line 3: invalid character 'k' looking for beginning of value; imported before that: 1 entry"},
		{"cut", "ndjson", `{"key":"a",`, "", "line 1: unexpected EOF; imported before that: 0 entries"},
		{"two objects", "ndjson", `{"key":"a","value":"1"}{}`, "", "line 1: something follows the object; imported before that: 0 entries"},
		{"unknown field", "ndjson", `{"key":"a","value":"1","ttl":3}`, "", `line 1: unknown field "ttl"; imported before that: 0 entries`},
		{"wrong kind", "ndjson", `{"key":"a","value":12345}`, "", `line 1: field "value" is no string; imported before that: 0 entries`},
		{"no object", "ndjson", `["key","value"]`, "", "line 1: is no object; imported before that: 0 entries"},
		{"null", "ndjson", `null`, "", "line 1: needs either key or key_base64; imported before that: 0 entries"},
		{"no key", "ndjson", `{"value":"1"}`, "", "line 1: needs either key or key_base64; imported before that: 0 entries"},
		{"two keys", "ndjson", `{"key":"a","key_base64":"","value":"1"}`, "", "line 1: needs either key or key_base64; imported before that: 0 entries"},
		{"no value", "ndjson", `{"key":"a"}`, "", "line 1: needs either value or value_base64; imported before that: 0 entries"},
		{"not UTF-8", "ndjson", "{\"key\":\"\xff\",\"value\":\"1\"}", "", "line 1: not UTF-8: key_base64 and value_base64 take any bytes; imported before that: 0 entries"},
		{"high surrogate", "ndjson", `{"key":"\ud800","value":"1"}`, "", "line 1: half of a surrogate pair stands for no character; imported before that: 0 entries"},
		{"low surrogate", "ndjson", `{"key":"\ude00\ud83d","value":"1"}`, "", "line 1: half of a surrogate pair stands for no character; imported before that: 0 entries"},
		{"bad expiry", "ndjson", `{"key":"a","value":"1","expires_at":"tomorrow"}`, "", `line 1: expires_at "tomorrow" is no time such as 2030-01-02T03:04:05Z; imported before that: 0 entries`},
		{"bad base64", "ndjson", `{"key_base64":"?","value":"1"}`, "", "line 1: illegal base64 data at input byte 0; imported before that: 0 entries"},

		{"columns in another order", "csv", "\ufeffvalue,key\r\n1,a\r\n\"x\ny\",b\r\n", `"a"="1"` + never + `"b"="x\ny"` + never, "2 entries"},
		{"header only", "csv", "key,value\n", "", "0 entries"},
		{"nothing", "csv", "", "", "0 entries"},
		{"base64 and expiry", "csv", "key_base64,value_base64,expires_at\n/w==,AA==,2090-01-02T03:04:05Z\n", `"\xff"="\x00" until 2090-01-02T03:04:05Z` + "\n", "1 entry"},

		{"unknown column", "csv", "key,value,ttl\n", "", `line 1: column "ttl" is none of key, key_base64, value, value_base64, counter, expires_at; imported before that: 0 entries`},
		{"column twice", "csv", "key,value,key\n", "", `line 1: two columns "key"; imported before that: 0 entries`},
		{"no value column", "csv", "key,counter\n", "", "line 1: needs a column value or value_base64; imported before that: 0 entries"},
		{"too few fields", "csv", "key,value\na,\"1\n2\"\nb\n", `"a"="1\n2"` + never, "line 4: wrong number of fields; imported before that: 1 entry"},
		{"open quote", "csv", "key,value\na,1\n\"b,2\n", `"a"="1"` + never, `line 3: extraneous or missing " in quoted-field; imported before that: 1 entry`},
		{"both", "csv", "key,value,value_base64\na,1,AA==\n", "", "line 2: has both value and value_base64; imported before that: 0 entries"},
		{"bad base64", "csv", "key,value_base64\na,?\n", "", "line 2: value_base64: illegal base64 data at input byte 0; imported before that: 0 entries"},
		{"bad counter", "csv", "key,value,counter\na,1,many\n", "", `line 2: counter "many" is no number; imported before that: 0 entries`},
	} {
		t.Run(tt.format+" "+tt.name, func(t *testing.T) {
			db := makeStore(t, func(*kvstore.Tx) error { return nil })
			want := result{0, tt.said + "\n", ""}
			if strings.HasPrefix(tt.said, "line ") {
				want = result{1, "", "postern: kv import: stdin " + tt.said + "\n"}
			}
			if got := run(t, tt.in, "kv", "import", "-", "--format", tt.format, "--db", db); got != want {
				t.Errorf("got  %+v\nwant %+v", got, want)
			}
			if got := contents(t, db); got != tt.want {
				t.Errorf("imported\n%swant\n%s", got, tt.want)
			}
		})
	}
}

func TestKVImportMissingFile(t *testing.T) {
	db := makeStore(t, func(*kvstore.Tx) error { return nil })
	got := run(t, "", "kv", "import", filepath.Join(t.TempDir(), "none.csv"), "--db", db)
	if got.status != 1 || !strings.HasPrefix(got.stderr, "postern: kv import: open ") || !strings.Contains(got.stderr, "none.csv") {
		t.Errorf("%+v", got)
	}
}

var errDisk = errors.New("input/output error")

func TestKVImportReadError(t *testing.T) {
	for format, in := range map[string]string{
		"ndjson": `{"key":"a","value":"1"}` + "\n" + `{"key":"b","va`,
		"csv":    "key,value\na,1\nb,\"2",
	} {
		db := makeStore(t, func(*kvstore.Tx) error { return nil })
		var stdout, stderr bytes.Buffer
		stdin := io.MultiReader(strings.NewReader(in), failingReader{})
		status := main.Run(t.Context(), []string{"kv", "import", "--format", format, "--db", db}, stdin, &stdout, &stderr)
		line := strings.Count(in, "\n") + 1
		want := fmt.Sprintf("postern: kv import: stdin line %d: input/output error; imported before that: 1 entry\n", line)
		if status != 1 || stdout.Len() > 0 || stderr.String() != want {
			t.Errorf("%s: %d %q\n got %s\nwant %s", format, status, &stdout, &stderr, want)
		}
	}
}

type failingReader struct{}

func (failingReader) Read([]byte) (int, error) { return 0, errDisk }

// A hundred thousand rows pass through import and export while the program's
// memory stays far below their size.
func TestKVStreams(t *testing.T) {
	const (
		rows      = 100_000
		valueSize = 400      // bytes; the rows together are 40 MB
		bound     = 16 << 20 // bytes of heap beyond what there was before
	)
	for _, format := range []string{"ndjson", "csv"} {
		db := filepath.Join(t.TempDir(), "my.db")
		heap := newHeapWatch()
		in := &rowGenerator{heap: heap, rows: rows, value: strings.Repeat("v", valueSize), csv: format == "csv"}
		var stdout, stderr bytes.Buffer
		status := main.Run(t.Context(), []string{"kv", "import", "--create", "--format", format, "--db", db}, in, &stdout, &stderr)
		if status != 0 || stdout.String() != "100000 entries\n" || stderr.Len() > 0 {
			t.Fatalf("%s: import: %d %s %s", format, status, &stdout, &stderr)
		}
		out := &rowCounter{heap: heap}
		status = main.Run(t.Context(), []string{"kv", "export", "--format", format, "--db", db}, strings.NewReader(""), out, &stderr)
		want := rows
		if format == "csv" {
			want++ // the header
		}
		if status != 0 || out.lines != want || stderr.Len() > 0 {
			t.Errorf("%s: export: %d, %d lines, want %d; %s", format, status, out.lines, want, &stderr)
		}
		if heap.samples < 100 || heap.most > bound {
			t.Errorf("%s: %d bytes of heap in use at most (%d samples), want at most %d", format, heap.most, heap.samples, bound)
		}
	}
}

// heapWatch remembers how far the heap has grown.
type heapWatch struct {
	before, most uint64
	samples      int
}

func newHeapWatch() *heapWatch {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return &heapWatch{before: m.HeapAlloc}
}

func (h *heapWatch) look() {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	h.samples++
	if m.HeapAlloc > h.before {
		h.most = max(h.most, m.HeapAlloc-h.before)
	}
}

// rowGenerator is an import file that is made while it is read.
type rowGenerator struct {
	heap  *heapWatch
	rows  int
	value string
	csv   bool
	n     int
	left  []byte
}

func (g *rowGenerator) Read(p []byte) (int, error) {
	for len(g.left) == 0 {
		switch {
		case g.n == g.rows:
			return 0, io.EOF
		case g.csv && g.n == 0:
			g.left = append(g.left, "key,value\n"...)
		}
		if g.csv {
			g.left = fmt.Appendf(g.left, "key%07d,%s\n", g.n, g.value)
		} else {
			g.left = fmt.Appendf(g.left, `{"key":"key%07d","value":"%s"}`+"\n", g.n, g.value)
		}
		if g.n++; g.n%1000 == 0 {
			g.heap.look()
		}
	}
	n := copy(p, g.left)
	g.left = g.left[n:]
	return n, nil
}

// rowCounter counts the lines of an export.
type rowCounter struct {
	heap   *heapWatch
	lines  int
	writes int
}

func (c *rowCounter) Write(p []byte) (int, error) {
	c.lines += bytes.Count(p, []byte("\n"))
	if c.writes++; c.writes%10 == 0 {
		c.heap.look()
	}
	return len(p), nil
}

func TestProgress(t *testing.T) {
	for _, tt := range []struct {
		rows        int
		size, total int64
		want        string
	}{
		{9999, 1, 9999, ""},
		{25_000, 10, 400_000, "\r[#######.......................]  25% 10000 entries\r[###############...............]  50% 20000 entries\r\x1b[K"},
		{10_000, 10, 50, "\r[##############################] 100% 10000 entries\r\x1b[K"},
		{10_000, 0, 0, "\r10000 entries\r\x1b[K"},
	} {
		var out strings.Builder
		main.Progress(&out, tt.rows, tt.size, tt.total)
		if out.String() != tt.want {
			t.Errorf("%d rows: %q, want %q", tt.rows, &out, tt.want)
		}
	}
}
