package kvhttp_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"postern/kvstore"
	"postern/server"
	"postern/server/kvhttp"
)

func TestListing(t *testing.T) {
	h := kvhttp.New(newStore(t), kvhttp.Config{})
	for _, request := range []string{"a", "a%2Fb", "b?ttl=1s", "%ff", "%3Ctag%3E"} {
		do(t, h, "PUT /kv/default/"+request, "<1>")
	}
	do(t, h, "PUT /kv/default/a", "\xfe")
	do(t, h, "PUT /kv/default/b", "")
	const (
		tag  = `{"key":"<tag>","value":"<1>","counter":0}` + "\n"
		a    = `{"key":"a","value_base64":"/g==","counter":1}` + "\n"
		ab   = `{"key":"a/b","value":"<1>","counter":0}` + "\n"
		b    = `{"key":"b","value":"","counter":1,"expires_at":"2030-01-02T03:04:06Z"}` + "\n"
		ff   = `{"key_base64":"/w==","value":"<1>","counter":0}` + "\n"
		path = "GET /kv/default/"
	)
	run(t, h, []step{
		{request: path, want: answer{200, tag + a + ab + b + ff, ""}},
		{request: "HEAD /kv/default/", want: answer{200, "*", ""}},
		{request: "GET /kv/other/", want: answer{200, "", ""}},
		{request: path + "?prefix=a", want: answer{200, a + ab, ""}},
		{request: path + "?prefix=%ff", want: answer{200, ff, ""}},
		{request: path + "?prefix=zz", want: answer{200, "", ""}},
		{request: path + "?after=a", want: answer{200, ab + b + ff, ""}},
		{request: path + "?after=a%2Fb", want: answer{200, b + ff, ""}},
		{request: path + "?after=%ff", want: answer{200, "", ""}},
		{request: path + "?prefix=a&after=a&limit=1", want: answer{200, ab, ""}},
		{request: path + "?limit=2", want: answer{200, tag + a, ""}},
		{request: path + "?prefix=&after=&limit=1000", want: answer{200, tag + a + ab + b + ff, ""}},
	})
	for _, query := range []string{"limit=0", "limit=-1", "limit=1001", "limit=", "limit=x", "limit=1&limit=2", "watch&limit=1", "watch&after=a", "watch=1", "ttl=1s", "limit=99999999999999999999"} {
		check(t, "?"+query, do(t, h, path+"?"+query, ""), answer{400, "*", ""})
	}
}

func TestListingLimit(t *testing.T) {
	store := newStore(t)
	h := kvhttp.New(store, kvhttp.Config{})
	err := store.Execute(t.Context(), func(tx *kvstore.Tx) error {
		for i := range 1100 {
			if _, err := tx.Overwrite("default", fmt.Sprintf("%04d", i), []byte("v")); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for query, want := range map[string]int{"": 100, "?limit=1000": 1000, "?after=0999&limit=1000": 100, "?prefix=05": 100, "?prefix=050": 10} {
		got := do(t, h, "GET /kv/default/"+query, "")
		if n := strings.Count(got.body, "\n"); n != want {
			t.Errorf("listing %q has %d lines, want %d", query, n, want)
		}
	}
}

// Values that are together more than a page come as a stream, in order and whole,
// and see what changed meanwhile.
func TestLongListingIsStreamed(t *testing.T) {
	store := newStore(t)
	h := kvhttp.New(store, kvhttp.Config{})
	value := bytes.Repeat([]byte("v"), 100<<10)
	for _, key := range []string{"a", "b", "c", "d", "e", "f"} {
		if _, err := store.Add(t.Context(), "default", key, value); err != nil {
			t.Fatal(err)
		}
	}
	resp := h(server.NewRequest("GET", "/kv/default/?limit=5", nil))
	if resp.Body.Len() != -1 {
		t.Fatalf("length is %d: not a stream", resp.Body.Len())
	}
	if _, err := store.Delete(t.Context(), "default", "d"); err != nil { // behind the first page
		t.Fatal(err)
	}
	body, err := resp.Body.ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var keys []string
	for line := range bytes.Lines(body) {
		var row struct{ Key, Value string }
		if err := json.Unmarshal(line, &row); err != nil || row.Value != string(value) {
			t.Fatalf("line of %d bytes: %v", len(line), err)
		}
		keys = append(keys, row.Key)
	}
	if got := strings.Join(keys, ""); got != "abcef" {
		t.Errorf("keys %q, want abcef", got)
	}

	resp = h(server.NewRequest("GET", "/kv/default/", nil))
	if err := store.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if body, err := resp.Body.ReadAll(); err == nil {
		t.Errorf("the store closed behind the first page, and the listing ended well after %d bytes", len(body))
	}
}

// Whatever is in the store can be told from its listing, page by page.
func TestListingIsLossless(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		store, err := kvstore.OpenMemory(kvstore.Options{Tables: kvstore.Tables("t"), Clock: func() time.Time { return clock }, SweepEvery: -1})
		if err != nil {
			t.Fatal(err)
		}
		defer store.Close(t.Context())
		text := rapid.OneOf(rapid.String(), rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string { return string(b) }))
		want := rapid.MapOfN(text.Filter(func(k string) bool { return k != "" }), text, 0, 12).Draw(t, "entries")
		for key, value := range want {
			if _, err := store.Overwrite(t.Context(), "t", key, []byte(value)); err != nil {
				t.Fatal(err)
			}
		}
		h := kvhttp.New(store, kvhttp.Config{})
		got := map[string]string{}
		limit := rapid.IntRange(1, 5).Draw(t, "limit")
		for after, more := "", true; more; {
			target := fmt.Sprintf("/kv/t/?limit=%d&after=%s", limit, url.QueryEscape(after))
			body, err := h(server.NewRequest("GET", target, nil)).Body.ReadAll()
			if err != nil {
				t.Fatal(err)
			}
			rows := 0
			for line := range bytes.Lines(body) {
				var row struct {
					Key, Value  *string
					KeyBase64   []byte `json:"key_base64"`
					ValueBase64 []byte `json:"value_base64"`
				}
				if err := json.Unmarshal(line, &row); err != nil {
					t.Fatalf("%q: %v", line, err)
				}
				key, value := string(row.KeyBase64), string(row.ValueBase64)
				if row.Key != nil {
					key = *row.Key
				}
				if row.Value != nil {
					value = *row.Value
				}
				if key <= after {
					t.Fatalf("%q comes behind %q", key, after)
				}
				got[key], after = value, key
				rows++
			}
			more = rows == limit
		}
		if fmt.Sprintf("%q", got) != fmt.Sprintf("%q", want) {
			t.Fatalf("listing gives %q\nwant %q", got, want)
		}
	})
}
