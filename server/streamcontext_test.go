package server_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"

	"postern/server"
	"postern/transport/memory"
)

// A response without an end ends when the server shuts down, and Shutdown waits for
// it; the ordinary context goes on.
func TestStreamContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var contexts []context.Context
		b := start(t, func(r *server.Request) server.Response {
			ctx := r.StreamContext()
			contexts = append(contexts, ctx)
			if r.PathIs("/short") {
				return server.Text("done")
			}
			return server.Stream("text/plain", func(w *server.StreamWriter) error {
				w.WriteString("begun, ")
				w.Flush()
				<-ctx.Done()
				if r.Context().Err() != nil {
					w.WriteString("not ")
				}
				w.WriteString("ended well")
				return nil
			})
		}, server.Config{})
		c := b.dial(t)
		io.WriteString(c, "GET /short HTTP/1.1\r\nHost: a\r\n\r\n")
		synctest.Wait()
		if contexts[0].Err() == nil {
			t.Error("a context has outlived its exchange")
		}
		io.WriteString(c, request)
		synctest.Wait()
		if contexts[1].Err() != nil {
			t.Fatal("ended before Shutdown")
		}
		if err := b.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
		out, err := io.ReadAll(c)
		const want = "7\r\nbegun, \r\na\r\nended well\r\n0\r\n\r\n"
		if got := string(out[max(0, len(out)-len(want)):]); got != want || err != nil {
			t.Errorf("got %q, %v, want %q at the end", out, err, want)
		}
	})
}

// Close ends it too, and a request of a test has one that does not end.
func TestStreamContextAfterClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan error, 1)
		b := start(t, func(r *server.Request) server.Response {
			ctx := r.StreamContext()
			<-ctx.Done()
			ended <- ctx.Err()
			return server.Text("too late")
		}, server.Config{})
		io.WriteString(b.dial(t), request)
		synctest.Wait()
		b.Close()
		if err := <-ended; err != context.Canceled {
			t.Error(err)
		}
		if err := server.NewRequest("GET", "/", nil).StreamContext().Err(); err != nil {
			t.Error(err)
		}
	})
}

// It does on a server of net/http, and on ours by way of net/http.
func TestStreamContextOfHTTP(t *testing.T) {
	h := server.Handler(func(r *server.Request) server.Response {
		ctx := r.StreamContext()
		return server.Stream("text/plain", func(w *server.StreamWriter) error {
			w.WriteString("begun, ")
			w.Flush()
			<-ctx.Done()
			if r.Context().Err() != nil {
				w.WriteString("not ")
			}
			w.WriteString("ended well")
			return nil
		})
	}).HTTP()
	synctest.Test(t, func(t *testing.T) {
		ln := memory.Listen(memory.Config{})
		hs := &http.Server{Handler: h}
		go hs.Serve(ln)
		b := start(t, server.HTTP(h), server.Config{})
		for _, tc := range []struct {
			name     string
			ln       *memory.Listener
			shutdown func(context.Context) error
		}{{"net/http", ln, hs.Shutdown}, {"ours", b.ln, b.Shutdown}} {
			clients := []net.Conn{}
			for range 2 { // the second finds the server known
				c, err := tc.ln.Dial(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				io.WriteString(c, request)
				clients = append(clients, c)
			}
			synctest.Wait()
			if err := tc.shutdown(t.Context()); err != nil {
				t.Fatal(err)
			}
			for _, c := range clients {
				out, err := io.ReadAll(c)
				const want = "begun, \r\na\r\nended well\r\n0\r\n\r\n"
				if !strings.HasSuffix(string(out), want) || err != nil {
					t.Errorf("%s: got %q, %v, want %q at the end", tc.name, out, err, want)
				}
			}
		}
	})
	w := httptest.NewRecorder() // there is no server
	server.Handler(func(r *server.Request) server.Response {
		return server.Text(fmt.Sprint(r.StreamContext().Err()))
	}).HTTP().ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	if got := w.Body.String(); got != "<nil>" {
		t.Errorf("without a server: %s", got)
	}
}
