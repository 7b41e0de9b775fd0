package server_test

import (
	"bytes"
	stdtls "crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"postern/server"
	"postern/transport/memory"
	"postern/transport/tls"
)

const (
	plain504 = "HTTP/1.1 504 Gateway Timeout\nContent-Type: text/plain; charset=utf-8\nContent-Length: 20\nConnection: close\n\n504 Gateway Timeout\n"
	extra504 = "HTTP/1.1 504 Gateway Timeout\nContent-Type: text/plain; charset=utf-8\nX-Extra: here\nContent-Length: 20\nConnection: close\n\n504 Gateway Timeout\n"
	limit    = 3 * time.Second
)

// closeTeller is a body that says when it is closed.
type closeTeller struct {
	io.Reader
	closed atomic.Int32
}

func (c *closeTeller) Close() error {
	c.closed.Add(1)
	return nil
}

// A handler that takes too long is answered for, behind the answers that were due,
// and what it returns in the end is dropped.
func TestHandlerTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		late := &closeTeller{Reader: strings.NewReader("too late")}
		release, cancelled := make(chan bool), make(chan time.Duration, 1)
		began := time.Now()
		b := start(t, func(r *server.Request) server.Response {
			if r.PathIs("/") {
				return server.Text("hello")
			}
			<-r.Context().Done()
			cancelled <- time.Since(began)
			<-release
			return server.Reader("text/plain", late, -1)
		}, server.Config{Limits: server.Limits{HandlerTimeout: limit}})
		c := b.dial(t)
		io.WriteString(c, request+"GET /late HTTP/1.1\r\n"+host+"\r\n"+request)
		out, err := io.ReadAll(c) // while the handler runs
		if got := plain(t, string(out)); got != plainHello+plain504 || err != nil {
			t.Errorf("got %q, %v", got, err)
		}
		if took := time.Since(began); took != limit {
			t.Errorf("the answer came after %v, want %v", took, limit)
		}
		if took := <-cancelled; took != limit {
			t.Errorf("cancelled after %v, want %v", took, limit)
		}
		if n := b.Stats().Conns; n != 1 {
			t.Errorf("%d connections while the handler runs, want 1", n)
		}
		close(release)
		c.Close()
		synctest.Wait()
		if n := b.Stats().Conns; n != 0 || late.closed.Load() != 1 {
			t.Errorf("%d connections are left, the late body was closed %d times", n, late.closed.Load())
		}
	})
}

// What is in time is not touched, however many requests a connection has.
func TestHandlerInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, func(r *server.Request) server.Response {
			time.Sleep(limit - 1)
			if r.Context().Err() != nil {
				return server.Text("cancelled")
			}
			return server.Stream("text/plain", func(w *server.StreamWriter) error {
				time.Sleep(2 * limit) // the handler has returned
				_, err := w.WriteString("slowly")
				return err
			})
		}, server.Config{Limits: server.Limits{HandlerTimeout: limit}})
		out := talk(t, b.dial(t), strings.Repeat(request, 5))
		if n := strings.Count(out, "200 OK"); n != 5 || strings.Count(out, "slowly") != 5 {
			t.Errorf("%d answers in %q", n, out)
		}
	})
}

// A request without a limit of its own has that of its listener's server; a
// listener can have none.
func TestHandlerTimeoutOfAListener(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, func(r *server.Request) server.Response {
			time.Sleep(2 * limit)
			return server.Text("hello")
		}, server.Config{Limits: server.Limits{HandlerTimeout: limit}})
		other := memory.Listen(memory.Config{})
		go b.Serve(server.Listener{Listener: other, Limits: server.Limits{HandlerTimeout: -1}})
		c, err := other.Dial(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if got := plain(t, talk(t, c, request)); got != plainHello {
			t.Errorf("got %q", got)
		}
		if got := plain(t, talk(t, b.dial(t), request)); got != plain504 {
			t.Errorf("got %q", got)
		}
	})
}

// A body that does not come holds no handler past its time, and reading it fails.
func TestHandlerTimeoutWhileReading(t *testing.T) {
	for _, size := range []string{"Content-Length: 10", "Transfer-Encoding: chunked", "Content-Length: 10\r\nExpect: 100-continue"} {
		synctest.Test(t, func(t *testing.T) {
			failed := make(chan error, 2)
			b := start(t, func(r *server.Request) server.Response {
				_, err := r.ReadAll()
				failed <- err
				_, err = r.ReadAll()
				failed <- err
				return server.Err(err)
			}, server.Config{Limits: server.Limits{HandlerTimeout: limit}})
			c := b.dial(t)
			io.WriteString(c, "POST / HTTP/1.1\r\n"+host+size+"\r\n\r\n")
			out, err := io.ReadAll(c)
			got := strings.TrimPrefix(plain(t, string(out)), "HTTP/1.1 100 Continue\n\n")
			if got != plain504 || err != nil {
				t.Errorf("%s: got %q, %v", size, got, err)
			}
			for range 2 {
				if err := <-failed; !errors.Is(err, server.ErrHandlerTimeout) {
					t.Errorf("%s: reading: %v", size, err)
				}
			}
		})
	}
}

// For a Drive answer the limit holds until its head is written, and counts from the
// handler's call.
func TestHandlerTimeoutOfADrive(t *testing.T) {
	wantLate := func(what string, err error) error {
		if !errors.Is(err, server.ErrHandlerTimeout) {
			return fmt.Errorf("%s: %w", what, err)
		}
		return nil
	}
	for name, tc := range map[string]struct {
		run  func(x *server.Exchange) error
		want string
	}{
		"head in time": {func(x *server.Exchange) error {
			x.Head(200, server.Fields{{"Content-Length", "5"}})
			time.Sleep(2 * limit)
			_, err := io.WriteString(x, "hello")
			return errors.Join(err, x.Request().Context().Err())
		}, "HTTP/1.1 200 OK\nX-Extra: here\nContent-Length: 5\n\nhello"},
		"too late": {func(x *server.Exchange) error {
			<-x.Request().Context().Done()
			_, writing := x.Write([]byte("x"))
			_, _, taking := x.Hijack()
			return errors.Join(wantLate("Write", writing), wantLate("Head", x.Head(200, nil)), wantLate("Info", x.Info(103, nil)),
				wantLate("Hijack", taking), wantLate("Trailer", x.Trailer("X", "y")))
		}, extra504},
		"interim": {func(x *server.Exchange) error {
			x.Info(103, server.Fields{{"Link", "</a>"}})
			time.Sleep(2 * limit)
			return nil
		}, "HTTP/1.1 103 Early Hints\nLink: </a>\n\n" + extra504},
		"hijacked": {func(x *server.Exchange) error {
			nc, _, err := x.Hijack()
			if err != nil {
				return err
			}
			time.Sleep(2 * limit)
			io.WriteString(nc, "taken")
			return nc.Close()
		}, "taken"},
		"reading elsewhere": {func(x *server.Exchange) error {
			ended := make(chan error)
			go func() {
				_, err := io.Copy(io.Discard, x.Request().Body())
				ended <- err
			}()
			if err := <-ended; err == nil {
				return errors.New("the body has ended")
			}
			return nil
		}, extra504},
	} {
		synctest.Test(t, func(t *testing.T) {
			result := make(chan error, 1)
			b := start(t, func(r *server.Request) server.Response {
				time.Sleep(limit / 2)
				return server.Drive(func(x *server.Exchange) error {
					err := tc.run(x)
					result <- err
					return err
				}).With("X-Extra", "here")
			}, server.Config{Limits: server.Limits{HandlerTimeout: limit}})
			c := b.dial(t)
			began := time.Now()
			if name == "reading elsewhere" {
				io.WriteString(c, "POST / HTTP/1.1\r\n"+host+"Content-Length: 5\r\n\r\n")
			} else {
				io.WriteString(c, request)
			}
			var out []byte
			if strings.Contains(tc.want, "504") {
				out, _ = io.ReadAll(c)
				if took := time.Since(began); took != limit {
					t.Errorf("%s: took %v, want %v", name, took, limit)
				}
			} else {
				<-time.After(3 * limit)
				synctest.Wait()
				out = make([]byte, 4096)
				n, _ := c.Read(out)
				out = out[:n]
			}
			got := strings.ReplaceAll(dateLine.ReplaceAllString(string(out), ""), "\r\n", "\n")
			if got != tc.want {
				t.Errorf("%s: got %q\nwant %q", name, got, tc.want)
			}
			if err := <-result; err != nil {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
}

// A net/http handler that has written, and not flushed, has not answered; its
// writes fail as those under http.TimeoutHandler do.
func TestHandlerTimeoutOfHTTP(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		result := make(chan error, 1)
		b := start(t, server.HTTP(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, "held back")
			<-r.Context().Done()
			result <- http.NewResponseController(w).Flush()
		})), server.Config{Limits: server.Limits{HandlerTimeout: limit}})
		c := b.dial(t)
		io.WriteString(c, "HEAD / HTTP/1.1\r\n"+host+"\r\n")
		out, _ := io.ReadAll(c)
		if got, want := plain(t, string(out)), strings.TrimSuffix(plain504, "504 Gateway Timeout\n"); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		if err := <-result; err != http.ErrHandlerTimeout {
			t.Errorf("Flush: %v", err)
		}
	})
}

// However a late handler ends, nothing comes of it; and a renderer that fails is
// replaced.
func TestHandlerTimeoutAndThenWorse(t *testing.T) {
	for name, end := range map[string]func(){
		"panic": func() { panic("late") },
		"abort": func() { panic(server.ErrAbort) },
	} {
		synctest.Test(t, func(t *testing.T) {
			b := start(t, func(r *server.Request) server.Response {
				time.Sleep(2 * limit)
				end()
				return server.Text("never")
			}, server.Config{Limits: server.Limits{HandlerTimeout: limit}, RenderError: func(r *server.Request, status int, err error) server.Response {
				if r != nil || !errors.Is(err, server.ErrHandlerTimeout) {
					t.Errorf("rendering %d for %v: %v", status, r, err)
				}
				return server.Text("a\n").With("X Y", "not a name")
			}})
			if got := plain(t, talk(t, b.dial(t), request)); got != plain504 {
				t.Errorf("%s: got %q", name, got)
			}
			time.Sleep(limit) // until the handler ends
			synctest.Wait()
			if n := b.Stats().Conns; n != 0 {
				t.Errorf("%s: %d connections are left", name, n)
			}
		})
	}
}

// The record is made when the client is answered: the handler may never return.
func TestHandlerTimeoutIsRecorded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		release := make(chan bool)
		b := start(t, func(r *server.Request) server.Response {
			<-release
			return server.Text("never")
		}, server.Config{Limits: server.Limits{HandlerTimeout: limit}, AccessLog: slog.New(slog.NewTextHandler(&log, nil))})
		c := b.dial(t)
		io.WriteString(c, request)
		io.ReadAll(c)
		synctest.Wait()
		if got := log.String(); strings.Count(got, "status=504") != 1 || !strings.Contains(got, "duration=3s") {
			t.Errorf("the log has %q", got)
		}
		close(release)
		b.Shutdown(t.Context())
		if got := log.String(); strings.Count(got, "\n") != 1 {
			t.Errorf("the log has %q", got)
		}
	})
}

// A client that does not read keeps neither the timer nor the handler for ever.
func TestHandlerTimeoutOfADeafClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, func(r *server.Request) server.Response {
			if r.PathIs("/late") {
				<-r.Context().Done()
			}
			return server.Text(big[:40_000]) // less than a batch
		}, server.Config{Limits: server.Limits{HandlerTimeout: limit, WriteTimeout: time.Second}})
		small := memory.Listen(memory.Config{})
		go b.Serve(small)
		c, err := small.Dial(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		io.WriteString(c, strings.Repeat(request, 3)+"GET /late HTTP/1.1\r\n"+host+"\r\n")
		time.Sleep(limit + 10*time.Second)
		synctest.Wait()
		if n := b.Stats().Conns; n != 0 {
			t.Errorf("%d connections are left", n)
		}
	})
}

// On sockets, driven by readiness or not, with what the client sends at the same
// time.
func TestHandlerTimeoutOnSockets(t *testing.T) {
	h := func(r *server.Request) server.Response {
		switch r.Path() {
		case "/late":
			<-r.Context().Done()
			return server.Text("too late")
		case "/read":
			io.Copy(io.Discard, r.Body())
			<-r.Context().Done()
			return server.Text("too late")
		case "/drive":
			return server.Drive(func(x *server.Exchange) error {
				<-x.Request().Context().Done()
				return nil
			})
		}
		return server.Text("hello")
	}
	onPaths(t, h, server.Limits{HandlerTimeout: 20 * time.Millisecond}, func(t *testing.T, l *live) {
		for _, in := range []string{
			"GET /late HTTP/1.1\r\n" + host + "\r\n",
			"GET /drive HTTP/1.1\r\n" + host + "\r\n",
			"GET /late HTTP/1.1\r\n" + host + "\r\n" + request,
			"POST /read HTTP/1.1\r\n" + host + "Content-Length: 100000\r\n\r\n12345",
			"POST /drive HTTP/1.1\r\n" + host + "Content-Length: 100000\r\n\r\n12345",
		} {
			c := l.dial(t)
			write(t, c, request+in)
			wantAnswer(t, c, "HTTP/1.1 200 OK", "hello")
			wantAnswer(t, c, "HTTP/1.1 504 Gateway Timeout\r\n", "504 Gateway Timeout\n")
			wantEnd(t, c)
			c.Close()
		}
		until(t, "all connections ended", func() bool { return l.Stats().Conns == 0 })
	})
}

// The limit comes at about the time when the handler returns: one of both answers,
// and the connection goes on or ends accordingly.
func TestHandlerTimeoutRace(t *testing.T) {
	var started atomic.Int64
	h := func(r *server.Request) server.Response {
		d := time.Duration(900+started.Add(7)%200) * time.Microsecond
		for began := time.Now(); time.Since(began) < d; {
		}
		if r.PathIs("/drive") {
			return server.Drive(func(x *server.Exchange) error {
				if x.Head(200, server.Fields{{"Content-Length", "5"}}) == nil {
					io.WriteString(x, "hello")
				}
				return nil
			})
		}
		return server.Text("hello")
	}
	onPaths(t, h, server.Limits{HandlerTimeout: time.Millisecond}, func(t *testing.T, l *live) {
		for i := range 200 {
			in := request
			if i%2 == 1 {
				in = "GET /drive HTTP/1.1\r\n" + host + "\r\n"
			}
			c := l.dial(t)
			write(t, c, in)
			c.(interface{ CloseWrite() error }).CloseWrite()
			out, err := io.ReadAll(c)
			c.Close()
			got := plain(t, string(out))
			if err != nil || got != plain504 && !(strings.HasPrefix(got, "HTTP/1.1 200 OK\n") && strings.HasSuffix(got, "\n\nhello")) {
				t.Fatalf("got %q, %v", got, err)
			}
		}
	})
}

// Over TLS, what an earlier answer has left to be written comes first.
func TestHandlerTimeoutOverTLS(t *testing.T) {
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
			ln, err := tls.NewListener(p.listen(t), tls.Config{Certificates: certs})
			if err != nil {
				t.Fatal(err)
			}
			l := serveOn(t, ln, func(r *server.Request) server.Response {
				if r.PathIs("/late") {
					<-r.Context().Done()
				}
				return server.Text("hello")
			}, server.Limits{HandlerTimeout: 20 * time.Millisecond})
			c, err := tls.Client(t.Context(), l.dial(t), &stdtls.Config{InsecureSkipVerify: true})
			if err != nil {
				t.Fatal(err)
			}
			write(t, c, request)
			write(t, c, request+"GET /late HTTP/1.1\r\n"+host+"\r\n")
			wantAnswer(t, c, "HTTP/1.1 200 OK", "hello")
			wantAnswer(t, c, "HTTP/1.1 200 OK", "hello")
			wantAnswer(t, c, "HTTP/1.1 504 Gateway Timeout\r\n", "504 Gateway Timeout\n")
			wantEnd(t, c)
		})
	}
}
