package server_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"postern/server"
	"postern/transport/tcp"
)

// contract is one line of what package net/http promises its handlers: a handler,
// and what clients send. It is served by net/http and by postern, and the answers
// and what the handler sees must be the same.
type contract struct {
	name    string
	handler func(w http.ResponseWriter, r *http.Request, saw func(format string, args ...any))
	in      []string // each is answered before the next is sent
	raw     bool     // the answer is what comes until the end
	cut     bool     // the client is gone once it has sent
	differ  []string // pairs: what net/http says, and what we say instead
}

// outcome is what a client and the handler have seen.
func outcome(t *testing.T, tc contract, serve func(t *testing.T, h http.Handler) (addr string)) string {
	t.Helper()
	var mu sync.Mutex
	var seen bytes.Buffer
	ended := make(chan bool, 100)
	addr := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/probe" {
			w.WriteHeader(204)
			return
		}
		defer func() { ended <- true }()
		tc.handler(w, r, func(format string, args ...any) {
			mu.Lock()
			defer mu.Unlock()
			fmt.Fprintf(&seen, "saw "+format+"\n", args...)
		})
	}))
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	var out strings.Builder
	br := bufio.NewReader(c)
	for _, in := range tc.in {
		io.WriteString(c, in)
		switch {
		case tc.cut:
			c.Close()
		case tc.raw:
			c.(*net.TCPConn).CloseWrite()
			b, _ := io.ReadAll(br)
			out.Write(dateLine.ReplaceAll(b, nil))
		default:
			method, _, _ := strings.Cut(in, " ")
			answer(&out, br, method)
		}
	}
	if !tc.raw && !tc.cut {
		io.WriteString(c, "GET /probe HTTP/1.1\r\nHost: a\r\n\r\n")
		if resp, err := http.ReadResponse(br, nil); err != nil {
			fmt.Fprintln(&out, "connection: closed")
		} else {
			fmt.Fprintln(&out, "connection: goes on,", resp.StatusCode)
		}
	}
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		t.Error("the handler did not return")
	}
	mu.Lock()
	defer mu.Unlock()
	return out.String() + seen.String()
}

// answer describes the next responses, up to a final one.
func answer(out *strings.Builder, br *bufio.Reader, method string) {
	for {
		resp, err := http.ReadResponse(br, &http.Request{Method: method})
		if err != nil {
			fmt.Fprintln(out, "no response")
			return
		}
		fmt.Fprintln(out, resp.StatusCode) // some reason phrases differ
		if resp.Close {
			fmt.Fprintln(out, "  close")
		}
		resp.Header.Del("Connection")
		for _, k := range slices.Sorted(maps.Keys(resp.Header)) {
			v := strings.Join(resp.Header[k], "|")
			if k == "Date" && len(v) == len(http.TimeFormat) {
				v = "now"
			}
			fmt.Fprintf(out, "  %s: %s\n", k, v)
		}
		if resp.StatusCode < 200 && resp.StatusCode != 101 {
			continue
		}
		fmt.Fprintf(out, "  length %d %v\n", resp.ContentLength, resp.TransferEncoding)
		body, err := io.ReadAll(resp.Body)
		if len(body) > 100 {
			body = fmt.Appendf(body[:20:20], "... %d bytes", len(body))
		}
		fmt.Fprintf(out, "  %q\n", body)
		if err != nil {
			fmt.Fprintln(out, "  broken off")
		}
		for _, k := range slices.Sorted(maps.Keys(resp.Trailer)) {
			fmt.Fprintf(out, "  trailer %s: %s\n", k, strings.Join(resp.Trailer[k], "|"))
		}
		return
	}
}

func serveNetHTTP(t *testing.T, h http.Handler) string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	hs := &http.Server{Handler: h, ErrorLog: log.New(io.Discard, "", 0)}
	go hs.Serve(ln)
	t.Cleanup(func() { hs.Close() })
	return ln.Addr().String()
}

func servePostern(t *testing.T, h http.Handler) string {
	ln, err := tcp.Listen(tcp.Config{Addr: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	s := server.New(server.HTTP(h), server.Config{Log: quiet(), AllowConnect: true})
	go s.Serve(ln)
	t.Cleanup(func() { s.Close() })
	return ln.Addr().String()
}

// back is a net/http handler that went through postern's Handler and back.
func serveRoundTrip(t *testing.T, h http.Handler) string {
	return serveNetHTTP(t, server.HTTP(h).HTTP())
}

type sawFunc = func(format string, args ...any)

var getHTTP = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"

func postHTTP(body string, fields ...string) string {
	return fmt.Sprintf("POST / HTTP/1.1\r\nHost: a\r\n%sContent-Length: %d\r\n\r\n%s", strings.Join(fields, ""), len(body), body)
}

func chunkedHTTP(body string, fields ...string) string {
	return "POST / HTTP/1.1\r\nHost: a\r\n" + strings.Join(fields, "") + "Transfer-Encoding: chunked\r\n\r\n" + body
}

var contracts = slices.Concat(contractsWriter, contractsResponse, contractsRequest, contractsBody, contractsLifecycle, contractsHijack)

func TestHTTPContract(t *testing.T) {
	for _, tc := range contracts {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			theirs := outcome(t, tc, serveNetHTTP)
			ours := outcome(t, tc, servePostern)
			back := outcome(t, tc, serveRoundTrip)
			if back != theirs {
				t.Errorf("through a Handler and back:\n%s\nwant\n%s", back, theirs)
			}
			want := theirs
			for i := 0; i+1 < len(tc.differ); i += 2 {
				if !strings.Contains(want, tc.differ[i]) {
					t.Errorf("net/http does not say %q:\n%s", tc.differ[i], want)
				}
				want = strings.Replace(want, tc.differ[i], tc.differ[i+1], 1)
			}
			if ours != want {
				t.Errorf("postern:\n%s\nwant\n%s", ours, want)
			}
		})
	}
}

var contractsWriter = []contract{
	{name: "every optional interface", in: []string{getHTTP}, handler: func(w http.ResponseWriter, r *http.Request, saw sawFunc) {
		_, flusher := w.(http.Flusher)
		_, flushError := w.(interface{ FlushError() error })
		_, hijacker := w.(http.Hijacker)
		_, readerFrom := w.(io.ReaderFrom)
		_, stringWriter := w.(io.StringWriter)
		_, notifier := w.(http.CloseNotifier) //lint:ignore SA1019 gin asks for it
		_, pusher := w.(http.Pusher)
		_, unwrap := w.(interface{ Unwrap() http.ResponseWriter })
		saw("%v", []bool{flusher, flushError, hijacker, readerFrom, stringWriter, notifier, pusher, unwrap})
		rc := http.NewResponseController(w)
		saw("%v %v %v", rc.SetReadDeadline(time.Now().Add(time.Minute)), rc.SetWriteDeadline(time.Now().Add(time.Minute)), rc.EnableFullDuplex())
	}},
	{name: "flush", in: []string{getHTTP}, handler: func(w http.ResponseWriter, r *http.Request, saw sawFunc) {
		io.WriteString(w, "one")
		w.(http.Flusher).Flush()
		io.WriteString(w, "two")
		saw("%v", http.NewResponseController(w).Flush())
	}},
	{name: "flush of nothing", in: []string{getHTTP}, handler: func(w http.ResponseWriter, r *http.Request, saw sawFunc) {
		w.(http.Flusher).Flush()
	}},
	{name: "ReadFrom", in: []string{getHTTP}, handler: func(w http.ResponseWriter, r *http.Request, saw sawFunc) {
		n, err := w.(io.ReaderFrom).ReadFrom(strings.NewReader(strings.Repeat("<p>", 5000)))
		saw("%d %v", n, err)
	}},
	{name: "ReadFrom with a length", in: []string{getHTTP}, handler: func(w http.ResponseWriter, r *http.Request, saw sawFunc) {
		w.Header().Set("Content-Length", "15000")
		n, err := io.Copy(w, strings.NewReader(strings.Repeat("<p>", 5000)))
		saw("%d %v", n, err)
	}},
	{name: "ReadFrom of little", in: []string{getHTTP}, handler: func(w http.ResponseWriter, r *http.Request, saw sawFunc) {
		n, err := io.Copy(w, strings.NewReader("{}"))
		saw("%d %v", n, err)
	}},
	{name: "ReadFrom that fails at once", in: []string{getHTTP}, handler: func(w http.ResponseWriter, r *http.Request, saw sawFunc) {
		_, err := w.(io.ReaderFrom).ReadFrom(io.MultiReader(reader(func([]byte) (int, error) { return 0, errors.New("no") })))
		saw("%v", err)
		w.WriteHeader(502)
	}},
	{name: "past write deadline", in: []string{getHTTP}, handler: func(w http.ResponseWriter, r *http.Request, saw sawFunc) {
		rc := http.NewResponseController(w)
		rc.SetWriteDeadline(time.Now().Add(-time.Second))
		io.WriteString(w, "x")
		saw("%v", rc.Flush() != nil)
	}},
	{name: "past read deadline", in: []string{"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab"}, handler: func(w http.ResponseWriter, r *http.Request, saw sawFunc) {
		http.NewResponseController(w).SetReadDeadline(time.Now().Add(10 * time.Millisecond))
		b, err := io.ReadAll(r.Body)
		var timeout interface{ Timeout() bool }
		saw("%q %v", b, errors.As(err, &timeout) && timeout.Timeout())
	}},
}

var contractsResponse = []contract{
	{name: "implicit 200", in: []string{getHTTP}, handler: func(w http.ResponseWriter, r *http.Request, saw sawFunc) {}},
	{name: "implicit 200 of Write", in: []string{getHTTP, getHTTP}, handler: func(w http.ResponseWriter, r *http.Request, saw sawFunc) {
		io.WriteString(w, "hello")
	}},
	{name: "empty Write", in: []string{getHTTP}, handler: func(w http.ResponseWriter, r *http.Request, saw sawFunc) {
		w.Write(nil)
		w.WriteHeader(500) // superfluous
	}},
	{name: "superfluous WriteHeader", in: []string{getHTTP}, handler: func(w http.ResponseWriter, r *http.Request, saw sawFunc) {
		w.WriteHeader(202)
		w.WriteHeader(500)
	}},
	{name: "snapshot at WriteHeader", in: []string{getHTTP}, handler: func(w http.ResponseWriter, r *http.Request, saw sawFunc) {
		w.Header().Set("X", "before")
		w.WriteHeader(200)
		w.Header().Set("X", "after")
		w.Header().Set("Y", "after")
		saw("%q", w.Header())
	}},
	{name: "snapshot, Header unasked before", in: []string{getHTTP}, handler: func(w http.ResponseWriter, r *http.Request, saw sawFunc) {
		w.WriteHeader(200)
		w.Header().Set("X", "after")
	}},
	{name: "snapshot at Write", in: []string{getHTTP}, handler: func(w http.ResponseWriter, r *http.Request, saw sawFunc) {
		io.WriteString(w, "x")
		w.Header().Set("X", "after")
	}},
	{name: "sniffing html", in: []string{getHTTP}, handler: func(w http.ResponseWriter, r *http.Request, saw sawFunc) {
		io.WriteString(w, "<html>")
		io.WriteString(w, "hello")
	}},
	{name: "sniffing png", in: []string{getHTTP}, handler: func(w http.ResponseWriter, r *http.Request, saw sawFunc) {
		w.Write([]byte("\x89PNG\x0D\x0A\x1A\x0A"))
	}},
	{name: "no sniffing of an encoding", in: []string{getHTTP}, handler: func(w http.ResponseWriter, r *http.Request, saw sawFunc) {
		w.Header().Set("Content-Encoding", "gzip")
		io.WriteString(w, "<html>")
	}},
	{name: "Content-Type given", in: []string{getHTTP}, handler: func(w http.ResponseWriter, r *http.Request, saw sawFunc) {
		w.Header().Set("content-type", "a/b")
		io.WriteString(w, "<html>")
	}},
	{name: "Content-Type and Date suppressed", in: []string{getHTTP}, handler: func(w http.ResponseWriter, r *http.Request, saw sawFunc) {
		w.Header()["Content-Type"] = nil
		w.Header()["Date"] = nil
		io.WriteString(w, "<html>")
	}},
	{name: "Date given", in: []string{getHTTP}, handler: func(w http.ResponseWriter, r *http.Request, saw sawFunc) {
		w.Header().Set("Date", "yesterday")
	}},
	{name: "length of 2048 bytes", in: []string{getHTTP}, handler: func(w http.ResponseWriter, r *http.Request, saw sawFunc) {
		io.WriteString(w, strings.Repeat("x", 2048))
	}},
	{name: "no length of 2049 bytes", in: []string{getHTTP}, handler: func(w http.ResponseWriter, r *http.Request, saw sawFunc) {
		io.WriteString(w, strings.Repeat("x", 2049))
	}},
	{name: "no length of many writes", in: []string{getHTTP, getHTTP}, handler: func(w http.ResponseWriter, r *http.Request, saw sawFunc) {
		for range 1000 {
			io.WriteString(w, "hello")
		}
	}},
	{name: "big", in: []string{getHTTP, getHTTP}, handler: func(w http.ResponseWriter, r *http.Request, saw sawFunc) {
		for range 10 {
			w.Write(bytes.Repeat([]byte("x"), 300_000))
		}
	}},
	{name: "length to 1.0", in: []string{"GET / HTTP/1.0\r\n\r\n"}, handler: func(w http.ResponseWriter, r *http.Request, saw sawFunc) {
		io.WriteString(w, "hello")
	}},
	{name: "keep-alive to 1.0", in: []string{"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"}, handler: func(w http.ResponseWriter, r *http.Request, saw sawFunc) {
		io.WriteString(w, "hello")
	}},
	{name: "close to 1.0", in: []string{"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"}, handler: func(w http.ResponseWriter, r *http.Request, saw sawFunc) {
		io.WriteString(w, strings.Repeat("x", 3000))
	}},
	{name: "HEAD", in: []string{"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n"}, handler: func(w http.ResponseWriter, r *http.Request, saw sawFunc) {
		n, err := io.WriteString(w, "hello")
		saw("%d %v", n, err)
	}},
	{name: "HEAD of nothing", in: []string{"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n"}, handler: func(w http.ResponseWriter, r *http.Request, saw sawFunc) {},
		differ: []string{"length -1 []", "length -1 [chunked]"}},
	{name: "HEAD of much", in: []string{"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n"}, handler: func(w http.ResponseWriter, r *http.Request, saw sawFunc) {
		for range 3000 {
			io.WriteString(w, "hello")
		}
	}, differ: []string{"length -1 []", "length -1 [chunked]"}},
	{name: "HEAD with a length", in: []string{"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n"}, handler: func(w http.ResponseWriter, r *http.Request, saw sawFunc) {
		w.Header().Set("Content-Length", "12345")
	}},
	{name: "HEAD with a length and less content", in: []string{"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n"}, handler: func(w http.ResponseWriter, r *http.Request, saw sawFunc) {
		w.Header().Set("Content-Length", "12345")
		io.WriteString(w, "part")
	}},
	{name: "204", in: []string{getHTTP}, handler: func(w http.ResponseWriter, r *http.Request, saw sawFunc) {
		w.Header().Set("Content-Length", "5")
		w.WriteHeader(204)
		_, err := io.WriteString(w, "hello")
		saw("%v", err == http.ErrBodyNotAllowed)
	}},
	{name: "304", in: []string{getHTTP}, handler: func(w http.ResponseWriter, r *http.Request, saw sawFunc) {
		w.Header().Set("Content-Type", "a/b")
		w.Header().Set("ETag", `"x"`)
		w.WriteHeader(304)
		_, err := io.WriteString(w, "hello")
		saw("%v", err == http.ErrBodyNotAllowed)
	}},
	{name: "too much content", in: []string{getHTTP}, handler: func(w http.ResponseWriter, r *http.Request, saw sawFunc) {
		w.Header().Set("Content-Length", "3")
		n, err := io.WriteString(w, "abc")
		saw("%d %v", n, err)
		n, err = io.WriteString(w, "d")
		saw("%d %v", n, err == http.ErrContentLength)
	}, differ: []string{"connection: closed", "connection: goes on, 204"}}, // all that was announced was sent
	{name: "too little content", in: []string{getHTTP}, handler: func(w http.ResponseWriter, r *http.Request, saw sawFunc) {
		w.Header().Set("Content-Length", "5")
		io.WriteString(w, "abc")
	}},
	{name: "a bad length", in: []string{getHTTP}, handler: func(w http.ResponseWriter, r *http.Request, saw sawFunc) {
		w.Header().Set("Content-Length", "many")
		io.WriteString(w, "abc")
	}},
	{name: "response splitting", in: []string{getHTTP}, handler: func(w http.ResponseWriter, r *http.Request, saw sawFunc) {
		w.Header().Set("X", "a\r\nSet-Cookie: b")
		w.Header().Set("Bad Name", "x")
		w.Header()["Y"] = []string{" two ", "lines"}
	}},
	{name: "interim responses", in: []string{getHTTP}, handler: func(w http.ResponseWriter, r *http.Request, saw sawFunc) {
		w.Header().Set("Link", "</a>; rel=preload")
		w.WriteHeader(103)
		w.WriteHeader(102)
		w.Header().Set("Content-Length", "2")
		w.WriteHeader(103)
		io.WriteString(w, "ok")
	}},
	{name: "interim response before a redirection", in: []string{getHTTP}, handler: func(w http.ResponseWriter, r *http.Request, saw sawFunc) {
		w.WriteHeader(103)
		http.Redirect(w, r, "/b", http.StatusSeeOther)
	}},
	{name: "status out of range", in: []string{getHTTP}, handler: func(w http.ResponseWriter, r *http.Request, saw sawFunc) {
		defer func() { saw("%v", recover()); w.WriteHeader(799) }()
		w.WriteHeader(1000)
	}},
	{name: "trailers announced", in: []string{getHTTP}, handler: func(w http.ResponseWriter, r *http.Request, saw sawFunc) {
		w.Header().Set("Trailer", "X-Sum, X-None")
		w.Header().Add("Trailer", "X-More")
		io.WriteString(w, "abc")
		w.Header().Set("X-Sum", "7")
		w.Header().Add("X-More", "1")
		w.Header().Add("X-More", "2")
	}},
	{name: "trailers not announced", in: []string{getHTTP}, handler: func(w http.ResponseWriter, r *http.Request, saw sawFunc) {
		io.WriteString(w, "abc")
		w.(http.Flusher).Flush()
		w.Header().Set(http.TrailerPrefix+"X-Sum", "7")
	}},
	{name: "trailers that none may have", in: []string{getHTTP}, handler: func(w http.ResponseWriter, r *http.Request, saw sawFunc) {
		w.Header().Set("Trailer", "Content-Length, X-Sum")
		w.WriteHeader(200)
		w.Header().Set("Content-Length", "3")
		w.Header().Set("X-Sum", "7")
		io.WriteString(w, "abc")
	}},
	{name: "trailers to a response with a length", in: []string{getHTTP}, handler: func(w http.ResponseWriter, r *http.Request, saw sawFunc) {
		w.Header().Set("Content-Length", "3")
		io.WriteString(w, "abc")
		w.Header().Set(http.TrailerPrefix+"X-Sum", "7")
	}},
	{name: "Connection: close", in: []string{getHTTP}, handler: func(w http.ResponseWriter, r *http.Request, saw sawFunc) {
		w.Header().Set("Connection", "close")
		io.WriteString(w, "bye")
	}},
	{name: "client says close", in: []string{"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"}, handler: func(w http.ResponseWriter, r *http.Request, saw sawFunc) {
		saw("%v %q", r.Close, r.Header)
	}},
	{name: "Transfer-Encoding given", in: []string{getHTTP}, handler: func(w http.ResponseWriter, r *http.Request, saw sawFunc) {
		w.Header().Set("Transfer-Encoding", "chunked")
		io.WriteString(w, "abc")
	}},
	{name: "Transfer-Encoding and length given", in: []string{getHTTP}, handler: func(w http.ResponseWriter, r *http.Request, saw sawFunc) {
		w.Header().Set("Transfer-Encoding", "chunked")
		w.Header().Set("Content-Length", "3")
		io.WriteString(w, "abc")
	}},
	{name: "ServeContent", in: []string{getHTTP, "GET / HTTP/1.1\r\nHost: a\r\nRange: bytes=2-4\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\nIf-None-Match: \"x\"\r\n\r\n"},
		handler: func(w http.ResponseWriter, r *http.Request, saw sawFunc) {
			w.Header().Set("ETag", `"x"`)
			http.ServeContent(w, r, "a.txt", time.Unix(1e9, 0), strings.NewReader(strings.Repeat("0123456789", 25)))
		}},
}

var contractsRequest = []contract{
	{name: "what a request says", in: []string{"GET http://b.example/a%20b/../c?x=1&y HTTP/1.1\r\nHost: a\r\nx-lower: 1\r\nX-LOWER: 2\r\nPragma: no-cache\r\nCookie: a=b\r\n\r\n",
		"GET /a//b?q HTTP/1.1\r\nHost: a.example:80\r\n\r\n", "GET /v HTTP/1.2\r\nHost: a\r\n\r\n"}, handler: describe},
	{name: "a body with a length", in: []string{postHTTP("hello", "Content-Type: text/plain\r\n")}, handler: describe},
	{name: "a body in chunks", in: []string{chunkedHTTP("5\r\nhello\r\n0\r\nX-Sum: 7\r\nX-Other: 8\r\n\r\n", "Trailer: x-sum, X-None\r\n")}, handler: describe},
	{name: "an empty body in chunks", in: []string{chunkedHTTP("0\r\n\r\n")}, handler: describe},
	{name: "1.0", in: []string{"GET / HTTP/1.0\r\n\r\n"}, handler: describe},
	{name: "1.0 keep-alive", in: []string{"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"}, handler: describe},
	{name: "OPTIONS of something", in: []string{"OPTIONS /a HTTP/1.1\r\nHost: a\r\n\r\n"}, handler: describe},
	{name: "CONNECT", in: []string{"CONNECT b.example:443 HTTP/1.1\r\nHost: b.example:443\r\n\r\n"}, handler: func(w http.ResponseWriter, r *http.Request, saw sawFunc) {
		w.Header().Set("X", "y")
		w.WriteHeader(403)
		describe(w, r, saw)
	}},
	{name: "an unusual method", in: []string{"PROPFIND / HTTP/1.1\r\nHost: a\r\n\r\n"}, handler: describe},
	{name: "a form", in: []string{postHTTP("a=1&b=2&b=3", "Content-Type: application/x-www-form-urlencoded\r\n")}, handler: func(w http.ResponseWriter, r *http.Request, saw sawFunc) {
		saw("%v %v", r.ParseForm(), r.Form)
	}},
	{name: "an upload", in: []string{postHTTP("--x\r\nContent-Disposition: form-data; name=f; filename=a\r\n\r\nhello\r\n--x--\r\n", "Content-Type: multipart/form-data; boundary=x\r\n")},
		handler: func(w http.ResponseWriter, r *http.Request, saw sawFunc) {
			err := r.ParseMultipartForm(0)
			f, h, e := r.FormFile("f")
			if err != nil || e != nil {
				saw("%v %v", err, e)
				return
			}
			defer f.Close()
			b, err := io.ReadAll(f)
			saw("%q %q %v", h.Filename, b, err)
		}},
	{name: "context values", in: []string{getHTTP}, handler: func(w http.ResponseWriter, r *http.Request, saw sawFunc) {
		hs, ok := r.Context().Value(http.ServerContextKey).(*http.Server)
		addr, isAddr := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
		saw("%v %v %v", ok && hs != nil, isAddr && addr.Network() == "tcp", r.Context().Err())
		host, _, err := net.SplitHostPort(r.RemoteAddr)
		saw("%s %v %v", host, err, r.TLS == nil)
	}},
	{name: "many requests", in: []string{getHTTP, postHTTP("abc"), "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", chunkedHTTP("3\r\nabc\r\n0\r\n\r\n"), getHTTP}, handler: describe},
}

// describe says everything about a request.
func describe(w http.ResponseWriter, r *http.Request, saw sawFunc) {
	saw("%s %q %s %d.%d host %q close %v", r.Method, r.RequestURI, r.Proto, r.ProtoMajor, r.ProtoMinor, r.Host, r.Close)
	saw("%#v", *r.URL)
	for _, k := range slices.Sorted(maps.Keys(r.Header)) {
		saw("%s: %q", k, r.Header[k])
	}
	saw("length %d %q trailer %q body nil %v NoBody %v", r.ContentLength, r.TransferEncoding, r.Trailer, r.Body == nil, r.Body == http.NoBody)
	b, err := io.ReadAll(r.Body)
	saw("%q %v trailer %q", b, err, r.Trailer)
	saw("close %v", r.Body.Close())
	_, err = r.Body.Read(make([]byte, 1))
	saw("read after close %v", err == http.ErrBodyReadAfterClose)
	fmt.Fprintf(w, "%d", len(b))
}

var contractsBody = []contract{
	{name: "100 at the first read", in: []string{"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nExpect: 100-continue\r\n\r\n"}, handler: describe},
	{name: "a client that expects and sends", in: []string{postHTTP("hello", "Expect: 100-continue\r\n")}, handler: func(w http.ResponseWriter, r *http.Request, saw sawFunc) {
		b, err := io.ReadAll(r.Body)
		saw("%q %v", b, err)
	}, differ: []string{"100\n", ""}}, // it has not waited
	{name: "an expectation that is not met", in: []string{"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"}, handler: func(w http.ResponseWriter, r *http.Request, saw sawFunc) {
		w.WriteHeader(401)
	}},
	{name: "a body unread", in: []string{postHTTP("hello"), postHTTP(strings.Repeat("x", 200_000))}, handler: func(w http.ResponseWriter, r *http.Request, saw sawFunc) {
		io.WriteString(w, "done")
	}},
	{name: "a body read in part", in: []string{postHTTP(strings.Repeat("x", 200_000)), chunkedHTTP("5\r\nhello\r\n0\r\n\r\n")}, handler: func(w http.ResponseWriter, r *http.Request, saw sawFunc) {
		io.ReadFull(r.Body, make([]byte, 3))
		io.WriteString(w, "done")
	}},
	{name: "too much unread", in: []string{postHTTP(strings.Repeat("x", 600_000))}, handler: func(w http.ResponseWriter, r *http.Request, saw sawFunc) {
		io.WriteString(w, "done")
	}},
	{name: "too much unread in chunks", in: []string{chunkedHTTP("927c0\r\n" + strings.Repeat("x", 600_000) + "\r\n0\r\n\r\n")}, handler: func(w http.ResponseWriter, r *http.Request, saw sawFunc) {
		io.WriteString(w, "done")
	}},
	{name: "a big body", in: []string{postHTTP(strings.Repeat("x", 10_000_000)), getHTTP}, handler: func(w http.ResponseWriter, r *http.Request, saw sawFunc) {
		n, err := io.Copy(io.Discard, r.Body)
		saw("%d %v", n, err)
	}},
	{name: "MaxBytesReader", in: []string{postHTTP(strings.Repeat("x", 1000))}, handler: func(w http.ResponseWriter, r *http.Request, saw sawFunc) {
		b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 100))
		var tooBig *http.MaxBytesError
		saw("%d %v", len(b), errors.As(err, &tooBig))
		w.WriteHeader(413)
	}, differ: []string{"  close\n", "", "connection: closed", "connection: goes on, 204"}}, // little enough is left
	{name: "MaxBytesReader, much left", in: []string{postHTTP(strings.Repeat("x", 1_000_000))}, handler: func(w http.ResponseWriter, r *http.Request, saw sawFunc) {
		b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 100))
		saw("%d %v", len(b), err != nil)
		w.WriteHeader(413)
	}},
	{name: "a malformed body", in: []string{chunkedHTTP("186a0\r\n" + strings.Repeat("x", 100_000) + "\r\nx\r\n")}, handler: func(w http.ResponseWriter, r *http.Request, saw sawFunc) {
		_, err := io.ReadAll(r.Body)
		saw("%v", err != nil && err != io.EOF)
		w.WriteHeader(400)
	}},
	{name: "a body cut short", in: []string{"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nabc"}, raw: true, handler: func(w http.ResponseWriter, r *http.Request, saw sawFunc) {
		b, err := io.ReadAll(r.Body)
		saw("%q %v", b, err)
		w.WriteHeader(400)
	}, differ: []string{"HTTP/1.1 400 Bad Request\r\n", "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n"}}, // what is done is said
	{name: "body closed by the handler", in: []string{postHTTP(strings.Repeat("x", 100_000))}, handler: func(w http.ResponseWriter, r *http.Request, saw sawFunc) {
		saw("%v", r.Body.Close())
		_, err := r.Body.Read(make([]byte, 1))
		saw("%v", err == http.ErrBodyReadAfterClose)
		saw("%v", r.Body.Close())
	}},
	{name: "reading behind the response", in: []string{postHTTP("hello")}, handler: func(w http.ResponseWriter, r *http.Request, saw sawFunc) {
		w.WriteHeader(200)
		w.(http.Flusher).Flush() // takes the body with it
		b, err := io.ReadAll(r.Body)
		saw("%q %v", b, err == http.ErrBodyReadAfterClose)
	}},
	{name: "full duplex", in: []string{postHTTP("hello")}, handler: func(w http.ResponseWriter, r *http.Request, saw sawFunc) {
		http.NewResponseController(w).EnableFullDuplex()
		w.WriteHeader(200)
		w.(http.Flusher).Flush()
		b, err := io.ReadAll(r.Body)
		saw("%q %v", b, err)
		w.Write(b)
	}},
	{name: "reading and closing at once", in: []string{postHTTP("hello")}, handler: func(w http.ResponseWriter, r *http.Request, saw sawFunc) {
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() { io.ReadAll(r.Body) })
			wg.Go(func() { r.Body.Close() })
		}
		wg.Wait()
	}},
}
