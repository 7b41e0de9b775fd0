package kvhttp_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"postern/kvstore"
	"postern/server"
	"postern/server/kvhttp"
)

const asBatch = "Content-Type: application/x-ndjson"

// post sends a batch of lines.
func post(t testing.TB, h server.Handler, lines ...string) answer {
	t.Helper()
	return do(t, h, "POST /kv/:batch", strings.Join(lines, "\n"), asBatch)
}

// contents is the listing of the table "default".
func contents(t testing.TB, h server.Handler) string {
	t.Helper()
	return do(t, h, "GET /kv/default/", "").body
}

func TestBatch(t *testing.T) {
	h := kvhttp.New(newStore(t), kvhttp.Config{})
	for _, tt := range []struct {
		lines []string
		want  string
	}{
		{[]string{
			`{"op":"get","table":"default","key":"a"}`,
			`{"op":"add","table":"default","key":"a","value":"one"}`,
			`{"op":"get","table":"default","key":"a"}`,
			`{"op":"cas","table":"default","key":"a","value":"two","counter":0}`,
			`{"op":"put","table":"other","key":"a","value":"","ttl":"60s"}`,
			`{"op":"delete","table":"default","key":"b"}`,
		}, `{"key":"a"}
{"key":"a","counter":0}
{"key":"a","value":"one","counter":0}
{"key":"a","counter":1}
{"key":"a","counter":0}
{"key":"b"}
`},
		{[]string{
			` { "key_base64" : "/w==", "value_base64" : "/gA=", "table" : "default", "op" : "put", "expires_at" : "2030-01-02T04:04:05+01:00" } ` + "\r",
			`{"op":"get","table":"default","key_base64":"/w=="}`,
			`{"op":"get","table":"default","key":"a","counter":1}`,
			`{"op":"get","table":"other","key":"\u0061"}`,
			`{"op":"delete","table":"default","key":"a","counter":1}` + "\n",
		}, `{"key_base64":"/w==","counter":0}
{"key_base64":"/w==","value_base64":"/gA=","counter":0,"expires_at":"2030-01-02T03:04:05Z"}
{"key":"a","value":"two","counter":1}
{"key":"a","value":"","counter":0,"expires_at":"2030-01-02T03:05:05Z"}
{"key":"a","counter":1}
`},
		{[]string{
			`{"op":"put","table":"other","key":"a","value":"\ud83d\ude00\\ud800 \u00e4<"}`, // keeps its expiry
			`{"op":"get","table":"other","key":"a"}`,
		}, `{"key":"a","counter":1}
{"key":"a","value":"😀\\ud800 ä<","counter":1,"expires_at":"2030-01-02T03:05:05Z"}
`},
	} {
		check(t, strings.Join(tt.lines, "\n"), post(t, h, tt.lines...), answer{200, tt.want, ""})
	}
	if got, want := contents(t, h), `{"key_base64":"/w==","value_base64":"/gA=","counter":0,"expires_at":"2030-01-02T03:04:05Z"}`+"\n"; got != want {
		t.Errorf("table has %s, want %s", got, want)
	}
}

// One line that cannot be done, and none of the others is.
func TestBatchIsAllOrNothing(t *testing.T) {
	h := kvhttp.New(newStore(t), kvhttp.Config{})
	do(t, h, "PUT /kv/default/a", "v")
	do(t, h, "PUT /kv/default/b?ttl=1h", "v")
	before := contents(t, h)
	put := func(key string) string {
		return fmt.Sprintf(`{"op":"put","table":"default","key":%q,"value":"changed"}`, key)
	}
	for _, tt := range []struct {
		line string
		want answer
	}{
		{`{"op":"add","table":"default","key":"a","value":"w"}`, answer{409, "line 3: key \"a\" in table \"default\" is there already, at 1\n", ""}},
		{`{"op":"add","table":"default","key":"b","value":"w"}`, answer{409, "line 3: key \"b\" in table \"default\" is there already, at 0\n", ""}},
		{`{"op":"cas","table":"default","key":"a","value":"w","counter":0}`, answer{412, "line 3: key \"a\" in table \"default\" is at 1\n", ""}},
		{`{"op":"cas","table":"default","key":"c","value":"w","counter":0}`, answer{412, "line 3: no key \"c\" in table \"default\"\n", ""}},
		{`{"op":"get","table":"default","key":"c","counter":0}`, answer{412, "line 3: no key \"c\" in table \"default\"\n", ""}},
		{`{"op":"delete","table":"default","key":"b","counter":18446744073709551615}`, answer{412, "line 3: key \"b\" in table \"default\" is at 0\n", ""}},
		{`{"op":"put","table":"default","key":"c","value":"w","expires_at":"2030-01-02T03:04:04Z"}`, answer{400, "line 3: expires_at is in the past\n", ""}},
	} {
		got := post(t, h, put("a"), put("new"), tt.line, `{"op":"delete","table":"default","key":"b"}`)
		check(t, tt.line, got, tt.want)
		if after := contents(t, h); after != before {
			t.Errorf("%s: table has\n%swant\n%s", tt.line, after, before)
		}
	}
}

// twice is a store that runs each procedure once in vain.
type twice struct{ *kvstore.Store }

func (s twice) Execute(ctx context.Context, procedure func(*kvstore.Tx) error) error {
	inVain := errors.New("once more")
	err := s.Store.Execute(ctx, func(tx *kvstore.Tx) error {
		if err := procedure(tx); err != nil {
			return err
		}
		return inVain
	})
	if !errors.Is(err, inVain) {
		return err
	}
	return s.Store.Execute(ctx, procedure)
}

func TestBatchMayBeRunAgain(t *testing.T) {
	h := kvhttp.New(twice{newStore(t)}, kvhttp.Config{})
	got := post(t, h, `{"op":"add","table":"default","key":"a","value":"v"}`, `{"op":"get","table":"default","key":"a"}`)
	check(t, "batch", got, answer{200, `{"key":"a","counter":0}` + "\n" + `{"key":"a","value":"v","counter":0}` + "\n", ""})
}

// Money moved by many at once is neither made nor lost.
func TestBatchTransfers(t *testing.T) {
	h := kvhttp.New(newStore(t), kvhttp.Config{})
	do(t, h, "PUT /kv/default/a", "100")
	do(t, h, "PUT /kv/default/b", "0")
	read := func(key string) (n, counter int) {
		got := do(t, h, "GET /kv/default/"+key, "")
		if _, err := fmt.Sscanf(got.body+got.fields, "%dETag: \"%d\"", &n, &counter); err != nil {
			t.Errorf("%+v: %v", got, err)
		}
		return n, counter
	}
	var group sync.WaitGroup
	for range 5 {
		group.Go(func() {
			for moved := 0; moved < 10; {
				from, fromAt := read("a")
				to, toAt := read("b")
				got := post(t, h,
					fmt.Sprintf(`{"op":"cas","table":"default","key":"a","value":"%d","counter":%d}`, from-1, fromAt),
					fmt.Sprintf(`{"op":"cas","table":"default","key":"b","value":"%d","counter":%d}`, to+1, toAt))
				switch got.status {
				case 200:
					moved++
				case 412:
				default:
					t.Errorf("%+v", got)
					return
				}
			}
		})
	}
	group.Wait()
	a, _ := read("a")
	if b, _ := read("b"); a != 50 || b != 50 {
		t.Errorf("a has %d and b has %d, want 50 each", a, b)
	}
}

// What has expired is absent to every operation.
func TestBatchExpiry(t *testing.T) {
	now := clock
	defer func() { clock = now }()
	h := kvhttp.New(newStore(t), kvhttp.Config{})
	add := `{"op":"add","table":"default","key":"a","value":"v","ttl":"1m"}`
	check(t, "add", post(t, h, add), answer{200, "{\"key\":\"a\",\"counter\":0}\n", ""})
	clock = clock.Add(2 * time.Minute)
	check(t, "get", post(t, h, `{"op":"get","table":"default","key":"a"}`, `{"op":"delete","table":"default","key":"a"}`), answer{200, "{\"key\":\"a\"}\n{\"key\":\"a\"}\n", ""})
	check(t, "add again", post(t, h, add), answer{200, "{\"key\":\"a\",\"counter\":1}\n", ""})
}
