package server_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"postern/server"
	"postern/transport/memory"
	"postern/transport/tcp"
)

// Answers that were ready when a slow body began are written once.
func TestAnswersBeforeASlowBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, app, server.Config{})
		got := talk(t, b.dial(t), "GET / HTTP/1.1\r\nHost: a\r\n\r\nPOST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhe", "llo")
		if n := strings.Count(got, "HTTP/1.1 200 OK"); n != 2 || !strings.HasSuffix(got, "\r\n\r\nhello") {
			t.Errorf("%d answers to 2 requests: %q", n, got)
		}
	})
}

// reader is a reader made of a function.
type reader func(p []byte) (int, error)

func (r reader) Read(p []byte) (int, error) { return r(p) }

type closer struct {
	io.Reader
	closed *int
}

func (c closer) Close() error { *c.closed++; panic("close") }

// Whatever a handler's reader does, it breaks off its own response at most.
func TestBadReaders(t *testing.T) {
	closed := 0
	for name, tc := range map[string]struct {
		r        io.Reader
		complete bool
	}{
		"panics":           {reader(func([]byte) (int, error) { panic("no") }), false},
		"returns nonsense": {reader(func(p []byte) (int, error) { return len(p) + 1, nil }), false},
		"is nil":           {nil, true},
		"panics in Close":  {closer{strings.NewReader("abc"), &closed}, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := start(t, func(r *server.Request) server.Response {
					if r.PathIs("/") {
						return server.Text("fine")
					}
					return server.Reader("text/plain", tc.r, -1)
				}, server.Config{})
				got := talk(t, b.dial(t), "GET /bad HTTP/1.1\r\nHost: a\r\n\r\n"+request)
				if complete := strings.Contains(got, "0\r\n\r\n"); complete != tc.complete {
					t.Errorf("got %q", got)
				}
				if got := talk(t, b.dial(t), request); !strings.HasSuffix(got, "fine") {
					t.Errorf("afterwards: got %q", got)
				}
			})
		})
	}
	if closed != 1 {
		t.Errorf("closed %d times", closed)
	}
}

// A close that the server chooses does not destroy the response, though the
// client has sent more meanwhile.
func TestCloseKeepsTheResponse(t *testing.T) {
	const size = 2 << 20
	entered, release := make(chan bool), make(chan bool)
	ln, err := tcp.Listen(tcp.Config{})
	if err != nil {
		t.Fatal(err)
	}
	s := server.New(func(r *server.Request) server.Response {
		entered <- true
		<-release
		resp := server.Bytes("a/b", make([]byte, size))
		resp.Close = true
		return resp
	}, server.Config{Log: quiet()})
	go s.Serve(ln)
	defer s.Close()
	c, err := tcp.Dial(t.Context(), tcp.Config{Addr: ln.Addr().String()})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	io.WriteString(c, request)
	<-entered
	io.WriteString(c, request) // is in the server's kernel when it closes
	release <- true
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := io.Copy(io.Discard, resp.Body); n != size || err != nil {
		t.Errorf("%d of %d bytes, %v", n, size, err)
	}
}

// late is a listener that has one more connection when it is closed or told its
// deadline, as a kernel may.
type late struct {
	net.Listener
	conn    chan net.Conn
	trigger chan bool
}

func (l late) Accept() (net.Conn, error) {
	if c, ok := <-l.conn; ok {
		return c, nil
	}
	return nil, net.ErrClosed
}

func (l late) Close() error {
	select {
	case l.trigger <- true:
	default:
	}
	return nil
}

func (late) Addr() net.Addr { return memory.Addr("late") }

// A connection that is accepted while the server ends is not forgotten.
func TestAcceptedLate(t *testing.T) {
	for name, end := range map[string]func(*server.Server) error{
		"Close":    (*server.Server).Close,
		"Shutdown": func(s *server.Server) error { return s.Shutdown(context.Background()) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, conn := memory.Pipe()
				defer client.Close()
				l := late{conn: make(chan net.Conn, 1), trigger: make(chan bool, 1)}
				s := server.New(app, server.Config{Log: quiet(), Limits: server.Limits{FirstByteTimeout: -1}})
				go s.Serve(l)
				go func() {
					<-l.trigger
					time.Sleep(time.Millisecond)
					l.conn <- conn
					close(l.conn)
				}()
				synctest.Wait()
				began := time.Now()
				if err := end(s); err != nil || time.Since(began) > time.Second {
					t.Errorf("%v after %v", err, time.Since(began))
				}
			})
		})
	}
}

// Time that a handler takes is not the client's: neither idle nor head timeout
// count it, Date tells when the response was made, and each record its own time.
func TestHandlersMayTakeTheirTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		b := start(t, func(r *server.Request) server.Response {
			if r.PathIs("/slow") {
				time.Sleep(3 * time.Second)
				return server.Text("slow")
			}
			return server.Reader("text/plain", reader(func(p []byte) (int, error) {
				time.Sleep(3 * time.Second)
				return copy(p, "x"), nil
			}), 1)
		}, server.Config{
			Limits:    server.Limits{IdleTimeout: 2 * time.Second, HeadTimeout: 2 * time.Second},
			AccessLog: slog.New(slog.NewTextHandler(&log, nil)),
		})
		c := b.dial(t)
		r := bufio.NewReader(c)
		for i, in := range []string{request, request + "GET / HT", "TP/1.1\r\nHost: a\r\n\r\nGET /slow HTTP/1.1\r\nHost: a\r\n\r\n", ""} {
			io.WriteString(c, in)
			resp, err := http.ReadResponse(r, nil)
			if err != nil || resp.StatusCode != 200 {
				t.Fatalf("answer %d: %v, %v", i, resp, err)
			}
			if _, err := io.Copy(io.Discard, resp.Body); err != nil {
				t.Fatal(err)
			}
			if i == 3 {
				if date, err := http.ParseTime(resp.Header.Get("Date")); err != nil || time.Since(date) > time.Second {
					t.Errorf("Date is %v, now it is %v", date, time.Now())
				}
			}
		}
		b.Shutdown(t.Context())
		if n := strings.Count(log.String(), "duration=3s"); n != 4 {
			t.Errorf("%d of 4 exchanges took 3 s:\n%s", n, log.String())
		}
	})
}

// A trailer section that breaks off is not there, and harms nobody.
func TestTrailerBrokenOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, func(r *server.Request) server.Response {
			_, err := r.ReadAll()
			return server.Text(fmt.Sprintf("%q %v", r.Trailer().Get("X-A"), errors.Is(err, server.ErrBodyTruncated)))
		}, server.Config{})
		got := talk(t, b.dial(t), "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-A: 1\r\n")
		if !strings.HasSuffix(got, "\r\n\r\n\"\" true") {
			t.Errorf("got %q", got)
		}
	})
}

// A stream that reads the body of a client that waits for 100 gets it.
func TestStreamReadsTheBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, func(r *server.Request) server.Response {
			return server.Stream("text/plain", func(w *server.StreamWriter) error {
				_, err := io.Copy(w, r.Body())
				return err
			})
		}, server.Config{})
		got := plain(t, talk(t, b.dial(t), "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n", "hello"))
		if !strings.HasPrefix(got, "HTTP/1.1 100 Continue\n\nHTTP/1.1 200 OK\n") || !strings.HasSuffix(got, "5\nhello\n0\n\n") {
			t.Errorf("got %q", got)
		}
	})
}

// Shutdown keeps its context's word even when a handler is stuck.
func TestShutdownWithAStuckHandler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln := memory.Listen(memory.Config{})
		s := server.New(func(*server.Request) server.Response {
			time.Sleep(time.Hour)
			return server.Empty(204)
		}, server.Config{Log: quiet()})
		go s.Serve(ln)
		c, err := ln.Dial(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		io.WriteString(c, request)
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		if err := s.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		time.Sleep(time.Hour) // lets the handler return, or the bubble would complain
	})
}

// An empty line between requests is nothing: the connection is idle.
func TestStrayEmptyLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, app, server.Config{})
		c := b.dial(t)
		io.WriteString(c, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab\r\n")
		out, err := io.ReadAll(c)
		if err != nil || strings.Count(string(out), "HTTP/1.1 ") != 1 {
			t.Errorf("got %q, %v", out, err)
		}
	})
}

// However the pieces come, two empty lines are skipped and a third is not.
func TestEmptyLinesInPieces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, app, server.Config{})
		if got := talk(t, b.dial(t), "\r\n", "\r\n", request); !strings.HasPrefix(got, "HTTP/1.1 200 ") {
			t.Errorf("two: got %q", got)
		}
		if got := talk(t, b.dial(t), "\r\n", "\r\n", "\r\n", request); !strings.HasPrefix(got, "HTTP/1.1 400 ") {
			t.Errorf("three: got %q", got)
		}
	})
}

// A writer that is kept does not write into somebody else's response.
func TestStreamWriterKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var kept *server.StreamWriter
		b := start(t, func(r *server.Request) server.Response {
			return server.Stream("text/plain", func(w *server.StreamWriter) error {
				if kept == nil {
					kept = w
					return nil
				}
				if _, err := kept.WriteString("stray"); err == nil {
					t.Error("the kept writer still writes")
				}
				return kept.Flush()
			})
		}, server.Config{})
		if got := talk(t, b.dial(t), request+request); strings.Contains(got, "stray") {
			t.Errorf("got %q", got)
		}
	})
}

// A response that ends with the connection and cannot be finished ends in a reset:
// to HTTP/1.0, and to HTTP/1.1 where a fault of the body had ended keep-alive.
func TestUnfinishedIsReset(t *testing.T) {
	ln, err := tcp.Listen(tcp.Config{})
	if err != nil {
		t.Fatal(err)
	}
	s := server.New(func(r *server.Request) server.Response {
		_, _ = r.ReadAll() // a handler that does not look
		return app(r)
	}, server.Config{Log: quiet()})
	go s.Serve(ln)
	defer s.Close()
	for name, in := range map[string]string{
		"1.0": "GET /broken HTTP/1.0\r\n\r\n",
		"1.1": "POST /broken HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nZ",
	} {
		t.Run(name, func(t *testing.T) {
			c, err := tcp.Dial(t.Context(), tcp.Config{Addr: ln.Addr().String()})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			// The fault must come while the handler reads, so the body comes by itself.
			head, body, _ := strings.Cut(in, "\r\n\r\n")
			before := s.Stats().Requests
			io.WriteString(c, head+"\r\n\r\n")
			for s.Stats().Requests == before {
				time.Sleep(time.Millisecond)
			}
			if body != "" { // even an empty write would take the reset's error from the read
				io.WriteString(c, body)
			}
			if out, err := io.ReadAll(c); err == nil {
				t.Errorf("ended cleanly after %q", out)
			}
		})
	}
}

// Clone keeps what a request says.
func TestClone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kept := make(chan *server.Request, 1)
		b := start(t, func(r *server.Request) server.Response {
			if _, err := r.ReadAll(); err != nil {
				return server.Err(err)
			}
			kept <- r.Clone()
			return server.Empty(204)
		}, server.Config{})
		talk(t, b.dial(t), "POST /a?b HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nX-Sum: 7\r\n\r\n")
		r := <-kept
		b.Close()
		if r.Target() != "/a?b" || r.Header().Get("Host") != "a" || r.Trailer().Get("X-Sum") != "7" {
			t.Errorf("%s %s %s", r.Target(), r.Header().Get("Host"), r.Trailer().Get("X-Sum"))
		}
		if n, err := r.Body().Read(make([]byte, 1)); n != 0 || err != io.EOF {
			t.Errorf("body: %d, %v", n, err)
		}
	})
}

// The record of a response that was broken off says so.
func TestAccessLogOfBrokenOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		b := start(t, app, server.Config{AccessLog: slog.New(slog.NewTextHandler(&log, nil))})
		talk(t, b.dial(t), "GET /short HTTP/1.1\r\nHost: a\r\n\r\n")
		b.Shutdown(t.Context())
		if !strings.Contains(log.String(), `status=200 bytes=5 `) || !strings.Contains(log.String(), `error="unexpected EOF"`) {
			t.Errorf("got %s", log.String())
		}
	})
}
