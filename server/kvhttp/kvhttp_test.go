package kvhttp_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"postern/kvstore"
	"postern/server"
	"postern/server/kvhttp"
)

// clock is what the stores of these tests take for now.
var clock = time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)

// newStore returns an empty store in memory with the tables "default" and "other".
func newStore(t testing.TB) *kvstore.Store {
	t.Helper()
	store, err := kvstore.OpenMemory(kvstore.Options{
		Tables:     kvstore.Tables("default", "other"),
		Clock:      func() time.Time { return clock },
		SweepEvery: -1,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close(context.Background()) })
	return store
}

// answer is what a test wants of a response.
type answer struct {
	status int
	body   string // "*": any
	fields string // "Name: value" lines, of all but Content-Type
}

// do calls the handler as "METHOD target" with fields "Name: value".
func do(t testing.TB, h server.Handler, request, body string, fields ...string) answer {
	t.Helper()
	method, target, _ := strings.Cut(request, " ")
	var list []server.Field
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		list = append(list, server.Field{Name: name, Value: value})
	}
	var content io.Reader
	if body != "" {
		content = strings.NewReader(body)
	}
	resp := h(server.NewRequest(method, target, content, list...))
	got := answer{status: resp.Status}
	if got.status == 0 {
		got.status = 200
	}
	b, err := resp.Body.ReadAll()
	if err != nil {
		b = []byte(err.Error())
	}
	got.body = string(b)
	var lines []string
	for _, f := range resp.Header {
		if f.Name != "X-Content-Type-Options" {
			lines = append(lines, f.Name+": "+f.Value)
		}
	}
	got.fields = strings.Join(lines, "\n")
	return got
}

func check(t *testing.T, request string, got, want answer) {
	t.Helper()
	if want.body == "*" {
		want.body = got.body
	}
	if got != want {
		t.Errorf("%s\n got %d %q fields %q\nwant %d %q fields %q",
			request, got.status, got.body, got.fields, want.status, want.body, want.fields)
	}
	if got.status >= 400 && (!strings.HasSuffix(got.body, "\n") || strings.Count(got.body, "\n") != 1) {
		t.Errorf("%s: text of %d is no line: %q", request, got.status, got.body)
	}
}

// step is a request and what comes back; the steps of a test share a store.
type step struct {
	request string
	body    string
	fields  []string
	want    answer
}

func run(t *testing.T, h server.Handler, steps []step) {
	t.Helper()
	for _, s := range steps {
		check(t, s.request+" "+strings.Join(s.fields, ", "), do(t, h, s.request, s.body, s.fields...), s.want)
	}
}

func TestEntryLife(t *testing.T) {
	run(t, kvhttp.New(newStore(t), kvhttp.Config{}), []step{
		{request: "GET /kv/default/a", want: answer{404, "no key \"a\" in table \"default\"\n", ""}},
		{request: "PUT /kv/default/a", body: "one", want: answer{201, "", `ETag: "0"`}},
		{request: "GET /kv/default/a", want: answer{200, "one", `ETag: "0"`}},
		{request: "HEAD /kv/default/a", want: answer{200, "one", `ETag: "0"`}}, // the engine leaves the content out
		{request: "PUT /kv/default/a", body: "two", want: answer{204, "", `ETag: "1"`}},
		{request: "GET /kv/other/a", want: answer{404, "*", ""}},
		{request: "DELETE /kv/default/a", want: answer{204, "", ""}},
		{request: "DELETE /kv/default/a", want: answer{404, "no key \"a\" in table \"default\"\n", ""}},
		{request: "PUT /kv/default/a", want: answer{201, "", `ETag: "2"`}}, // a counter never comes again
		{request: "GET /kv/default/a", want: answer{200, "", `ETag: "2"`}},
	})
}

func TestKeyIsRestOfPathAsBytes(t *testing.T) {
	store := newStore(t)
	h := kvhttp.New(store, kvhttp.Config{})
	for _, tt := range []struct{ path, key string }{
		{"a/b", "a/b"},
		{"a%2Fb%2fc", "a/b/c"},
		{"../x", "../x"},
		{"./", "./"},
		{"/", "/"},
		{"a//b", "a//b"},
		{"%00%ff%25", "\x00\xff%"},
		{"a+b", "a+b"},
		{"%C3%A4", "ä"},
	} {
		path := "/kv/default/" + tt.path
		check(t, "PUT "+path, do(t, h, "PUT "+path, tt.path), answer{201, "", `ETag: "0"`})
		e, found, err := store.Get(t.Context(), "default", tt.key)
		if !found || err != nil || string(e.Value) != tt.path {
			t.Errorf("PUT %s: Get(%q) = %q, %v, %v", path, tt.key, e.Value, found, err)
		}
		check(t, "GET "+path, do(t, h, "GET "+path, ""), answer{200, tt.path, `ETag: "0"`})
	}
}

func TestRouting(t *testing.T) {
	run(t, kvhttp.New(newStore(t), kvhttp.Config{}), []step{
		{request: "GET /", want: answer{404, "nothing here: tables are below /kv/\n", ""}},
		{request: "GET /kv/", want: answer{404, "no table \"\"; there is: default, other\n", ""}},
		{request: "GET /kv/nope/a", want: answer{404, "no table \"nope\"; there is: default, other\n", ""}},
		{request: "PUT /kv/nope/a", body: "v", want: answer{404, "*", ""}},
		{request: "GET /kv/default", want: answer{404, "nothing here: /kv/default/ lists the table, /kv/default/KEY is an entry\n", ""}},
		{request: "GET /kv/%64efault/a", want: answer{404, "no key \"a\" in table \"default\"\n", ""}},
		{request: "PUT /kv/default/", body: "v", want: answer{400, "PUT of table \"default\" needs a key: /kv/TABLE/KEY\n", ""}},
		{request: "DELETE /kv/default/", want: answer{400, "*", ""}},
		{request: "POST /kv/default/a", body: "v", want: answer{405, "key \"a\" in table \"default\" takes only GET, HEAD, PUT, DELETE\n", "Allow: GET, HEAD, PUT, DELETE"}},
		{request: "PATCH /kv/default/", want: answer{405, "*", "Allow: GET, HEAD"}},
		{request: "GET /kv/default/a?x=1", want: answer{400, "query: no parameter \"x\" for this GET\n", ""}},
		{request: "GET /kv/default/a?%zz", want: answer{400, "query: malformed\n", ""}},
		{request: "PUT /kv/default/a", body: "v", fields: []string{"Content-Range: bytes 0-0/9"}, want: answer{400, "Content-Range: a value is written whole\n", ""}},
		{request: "DELETE /kv/default/a?ttl=1s", want: answer{400, "*", ""}},
	})
	elsewhere := kvhttp.New(newStore(t), kvhttp.Config{Prefix: "/store/"})
	run(t, elsewhere, []step{
		{request: "PUT /store/default/a", body: "v", want: answer{201, "", `ETag: "0"`}},
		{request: "GET /kv/default/a", want: answer{404, "nothing here: tables are below /store/\n", ""}},
	})
}

func TestPreconditions(t *testing.T) {
	h := kvhttp.New(newStore(t), kvhttp.Config{})
	with := func(fields ...string) []string { return fields }
	run(t, h, []step{
		// On an absent entry: PUT would create, so the conditions count.
		{request: "PUT /kv/default/a", fields: with(`If-Match: "0"`), want: answer{412, "If-Match does not hold: no key \"a\" in table \"default\"\n", ""}},
		{request: "PUT /kv/default/a", fields: with(`If-Match: *`), want: answer{412, "*", ""}},
		{request: "GET /kv/default/a", fields: with(`If-Match: *`), want: answer{404, "*", ""}},
		{request: "GET /kv/default/a", fields: with(`If-None-Match: *`), want: answer{404, "*", ""}},
		{request: "DELETE /kv/default/a", fields: with(`If-Match: "0"`), want: answer{404, "*", ""}},
		{request: "PUT /kv/default/a", body: "one", fields: with(`If-None-Match: *`), want: answer{201, "", `ETag: "0"`}},

		{request: "PUT /kv/default/a", body: "x", fields: with(`If-None-Match: *`), want: answer{412, "If-None-Match does not hold: key \"a\" in table \"default\" is at \"0\"\n", ""}},
		{request: "PUT /kv/default/a", body: "x", fields: with(`If-Match: "7"`), want: answer{412, "*", ""}},
		{request: "PUT /kv/default/a", body: "x", fields: with(`If-Match: W/"0"`), want: answer{412, "*", ""}}, // strong comparison
		{request: "PUT /kv/default/a", body: "x", fields: with(`If-Match: "0"`, `If-None-Match: "0"`), want: answer{412, "*", ""}},
		{request: "GET /kv/default/a", want: answer{200, "one", `ETag: "0"`}}, // none of them changed it
		{request: "PUT /kv/default/a", body: "two", fields: with(`If-Match: "0"`), want: answer{204, "", `ETag: "1"`}},
		{request: "PUT /kv/default/a", body: "three", fields: with(`If-Match: *`), want: answer{204, "", `ETag: "2"`}},
		{request: "PUT /kv/default/a", body: "four", fields: with(`If-Match: "8", "2"`), want: answer{204, "", `ETag: "3"`}},
		{request: "PUT /kv/default/a", body: "five", fields: with(`If-Match: "8"`, `If-Match: , "a,b" , "3" ,`), want: answer{204, "", `ETag: "4"`}},
		{request: "PUT /kv/default/a", body: "six", fields: with(`If-None-Match: "3"`), want: answer{204, "", `ETag: "5"`}},

		{request: "GET /kv/default/a", fields: with(`If-None-Match: "5"`), want: answer{304, "", `ETag: "5"`}},
		{request: "HEAD /kv/default/a", fields: with(`If-None-Match: "1", W/"5"`), want: answer{304, "", `ETag: "5"`}},
		{request: "GET /kv/default/a", fields: with(`If-None-Match: *`), want: answer{304, "", `ETag: "5"`}},
		{request: "GET /kv/default/a", fields: with(`If-None-Match: "4"`), want: answer{200, "six", `ETag: "5"`}},
		{request: "GET /kv/default/a", fields: with(`If-Match: "4"`), want: answer{412, "*", ""}},
		{request: "GET /kv/default/a", fields: with(`If-Match: "5"`), want: answer{200, "six", `ETag: "5"`}},

		{request: "DELETE /kv/default/a", fields: with(`If-Match: "4"`), want: answer{412, "*", ""}},
		{request: "DELETE /kv/default/a", fields: with(`If-Match: "5"`), want: answer{204, "", ""}},
	})
	for _, bad := range []string{"7", `"7`, `7"`, `"a" "b"`, `"a"x`, `w/"7"`, `*, "7"`, `"7", *`, `W/`, "", ","} {
		for _, request := range []string{"GET", "PUT", "DELETE"} {
			for _, field := range []string{"If-Match", "If-None-Match"} {
				got := do(t, h, request+" /kv/default/a", "", field+": "+bad)
				check(t, request+" "+field+": "+bad, got, answer{400, field + ": must be * or a list of quoted tags such as \"7\"\n", ""})
			}
		}
	}
}

// What was read and is written back under If-Match is never another's work undone.
func TestNoUpdateIsLost(t *testing.T) {
	h := kvhttp.New(newStore(t), kvhttp.Config{})
	do(t, h, "PUT /kv/default/n", "0")
	const clients, each = 8, 20
	var group sync.WaitGroup
	for range clients {
		group.Go(func() {
			for done := 0; done < each; {
				read := do(t, h, "GET /kv/default/n", "")
				n, err := strconv.Atoi(read.body)
				if err != nil {
					t.Error(err)
					return
				}
				switch got := do(t, h, "PUT /kv/default/n", strconv.Itoa(n+1), "If-Match"+strings.TrimPrefix(read.fields, "ETag")); got.status {
				case 204:
					done++
				case 412:
				default:
					t.Errorf("PUT: %+v", got)
					return
				}
			}
		})
	}
	group.Wait()
	check(t, "GET", do(t, h, "GET /kv/default/n", ""), answer{200, "160", `ETag: "160"`})
}

func TestExpiry(t *testing.T) {
	now := clock
	defer func() { clock = now }()
	h := kvhttp.New(newStore(t), kvhttp.Config{})
	const inAMinute = "ETag: \"0\"\nPostern-Expires-At: 2030-01-02T03:05:05Z"
	run(t, h, []step{
		{request: "PUT /kv/default/a?ttl=60s", body: "v", want: answer{201, "", `ETag: "0"`}},
		{request: "GET /kv/default/a", want: answer{200, "v", inAMinute}},
		{request: "PUT /kv/default/a", body: "w", want: answer{204, "", `ETag: "1"`}}, // keeps it
		{request: "GET /kv/default/a", want: answer{200, "w", "ETag: \"1\"\nPostern-Expires-At: 2030-01-02T03:05:05Z"}},
		{request: "PUT /kv/default/a?expires_at=2030-01-02T04:04:05.25%2B01:00", body: "w", want: answer{204, "", `ETag: "2"`}},
		{request: "GET /kv/default/a", want: answer{200, "w", "ETag: \"2\"\nPostern-Expires-At: 2030-01-02T03:04:05.25Z"}},
		{request: "PUT /kv/default/b?expires_at=2030-01-02T05:04:05+01:00", body: "w", want: answer{201, "", `ETag: "0"`}},
		{request: "PUT /kv/default/c?expires_at=2030-01-02T03:04:05Z", body: "now is not past", want: answer{201, "", `ETag: "0"`}},
	})
	clock = clock.Add(time.Second)
	run(t, h, []step{
		{request: "GET /kv/default/a", want: answer{404, "*", ""}},
		{request: "PUT /kv/default/a", body: "v", fields: []string{"If-None-Match: *"}, want: answer{201, "", `ETag: "3"`}},
		{request: "GET /kv/default/a", want: answer{200, "v", `ETag: "3"`}}, // a new entry does not inherit the expiry
	})
	for _, query := range []string{
		"ttl=", "ttl=60", "ttl=0s", "ttl=-1s", "ttl=x", "ttl=1s&ttl=2s", "tll=1s", "ttl=1s&expires_at=2031-01-01T00:00:00Z",
		"expires_at=", "expires_at=2031-01-01", "expires_at=2030-01-02T03:04:05Z", "expires_at=0001-01-01T00:00:00Z", "expires_at=1900000000",
	} {
		check(t, "?"+query, do(t, h, "PUT /kv/default/bad?"+query, "v"), answer{400, "*", ""})
	}
	check(t, "GET bad", do(t, h, "GET /kv/default/bad", ""), answer{404, "*", ""})
}

func TestMaxValue(t *testing.T) {
	const mib = 1 << 20
	for _, tt := range []struct {
		max  int64
		size int
		want int
	}{
		{0, mib, 201}, {0, mib + 1, 413}, {10, 10, 201}, {10, 11, 413}, {-1, 9 * mib, 201}, {-1, 17 * mib, 413}, // the store's own limit
	} {
		h := kvhttp.New(newStore(t), kvhttp.Config{MaxValue: tt.max, Log: slog.New(slog.DiscardHandler)})
		value := strings.Repeat("x", tt.size)
		if got := do(t, h, "PUT /kv/default/a", value); got.status != tt.want {
			t.Errorf("limit %d, value of %d bytes: %d %q, want %d", tt.max, tt.size, got.status, got.body, tt.want)
		}
		chunked := server.NewRequest("PUT", "/kv/default/b", struct{ io.Reader }{strings.NewReader(value)})
		if got := h(chunked); got.Status != tt.want {
			t.Errorf("limit %d, chunked value of %d bytes: %d, want %d", tt.max, tt.size, got.Status, tt.want)
		}
	}
}

// broken is a store whose every call fails.
type broken struct{ err error }

func (b broken) Execute(context.Context, func(*kvstore.Tx) error) error  { return b.err }
func (b broken) View(context.Context, func(*kvstore.ReadTx) error) error { return b.err }
func (b broken) WatchPages(context.Context, string, kvstore.Range, time.Duration) iter.Seq2[[]kvstore.Entry, error] {
	return func(yield func([]kvstore.Entry, error) bool) { yield(nil, b.err) }
}
func (broken) Tables() []string { return []string{"default"} }

func TestStoreErrors(t *testing.T) {
	secret := errors.New("secret path")
	for _, tt := range []struct {
		err  error
		want answer
	}{
		{kvstore.ErrFull, answer{507, "the store is full: nothing was changed\n", ""}},
		{kvstore.ErrClosed, answer{503, "the store has stopped: nothing was changed\n", ""}},
		{kvstore.ErrStopped, answer{503, "the store has stopped: nothing was changed\n", ""}},
		{errors.Join(kvstore.ErrStopped, kvstore.ErrIndeterminate), answer{500, "the store failed: whether anything was changed is not known\n", ""}},
		{context.Canceled, answer{503, "*", ""}},
		{kvstore.ErrTooLarge, answer{413, "*", ""}},
		{io.ErrUnexpectedEOF, answer{500, "the store failed: nothing was changed\n", ""}},
	} {
		for _, request := range []string{
			"GET /kv/default/a", "PUT /kv/default/a", "DELETE /kv/default/a", "GET /kv/default/", "GET /kv/default/?watch", "POST /kv/:batch",
		} {
			body, fields := "", []string(nil)
			if strings.HasPrefix(request, "POST") {
				body, fields = `{"op":"get","table":"default","key":"a"}`, []string{"Content-Type: application/x-ndjson"}
			}
			var log bytes.Buffer
			h := kvhttp.New(broken{fmt.Errorf("%w: %w", secret, tt.err)}, kvhttp.Config{Log: slog.New(slog.NewTextHandler(&log, nil))})
			got := do(t, h, request, body, fields...)
			check(t, fmt.Sprintf("%s with %v", request, tt.err), got, tt.want)
			if strings.Contains(got.body, "secret") || !strings.Contains(log.String(), "secret path") {
				t.Errorf("%s with %v: client reads %q, log has %q", request, tt.err, got.body, log.String())
			}
		}
	}
}

func TestBadPrefixPanics(t *testing.T) {
	for _, prefix := range []string{"kv/", "/kv", "kv"} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("New with prefix %q did not panic", prefix)
				}
			}()
			kvhttp.New(newStore(t), kvhttp.Config{Prefix: prefix})
		}()
	}
}
