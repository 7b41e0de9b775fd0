package main_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"postern/kvstore"
)

func TestKV(t *testing.T) {
	db := filepath.Join(t.TempDir(), "my.db")
	no := func(format string, args ...any) result {
		return result{1, "", "postern: " + fmt.Sprintf(format, args...) + "\n"}
	}
	done := result{}
	for _, tt := range []struct {
		args  []string
		stdin string
		want  result
	}{
		{args: []string{"put", "greeting", "hello"}, want: no("kv put: no file %s; --create makes it", db)},
		{args: []string{"add", "greeting", "hello"}, want: no("kv add: no file %s; --create makes it", db)},
		{args: []string{"put", "greeting", "hello", "--create"}, want: done},
		{args: []string{"get", "greeting"}, want: result{0, "hello", ""}},
		{args: []string{"put", "greeting", "-"}, stdin: "from stdin\n", want: done},
		{args: []string{"get", "greeting"}, want: result{0, "from stdin\n", ""}},
		{args: []string{"put", "bytes"}, stdin: "\x00\xff", want: done},
		{args: []string{"get", "bytes"}, want: result{0, "\x00\xff", ""}},
		{args: []string{"put", "empty", ""}, stdin: "not this", want: done},
		{args: []string{"get", "empty"}, want: result{0, "", ""}},
		{args: []string{"add", "greeting", "x"}, want: no(`kv add: key "greeting" is already in table "default" of %s`, db)},
		{args: []string{"add", "new", "x"}, want: done},
		{args: []string{"get", "x"}, want: no(`kv get: no key "x" in table "default" of %s`, db)},
		{args: []string{"del", "x"}, want: no(`kv del: no key "x" in table "default" of %s`, db)},
		{args: []string{"del", "new"}, want: done},
		{args: []string{"--", "put", "-key", "-5"}, want: done},
		{args: []string{"get", "--", "-key"}, want: result{0, "-5", ""}},
		{args: []string{"put", "line\nend", "v"}, want: done},
		{args: []string{"put", `"quoted"`, "v"}, want: done},
		{args: []string{"put", "\xfe", "v"}, want: done},
		{args: []string{"put", "größe 1", "v"}, want: done},
		{args: []string{"put", "", "v"}, want: done},
		{args: []string{"ls"}, want: result{0, "\"\"\n\"\\\"quoted\\\"\"\n-key\nbytes\nempty\ngreeting\ngröße 1\n\"line\\nend\"\n\"\\xfe\"\n", ""}},
		{args: []string{"ls", "gr"}, want: result{0, "greeting\ngröße 1\n", ""}},
		{args: []string{"ls", "zz"}, want: result{0, "", ""}},
		{args: []string{"put", "k", "in other", "--table", "other"}, want: no(`kv put: no table "other" in %s; there are: default; --create makes it`, db)},
		{args: []string{"add", "k", "in other", "--table", "other", "--create"}, want: done},
		{args: []string{"get", "k", "--table", "OTHER"}, want: result{0, "in other", ""}},
		{args: []string{"get", "k", "--table", "typo"}, want: no(`kv get: no table "typo" in %s; there are: default, other`, db)},
		{args: []string{"del", "k", "--table", "typo"}, want: no(`kv del: no table "typo" in %s; there are: default, other`, db)},
		{args: []string{"ls", "--table", "typo"}, want: no(`kv ls: no table "typo" in %s; there are: default, other`, db)},
		{args: []string{"cas", "k", "0", "v", "--table", "typo"}, want: no(`kv cas: no table "typo" in %s; there are: default, other`, db)},
		{args: []string{"export", "--table", "typo"}, want: no(`kv export: no table "typo" in %s; there are: default, other`, db)},
		{args: []string{"import", "--table", "typo"}, want: no(`kv import: no table "typo" in %s; there are: default, other; --create makes it`, db)},
		{args: []string{"--table", "other", "ls"}, want: result{0, "k\n", ""}},
		{args: []string{"get", "k"}, want: no(`kv get: no key "k" in table "default" of %s`, db)},
		{args: []string{"get", "k", "--table", "kv_x"}, want: no(`kv get: no table "kv_x" in %s; there are: default, other`, db)},
		{args: []string{"put", "k", "v", "--table", "kv_x", "--create"}, want: no(`kv put: kvstore: table name "kv_x": the prefix kv_ is reserved`)},
		{args: []string{"get", "k", "--json", "--table", "other"}, want: result{0, `{"key":"k","value":"in other","counter":0}` + "\n", ""}},
		{args: []string{"get", "\xfe", "--json"}, want: result{0, `{"key_base64":"/g==","value":"v","counter":1}` + "\n", ""}},
		{args: []string{"cas", "greeting", "0", "x"}, want: no(`kv cas: key "greeting" in table "default" of %s is at counter 1, not 0`, db)},
		{args: []string{"cas", "greeting", "1", "swapped"}, want: result{0, "2\n", ""}},
		{args: []string{"cas", "greeting", "2"}, stdin: "again", want: result{0, "3\n", ""}},
		{args: []string{"get", "greeting"}, want: result{0, "again", ""}},
		{args: []string{"cas", "x", "0", "v"}, want: no(`kv cas: no key "x" in table "default" of %s`, db)},
		{args: []string{"put", "long"}, stdin: strings.Repeat("x", 16<<20+1), want: no("kv put: value is longer than 16777216 bytes")},
	} {
		args := append([]string{"kv", "--db", db}, tt.args...)
		if got := run(t, tt.stdin, args...); got != tt.want {
			t.Errorf("%q:\n got %+v\nwant %+v", tt.args, got, tt.want)
		}
	}
}

func TestKVListsMoreThanAPage(t *testing.T) {
	db := filepath.Join(t.TempDir(), "my.db")
	store, err := kvstore.Open(db, kvstore.Options{Tables: kvstore.Tables("default"), Durability: kvstore.OSBuffered})
	if err != nil {
		t.Fatal(err)
	}
	var want strings.Builder
	err = store.Execute(t.Context(), func(tx *kvstore.Tx) error {
		want.Reset()
		for i := range 2000 {
			key := fmt.Sprintf("key%04d", i)
			fmt.Fprintln(&want, key)
			if _, err := tx.Overwrite("default", key, nil); err != nil {
				return err
			}
		}
		return nil
	})
	if err := errors.Join(err, store.Close(t.Context())); err != nil {
		t.Fatal(err)
	}
	if got := run(t, "", "kv", "ls", "--db", db); got != (result{0, want.String(), ""}) {
		t.Errorf("%d with %d bytes, stderr %q, want %d bytes", got.status, len(got.stdout), got.stderr, want.Len())
	}
}

func TestKVMissingFile(t *testing.T) {
	db := filepath.Join(t.TempDir(), "none.db")
	for _, args := range [][]string{{"get", "x"}, {"ls"}, {"del", "x"}, {"cas", "x", "1", "v"}, {"export"}, {"stats"}, {"backup", "b"}, {"check"}} {
		want := result{1, "", fmt.Sprintf("postern: kv %s: no file %s\n", args[0], db)}
		if got := run(t, "", append([]string{"kv", "--db", db}, args...)...); got != want {
			t.Errorf("%q: %+v, want %+v", args, got, want)
		}
	}
	if left, err := filepath.Glob(db + "*"); len(left) > 0 || err != nil {
		t.Errorf("left behind: %q, %v", left, err)
	}
}

func TestKVWhileServed(t *testing.T) {
	db := filepath.Join(t.TempDir(), "my.db")
	start(t, "--addr", "127.0.0.1:0", "--db", db)
	for command, curl := range map[string]string{
		"get a/b":      "curl 'http://127.0.0.1:8080/kv/default/a%2Fb'",
		"put a v":      "curl -X PUT --data-binary @- 'http://127.0.0.1:8080/kv/default/a'",
		"add a v":      "curl -X PUT -H 'If-None-Match: *' --data-binary @- 'http://127.0.0.1:8080/kv/default/a'",
		"del it's":     "curl -X DELETE 'http://127.0.0.1:8080/kv/default/it%27s'",
		"ls x&y":       "curl 'http://127.0.0.1:8080/kv/default/?prefix=x%26y'",
		"ls --table o": "curl 'http://127.0.0.1:8080/kv/o/?prefix='",
		"export x":     "curl 'http://127.0.0.1:8080/kv/default/?prefix=x'",
		"cas a 7 v":    "curl -X PUT -H 'If-Match: \"7\"' --data-binary @- 'http://127.0.0.1:8080/kv/default/a'",
	} {
		name, _, _ := strings.Cut(command, " ")
		want := result{1, "", fmt.Sprintf("postern: kv %s: %s is in use by process %d\n"+
			"While a server has it, ask that one, at the address that it printed:\n  %s\n", name, db, os.Getpid(), curl)}
		if got := run(t, "", append([]string{"kv", "--db", db}, strings.Fields(command)...)...); got != want {
			t.Errorf("kv %s:\n got %+v\nwant %+v", command, got, want)
		}
	}
	for _, command := range []string{"import", "stats", "backup b", "check"} {
		name, _, _ := strings.Cut(command, " ")
		want := result{1, "", fmt.Sprintf("postern: kv %s: %s is in use by process %d\nStop the server that has it first.\n", name, db, os.Getpid())}
		if got := run(t, "", append([]string{"kv", "--db", db}, strings.Fields(command)...)...); got != want {
			t.Errorf("kv %s:\n got %+v\nwant %+v", command, got, want)
		}
	}
	want := result{1, "", fmt.Sprintf("postern: serve: %s is in use by process %d\n", db, os.Getpid())}
	if got := run(t, "", "--addr", "127.0.0.1:0", "--db", db); got != want {
		t.Errorf("a second server: %+v, want %+v", got, want)
	}
}

func TestKVNoDatabase(t *testing.T) {
	db := filepath.Join(t.TempDir(), "text")
	if err := os.WriteFile(db, []byte(strings.Repeat("no database\n", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	got := run(t, "", "kv", "get", "x", "--db", db)
	if got.status != 1 || !strings.HasPrefix(got.stderr, "postern: kv get: kvstore: ") || !strings.Contains(got.stderr, "not a database") {
		t.Errorf("%+v", got)
	}
	if _, err := os.Stat(db); errors.Is(err, fs.ErrNotExist) {
		t.Error("the file is gone")
	}
}
