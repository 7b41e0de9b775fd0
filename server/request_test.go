package server_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"

	"postern/h1"
	"postern/server"
)

func TestRequestParts(t *testing.T) {
	for _, tc := range []struct{ target, path, raw, query string }{
		{"/", "/", "/", ""},
		{"/a%2Fb%20c?x=1&y=%26", "/a/b c", "/a%2Fb%20c", "x=1&y=%26"},
		{"/a/../b//c?", "/a/../b//c", "/a/../b//c", ""},
		{"http://h:1/p?q", "/p", "/p", "q"},
		{"http://h:1?q", "/", "/", "q"},
		{"http://h", "/", "/", ""},
	} {
		r := server.NewRequest("GET", tc.target, nil)
		if r.Path() != tc.path || string(r.PathBytes()) != tc.raw || r.RawQuery() != tc.query || r.Target() != tc.target {
			t.Errorf("%s: path %q, raw %q, query %q", tc.target, r.Path(), r.PathBytes(), r.RawQuery())
		}
		if !r.PathIs(tc.raw) || r.PathIs(tc.raw+"x") {
			t.Errorf("%s: PathIs", tc.target)
		}
	}
	r := server.NewRequest("PURGE", "http://b:2/?a=1&a=2", nil, server.Field{Name: "Host", Value: "c"}, server.Field{Name: "X-a", Value: "1"},
		server.Field{Name: "x-A", Value: "2"}, server.Field{Name: "Accept-Encoding", Value: "br, gzip"})
	q, err := r.Query()
	if r.Method() != "PURGE" || r.Host() != "b:2" || r.Version() != h1.HTTP11 || err != nil || fmt.Sprint(q) != "map[a:[1 2]]" {
		t.Errorf("%s %s %v %v %v", r.Method(), r.Host(), r.Version(), q, err)
	}
	h := r.Header()
	var all []string
	for n, v := range h.All() {
		all = append(all, n+"="+v)
	}
	if got := strings.Join(all, " "); got != "Host=c X-a=1 x-A=2 Accept-Encoding=br, gzip" || h.Len() != 4 {
		t.Errorf("fields %q", got)
	}
	all = nil
	for v := range h.Values("X-A") {
		all = append(all, v)
	}
	if fmt.Sprint(all) != "[1 2]" || h.Get("X-A") != "1" || h.Has("Y") || h.Get("Y") != "" || !h.HasToken(h1.FieldAcceptEncoding, "GZIP") {
		t.Errorf("%v %q", all, h.Get("X-A"))
	}
	if _, err := server.NewRequest("GET", "/?a=%zz", nil).Query(); server.Err(err).Status != 400 {
		t.Errorf("malformed query: %v", err)
	}
}

func TestRequestBody(t *testing.T) {
	for name, body := range map[string]io.Reader{
		"sized": strings.NewReader("hello"), "unsized": io.MultiReader(strings.NewReader("hel"), strings.NewReader("lo")),
	} {
		b, err := server.NewRequest("POST", "/", body).ReadAll()
		if err != nil || string(b) != "hello" {
			t.Errorf("%s: %q, %v", name, b, err)
		}
	}
	r := server.NewRequest("POST", "/", strings.NewReader("hello"))
	r.SetMaxBody(4)
	_, err := r.ReadAll()
	if !errors.Is(err, server.ErrBodyTooLarge) || server.Err(err).Status != 413 {
		t.Errorf("over the limit: %v", err)
	}
	if _, again := r.Body().Read(make([]byte, 1)); again != err {
		t.Errorf("the error does not stick: %v", again)
	}
	r = server.NewRequest("POST", "/", io.MultiReader(strings.NewReader("hello")))
	r.SetMaxBody(4)
	if _, err := io.ReadAll(r.Body()); !errors.Is(err, server.ErrBodyTooLarge) {
		t.Errorf("over the limit, length unknown: %v", err)
	}
	r = server.NewRequest("POST", "/", strings.NewReader("hello"))
	r.SetMaxBody(-1)
	if b, err := io.ReadAll(r.Body()); err != nil || string(b) != "hello" {
		t.Errorf("no limit: %q, %v", b, err)
	}
	if b, err := server.NewRequest("GET", "/", nil).ReadAll(); err != nil || len(b) != 0 {
		t.Errorf("no body: %q, %v", b, err)
	}
}

func TestNewRequestPanicsOnNonsense(t *testing.T) {
	defer func() {
		if p := recover(); p == nil || !strings.Contains(fmt.Sprint(p), "invalid request-target") {
			t.Errorf("got %v", p)
		}
	}()
	server.NewRequest("GET", "no-slash", nil)
}

func TestResponses(t *testing.T) {
	for _, tc := range []struct {
		r           server.Response
		status      int
		contentType string
		length      int64
		body        string
	}{
		{server.Text("a"), 0, "text/plain; charset=utf-8", 1, "a"},
		{server.HTML("<p>"), 0, "text/html; charset=utf-8", 3, "<p>"},
		{server.JSON(map[string]int{"a": 1}), 0, "application/json", 8, "{\"a\":1}\n"},
		{server.Bytes("x/y", []byte("b")), 0, "x/y", 1, "b"},
		{server.Gather("x/y", []byte("a"), []byte("bc")), 0, "x/y", 3, "abc"},
		{server.Reader("x/y", strings.NewReader("abc"), 2), 0, "x/y", 2, "ab"},
		{server.Reader("x/y", strings.NewReader("abc"), -7), 0, "x/y", -1, "abc"},
		{server.Stream("x/y", func(w *server.StreamWriter) error { _, err := w.WriteString("s"); return errors.Join(err, w.Flush()) }), 0, "x/y", -1, "s"},
		{server.Empty(204), 204, "", 0, ""},
		{server.Redirect(303, "/a"), 303, "", 0, ""},
		{server.Response{}, 0, "", 0, ""},
		{server.Text("a").WithStatus(404), 404, "text/plain; charset=utf-8", 1, "a"},
	} {
		b, err := tc.r.Body.ReadAll()
		if n := tc.r.Body.Len(); tc.r.Status != tc.status || tc.r.Body.ContentType() != tc.contentType || n != tc.length || string(b) != tc.body || err != nil {
			t.Errorf("%+v: %d, %q, %d bytes, %q, %v", tc, tc.r.Status, tc.r.Body.ContentType(), n, b, err)
		}
	}
	if r := server.JSON(func() {}); r.Status != 500 || r.Body.Err() == nil {
		t.Errorf("JSON of a function: %+v", r)
	}
	base := server.Text("a").With("X", "1")
	one, two := base.With("Y", "2"), base.With("Z", "3")
	if len(base.Header) != 1 || one.Header.Get("y") != "2" || one.Header.Get("Z") != "" || two.Header.Get("z") != "3" {
		t.Errorf("With shares: %v %v %v", base.Header, one.Header, two.Header)
	}
}

// A router names parts of the path for handlers further in, and net/http handlers
// see them too.
func TestPathValue(t *testing.T) {
	inner := server.HTTP(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.PathValue("id"), r.PathValue("none"))
	}))
	router := server.Handler(func(r *server.Request) server.Response {
		r.SetPathValue("id", "6")
		r.SetPathValue("other", "x")
		r.SetPathValue("id", "7")
		if got := r.PathValue("id") + r.PathValue("none"); got != "7" {
			t.Errorf("got %q", got)
		}
		return inner(r)
	})
	synctest.Test(t, func(t *testing.T) {
		b := start(t, router, server.Config{})
		if got := talk(t, b.dial(t), request); !strings.HasSuffix(got, "\r\n\r\n7") {
			t.Errorf("on postern: %q", got)
		}
	})
	w := httptest.NewRecorder()
	router.HTTP().ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	if got := w.Body.String(); got != "7" {
		t.Errorf("on net/http: %q", got)
	}
}

// promise is a body that is announced to have n bytes. It minds the room that each
// read is given.
type promise struct {
	n, came int
	most    int // bytes of room beyond what had come
}

func (p *promise) Len() int { return p.n }

func (p *promise) Read(b []byte) (int, error) {
	p.most = max(p.most, len(b)-p.came)
	n := min(len(b), p.n-p.came, 1000)
	if p.came += n; n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

// ReadAll takes memory for what comes, not for what is announced: announcing is
// free.
func TestReadAllOfWhatIsAnnounced(t *testing.T) {
	for _, n := range []int{1, 999, 16 << 10, 100_000, 1 << 20, 3 << 20} {
		p := &promise{n: n}
		b, err := server.NewRequest("POST", "/", p).ReadAll()
		if len(b) != n || err != nil {
			t.Errorf("%d of %d bytes, %v", len(b), n, err)
		}
		if p.most > 32<<10 {
			t.Errorf("of %d bytes: there was room for %d that had not come", n, p.most)
		}
		if cap(b) > n+n/4+1000 {
			t.Errorf("%d bytes have room for %d", n, cap(b))
		}
	}
}
