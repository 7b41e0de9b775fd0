package server_test

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"strings"

	"postern/server"
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
