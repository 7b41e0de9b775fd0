package fuzz_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"testing"
	"time"

	"postern/kvstore"
	"postern/server"
	"postern/server/kvhttp"
)

// entries is the model of a table: what must be in it.
type entries map[string]entry

type entry struct {
	value   string
	counter uint64
}

// batchLine is a line of a batch as encoding/json reads it. Which lines are no
// operations is not its business: those it never sees.
type batchLine struct {
	Op          string  `json:"op"`
	Table       string  `json:"table"`
	Key         string  `json:"key"`
	KeyBase64   []byte  `json:"key_base64"`
	Value       *string `json:"value"`
	ValueBase64 []byte  `json:"value_base64"`
	Counter     *uint64 `json:"counter"`
	ExpiresAt   string  `json:"expires_at"`
}

// FuzzBatch reads the input as the body of POST /kv/:batch: whatever it is, the
// handler answers as a map would, and an answer that is not 200 has changed nothing.
func FuzzBatch(f *testing.F) {
	for _, seed := range []string{
		"", "\n", "{}", "[]", `{"op":"get","table":"t","key":"a"}`,
		`{"op":"put","table":"t","key":"a","value":"x"}` + "\n" + `{"op":"add","table":"t","key":"a","value":"y"}`,
		`{"op":"add","table":"t","key":"c","value":"x","ttl":"90s"}` + "\r\n" + `{"op":"cas","table":"t","key":"c","value":"\ud83d\ude00","counter":0}`,
		`{"op":"delete","table":"t","key_base64":"/w==","counter":0}` + "\n" + `{"op":"put","table":"t","key_base64":"/w==","value_base64":"/g=="}`,
		`{"op":"delete","table":"t","key":"a"}` + "\n" + `{"op":"get","table":"t","key":"a","counter":0}`,
		`{"op":"put","table":"t","key":"a","value":"\ud800"}`, `{"op":"put","op":"get","table":"t","key":"a"}`,
		`{"op":"put","table":"t","key":"b","value":"z","expires_at":"2031-01-01T00:00:00Z"}` + "\n" + `{"op":"put","table":"t","key":"a","value":"z","expires_at":"2001-01-01T00:00:00Z"}`,
	} {
		f.Add([]byte(seed))
	}
	now := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	store, err := kvstore.OpenMemory(kvstore.Options{Tables: kvstore.Tables("t"), SweepEvery: -1, Clock: func() time.Time { return now }})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { store.Close(context.Background()) })
	h := kvhttp.New(store, kvhttp.Config{Log: slog.New(slog.DiscardHandler)})

	f.Fuzz(func(t *testing.T, body []byte) {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		err := store.Execute(ctx, func(tx *kvstore.Tx) error {
			if _, err := tx.Clear("t"); err != nil {
				return err
			}
			for _, key := range []string{"a", "b", "\xff"} {
				if _, err := tx.Add("t", key, []byte("value of "+key)); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		before := readAll(t, ctx, store)
		resp := h(server.NewRequest("POST", "/kv/:batch", bytes.NewReader(body), server.Field{Name: "Content-Type", Value: "application/x-ndjson"}))
		answer, err := resp.Body.ReadAll()
		after := readAll(t, ctx, store)
		switch resp.Status {
		case 0:
			want, refused := before.apply(t, body)
			if refused != 0 || fmt.Sprint(after) != fmt.Sprint(want) {
				t.Fatalf("%q: done, and the table has %v, want %v, or the refusal of line %d", body, after, want, refused)
			}
			if n, lines := bytes.Count(answer, []byte("\n")), bytes.Count(bytes.TrimSuffix(body, []byte("\n")), []byte("\n"))+1; n != lines || err != nil {
				t.Fatalf("%q: %d lines of answer for %d, %v", body, n, lines, err)
			}
			return
		case 409, 412:
			if _, refused := before.apply(t, body); !bytes.HasPrefix(answer, fmt.Appendf(nil, "line %d: ", refused)) {
				t.Fatalf("%q: %q, want the refusal of line %d", body, answer, refused)
			}
		case 400, 413:
		default:
			t.Fatalf("%q: %d %q", body, resp.Status, answer)
		}
		if fmt.Sprint(after) != fmt.Sprint(before) {
			t.Fatalf("%q: %d %q, and the table has %v, want as before %v", body, resp.Status, answer, after, before)
		}
	})
}

func readAll(t *testing.T, ctx context.Context, s *kvstore.Store) entries {
	all, err := kvstore.View(ctx, s, func(tx *kvstore.ReadTx) (entries, error) {
		all := entries{}
		for e, err := range tx.Entries("t", kvstore.Range{}) {
			if err != nil {
				return nil, err
			}
			all[e.Key] = entry{string(e.Value), e.Counter}
		}
		return all, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// apply does what the lines say to a copy, and returns the number of the first that
// cannot be done, or 0.
func (before entries) apply(t *testing.T, body []byte) (after entries, refused int) {
	after = entries{}
	floor := uint64(0) // of the counters of entries that are not there
	for key, e := range before {
		after[key] = e
		floor = e.counter // all three were added at once
	}
	d := json.NewDecoder(bytes.NewReader(body))
	for n := 1; ; n++ {
		var line batchLine
		if err := d.Decode(&line); err == io.EOF {
			return after, 0
		} else if err != nil {
			t.Fatalf("%q was taken, and line %d is %v", body, n, err)
		}
		key := line.Key + string(line.KeyBase64)
		old, found := after[key]
		if line.Op == "add" && found || line.Counter != nil && (!found || *line.Counter != old.counter) {
			return nil, n
		}
		written := entry{string(line.ValueBase64), old.counter + 1}
		if line.Value != nil {
			written.value = *line.Value
		}
		if !found {
			written.counter = floor
		}
		switch line.Op {
		case "put", "add", "cas":
			after[key] = written
		case "delete":
			if delete(after, key); found {
				floor = max(floor, old.counter+1)
			}
		}
	}
}
