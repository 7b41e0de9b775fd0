package server_test

import (
	"bytes"
	"context"
	stdtls "crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"postern/server"
	"postern/transport/tls"
)

var bothVersions = []string{"h2", "http/1.1"}

// startHTTP2 serves h over TLS, and HTTP/2 to whom wants it.
func startHTTP2(t testing.TB, h server.Handler, cfg server.Config) secure {
	return startTLS(t, h, cfg, false, tls.Config{NextProtos: bothVersions})
}

// client returns a client of net/http that speaks HTTP/2, or HTTP/1.
func (s secure) client(t testing.TB, two bool) *http.Client {
	tr := &http.Transport{
		DialContext:     func(ctx context.Context, _, _ string) (net.Conn, error) { return s.ln.Dial(ctx) },
		TLSClientConfig: s.roots.Clone(),
		Protocols:       new(http.Protocols),
	}
	tr.Protocols.SetHTTP2(two)
	tr.Protocols.SetHTTP1(!two)
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

const site = "https://a.example"

// fetch returns the status and the content that a request gets.
func fetch(t testing.TB, c *http.Client, method, path, body string) (*http.Response, string) {
	t.Helper()
	var content io.Reader
	if body != "" {
		content = strings.NewReader(body)
	}
	req, err := http.NewRequestWithContext(t.Context(), method, site+path, content)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := c.Do(req)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Errorf("%s %s: %v", method, path, err)
	}
	return resp, string(b)
}

// What is said over HTTP/1 is said over HTTP/2, on the same port.
func TestHTTP2(t *testing.T) {
	h := func(r *server.Request) server.Response {
		switch r.Path() {
		case "/where":
			return server.Text(fmt.Sprint(r.Listener(), " ", r.RemoteAddr(), " ", r.TLS().ServerName, " ", r.Host()))
		case "/trailers":
			return server.Stream("text/plain", func(w *server.StreamWriter) error {
				w.WriteString("content")
				return w.Trailer("X-Sum", "42")
			})
		}
		return app(r)
	}
	synctest.Test(t, func(t *testing.T) {
		s := startHTTP2(t, h, server.Config{ServerName: "us", Limits: server.Limits{MaxBody: 1000, MaxTarget: 500, MaxFields: 20}})
		one, two := s.client(t, false), s.client(t, true)
		for _, tc := range []struct {
			method, path, body string
			status             int
			want               string
		}{
			{"GET", "/", "", 200, "hello"},
			{"HEAD", "/", "", 200, ""},
			{"POST", "/echo", "some content", 200, "some content"},
			{"POST", "/copy", "some content", 200, "some content"},
			{"POST", "/echo", big[:1001], 413, ""},
			{"GET", "/stream", "", 200, "line 0\nline 1\nline 2\n"},
			{"GET", "/reader", "", 200, "0123456789"},
			{"GET", "/trailers", "", 200, "content"},
			{"GET", "/empty", "", 204, ""},
			{"GET", "/" + strings.Repeat("a", 500), "", 414, ""},
			{"GET", "/panic", "", 500, "500 Internal Server Error\n"},
			{"GET", "/", "", 200, "hello"},
		} {
			for version, c := range map[int]*http.Client{1: one, 2: two} {
				resp, got := fetch(t, c, tc.method, tc.path, tc.body)
				if resp.StatusCode != tc.status || tc.want != got && tc.status != 413 && tc.status != 414 {
					t.Errorf("%s %.20s, HTTP/%d: got %d %q", tc.method, tc.path, resp.ProtoMajor, resp.StatusCode, got)
				}
				if resp.ProtoMajor != version {
					t.Errorf("%s: HTTP/%d, want %d", tc.path, resp.ProtoMajor, version)
				}
				if resp.Header.Get("Server") != "us" || resp.Header.Get("Date") == "" {
					t.Errorf("%s, HTTP/%d: header %v", tc.path, resp.ProtoMajor, resp.Header)
				}
				if tc.path == "/trailers" && resp.Trailer.Get("X-Sum") != "42" {
					t.Errorf("trailers %v", resp.Trailer)
				}
			}
		}
		resp, got := fetch(t, two, "GET", "/where", "")
		if want := "memory:0 memory:"; !strings.HasPrefix(got, want) || !strings.HasSuffix(got, " a.example a.example") {
			t.Errorf("HTTP/%d: %s", resp.ProtoMajor, got)
		}
		req, _ := http.NewRequestWithContext(t.Context(), "GET", site+"/", nil)
		for i := range 20 {
			req.Header.Set(fmt.Sprint("X-", i), "x")
		}
		if resp, err := two.Do(req); err != nil || resp.StatusCode != 431 {
			t.Errorf("too many fields: %v, %v", resp, err)
		}
	})
}

// Streams of one connection are served at the same time, and the connection counts
// as one.
func TestHTTP2Streams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan bool)
		var log bytes.Buffer
		s := startHTTP2(t, func(r *server.Request) server.Response {
			<-release
			return app(r)
		}, server.Config{Metrics: true, AccessLog: slog.New(slog.NewTextHandler(&log, nil))})
		c := s.client(t, true)
		var all sync.WaitGroup
		all.Go(func() { fetch(t, c, "GET", "/", "") })
		synctest.Wait() // it has its connection
		for i := range 49 {
			all.Go(func() {
				if _, got := fetch(t, c, "POST", "/echo", fmt.Sprint(i)); got != fmt.Sprint(i) {
					t.Errorf("stream %d: got %q", i, got)
				}
			})
		}
		synctest.Wait()
		if m := s.Metrics(); m.Conns != 1 || m.InFlight != 50 || m.Requests != 50 {
			t.Errorf("%+v", m.Stats)
		}
		close(release)
		all.Wait()
		c.CloseIdleConnections()
		synctest.Wait()
		if m := s.Metrics(); m.Conns != 0 || m.InFlight != 0 || m.Methods["POST"] != 49 || m.Statuses[2] != 50 || m.Accepted != 1 {
			t.Errorf("%+v", m)
		}
		s.Shutdown(t.Context())
		if n := strings.Count(log.String(), "status=200 bytes="); n != 50 {
			t.Errorf("%d records in %s", n, &log)
		}
	})
}

// Shutdown says so to clients, lets streams end that have begun, and closes what is
// idle.
func TestHTTP2Shutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan bool)
		s := startHTTP2(t, func(r *server.Request) server.Response {
			if r.PathIs("/slow") {
				return server.Stream("text/plain", func(w *server.StreamWriter) error {
					w.WriteString("begun, ")
					w.Flush()
					select {
					case <-release:
					case <-r.StreamContext().Done():
						w.WriteString("told, ")
						<-release
					}
					_, err := w.WriteString("ended")
					return err
				})
			}
			return server.Text("hello")
		}, server.Config{})
		idle, busy := s.client(t, true), s.client(t, true)
		fetch(t, idle, "GET", "/", "")
		got := make(chan string)
		go func() {
			_, content := fetch(t, busy, "GET", "/slow", "")
			got <- content
		}()
		synctest.Wait()
		if n := s.Stats().Conns; n != 2 {
			t.Errorf("%d connections, want 2", n)
		}
		ended := make(chan error)
		go func() { ended <- s.Shutdown(t.Context()) }()
		time.Sleep(5 * time.Second)
		if n := s.Stats().Conns; n != 1 {
			t.Errorf("%d connections while a stream goes on, want 1", n)
		}
		close(release)
		if content := <-got; content != "begun, told, ended" {
			t.Errorf("got %q", content)
		}
		if err := <-ended; err != nil {
			t.Errorf("Shutdown: %v", err)
		}
	})
}

// Close cuts streams, cancels their contexts and waits for their handlers; so does a
// Shutdown that has no more time.
func TestHTTP2Close(t *testing.T) {
	for _, gently := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			ran := make(chan error, 1)
			s := startHTTP2(t, func(r *server.Request) server.Response {
				<-r.Context().Done()
				time.Sleep(time.Second) // for which the server waits
				ran <- r.Context().Err()
				return server.Text("too late")
			}, server.Config{AccessLog: quiet()})
			failed := make(chan error)
			go func() {
				_, err := s.client(t, true).Get(site)
				failed <- err
			}()
			synctest.Wait()
			if gently {
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				if err := s.Shutdown(ctx); err != context.DeadlineExceeded {
					t.Errorf("Shutdown: %v", err)
				}
			}
			s.Close()
			select {
			case err := <-ran:
				if err != context.Canceled {
					t.Error(err)
				}
			default:
				t.Error("Close has not waited for the handler")
			}
			if err := <-failed; err == nil {
				t.Error("the client has an answer")
			}
			if n := s.Stats().Conns; n != 0 {
				t.Errorf("%d connections are left", n)
			}
		})
	}
}

// Limits on connections, idleness, handlers and what is in flight hold.
func TestHTTP2Limits(t *testing.T) {
	t.Run("idle", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := startHTTP2(t, app, server.Config{Limits: server.Limits{IdleTimeout: time.Minute}})
			fetch(t, s.client(t, true), "GET", "/", "")
			time.Sleep(time.Minute - time.Second)
			if n := s.Stats().Conns; n != 1 {
				t.Errorf("%d connections before, want 1", n)
			}
			time.Sleep(3 * time.Second)
			if n := s.Stats().Conns; n != 0 {
				t.Errorf("%d connections after, want none", n)
			}
		})
	})
	t.Run("connections", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := startHTTP2(t, app, server.Config{Limits: server.Limits{MaxConns: 1}})
			first := s.client(t, true)
			fetch(t, first, "GET", "/", "")
			resp, _ := fetch(t, s.client(t, true), "GET", "/", "")
			if resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" {
				t.Errorf("the second got %v", resp)
			}
			time.Sleep(2 * time.Second) // of which GOAWAY takes one
			if n := s.Stats().Conns; n != 1 {
				t.Errorf("%d connections, want 1", n)
			}
			if resp, _ := fetch(t, first, "GET", "/", ""); resp.StatusCode != 200 {
				t.Errorf("the first got %v", resp)
			}
		})
	})
	t.Run("in flight", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			d := desk{leave: make(chan bool)}
			s := startHTTP2(t, d.serve, server.Config{Limits: server.Limits{MaxInFlight: 1, MaxQueued: 1, QueueTimeout: time.Second}})
			c := s.client(t, true)
			var all sync.WaitGroup
			statuses := make([]int, 3)
			for i := range statuses {
				all.Go(func() {
					resp, _ := fetch(t, c, "GET", fmt.Sprint("/", i), "")
					statuses[i] = resp.StatusCode
				})
				synctest.Wait()
			}
			if got := d.seen(); got != "/0" || s.Stats().Queued != 1 {
				t.Errorf("%s run, %+v", got, s.Stats())
			}
			time.Sleep(2 * time.Second)
			ctx, cancel := context.WithCancel(t.Context())
			all.Go(func() {
				req, _ := http.NewRequestWithContext(ctx, "GET", site+"/gone", nil)
				if _, err := c.Do(req); !errors.Is(err, context.Canceled) {
					t.Errorf("gone: %v", err)
				}
			})
			synctest.Wait()
			cancel()
			synctest.Wait()
			if n := s.Stats().Queued; n != 0 {
				t.Errorf("%d are queued", n)
			}
			close(d.leave)
			all.Wait()
			if statuses[0] != 200 || statuses[1] != 503 || statuses[2] != 503 || d.seen() != "/0" {
				t.Errorf("got %v, ran %s", statuses, d.seen())
			}
		})
	})
	t.Run("handler", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			late := &closeTeller{Reader: strings.NewReader("too late")}
			s := startHTTP2(t, func(r *server.Request) server.Response {
				switch r.Path() {
				case "/late":
					<-r.Context().Done()
					time.Sleep(time.Second)
					return server.Reader("text/plain", late, -1)
				case "/abort":
					panic(server.ErrAbort)
				}
				return app(r)
			}, server.Config{Metrics: true, Limits: server.Limits{HandlerTimeout: limit}})
			c := s.client(t, true)
			began := time.Now()
			resp, got := fetch(t, c, "GET", "/late", "")
			if resp.StatusCode != 504 || got != "504 Gateway Timeout\n" || time.Since(began) != limit {
				t.Errorf("got %d %q after %v", resp.StatusCode, got, time.Since(began))
			}
			if n := s.Stats().InFlight; n != 1 {
				t.Errorf("%d in flight while the handler runs", n)
			}
			if resp, got := fetch(t, c, "GET", "/", ""); got != "hello" {
				t.Errorf("got %d %q", resp.StatusCode, got)
			}
			if _, err := c.Get(site + "/abort"); err == nil {
				t.Error("an aborted exchange was answered")
			}
			time.Sleep(2 * time.Second)
			if m := s.Metrics(); m.InFlight != 0 || m.Timeouts.Handler != 1 || late.closed.Load() != 1 {
				t.Errorf("%+v, closed %d times", m, late.closed.Load())
			}
		})
	})
}

// net/http handlers get what they are used to.
func TestHTTP2OfHTTP(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := startHTTP2(t, server.HTTP(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if _, ok := r.Context().Value(http.ServerContextKey).(*http.Server); !ok || r.ProtoMajor != 2 || r.TLS == nil {
				t.Errorf("%v", r)
			}
			b, err := io.ReadAll(r.Body)
			if err != nil {
				w.WriteHeader(413)
				return
			}
			w.Header().Set("Trailer", "X-Sum")
			w.Write(b)
			w.(http.Flusher).Flush()
			w.Header().Set("X-Sum", r.Trailer.Get("X-In"))
		})), server.Config{Limits: server.Limits{MaxBody: 100}})
		req, _ := http.NewRequestWithContext(t.Context(), "POST", site, io.NopCloser(strings.NewReader("content")))
		req.Trailer = http.Header{"X-In": {"7"}}
		resp, err := s.client(t, true).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(resp.Body)
		if string(b) != "content" || err != nil || resp.Trailer.Get("X-Sum") != "7" {
			t.Errorf("got %q, %v, %v", b, err, resp.Trailer)
		}
		resp.Body.Close()
		if resp, _ := fetch(t, s.client(t, true), "POST", "/", big[:101]); resp.StatusCode != 413 {
			t.Errorf("too much: %v", resp)
		}
	})
}

// A listener of crypto/tls does as well; connections of one that was not asked for
// HTTP/2 are none of net/http's.
func TestHTTP2OverStdTLS(t *testing.T) {
	cert, err := tls.SelfSigned("a.example")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range paths {
		l := serveOn(t, stdtls.NewListener(p.listen(t), &stdtls.Config{Certificates: []stdtls.Certificate{cert}, NextProtos: bothVersions}), app, server.Limits{})
		tr := &http.Transport{
			DialContext: func(context.Context, string, string) (net.Conn, error) {
				return net.Dial(l.ln.Addr().Network(), l.ln.Addr().String())
			},
			TLSClientConfig:   &stdtls.Config{InsecureSkipVerify: true},
			ForceAttemptHTTP2: true,
		}
		resp, got := fetch(t, &http.Client{Transport: tr}, "GET", "/", "")
		if resp.ProtoMajor != 2 || got != "hello" {
			t.Errorf("%s: %v %q", p.name, resp.Proto, got)
		}
		tr.CloseIdleConnections() // or Shutdown would take a second
		if err := l.Shutdown(t.Context()); err != nil {
			t.Errorf("%s: %v", p.name, err)
		}
	}
}

// On sockets that are driven by readiness, which HTTP/2 connections leave.
func TestHTTP2OnSockets(t *testing.T) {
	cert, err := tls.SelfSigned("a.example")
	if err != nil {
		t.Fatal(err)
	}
	certs, err := tls.NewCertificates(tls.CertificatesConfig{Sources: []tls.Source{{Certificate: cert}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range paths {
		t.Run(p.name, func(t *testing.T) {
			ln, err := tls.NewListener(p.listen(t), tls.Config{Certificates: certs, NextProtos: bothVersions})
			if err != nil {
				t.Fatal(err)
			}
			l := serveOn(t, ln, app, server.Limits{})
			tr := &http.Transport{
				DialContext:       func(context.Context, string, string) (net.Conn, error) { return l.dial(t), nil },
				TLSClientConfig:   &stdtls.Config{InsecureSkipVerify: true},
				ForceAttemptHTTP2: true,
			}
			c := &http.Client{Transport: tr}
			var all sync.WaitGroup
			for range 10 {
				all.Go(func() {
					for range 2 {
						if resp, got := fetch(t, c, "POST", "/copy", big); resp.ProtoMajor != 2 || got != big {
							t.Errorf("%v, %d bytes", resp.Proto, len(got))
						}
					}
				})
			}
			all.Wait()
			tr.CloseIdleConnections()
		})
	}
}
