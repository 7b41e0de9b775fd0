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
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"postern/server"
	"postern/transport/memory"
	"postern/transport/tcp"
)

var contractsLifecycle = []contract{
	{name: "ErrAbortHandler", in: []string{getHTTP}, handler: func(w http.ResponseWriter, r *http.Request, saw sawFunc) {
		panic(http.ErrAbortHandler)
	}},
	{name: "ErrAbortHandler in the middle", in: []string{getHTTP}, handler: func(w http.ResponseWriter, r *http.Request, saw sawFunc) {
		io.WriteString(w, "part")
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}},
	{name: "ErrAbortHandler with a length", in: []string{getHTTP}, handler: func(w http.ResponseWriter, r *http.Request, saw sawFunc) {
		w.Header().Set("Content-Length", "10")
		io.WriteString(w, "part")
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}},
	{name: "panic", in: []string{getHTTP}, handler: func(w http.ResponseWriter, r *http.Request, saw sawFunc) {
		io.WriteString(w, "never sent")
		panic("oops")
	}, differ: []string{"no response\n", "500\n  close\n  Content-Length: 26\n  Content-Type: text/plain; charset=utf-8\n  Date: now\n  length 26 []\n  \"500 Internal Server Error\\n\"\n"}},
	{name: "panic in the middle", in: []string{getHTTP}, handler: func(w http.ResponseWriter, r *http.Request, saw sawFunc) {
		io.WriteString(w, "part")
		w.(http.Flusher).Flush()
		panic("oops")
	}},
	{name: "Goexit", in: []string{getHTTP}, handler: func(w http.ResponseWriter, r *http.Request, saw sawFunc) {
		runtime.Goexit()
	}},
	{name: "the context while the handler runs", in: []string{getHTTP, postHTTP("abc"), chunkedHTTP("0\r\n\r\n")}, handler: func(w http.ResponseWriter, r *http.Request, saw sawFunc) {
		io.ReadAll(r.Body)
		saw("%v", r.Context().Err())
	}},
	{name: "the context when the client has gone", in: []string{getHTTP}, cut: true, handler: func(w http.ResponseWriter, r *http.Request, saw sawFunc) {
		<-r.Context().Done()
		saw("%v", r.Context().Err())
	}},
	{name: "the context when the client has gone behind its body", in: []string{chunkedHTTP("3\r\nabc\r\n0\r\n\r\n")}, cut: true, handler: func(w http.ResponseWriter, r *http.Request, saw sawFunc) {
		io.ReadAll(r.Body)
		<-r.Context().Done()
		saw("%v", r.Context().Err())
	}},
	{name: "the context when the client has half-closed", in: []string{getHTTP}, raw: true, handler: func(w http.ResponseWriter, r *http.Request, saw sawFunc) {
		<-r.Context().Done()
		saw("%v", r.Context().Err())
	}},
	{name: "CloseNotify", in: []string{getHTTP}, cut: true, handler: func(w http.ResponseWriter, r *http.Request, saw sawFunc) {
		saw("%v", <-w.(http.CloseNotifier).CloseNotify()) //lint:ignore SA1019 gin asks for it
	}},
	{name: "pipelined", in: []string{getHTTP + getHTTP + postHTTP("abc") + getHTTP, "", "", ""}, handler: func(w http.ResponseWriter, r *http.Request, saw sawFunc) {
		io.Copy(w, r.Body)
	}},
}

var contractsHijack = []contract{
	{name: "Hijack", in: []string{getHTTP + "early"}, raw: true, handler: func(w http.ResponseWriter, r *http.Request, saw sawFunc) {
		nc, rw, err := w.(http.Hijacker).Hijack()
		if err != nil {
			saw("%v", err)
			return
		}
		defer nc.Close()
		saw("writer %v, %d buffered", rw.Writer != nil, rw.Writer.Buffered())
		b, err := io.ReadAll(rw)
		saw("read %q %v", b, err)
		rw.WriteString("raw")
		saw("flush %v", rw.Flush())
		_, err = io.WriteString(w, "x")
		saw("write %v", err == http.ErrHijacked)
		_, _, err = w.(http.Hijacker).Hijack()
		saw("again %v", err == http.ErrHijacked)
		w.WriteHeader(500)
	}},
	{name: "101 and Hijack", in: []string{"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nearly"}, raw: true, handler: func(w http.ResponseWriter, r *http.Request, saw sawFunc) {
		w.Header().Set("Upgrade", "echo")
		w.Header().Set("Connection", "Upgrade")
		w.WriteHeader(101)
		nc, rw, err := w.(http.Hijacker).Hijack()
		if err != nil {
			saw("%v", err)
			return
		}
		defer nc.Close()
		b, _ := io.ReadAll(rw)
		nc.Write(b)
	}},
	{name: "Hijack behind a head", in: []string{getHTTP}, raw: true, handler: func(w http.ResponseWriter, r *http.Request, saw sawFunc) {
		w.Header().Set("Content-Length", "5")
		w.(http.Flusher).Flush()
		nc, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			saw("%v", err)
			return
		}
		io.WriteString(nc, "hello")
		nc.Close()
	}},
	{name: "no more early bytes than came", in: []string{getHTTP + "ab"}, raw: true, handler: func(w http.ResponseWriter, r *http.Request, saw sawFunc) {
		nc, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			saw("%v", err)
			return
		}
		defer nc.Close()
		b, err := io.ReadAll(rw)
		saw("%q %v", b, err)
	}},
}

// A handler that hijacks within the same goroutine sees how many bytes came early.
func TestHTTPHijackBuffered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for early, n := range map[string]int{"": 0, "abc": 3, strings.Repeat("x", 6000): 6000} {
			got := make(chan int, 1)
			b := start(t, server.HTTP(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				nc, rw, err := w.(http.Hijacker).Hijack()
				if err != nil {
					t.Error(err)
					return
				}
				got <- rw.Reader.Buffered()
				nc.Close()
			})), server.Config{})
			c := b.dial(t)
			io.WriteString(c, request+early)
			if g := <-got; g != n {
				t.Errorf("%d buffered, want %d", g, n)
			}
		}
	})
}

// The context of a hijacked exchange ends with the handler, and neither at Hijack
// nor at Shutdown.
func TestHTTPHijackContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		step := make(chan bool)
		b := start(t, server.HTTP(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			nc, _, err := w.(http.Hijacker).Hijack()
			if err != nil {
				t.Error(err)
			}
			defer nc.Close()
			step <- true
			<-step
			if err := r.Context().Err(); err != nil {
				t.Errorf("context: %v", err)
			}
			context.AfterFunc(r.Context(), func() { close(step) })
		})), server.Config{})
		io.WriteString(b.dial(t), request)
		<-step
		if err := b.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		step <- true
		<-step
	})
}

// Temporary files of an upload are gone when the handler has returned.
func TestHTTPMultipartFiles(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	synctest.Test(t, func(t *testing.T) {
		inside := -1
		b := start(t, server.HTTP(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if err := r.ParseMultipartForm(1); err != nil {
				t.Error(err)
			}
			files, _ := filepath.Glob(filepath.Join(os.TempDir(), "multipart-*"))
			inside = len(files)
			panic("also then")
		})), server.Config{})
		body := "--x\r\nContent-Disposition: form-data; name=f; filename=a\r\n\r\n" + strings.Repeat("x", 20<<20) + "\r\n--x--\r\n"
		talk(t, b.dial(t), postHTTP(body, "Content-Type: multipart/form-data; boundary=x\r\n"))
		files, err := filepath.Glob(filepath.Join(os.TempDir(), "multipart-*"))
		if inside != 1 || len(files) != 0 || err != nil {
			t.Errorf("%d files inside the handler, %d after it, %v", inside, len(files), err)
		}
	})
}

// A body read after the handler has returned fails, whatever became of the
// connection, and one that is being read then is waited for.
func TestHTTPBodyAfterReturn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bodies := make(chan io.ReadCloser, 2)
		reading := make(chan error, 1)
		b := start(t, server.HTTP(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			bodies <- r.Body
			if r.URL.Path == "/slow" {
				go func() {
					_, err := io.ReadAll(r.Body)
					reading <- err
				}()
				time.Sleep(time.Second)
			}
		})), server.Config{})
		c := b.dial(t)
		io.WriteString(c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"+request+"POST /slow HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\na")
		first := <-bodies
		<-bodies
		<-bodies
		if _, err := first.Read(make([]byte, 1)); err != http.ErrBodyReadAfterClose {
			t.Errorf("read after return: %v", err)
		}
		time.Sleep(time.Second)
		io.WriteString(c, "bc")
		if err := <-reading; err != nil {
			t.Errorf("a read that was going on: %v", err)
		}
		if got := talk(t, c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"); strings.Count(got, "200 OK") != 4 {
			t.Errorf("got %q", got)
		}
	})
}

// A client that has called its request the last need not send all of the body: a read
// by another goroutine ends with the handler, and Close reads nothing.
func TestHTTPLastBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reading := make(chan error, 1)
		b := start(t, server.HTTP(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/close" {
				r.Body.Close()
				return
			}
			go func() {
				_, err := r.Body.Read(make([]byte, 1))
				reading <- err
			}()
			time.Sleep(time.Second)
			w.(http.Flusher).Flush()
		})), server.Config{})
		for _, path := range []string{"/close", "/read"} {
			c, began := b.dial(t), time.Now()
			io.WriteString(c, "POST "+path+" HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 3\r\n\r\n")
			if out, err := io.ReadAll(c); err != nil || !strings.Contains(string(out), "200 OK") || time.Since(began) > time.Second {
				t.Errorf("%s: got %q, %v, after %v", path, out, err, time.Since(began))
			}
			c.Close()
		}
		if err := <-reading; err == nil {
			t.Error("the read succeeded")
		}
	})
}

// panic(nil), where it is allowed still, ends the response as any panic does.
func TestHTTPPanicNil(t *testing.T) {
	t.Setenv("GODEBUG", "panicnil=1")
	synctest.Test(t, func(t *testing.T) {
		b := start(t, server.HTTP(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, "part")
			w.(http.Flusher).Flush()
			panic(nil)
		})), server.Config{})
		if out := talk(t, b.dial(t), request); !strings.HasSuffix(out, "part\r\n") {
			t.Errorf("got %q", out)
		}
	})
}

// RegisterOnShutdown and ConnState work, and Serve's error is net/http's.
func TestHTTPServerHooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var states []string
		called := make(chan bool)
		var once sync.Once
		hs := &http.Server{ConnState: func(nc net.Conn, s http.ConnState) {
			mu.Lock()
			defer mu.Unlock()
			states = append(states, s.String())
		}}
		s := server.New(server.HTTP(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if got := r.Context().Value(http.ServerContextKey); got != hs {
				t.Errorf("server %v", got)
			}
			once.Do(func() { hs.RegisterOnShutdown(func() { close(called) }) })
			if r.URL.Path == "/hijack" {
				nc, _, _ := w.(http.Hijacker).Hijack()
				nc.Close()
			}
		})), server.Config{Log: quiet(), HTTP: hs})
		ln := memory.Listen(memory.Config{})
		served := make(chan error, 1)
		go func() { served <- s.Serve(ln) }()
		b := &bench{s, ln}
		c := b.dial(t)
		synctest.Wait()
		io.WriteString(c, request)
		synctest.Wait()
		talk(t, c, request)
		if err := s.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		<-called
		if err := <-served; !errors.Is(err, http.ErrServerClosed) || !errors.Is(err, server.ErrServerClosed) {
			t.Errorf("Serve: %v", err)
		}
		mu.Lock()
		defer mu.Unlock()
		if want := []string{"new", "active", "idle", "active", "idle", "closed"}; !slices.Equal(states, want) {
			t.Errorf("states %q, want %q", states, want)
		}
	})
}

// With Shutdown an exchange goes on, its context too.
func TestHTTPShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		step := make(chan bool)
		b := start(t, server.HTTP(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			step <- true
			<-step
			fmt.Fprint(w, r.Context().Err())
		})), server.Config{})
		c := b.dial(t)
		io.WriteString(c, request)
		<-step
		ended := make(chan error)
		go func() { ended <- b.Shutdown(context.Background()) }()
		synctest.Wait()
		step <- true
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatal(err)
		}
		if body, err := io.ReadAll(resp.Body); string(body) != "<nil>" || err != nil || !resp.Close {
			t.Errorf("got %q, %v, close %v", body, err, resp.Close)
		}
		c.Close()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// A client of net/http, many times at once, with bodies both ways.
func TestHTTPClients(t *testing.T) {
	ln, err := tcp.Listen(tcp.Config{Addr: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	s := server.New(server.HTTP(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.NewResponseController(w).EnableFullDuplex()
		io.Copy(w, r.Body)
	})), server.Config{Log: quiet()})
	go s.Serve(ln)
	defer s.Close()
	client := &http.Client{Transport: &http.Transport{}, Timeout: 30 * time.Second}
	defer client.CloseIdleConnections()
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for k := range 20 {
				body := strings.Repeat(string(rune('a'+i)), 1+k*k*500)
				resp, err := client.Post("http://"+ln.Addr().String(), "text/plain", io.MultiReader(strings.NewReader(body)))
				if err != nil {
					t.Error(err)
					return
				}
				got, err := io.ReadAll(resp.Body)
				resp.Body.Close()
				if string(got) != body || err != nil {
					t.Errorf("sent %d bytes, got %d, %v", len(body), len(got), err)
				}
			}
		})
	}
	wg.Wait()
}

// The context ends when the handler has returned, also when it has read nothing.
func TestHTTPContextEndsOnReturn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		contexts := make(chan context.Context, 2)
		b := start(t, server.HTTP(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			contexts <- r.Context()
		})), server.Config{})
		c := b.dial(t)
		io.WriteString(c, request+postHTTP("abc"))
		for range 2 {
			ctx := <-contexts
			synctest.Wait()
			if ctx.Err() != context.Canceled {
				t.Errorf("context %v", ctx.Err())
			}
		}
	})
}

// A panic is logged with its stack, ErrAbortHandler is not.
func TestHTTPPanicLog(t *testing.T) {
	for _, p := range []any{"oops", http.ErrAbortHandler} {
		synctest.Test(t, func(t *testing.T) {
			var log bytes.Buffer
			b := start(t, server.HTTP(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				panic(p)
			})), server.Config{Log: slog.New(slog.NewTextHandler(&log, nil))})
			talk(t, b.dial(t), request)
			b.Close()
			logged := strings.Contains(log.String(), "panic=oops") && strings.Contains(log.String(), "http_lifecycle_test.go")
			if logged != (p == "oops") || p != "oops" && log.Len() > 0 {
				t.Errorf("%v: logged %q", p, &log)
			}
		})
	}
}
