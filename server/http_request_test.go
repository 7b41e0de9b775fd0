package server_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

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
	}},
	{name: "MaxBytesReader in chunks", in: []string{chunkedHTTP("3e8\r\n" + strings.Repeat("x", 1000) + "\r\n0\r\n\r\n")}, handler: func(w http.ResponseWriter, r *http.Request, saw sawFunc) {
		b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 100))
		saw("%d %v", len(b), err != nil)
		http.Error(w, "too much", http.StatusRequestEntityTooLarge)
	}},
	{name: "MaxBytesReader, another status", in: []string{postHTTP(strings.Repeat("x", 1000))}, handler: func(w http.ResponseWriter, r *http.Request, saw sawFunc) {
		_, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 100))
		saw("%v", err != nil)
		w.WriteHeader(400)
	}, differ: []string{"  close\n", "", "connection: closed", "connection: goes on, 204"}}, // little enough is left
	{name: "MaxBytesReader, all is read", in: []string{postHTTP(strings.Repeat("x", 101))}, handler: func(w http.ResponseWriter, r *http.Request, saw sawFunc) {
		_, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 100))
		saw("%v", err != nil)
		w.WriteHeader(413)
	}, differ: []string{"  close\n", "", "connection: closed", "connection: goes on, 204"}}, // nothing is left
	{name: "MaxBytesReader, just enough", in: []string{postHTTP(strings.Repeat("x", 100))}, handler: func(w http.ResponseWriter, r *http.Request, saw sawFunc) {
		b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 100))
		saw("%d %v", len(b), err)
	}},
	{name: "MaxBytesReader, much left", in: []string{postHTTP(strings.Repeat("x", 1_000_000))}, handler: func(w http.ResponseWriter, r *http.Request, saw sawFunc) {
		b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 100))
		saw("%d %v", len(b), err != nil)
		w.WriteHeader(413)
	}},
	{name: "MaxBytesReader behind the head", in: []string{postHTTP(strings.Repeat("x", 1_000_000))}, handler: func(w http.ResponseWriter, r *http.Request, saw sawFunc) {
		http.NewResponseController(w).EnableFullDuplex()
		io.WriteString(w, "begun")
		w.(http.Flusher).Flush()
		b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 100))
		saw("%d %v", len(b), err != nil)
	}},
	{name: "413 to a body that nobody has read", in: []string{postHTTP(strings.Repeat("x", 1000))}, handler: func(w http.ResponseWriter, r *http.Request, saw sawFunc) {
		w.WriteHeader(413)
	}, differ: []string{"413\n", "413\n  close\n", "connection: goes on, 204", "connection: closed"}}, // it is taken for one of those above
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

// A client that waits for the answer before it sends the rest gets it at once.
func TestHTTPMaxBytesReaderDoesNotWait(t *testing.T) {
	h := http.MaxBytesHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.ReadAll(r.Body); err != nil {
			http.Error(w, "too much", http.StatusRequestEntityTooLarge)
		}
	}), 100)
	for name, serve := range map[string]func(*testing.T, http.Handler) string{"net/http": serveNetHTTP, "postern": servePostern} {
		for _, in := range []string{
			"Content-Length: 1000\r\n\r\n" + strings.Repeat("x", 200),
			"Transfer-Encoding: chunked\r\n\r\n3e8\r\n" + strings.Repeat("x", 200),
		} {
			c, err := net.Dial("tcp", serve(t, h))
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			c.SetDeadline(time.Now().Add(patience / 2)) // a body may take longer
			io.WriteString(c, "POST / HTTP/1.1\r\nHost: a\r\n"+in)
			resp, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil || resp.StatusCode != 413 || !resp.Close {
				t.Errorf("%s: %.20s: got %v, %v", name, in, resp, err)
			}
		}
	}
}
