package server_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"postern/server"
	"postern/transport/memory"
	"postern/transport/tcp"
)

// A server is a handler and a listener.
func Example() {
	hello := func(r *server.Request) server.Response {
		return server.Text("Hello from " + r.Path() + "\n")
	}
	ln, err := tcp.Listen(tcp.Config{Addr: "127.0.0.1:0"})
	if err != nil {
		log.Fatal(err)
	}
	s := server.New(hello, server.Config{})
	go s.Serve(ln)
	defer s.Close()

	resp, err := http.Get("http://" + ln.Addr().String() + "/a")
	if err != nil {
		log.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	fmt.Print(resp.Status, " ", string(body), err)
	// Output: 200 OK Hello from /a
	// <nil>
}

// A handler is tested by calling it.
func ExampleNewRequest() {
	shout := func(r *server.Request) server.Response {
		body, err := r.ReadAll()
		if err != nil {
			return server.Err(err)
		}
		return server.Text(strings.ToUpper(string(body)))
	}
	resp := shout(server.NewRequest("POST", "/", strings.NewReader("hello")))
	body, err := resp.Body.ReadAll()
	fmt.Println(string(body), err)
	// Output: HELLO <nil>
}

// Middleware is a function from handler to handler.
func ExampleHandler() {
	onlyGet := func(next server.Handler) server.Handler {
		return func(r *server.Request) server.Response {
			if r.Method() != "GET" {
				return server.Text("only GET\n").WithStatus(405).With("Allow", "GET")
			}
			return next(r)
		}
	}
	h := onlyGet(func(*server.Request) server.Response { return server.Text("hello") })
	fmt.Println(h(server.NewRequest("DELETE", "/", nil)).Status)
	// Output: 405
}

// A stream is written while it is produced.
func ExampleStream() {
	count := func(r *server.Request) server.Response {
		return server.Stream("text/plain", func(w *server.StreamWriter) error {
			for i := range 3 {
				if _, err := fmt.Fprintln(w, i); err != nil {
					return err
				}
			}
			return w.Flush()
		})
	}
	body, err := count(server.NewRequest("GET", "/", nil)).Body.ReadAll()
	fmt.Printf("%q %v\n", body, err)
	// Output: "0\n1\n2\n" <nil>
}

// A stream that must not run for ever.
func ExampleResponse_WithStreamLimits() {
	letters := func(r *server.Request) server.Response {
		return server.Stream("text/plain", func(w *server.StreamWriter) error {
			for {
				if _, err := io.WriteString(w, "abc"); err != nil {
					return err
				}
			}
		}).WithStreamLimits(server.StreamLimits{MaxBytes: 10, MaxTime: time.Minute})
	}
	body, err := letters(server.NewRequest("GET", "/", nil)).Body.ReadAll()
	fmt.Println(string(body), err)
	// Output: abcabcabc server: stream past its limit: 10 bytes
}

// A Drive speaks to the client step by step.
func ExampleDrive() {
	page := func(r *server.Request) server.Response {
		return server.Drive(func(x *server.Exchange) error {
			if err := x.Info(103, server.Fields{{Name: "Link", Value: "</style.css>; rel=preload"}}); err != nil {
				return err
			}
			if err := x.Head(200, server.Fields{{Name: "Content-Type", Value: "text/html"}}); err != nil {
				return err
			}
			for _, part := range []string{"<p>one\n", "<p>two\n"} {
				if _, err := io.WriteString(x, part); err != nil {
					return err
				}
				if err := x.Flush(); err != nil { // the client sees it now
					return err
				}
			}
			return x.Trailer("X-Parts", "2")
		})
	}
	ln := memory.Listen(memory.Config{})
	s := server.New(page, server.Config{})
	go s.Serve(ln)
	defer s.Close()

	client := http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return ln.Dial(ctx) },
	}}
	resp, err := client.Get("http://page/")
	if err != nil {
		log.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	fmt.Printf("%s%v %v\n", body, resp.Trailer.Get("X-Parts"), err)
	// Output: <p>one
	// <p>two
	// 2 <nil>
}

// An Upgrade hands the connection over to another protocol.
func ExampleUpgrade() {
	echo := func(r *server.Request) server.Response {
		return server.Upgrade("echo", func(nc net.Conn, early []byte) {
			nc.Write(early)
			io.Copy(nc, nc)
		})
	}
	ln := memory.Listen(memory.Config{})
	s := server.New(echo, server.Config{})
	go s.Serve(ln)
	defer s.Close()

	c, err := ln.Dial(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\nhello")
	c.(interface{ CloseWrite() error }).CloseWrite()
	answer, err := io.ReadAll(c)
	head, rest, _ := strings.Cut(string(answer), "\r\n\r\n")
	fmt.Println(strings.Fields(head)[1], rest, err)
	// Output: 101 hello <nil>
}

// A net/http handler, with all that was written for it, is served as it is.
func ExampleHTTP() {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /hello/{name}", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "Hello, %s!", r.PathValue("name"))
	})
	ln, err := tcp.Listen(tcp.Config{Addr: "127.0.0.1:0"})
	if err != nil {
		log.Fatal(err)
	}
	s := server.New(server.HTTP(mux), server.Config{})
	go s.Serve(ln)
	defer s.Close()

	resp, err := http.Get("http://" + ln.Addr().String() + "/hello/you")
	if err != nil {
		log.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	fmt.Printf("%s %v\n", body, err)
	// Output: Hello, you! <nil>
}

// A Handler is mounted in a mux of net/http.
func ExampleHandler_HTTP() {
	hello := server.Handler(func(r *server.Request) server.Response {
		return server.Text("Hello from " + r.Path())
	})
	mux := http.NewServeMux()
	mux.Handle("/hello", hello.HTTP())

	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequest("GET", "/hello", nil))
	fmt.Println(w.Code, w.Body)
	// Output: 200 Hello from /hello
}
