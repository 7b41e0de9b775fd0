package server_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"postern/server"
)

// A stream may end with a trailer section; where that has no place it is left out.
func TestStreamTrailer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, func(*server.Request) server.Response {
			return server.Stream("text/plain", func(w *server.StreamWriter) error {
				io.WriteString(w, "abc")
				if err := w.Trailer("Content-Length", "3"); err == nil {
					return errors.New("Trailer took Content-Length")
				}
				return w.Trailer("X-Sum", "7")
			}).With("Trailer", "X-Sum")
		}, server.Config{})
		got := plain(t, talk(t, b.dial(t), request, "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", "GET / HTTP/1.0\r\n\r\n"))
		const head = "HTTP/1.1 200 OK\nContent-Type: text/plain\nTrailer: X-Sum\n"
		want := head + "Transfer-Encoding: chunked\n\n3\nabc\n0\nX-Sum: 7\n\n" + head + "Transfer-Encoding: chunked\n\n" + head + "Connection: close\n\nabc"
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

func TestStreamChunkSize(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, func(*server.Request) server.Response {
			return server.Seq("text/plain", slices.Values([][]byte{[]byte("ab"), []byte("cd"), []byte("e"), []byte("fghijk"), []byte("l")})).
				WithStreamLimits(server.StreamLimits{ChunkSize: 4})
		}, server.Config{})
		got := plain(t, talk(t, b.dial(t), request))
		if want := "4\nabcd\n1\ne\n6\nfghijk\n1\nl\n0\n\n"; !strings.HasSuffix(got, "\n\n"+want) {
			t.Errorf("got %q, want %q at the end", got, want)
		}
	})
}

// A stream past a limit is broken off without a final chunk, in time, and a client
// that counts on the connection's end sees a reset.
func TestStreamLimits(t *testing.T) {
	for _, tc := range []struct {
		name   string
		limits server.StreamLimits
		write  func(r *server.Request, w *server.StreamWriter) error
		want   string // content, chunked
		after  time.Duration
	}{
		{"bytes", server.StreamLimits{MaxBytes: 5}, func(r *server.Request, w *server.StreamWriter) error {
			for {
				if _, err := io.WriteString(w, "abc"); err != nil {
					return err
				}
			}
		}, "3\r\nabc\r\n", 0},
		{"time", server.StreamLimits{MaxTime: 5 * time.Second}, func(r *server.Request, w *server.StreamWriter) error {
			for {
				io.WriteString(w, "abc")
				if err := w.Flush(); err != nil {
					return err
				}
				time.Sleep(3 * time.Second)
			}
		}, "3\r\nabc\r\n3\r\nabc\r\n", 5 * time.Second},
		{"time, by the context", server.StreamLimits{MaxTime: 5 * time.Second}, func(r *server.Request, w *server.StreamWriter) error {
			io.WriteString(w, "abc")
			w.Flush()
			<-r.Context().Done()
			return nil // even then
		}, "3\r\nabc\r\n", 5 * time.Second},
		{"idle", server.StreamLimits{MaxIdle: 5 * time.Second}, func(r *server.Request, w *server.StreamWriter) error {
			for range 3 {
				time.Sleep(4 * time.Second)
				io.WriteString(w, "abc")
				w.Flush()
			}
			<-r.Context().Done()
			return r.Context().Err()
		}, "3\r\nabc\r\n3\r\nabc\r\n3\r\nabc\r\n", 17 * time.Second},
		{"a client that does not read", server.StreamLimits{MaxTime: 5 * time.Second}, func(r *server.Request, w *server.StreamWriter) error {
			began := time.Now()
			_, err := w.Write(make([]byte, 10<<20))
			if err == nil || time.Since(began) != 5*time.Second {
				return fmt.Errorf("%v after %v", err, time.Since(began))
			}
			return err
		}, "", 5 * time.Second},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log bytes.Buffer
				b := start(t, func(r *server.Request) server.Response {
					return server.Stream("text/plain", func(w *server.StreamWriter) error { return tc.write(r, w) }).WithStreamLimits(tc.limits)
				}, server.Config{Log: slog.New(slog.NewTextHandler(&log, nil)), Limits: server.Limits{WriteTimeout: time.Hour}})
				c := b.dial(t)
				began := time.Now()
				io.WriteString(c, request)
				if tc.want == "" {
					time.Sleep(time.Minute)
					began = time.Now().Add(-tc.after)
				}
				out, _ := io.ReadAll(c)
				took := time.Since(began)
				_, content, _ := strings.Cut(string(out), "\r\n\r\n")
				if tc.want != "" && content != tc.want || strings.HasSuffix(content, "0\r\n\r\n") || took != tc.after {
					t.Errorf("got %.100q after %v, want %q after %v", content, took, tc.want, tc.after)
				}
				b.Close()
				if !strings.Contains(log.String(), server.ErrStreamLimit.Error()) {
					t.Errorf("logged %q", &log)
				}
			})
		})
	}
}

// A client that takes the connection's end for the content's sees a reset.
func TestStreamLimitsReset(t *testing.T) {
	for name, l := range map[string]server.StreamLimits{"bytes": {MaxBytes: 5}, "time": {MaxTime: 10 * time.Millisecond}, "idle": {MaxIdle: 10 * time.Millisecond}} {
		addr := servePosternHandler(t, func(r *server.Request) server.Response {
			return server.Stream("text/plain", func(w *server.StreamWriter) error {
				io.WriteString(w, "abc")
				w.Flush()
				if l.MaxBytes == 0 {
					<-r.Context().Done()
				}
				_, err := io.WriteString(w, "def")
				return err
			}).WithStreamLimits(l)
		})
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(10 * time.Second))
		io.WriteString(c, "GET / HTTP/1.0\r\n\r\n")
		if out, err := io.ReadAll(c); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("%s: %q, %v, want a reset", name, out, err)
		}
	}
}

// Limits hold for who reads the body as a value, and on net/http.
func TestStreamLimitsElsewhere(t *testing.T) {
	silence(t)
	h := server.Handler(func(r *server.Request) server.Response {
		return server.Stream("text/plain", func(w *server.StreamWriter) error {
			io.WriteString(w, "abc")
			w.Flush()
			if r.PathIs("/time") {
				<-r.Context().Done()
				return nil
			}
			_, err := io.WriteString(w, "def")
			return err
		}).WithStreamLimits(server.StreamLimits{MaxBytes: 5, MaxTime: 10 * time.Millisecond})
	})
	if b, err := h(server.NewRequest("GET", "/", nil)).Body.ReadAll(); string(b) != "abc" || !errors.Is(err, server.ErrStreamLimit) {
		t.Errorf("ReadAll: %q, %v", b, err)
	}
	addr := serveNetHTTP(t, h.HTTP())
	for _, path := range []string{"/", "/time"} {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(10 * time.Second))
		io.WriteString(c, "GET "+path+" HTTP/1.1\r\nHost: a\r\n\r\n")
		if out, _ := io.ReadAll(c); !strings.HasSuffix(string(out), "\r\n3\r\nabc\r\n") {
			t.Errorf("%s: got %q", path, out)
		}
	}
}
