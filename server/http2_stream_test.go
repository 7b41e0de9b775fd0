package server_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"postern/server"
)

// HandlerTimeout holds for a Drive until its head, and for a net/http handler until it
// writes; what they do afterwards fails and harms nobody.
func TestHTTP2HandlerTimeoutOfADrive(t *testing.T) {
	late := func(errs ...error) error {
		for i, err := range errs {
			if !errors.Is(err, server.ErrHandlerTimeout) {
				return fmt.Errorf("call %d: %w", i, errors.Join(errors.New("not late"), err))
			}
		}
		return nil
	}
	drive := func(run func(x *server.Exchange) error) func(chan<- error) server.Handler {
		return func(result chan<- error) server.Handler {
			return func(r *server.Request) server.Response {
				time.Sleep(limit / 2)
				return server.Drive(func(x *server.Exchange) error {
					err := run(x)
					result <- err
					return err
				}).With("X-Extra", "here")
			}
		}
	}
	std := func(run func(w http.ResponseWriter, r *http.Request) error) func(chan<- error) server.Handler {
		return func(result chan<- error) server.Handler {
			return server.HTTP(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { result <- run(w, r) }))
		}
	}
	for _, tc := range []struct {
		name  string
		h     func(result chan<- error) server.Handler
		body  bool
		want  string
		extra string
	}{
		{"head in time", drive(func(x *server.Exchange) error {
			x.Head(200, server.Fields{{"Trailer", "X-Sum"}})
			time.Sleep(2 * limit)
			_, err := io.WriteString(x, "hello")
			return errors.Join(err, x.Trailer("X-Sum", "7"), x.Request().Context().Err())
		}), false, "200 hello map[X-Sum:[7]]", "here"},
		{"too late", drive(func(x *server.Exchange) error {
			<-x.Request().Context().Done()
			_, writing := x.Write([]byte("x"))
			_, _, taking := x.Hijack()
			return late(writing, x.Head(200, nil), x.Info(103, nil), taking, x.Trailer("X", "y"), x.Flush(),
				x.SetReadDeadline(time.Time{}), x.SetWriteDeadline(time.Now()))
		}), false, "504 504 Gateway Timeout\n map[]", "here"},
		{"interim", drive(func(x *server.Exchange) error {
			err := x.Info(103, server.Fields{{"Link", "</a>"}})
			time.Sleep(2 * limit)
			return err
		}), false, "504 504 Gateway Timeout\n map[]", "here"},
		{"reading", drive(func(x *server.Exchange) error {
			_, err := io.Copy(io.Discard, x.Request().Body())
			_, again := io.Copy(io.Discard, x.Request().Body())
			return late(err, again)
		}), true, "504 504 Gateway Timeout\n map[]", "here"},
		{"error", drive(func(x *server.Exchange) error {
			time.Sleep(2 * limit)
			panic("late")
		}), false, "504 504 Gateway Timeout\n map[]", "here"},
		{"net/http, in time", std(func(w http.ResponseWriter, r *http.Request) error {
			w.Header().Set("X-Extra", "its own")
			w.Header().Set("Trailer", "X-Sum")
			io.WriteString(w, "hel")
			time.Sleep(2 * limit)
			_, err := io.WriteString(w, "lo")
			w.Header().Set("X-Sum", "7")
			return errors.Join(err, r.Context().Err())
		}), false, "200 hello map[X-Sum:[7]]", "its own"},
		{"net/http, too late", std(func(w http.ResponseWriter, r *http.Request) error {
			w.Header().Set("X-Extra", "its own")
			<-r.Context().Done()
			time.Sleep(limit) // net/http has done with it
			w.Header().Set("X", "y")
			w.WriteHeader(200)
			_, writing := io.WriteString(w, "x")
			//lint:ignore SA1019 old handlers do
			<-w.(http.CloseNotifier).CloseNotify()
			rc := http.NewResponseController(w)
			return errors.Join(late(writing, rc.Flush(), rc.SetReadDeadline(time.Now())), rc.EnableFullDuplex())
		}), false, "504 504 Gateway Timeout\n map[]", ""},
		{"net/http, nothing written", std(func(w http.ResponseWriter, r *http.Request) error {
			w.Header().Set("X-Extra", "its own")
			return nil
		}), false, "200  map[]", "its own"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				result := make(chan error, 1)
				s := startHTTP2(t, tc.h(result), server.Config{Metrics: true, Limits: server.Limits{HandlerTimeout: limit, BodyRate: -1}})
				req, _ := http.NewRequestWithContext(t.Context(), "GET", site, nil)
				if tc.body {
					never, writer := io.Pipe()
					defer writer.Close()
					req, _ = http.NewRequestWithContext(t.Context(), "POST", site, never)
				}
				began := time.Now()
				resp, err := s.client(t, true).Do(req)
				if err != nil {
					t.Fatal(err)
				}
				if took := time.Since(began); resp.StatusCode == 504 && took != limit {
					t.Errorf("took %v, want %v", took, limit)
				}
				b, err := io.ReadAll(resp.Body)
				resp.Body.Close()
				if got := fmt.Sprint(resp.StatusCode, " ", string(b), " ", resp.Trailer); got != tc.want || err != nil || resp.Header.Get("X-Extra") != tc.extra {
					t.Errorf("got %q, %v, %v\nwant %q", got, err, resp.Header, tc.want)
				}
				time.Sleep(3 * limit)
				if tc.name != "error" {
					if err := <-result; err != nil {
						t.Error(err)
					}
				}
				m := s.Metrics()
				if lates := map[bool]uint64{true: 1}[resp.StatusCode == 504]; m.Timeouts.Handler != lates || m.InFlight != 0 || m.Statuses[resp.StatusCode/100] != 1 {
					t.Errorf("%+v", m)
				}
			})
		})
	}
}

// The three ends of a net/http handler that are none by return reach net/http in time.
func TestHTTP2HandlerTimeoutAndPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := startHTTP2(t, server.HTTP(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/fine" {
				return
			}
			panic(r.URL.Path)
		})), server.Config{Limits: server.Limits{HandlerTimeout: limit}})
		c := s.client(t, true)
		if _, err := c.Get(site + "/oops"); err == nil {
			t.Error("a panic was answered")
		}
		if resp, _ := fetch(t, c, "GET", "/fine", ""); resp.StatusCode != 200 {
			t.Errorf("got %v", resp)
		}
	})
}

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
