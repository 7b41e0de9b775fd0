package bench

import (
	"bufio"
	"bytes"
	"io"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/valyala/fasthttp"

	"postern/h1"
)

const date = "Sun, 06 Nov 1994 08:49:37 GMT"

// response is what each of the writers writes, with Date, Content-Type and
// Content-Length beside its fields.
type response struct {
	name   string
	fields [][2]string
	body   []byte
}

func responses() []response {
	fields := [][2]string{
		{"Cache-Control", "max-age=3600, must-revalidate"}, {"Etag", `"33a64df551425fcc55e4d42a148795d9f25f89d4"`},
		{"Last-Modified", "Sat, 05 Nov 1994 08:49:37 GMT"}, {"Vary", "Accept-Encoding"},
		{"X-Request-Id", "0f3a9e2c-7f52-4d0e-8f0d-6a6f5d1f7c11"}, {"X-Content-Type-Options", "nosniff"},
		{"Strict-Transport-Security", "max-age=63072000; includeSubDomains"}, {"Link", "</style.css>; rel=preload; as=style"},
	}
	return []response{
		{"small", nil, []byte("Hello, World!")},
		{"fields", fields, []byte("Hello, World!")},
		{"4k", fields, bytes.Repeat([]byte("0123456789abcde\n"), 256)},
	}
}

// writer writes one response, in memory that it uses again.
type writer struct {
	name  string
	write func(r *response) ([]byte, error)
}

func writers(t testing.TB) []writer {
	// A connection that has read a request: a copy of it can answer. The copy is
	// the price of not reading a request for each response.
	var asked, conn h1.ServerConn
	request := []byte("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	for _, want := range []h1.EventKind{h1.EventRequest, h1.EventEnd} {
		ev, n, err := asked.Next(request)
		if err != nil || ev.Kind != want {
			t.Fatal(ev, err)
		}
		request = request[n:]
	}
	out := make([]byte, 0, 8<<10)
	viaH1 := func(r *response) (_ []byte, err error) {
		conn = asked
		w := conn.Begin(out[:0], 200)
		w.Known(h1.FieldDate, date)
		w.Known(h1.FieldContentType, "text/plain")
		for _, f := range r.fields {
			w.Field(f[0], f[1])
		}
		w.Length(int64(len(r.body)))
		if out, err = w.End(); err != nil {
			return nil, err
		}
		if out, err = conn.AppendData(out, r.body); err != nil {
			return nil, err
		}
		out, err = conn.AppendEnd(out)
		return out, err
	}
	appendResponse := func(r *response) (_ []byte, err error) {
		conn = asked
		out, err = conn.AppendResponse(out[:0], 200, "text/plain", r.body)
		return out, err
	}

	var fast fasthttp.ResponseHeader
	fastOut := make([]byte, 0, 8<<10)
	viaFasthttp := func(r *response) ([]byte, error) {
		fast.Reset()
		fast.SetStatusCode(200)
		fast.SetContentType("text/plain")
		fast.SetContentLength(len(r.body))
		for _, f := range r.fields {
			fast.Set(f[0], f[1])
		}
		fastOut = append(fast.AppendBytes(fastOut[:0]), r.body...)
		return fastOut, nil
	}

	var stdOut bytes.Buffer
	stdOut.Grow(8 << 10)
	body := new(reusedBody)
	std := http.Response{StatusCode: 200, ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{}, Body: body, Request: &http.Request{Method: "GET"}}
	values := map[string][]string{}
	for _, r := range responses() {
		for _, f := range r.fields {
			values[f[0]] = []string{f[1]}
		}
	}
	dates, types := []string{date}, []string{"text/plain"}
	viaNethttp := func(r *response) ([]byte, error) {
		clear(std.Header)
		std.Header["Date"], std.Header["Content-Type"] = dates, types
		for _, f := range r.fields {
			std.Header[f[0]] = values[f[0]]
		}
		std.ContentLength = int64(len(r.body))
		body.Reset(r.body)
		stdOut.Reset()
		err := std.Write(&stdOut)
		return stdOut.Bytes(), err
	}
	return []writer{{"h1", viaH1}, {"h1-AppendResponse", appendResponse}, {"fasthttp", viaFasthttp}, {"nethttp", viaNethttp}}
}

// reusedBody is a body that may be read again after Reset.
type reusedBody struct{ bytes.Reader }

func (*reusedBody) Close() error { return nil }

// AppendResponse takes no fields, so it writes the small response only, and without
// Date; the others write the same.
func takes(w writer, r *response) bool {
	return w.name != "h1-AppendResponse" || r.fields == nil
}

func BenchmarkResponse(b *testing.B) {
	for _, w := range writers(b) {
		for _, r := range responses() {
			if !takes(w, &r) {
				continue
			}
			b.Run("writer="+w.name+"/"+r.name, func(b *testing.B) {
				out, err := w.write(&r)
				if err != nil {
					b.Fatal(err)
				}
				b.SetBytes(int64(len(out)))
				b.ReportAllocs()
				for b.Loop() {
					if _, err := w.write(&r); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// The writers write the same fields and the same content.
func TestResponses(t *testing.T) {
	for _, w := range writers(t) {
		for _, r := range responses() {
			if !takes(w, &r) {
				continue
			}
			for range 2 { // the second time in used memory
				out, err := w.write(&r)
				if err != nil {
					t.Fatal(w.name, err)
				}
				got, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(out)), nil)
				if err != nil {
					t.Fatalf("%s: %q: %v", w.name, out, err)
				}
				body, err := io.ReadAll(got.Body)
				if err != nil || !bytes.Equal(body, r.body) || got.StatusCode != 200 {
					t.Errorf("%s, %s: %q, %v", w.name, r.name, out, err)
				}
				want := http.Header{"Content-Type": {"text/plain"}, "Content-Length": {strconv.Itoa(len(r.body))}, "Date": got.Header["Date"]}
				for _, f := range r.fields {
					want.Set(f[0], f[1])
				}
				if w.name == "h1-AppendResponse" {
					delete(want, "Date")
				}
				if !maps.EqualFunc(got.Header, want, func(a, b []string) bool { return strings.Join(a, "\n") == strings.Join(b, "\n") }) {
					t.Errorf("%s, %s: %v, want %v", w.name, r.name, got.Header, want)
				}
			}
		}
	}
}
