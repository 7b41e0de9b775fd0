package server_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"postern/server"
	"postern/transport/memory"
	"postern/transport/unix"
)

// silence keeps what Handler.HTTP logs out of the test's output.
func silence(t *testing.T) {
	was := slog.Default()
	slog.SetDefault(quiet())
	t.Cleanup(func() { slog.SetDefault(was) })
}

var lengths = regexp.MustCompile(`(?m)^  (Content-Length:|length ).*\n`)

// A Handler answers the same on postern and, through HTTP, on net/http.
func TestHandlerOnNetHTTP(t *testing.T) {
	silence(t)
	exchange := func(t *testing.T, addr, in string) string {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(10 * time.Second))
		io.WriteString(c, in)
		var out strings.Builder
		method, _, _ := strings.Cut(in, " ")
		answer(&out, bufio.NewReader(c), method)
		return lengths.ReplaceAllString(out.String(), "") // net/http finds out the length of a short stream
	}
	get := func(path string) string { return "GET " + path + " HTTP/1.1\r\nHost: a\r\n\r\n" }
	post := func(path, body string) string {
		return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", path, len(body), body)
	}
	chunked := func(path, body string) string {
		return "POST " + path + " HTTP/1.1\r\nHost: a\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n" + body
	}
	for _, in := range []string{
		get("/"), get("/none"), get("/a%2Fb?c"), get("/panic"), get("/fail"), get("/teapot"), get("/reader"), get("/short"),
		get("/stream"), get("/broken"), get("/gather"), get("/empty"), get("/bye"), get("/interim"),
		"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", "HEAD /reader HTTP/1.1\r\nHost: a\r\n\r\n",
		post("/echo", "hello"), post("/copy", "hello"), post("/ignore", "hello"), post("/echo", ""),
		chunked("/echo", "5\r\nhello\r\n0\r\n\r\n"), chunked("/trailer", "3\r\nabc\r\n0\r\nX-Sum: 7\r\n\r\n"),
		post("/echo", strings.Repeat("x", 9<<20)),
		get("/nothing"), get("/write"), get("/length"), get("/early%20hints"), get("/flushes"), get("/no%20content"),
		get("/refused%20head"), get("/trailer%20without%20place"), get("/fail%20late"), get("/panic%20late"),
		get("/abort"), get("/panic%20abort"), get("/thrown"), get("/write?with"), get("/fail?with"),
		post("/shout", "hello"), "GET /write HTTP/1.0\r\n\r\n",
	} {
		t.Run(strings.SplitN(in, "\r\n", 2)[0], func(t *testing.T) {
			h := func(r *server.Request) server.Response {
				if r.Method() == "POST" && r.PathIs("/trailer") {
					return app(r)
				}
				return driven(r)
			}
			ours := exchange(t, servePosternHandler(t, h), in)
			theirs := exchange(t, serveNetHTTP(t, server.Handler(h).HTTP()), in)
			if theirs != ours {
				t.Errorf("on net/http:\n%s\non postern:\n%s", theirs, ours)
			}
		})
	}
}

func servePosternHandler(t *testing.T, h server.Handler) string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := server.New(h, server.Config{Log: quiet()})
	go s.Serve(ln)
	t.Cleanup(func() { s.Close() })
	return ln.Addr().String()
}

// Hijack and Upgrade work on net/http too.
func TestUpgradeOnNetHTTP(t *testing.T) {
	addr := serveNetHTTP(t, server.Handler(func(r *server.Request) server.Response {
		return server.Upgrade("shout", func(nc net.Conn, early []byte) {
			rest, _ := io.ReadAll(nc)
			nc.Write(bytes.ToUpper(append(early, rest...)))
		}).With("X", "y")
	}).HTTP())
	for in, want := range map[string]string{
		"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: shout\r\n\r\nhello": "HTTP/1.1 101 Switching Protocols\r\nUpgrade: shout\r\nX: y\r\nConnection: upgrade\r\n\r\nHELLO",
		"GET / HTTP/1.0\r\n\r\n": "HTTP/1.0 426 Upgrade Required\r\nContent-Type: text/plain; charset=utf-8\r\nUpgrade: shout\r\nX: y\r\nContent-Length: 21\r\n\r\n426 Upgrade Required\n",
	} {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(10 * time.Second))
		io.WriteString(c, in)
		c.(*net.TCPConn).CloseWrite()
		got, err := io.ReadAll(c)
		if g := dateLine.ReplaceAllString(string(got), ""); g != want || err != nil {
			t.Errorf("got %q, %v, want %q", g, err, want)
		}
	}
}

// A Handler in a mux, over HTTP/2: streams, trailers, and what cannot be taken.
func TestHandlerOverHTTP2(t *testing.T) {
	silence(t)
	mux := http.NewServeMux()
	mux.Handle("/app/", http.StripPrefix("/app", server.Handler(app).HTTP()))
	mux.Handle("/", server.Handler(driven).HTTP())
	mux.Handle("/tls", server.Handler(func(r *server.Request) server.Response {
		return server.Text(r.TLS().NegotiatedProtocol)
	}).HTTP())
	mux.Handle("/hijack", server.Handler(func(r *server.Request) server.Response {
		return server.Drive(func(x *server.Exchange) error {
			_, _, err := x.Hijack()
			return err
		})
	}).HTTP())
	s := httptest.NewUnstartedServer(mux)
	s.EnableHTTP2 = true
	s.StartTLS()
	defer s.Close()
	for path, want := range map[string]string{
		"/app/echo": `200 "hello" map[]`, "/trailer": `200 "abc" map[X-Sum:[7]]`, "/shout": `200 "HELLO" map[]`,
		"/tls": `200 "h2" map[]`, "/hijack": `500 "500 Internal Server Error\n" map[]`,
	} {
		resp, err := s.Client().Post(s.URL+path, "text/plain", strings.NewReader("hello"))
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		if got := fmt.Sprintf("%d %q %v", resp.StatusCode, body, resp.Trailer); got != want || err != nil || resp.ProtoMajor != 2 {
			t.Errorf("%s: HTTP/%d %s, %v, want %s", path, resp.ProtoMajor, got, err, want)
		}
	}
}

// A client of a Unix socket has no name, and net/http calls it "@".
func TestHTTPRemoteAddrOfUnix(t *testing.T) {
	ln, err := unix.Listen(unix.Config{Path: t.TempDir() + "/s"})
	if err != nil {
		t.Fatal(err)
	}
	s := server.New(server.HTTP(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.RemoteAddr)
	})), server.Config{Log: quiet()})
	go s.Serve(ln)
	defer s.Close()
	c, err := unix.Dial(t.Context(), ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	io.WriteString(c, "GET / HTTP/1.0\r\n\r\n")
	if got, err := io.ReadAll(c); !strings.HasSuffix(string(got), "\r\n\r\n@") || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
}

// tlsNamed is a connection that says it is TLS.
type tlsNamed struct{ net.Conn }

func (tlsNamed) ConnectionState() tls.ConnectionState { return tls.ConnectionState{ServerName: "b"} }

type tlsListener struct{ net.Listener }

func (l tlsListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return tlsNamed{c}, nil
}

// The handler's mistakes are logged, with the place where they were made, and the
// TLS state of the connection is the request's.
func TestHTTPLogAndTLS(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		ln := memory.Listen(memory.Config{})
		s := server.New(server.HTTP(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.TLS == nil || r.TLS.ServerName != "b" {
				t.Errorf("TLS %v", r.TLS)
			}
			w.WriteHeader(200)
			w.WriteHeader(500)
			nc, _, err := w.(http.Hijacker).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			w.WriteHeader(500)
			w.Write([]byte("x"))
			nc.Close()
		})), server.Config{Log: slog.New(slog.NewTextHandler(&log, nil))})
		go s.Serve(tlsListener{ln})
		defer s.Close()
		talk(t, (&bench{s, ln}).dial(t), request)
		for i, want := range []string{"superfluous response.WriteHeader", "response.WriteHeader on hijacked", "response.Write on hijacked"} {
			line, _ := log.ReadString('\n')
			if !strings.Contains(line, want) || !strings.Contains(line, "caller=postern/server_test.TestHTTPLogAndTLS") {
				t.Errorf("line %d: %q, want %q and the caller", i+1, line, want)
			}
		}
	})
}
