package kvhttp_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"postern/kvstore"
	"postern/server/kvhttp"
)

func TestBatchMalformed(t *testing.T) {
	h := kvhttp.New(newStore(t), kvhttp.Config{MaxValue: 10})
	line := func(members string) string { return `{"op":"put","table":"default","key":"a",` + members + `}` }
	for _, tt := range []struct {
		line, want string
	}{
		{"", "must be a JSON object"},
		{"   ", "must be a JSON object"},
		{"[1]", "must be a JSON object"},
		{`"op"`, "must be a JSON object"},
		{"nonsense", "must be a JSON object"},
		{"1e999", "must be a JSON object"},
		{`{`, "malformed JSON: unexpected EOF"},
		{`{"op":"get"`, "malformed JSON: unexpected EOF"},
		{`{"op":"get",}`, "malformed JSON: invalid character '}'"},
		{`{"op" "get"}`, "malformed JSON: expected colon after object key"},
		{`{"op":}`, "malformed JSON: invalid character '}' looking for beginning of value"},
		{`{op:"get"}`, "malformed JSON: invalid character 'o'"},
		{`{1:2}`, "malformed JSON: invalid character '1'"},
		{line(`"value":"v"`) + `{}`, "malformed JSON: something follows the object"},
		{line(`"value":"v"`) + `x`, "malformed JSON: something follows the object"},
		{line("\"value\":\"\xff\""), "not UTF-8"},
		{line("\"value\":\"\t\""), "malformed JSON: invalid character '\\t' in string literal"},
		{line(`"value":"\ud800"`), "value: half a surrogate pair is no character"},
		{line(`"value":"\ud800 x"`), "value: half a surrogate pair is no character"},
		{line(`"value":"\ude00\ud83d"`), "value: half a surrogate pair is no character"},
		{line(`"value":"\ud83d\u0041"`), "value: half a surrogate pair is no character"},
		{line(`"value":"\\\ud83d"`), "value: half a surrogate pair is no character"},

		{`{}`, "op is missing"},
		{`{"op":"get"}`, "table is missing"},
		{`{"op":"get","table":"default"}`, "key is missing"},
		{line(`"ttl":"1s"`), "value is missing"},
		{`{"op":"cas","table":"default","key":"a","value":"v"}`, "counter is missing"},
		{`{"op":null}`, "op: must be a string"},
		{`{"op":"get","table":["default"]}`, "table: must be a string"},
		{`{"op":"get","table":"default","key":7}`, "key: must be a string"},
		{line(`"value":{"a":1}`), "value: must be a string"},
		{line(`"value":"v","ttl":60`), "ttl: must be a string"},
		{line(`"value":"v","expires_at":1900000000`), "expires_at: must be a string"},

		{`{"op":"PUT","table":"default","key":"a"}`, `op "PUT": must be get, put, add, cas or delete`},
		{`{"op":"get","table":"nope","key":"a"}`, `no table "nope"; there is: default, other`},
		{`{"op":"get","table":"Default","key":"a"}`, `no table "Default"; there is: default, other`},
		{`{"op":"get","table":"default","key":""}`, "key: must not be empty"},
		{`{"op":"get","table":"default","key_base64":""}`, "key: must not be empty"},
		{`{"op":"get","table":"default","key":"a","key_base64":"YQ=="}`, "key and key_base64 exclude one another"},
		{line(`"value":"v","value_base64":"dg=="`), "value and value_base64 exclude one another"},
		{line(`"value_base64":"dg"`), "value_base64: must be base64 with padding"},
		{line(`"value_base64":"dh=="`), "value_base64: must be base64 with padding"},
		{line(`"value_base64":"d\ng=="`), "value_base64: must be base64 with padding"},
		{line(`"value_base64":"_w=="`), "value_base64: must be base64 with padding"},

		{line(`"value":"v","key":"b"`), `"key" is given twice`},
		{line(`"value":"v","\u006bey":"b"`), `"key" is given twice`},
		{line(`"value":"v","Value":"v"`), `no member "Value" for this put`},
		{line(`"value":"v","x":1`), `no member "x" for this put`},
		{line(`"value":"v","counter":0`), `no member "counter" for this put`},
		{`{"op":"add","table":"default","key":"a","value":"v","counter":0}`, `no member "counter" for this add`},
		{`{"op":"get","table":"default","key":"a","value":"v"}`, `no member "value" for this get`},
		{`{"op":"delete","table":"default","key":"a","ttl":"1s"}`, `no member "ttl" for this delete`},

		{`{"op":"get","table":"default","key":"a","counter":"0"}`, "counter: must be a whole number"},
		{`{"op":"get","table":"default","key":"a","counter":-1}`, "counter: must be a whole number"},
		{`{"op":"get","table":"default","key":"a","counter":1.0}`, "counter: must be a whole number"},
		{`{"op":"get","table":"default","key":"a","counter":null}`, "counter: must be a whole number"},
		{`{"op":"get","table":"default","key":"a","counter":18446744073709551616}`, "counter: must be a whole number"},
		{line(`"value":"v","ttl":"60"`), `ttl "60": must be a positive duration such as 90s or 1h30m`},
		{line(`"value":"v","ttl":"0s"`), `ttl "0s": must be a positive duration such as 90s or 1h30m`},
		{line(`"value":"v","ttl":""`), `ttl "": must be a positive duration such as 90s or 1h30m`},
		{line(`"value":"v","expires_at":"2031-01-01"`), `expires_at "2031-01-01": must be a time such as 2030-01-02T03:04:05Z`},
		{line(`"value":"v","ttl":"1s","expires_at":"2031-01-01T00:00:00Z"`), "ttl and expires_at exclude one another"},
	} {
		got := post(t, h, `{"op":"put","table":"default","key":"first","value":"v"}`, tt.line, `{"op":"nonsense"}`)
		check(t, tt.line, got, answer{400, "*", ""})
		if !strings.HasPrefix(got.body, "line 2: "+tt.want) {
			t.Errorf("%s: %q, want line 2: %s", tt.line, got.body, tt.want)
		}
	}
	check(t, "long value", post(t, h, line(`"value":"0123456789"`), line(`"value_base64":"MDEyMzQ1Njc4OWE="`)),
		answer{413, "line 2: value for key \"a\" in table \"default\": longer than 10 bytes\n", ""})
	if got := contents(t, h); got != "" {
		t.Errorf("something was written: %s", got)
	}
}

func TestBatchRequest(t *testing.T) {
	const line = `{"op":"put","table":"default","key":"a","value":"v"}`
	with := func(fields ...string) []string { return fields }
	wrongType := answer{415, "a batch is of Content-Type application/x-ndjson\n", "Accept: application/x-ndjson"}
	run(t, kvhttp.New(newStore(t), kvhttp.Config{}), []step{
		// What a page of another site can make a browser send without asking.
		{request: "POST /kv/:batch", body: line, want: wrongType},
		{request: "POST /kv/:batch", body: line, fields: with("Content-Type: text/plain"), want: wrongType},
		{request: "POST /kv/:batch", body: line, fields: with("Content-Type: text/plain; a=application/x-ndjson"), want: wrongType},
		{request: "POST /kv/:batch", body: line, fields: with("Content-Type: application/x-www-form-urlencoded"), want: wrongType},
		{request: "POST /kv/:batch", body: line, fields: with("Content-Type: text/plain", "Content-Type: application/x-ndjson"), want: wrongType},
		{request: "GET /kv/default/a", want: answer{404, "*", ""}},

		{request: "POST /kv/:batch", fields: with(asBatch), want: answer{400, "a batch has at least one operation\n", ""}},
		{request: "POST /kv/:batch?x=1", body: line, fields: with(asBatch), want: answer{400, "query: no parameter \"x\" for this POST\n", ""}},
		{request: "GET /kv/:batch", want: answer{405, "/kv/:batch takes only POST\n", "Allow: POST"}},
		{request: "PUT /kv/:batch", body: line, want: answer{405, "*", "Allow: POST"}},
		{request: "POST /kv/:batch/", body: line, fields: with(asBatch), want: answer{404, "no table \":batch\"; there is: default, other\n", ""}},
		{request: "POST /kv/:batch", body: line, fields: with("Content-Type: Application/X-NDJSON; charset=utf-8"), want: answer{200, "{\"key\":\"a\",\"counter\":0}\n", ""}},
		{request: "PUT /kv/default/:batch", body: "an entry like others", want: answer{201, "", `ETag: "0"`}},
	})
	guarded := kvhttp.New(newStore(t), kvhttp.Config{Token: "s3cret", Prefix: "/"})
	run(t, guarded, []step{
		{request: "POST /:batch", body: line, fields: with(asBatch), want: answer{401, "*", `WWW-Authenticate: Bearer realm="postern"`}},
		{request: "POST /:batch", body: line, fields: with(asBatch, "Authorization: Bearer s3cret"), want: answer{200, "*", ""}},
	})
}

func TestMaxBatch(t *testing.T) {
	lines := func(n int) []string {
		all := make([]string, n)
		for i := range all {
			all[i] = fmt.Sprintf(`{"op":"put","table":"default","key":"%d","value":"v"}`, i)
		}
		return all
	}
	for _, tt := range []struct{ max, n, want int }{{0, 1000, 200}, {0, 1001, 413}, {3, 3, 200}, {3, 4, 413}, {-1, 1001, 200}} {
		h := kvhttp.New(newStore(t), kvhttp.Config{MaxBatch: tt.max})
		got := post(t, h, lines(tt.n)...)
		if got.status != tt.want || tt.want == 200 && strings.Count(got.body, "\n") != tt.n {
			t.Errorf("limit %d, %d operations: %d %.80q, want %d", tt.max, tt.n, got.status, got.body, tt.want)
		}
		if tt.want != 200 && contents(t, h) != "" {
			t.Errorf("limit %d, %d operations: something was written", tt.max, tt.n)
		}
	}
}

func TestBatchLengths(t *testing.T) {
	store := newStore(t)
	h := kvhttp.New(store, kvhttp.Config{MaxValue: -1, Log: slog.New(slog.DiscardHandler)})
	long := strings.Repeat("v", 3<<20)
	do(t, h, "PUT /kv/default/a", long)
	get := `{"op":"get","table":"default","key":"a"}`
	add := `{"op":"add","table":"default","key":"b","value":"v"}`
	if got := post(t, h, get, get); got.status != 200 || len(got.body) < 6<<20 {
		t.Errorf("6 MiB: %d, %d bytes", got.status, len(got.body))
	}
	check(t, "9 MiB of values", post(t, h, add, get, get, get), answer{413, "line 4: the answer is longer than 8388608 bytes\n", ""})
	if got := post(t, h, add, strings.Repeat(" ", 9<<20)); got.status != 413 {
		t.Errorf("9 MiB of body: %+v", got)
	}
	if _, found, err := store.Get(t.Context(), "default", "b"); found || err != nil {
		t.Errorf("b was written: %v, %v", found, err)
	}

	small, err := kvstore.OpenMemory(kvstore.Options{Tables: kvstore.Tables("default"), MaxValue: 10, SweepEvery: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer small.Close(context.Background())
	h = kvhttp.New(small, kvhttp.Config{})
	got := post(t, h, add, `{"op":"put","table":"default","key":"c","value":"0123456789a"}`)
	check(t, "more than the store takes", got, answer{413, "line 2: key and value are more than the store takes\n", ""})
	check(t, "GET", do(t, h, "GET /kv/default/b", ""), answer{404, "*", ""})
}
