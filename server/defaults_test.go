package server_test

import (
	"context"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"postern/server"
	"postern/transport/memory"
	"postern/transport/tls"
)

// What Limits promise to who sets none.
func TestDefaultTimeouts(t *testing.T) {
	const slow = "POST /echo HTTP/1.1\r\n" + host + "Content-Length: 99999\r\n\r\n"
	for _, tc := range []struct {
		name, in, then string
		want           string
		after          time.Duration
	}{
		{"first byte", "", "", "", 10 * time.Second},
		{"head", "GET / HTTP/1.1\r\n", "", "408 Request Timeout", 10 * time.Second},
		{"idle", request, "", "hello", 60 * time.Second},
		{"body", slow, big[:10_239], "408 Request Timeout", 10 * time.Second},
		{"a body at its rate", slow, big[:10_240], "408 Request Timeout", 20 * time.Second},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := start(t, app, server.Config{})
				c := b.dial(t)
				began := time.Now()
				io.WriteString(c, tc.in)
				synctest.Wait()
				io.WriteString(c, tc.then)
				out, err := io.ReadAll(c)
				if took := time.Since(began); !strings.Contains(string(out), tc.want) || tc.want == "" && len(out) > 0 || err != nil || took != tc.after {
					t.Errorf("got %q, %v after %v, want %q after %v", out, err, took, tc.want, tc.after)
				}
			})
		})
	}
	t.Run("write", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := start(t, app, server.Config{})
			io.WriteString(b.dial(t), "POST /echo HTTP/1.1\r\n"+host+"Content-Length: 100000\r\n\r\n"+big[:100_000])
			time.Sleep(30*time.Second - 1)
			if n := b.Stats().Conns; n != 1 {
				t.Errorf("%d connections before, want 1", n)
			}
			time.Sleep(60*time.Second + 2)
			synctest.Wait()
			if n := b.Stats().Conns; n != 0 {
				t.Errorf("%d connections after, want none", n)
			}
		})
	})
	t.Run("handshake", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := startTLS(t, app, server.Config{}, true, tls.Config{})
			c, began := s.dial(t), time.Now()
			io.ReadAll(c)
			if took := time.Since(began); took < 5*time.Second || took > 6*time.Second {
				t.Errorf("took %v, want 5s", took)
			}
		})
	})
	t.Run("handler", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := start(t, func(*server.Request) server.Response {
				time.Sleep(24 * time.Hour)
				return server.Text("at last")
			}, server.Config{})
			if got := talk(t, b.dial(t), request); !strings.HasSuffix(got, "at last") {
				t.Errorf("got %q", got)
			}
		})
	})
	t.Run("shutdown", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			s := server.New(func(r *server.Request) server.Response {
				<-r.Context().Done()
				return server.Empty(204)
			}, server.Config{Log: quiet()})
			ln := memory.Listen(memory.Config{})
			ended := make(chan error)
			go func() { ended <- s.Run(ctx, ln) }()
			c, err := ln.Dial(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			io.WriteString(c, request)
			synctest.Wait()
			began := time.Now()
			cancel()
			if err := <-ended; err == nil || time.Since(began) != 10*time.Second {
				t.Errorf("%v after %v", err, time.Since(began))
			}
		})
	})
}

func TestDefaultSizes(t *testing.T) {
	get := func(target string, fields int) string {
		return "GET " + target + " HTTP/1.1\r\n" + host + strings.Repeat("X: y\r\n", fields-1) + "\r\n"
	}
	head := func(n int) string { // n bytes
		const around = "GET / HTTP/1.1\r\n" + host + "X: \r\n\r\n"
		return strings.Replace(around, "X: ", "X: "+strings.Repeat("x", n-len(around)), 1)
	}
	post := func(path string, n int) string {
		return fmt.Sprintf("POST %s HTTP/1.1\r\n%sExpect: 100-continue\r\nContent-Length: %d\r\n\r\n", path, host, n)
	}
	for _, tc := range []struct{ in, want string }{
		{get("/"+strings.Repeat("x", 8191), 1), "HTTP/1.1 404 "},
		{get("/"+strings.Repeat("x", 8192), 1), "HTTP/1.1 414 "},
		{get("/", 100), "HTTP/1.1 200 "},
		{get("/", 101), "HTTP/1.1 431 "},
		{head(64 << 10), "HTTP/1.1 200 "},
		{head(64<<10 + 1), "HTTP/1.1 431 "},
		{post("/echo", 8<<20), "HTTP/1.1 100 "},
		{post("/echo", 8<<20+1), "HTTP/1.1 413 "},
	} {
		synctest.Test(t, func(t *testing.T) {
			b := start(t, app, server.Config{})
			if got := talk(t, b.dial(t), tc.in); !strings.HasPrefix(got, tc.want) {
				t.Errorf("%.40q, %d bytes: got %.100q, want %q", tc.in, len(tc.in), got, tc.want)
			}
		})
	}
}
