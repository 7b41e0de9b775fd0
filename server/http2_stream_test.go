package server_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"postern/server"
)

// trickle is a body of n pieces, one each interval.
func trickle(t *testing.T, n int, piece string, every time.Duration) io.Reader {
	r, w := io.Pipe()
	go func() {
		defer w.Close()
		for range n {
			if _, err := io.WriteString(w, piece); err != nil {
				return
			}
			select {
			case <-time.After(every):
			case <-t.Context().Done():
				return
			}
		}
	}()
	return r
}

// BodyRate holds over HTTP/2, by the same windows.
func TestHTTP2BodyRate(t *testing.T) {
	sizes := map[string]server.Handler{
		"value": func(r *server.Request) server.Response {
			b, err := r.ReadAll()
			if err != nil {
				return server.Err(err)
			}
			return server.Text(fmt.Sprint(len(b)))
		},
		"net/http": server.HTTP(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			b, err := io.ReadAll(r.Body)
			if e, ok := errors.AsType[*server.Error](err); ok {
				w.WriteHeader(e.Status)
				return
			}
			fmt.Fprint(w, len(b), err)
		})),
	}
	for _, tc := range []struct {
		name  string
		body  func(t *testing.T) io.Reader
		own   bool // the handler has a deadline of its own
		want  string
		after time.Duration
	}{
		{"enough", func(t *testing.T) io.Reader { return trickle(t, 50, big[:1000], time.Second) }, false, "50000", 50 * time.Second},
		{"nothing comes", func(t *testing.T) io.Reader { return trickle(t, 1, "x", time.Hour) }, false, "408", 10 * time.Second},
		{"too slow", func(t *testing.T) io.Reader { return trickle(t, 1000, "x", 200*time.Millisecond) }, false, "408", 10 * time.Second},
		{"much, and then nothing", func(t *testing.T) io.Reader { return trickle(t, 2, big[:50_000], 9*time.Hour) }, false, "408", 20 * time.Second},
		{"a deadline of its own", func(t *testing.T) io.Reader { return trickle(t, 2, "x", 15*time.Second) }, true, "2", 30 * time.Second},
	} {
		for name, h := range sizes {
			if tc.own {
				if name == "value" {
					continue
				}
				h = server.HTTP(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					http.NewResponseController(w).SetReadDeadline(time.Now().Add(time.Hour))
					b, err := io.ReadAll(r.Body)
					fmt.Fprint(w, len(b), err)
				}))
			}
			t.Run(name+"/"+tc.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := startHTTP2(t, h, server.Config{Limits: server.Limits{BodyRate: 1000, BodyWindow: 10 * time.Second}})
					body := tc.body(t)
					req, _ := http.NewRequestWithContext(t.Context(), "POST", site, body)
					began := time.Now()
					resp, err := s.client(t, true).Do(req)
					if err != nil {
						t.Fatal(err)
					}
					defer resp.Body.Close()
					b, _ := io.ReadAll(resp.Body)
					got := strings.TrimSuffix(string(b), "<nil>")
					if resp.StatusCode != 200 {
						got = fmt.Sprint(resp.StatusCode)
					}
					got = strings.TrimSpace(got)
					if took := time.Since(began); got != tc.want || took < tc.after || took > tc.after+time.Second {
						t.Errorf("got %q after %v, want %q after %v", got, took, tc.want, tc.after)
					}
					if n := s.Metrics().Timeouts.Body; (n == 1) != (tc.want == "408") {
						t.Errorf("%d counted", n)
					}
				})
			})
		}
	}
}

// A client that takes nothing of a response is not waited for; one that takes a little
// is, and others on the same connection are not disturbed.
func TestHTTP2WriteTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan error, 2)
		s := startHTTP2(t, server.HTTP(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/" {
				return
			}
			_, err := io.WriteString(w, strings.Repeat("x", 1<<20))
			ended <- err
		})), server.Config{Limits: server.Limits{WriteTimeout: limit}})
		c := s.client(t, true)
		c.Transport.(*http.Transport).HTTP2 = &http.HTTP2Config{MaxReceiveBufferPerStream: 64 << 10}
		slow, err := c.Get(site + "/slow")
		if err != nil {
			t.Fatal(err)
		}
		defer slow.Body.Close()
		b := make([]byte, 64<<10)
		for range 16 {
			if _, err := io.ReadFull(slow.Body, b); err != nil {
				t.Fatal(err)
			}
			time.Sleep(limit - time.Second)
		}
		if err := <-ended; err != nil {
			t.Errorf("slowly: %v", err)
		}
		deaf, err := c.Get(site + "/deaf")
		if err != nil {
			t.Fatal(err)
		}
		defer deaf.Body.Close()
		began := time.Now()
		if err := <-ended; err == nil || !strings.Contains(err.Error(), "takes nothing") || time.Since(began) != limit {
			t.Errorf("writing: %v after %v", err, time.Since(began))
		}
		if _, err := io.Copy(io.Discard, deaf.Body); err == nil {
			t.Error("the response looks whole")
		}
		if resp, _ := fetch(t, c, "GET", "/", ""); resp.StatusCode != 200 || s.Metrics().Timeouts.Write != 1 || s.Metrics().Accepted != 1 {
			t.Errorf("%v, %+v", resp, s.Metrics())
		}
	})
}

// After MaxRequests a client is told to go, and comes back on another connection.
func TestHTTP2MaxRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := startHTTP2(t, app, server.Config{Limits: server.Limits{MaxRequests: 3}})
		c := s.client(t, true)
		for i := range 7 {
			if _, got := fetch(t, c, "GET", "/", ""); got != "hello" {
				t.Errorf("request %d: got %q", i, got)
			}
			synctest.Wait() // GOAWAY has come
		}
		if n := s.Metrics().Accepted; n != 3 {
			t.Errorf("%d connections, want 3", n)
		}
		time.Sleep(2 * time.Second)
		if n := s.Stats().Conns; n != 1 {
			t.Errorf("%d connections are left, want 1", n)
		}
	})
}

// A stream past its limits is cut, with a handler's time limited and without, and the
// connection goes on.
func TestHTTP2StreamLimits(t *testing.T) {
	for _, timeout := range []time.Duration{-1, limit} {
		synctest.Test(t, func(t *testing.T) {
			ended := make(chan error, 1)
			s := startHTTP2(t, func(r *server.Request) server.Response {
				if r.PathIs("/") {
					return app(r)
				}
				return server.Stream("text/plain", func(w *server.StreamWriter) error {
					io.WriteString(w, "begun")
					w.Flush()
					<-r.Context().Done()
					_, err := io.WriteString(w, "too late")
					ended <- err
					return err
				}).WithStreamLimits(server.StreamLimits{MaxIdle: 10 * time.Second})
			}, server.Config{Limits: server.Limits{HandlerTimeout: timeout}})
			c := s.client(t, true)
			resp, err := c.Get(site + "/stream")
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if b, err := io.ReadAll(resp.Body); string(b) != "begun" || err == nil {
				t.Errorf("got %q, %v", b, err)
			}
			if err := <-ended; !errors.Is(err, server.ErrStreamLimit) {
				t.Errorf("writing: %v", err)
			}
			if _, got := fetch(t, c, "GET", "/", ""); got != "hello" || s.Metrics().Accepted != 1 {
				t.Errorf("got %q, %d connections", got, s.Metrics().Accepted)
			}
		})
	}
}

// A handler's goroutine that ends without returning is an aborted exchange.
func TestHTTP2Goexit(t *testing.T) {
	for _, timeout := range []time.Duration{-1, limit} {
		synctest.Test(t, func(t *testing.T) {
			s := startHTTP2(t, func(r *server.Request) server.Response {
				if !r.PathIs("/") {
					runtime.Goexit()
				}
				return app(r)
			}, server.Config{Metrics: true, Limits: server.Limits{HandlerTimeout: timeout}})
			c := s.client(t, true)
			if _, err := c.Get(site + "/exit"); err == nil {
				t.Error("answered")
			}
			if _, got := fetch(t, c, "GET", "/", ""); got != "hello" || s.Stats().InFlight != 0 {
				t.Errorf("got %q, %+v", got, s.Stats())
			}
		})
	}
}

// What is refused over HTTP/1 without asking the handler is refused over HTTP/2, and
// both is recorded.
func TestHTTP2Refusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		s := startHTTP2(t, func(r *server.Request) server.Response {
			return server.Text("the handler was asked")
		}, server.Config{ServerName: "us", AccessLog: slog.New(slog.NewTextHandler(&log, nil))})
		for _, two := range []bool{false, true} {
			c := s.client(t, two)
			for _, tc := range []struct {
				method string
				url    url.URL
				expect string
				status int
			}{
				{"OPTIONS", url.URL{Scheme: "https", Host: "a.example", Opaque: "*"}, "", 200},
				{"GET", url.URL{Scheme: "https", Host: "a.example", Path: "/"}, "tea", 417},
				{"CONNECT", url.URL{Scheme: "https", Host: "a.example:443"}, "", 501},
			} {
				req := &http.Request{Method: tc.method, URL: &tc.url, Header: http.Header{}}
				if tc.expect != "" {
					req.Header.Set("Expect", tc.expect)
				}
				resp, err := c.Do(req)
				if err != nil {
					t.Errorf("%s, HTTP/2 %v: %v", tc.method, two, err)
					continue
				}
				b, _ := io.ReadAll(resp.Body)
				resp.Body.Close()
				if resp.StatusCode != tc.status || strings.Contains(string(b), "asked") || resp.Header.Get("Server") != "us" || (resp.ProtoMajor == 2) != two {
					t.Errorf("%s, %s: got %d %q %v", tc.method, resp.Proto, resp.StatusCode, b, resp.Header)
				}
			}
			c.CloseIdleConnections()
		}
		s.Shutdown(t.Context())
		for _, want := range []string{"method=OPTIONS target=* status=200", "method=GET target=/ status=417", "method=CONNECT target=a.example:443 status=501"} {
			if n := strings.Count(log.String(), want); n != 2 {
				t.Errorf("%d records with %q in %s", n, want, &log)
			}
		}
	})
}
