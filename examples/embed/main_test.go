package main_test

import (
	"bytes"
	"go/build"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	main "postern/examples/embed"
)

// dial connects to a server until the test ends.
func dial(t *testing.T, patience time.Duration) *net.TCPConn {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	c, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	s, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(20 * time.Second))
	var served sync.WaitGroup
	served.Go(func() { main.Serve(s.(*net.TCPConn), patience) })
	t.Cleanup(func() {
		c.Close()
		served.Wait()
	})
	return c.(*net.TCPConn)
}

const ok = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: "

func TestAnswers(t *testing.T) {
	for _, tt := range []struct{ name, sent, want string }{
		{"one", "GET /a HTTP/1.1\r\nHost: x\r\n\r\n", ok + "3\r\n\r\n/a\n"},
		{"a batch", "GET /a HTTP/1.1\r\nHost: x\r\n\r\nPOST /b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\nGET /c HTTP/1.1\r\nHost: x\r\n\r\n",
			ok + "3\r\n\r\n/a\n" + ok + "5\r\n\r\n/b\nhi" + ok + "3\r\n\r\n/c\n"},
		{"nothing", "", ""},
		{"broken off", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhi", ""},
		{"HTTP/1.0", "GET / HTTP/1.0\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\nConnection: close\r\n\r\n/\n"},
		{"malformed", "GET / HTTP/1.1\r\nHost : x\r\n\r\n" + strings.Repeat("GET / HTTP/1.1\r\nHost: x\r\n\r\n", 1000),
			"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 36\r\nConnection: close\r\n\r\nwhitespace before the field's colon\n"},
		{"too large", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1048577\r\n\r\n" + strings.Repeat("x", 1<<20+1),
			"HTTP/1.1 413 Content Too Large\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 18\r\nConnection: close\r\n\r\ncontent too large\n"},
		{"a tunnel", "CONNECT x:1 HTTP/1.1\r\nHost: x:1\r\n\r\n",
			"HTTP/1.1 500 Internal Server Error\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 22\r\nConnection: close\r\n\r\nInternal Server Error\n"},
	} {
		c := dial(t, 20*time.Second)
		go func() { // ends with c
			io.WriteString(c, tt.sent)
			c.CloseWrite()
		}()
		if got, err := io.ReadAll(c); string(got) != tt.want || err != nil {
			t.Errorf("%s: %q, %v, want %q", tt.name, got, err, tt.want)
		}
	}
}

func TestContinue(t *testing.T) {
	c := dial(t, 20*time.Second)
	for _, step := range []struct{ send, want string }{
		{"POST /a HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n", "HTTP/1.1 100 Continue\r\n\r\n"},
		{"hi", ok + "5\r\n\r\n/a\nhi"},
	} {
		io.WriteString(c, step.send)
		got := make([]byte, len(step.want))
		if n, err := io.ReadFull(c, got); string(got) != step.want {
			t.Errorf("%q, %v, want %q", got[:n], err, step.want)
		}
	}
}

func TestGivesUp(t *testing.T) {
	c := dial(t, 50*time.Millisecond)
	io.WriteString(c, "GET / HT")
	if got, err := io.ReadAll(c); len(got) > 0 || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}

// The program stays what it says that it is.
func TestIsSmall(t *testing.T) {
	text, err := os.ReadFile("main.go")
	if n := bytes.Count(text, []byte("\n")); n >= 60 || err != nil {
		t.Errorf("%d lines, %v", n, err)
	}
	pkg, err := build.ImportDir(".", 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range pkg.Imports {
		if strings.Contains(path, "/") && path != "postern/h1" {
			t.Errorf("imports %s", path)
		}
	}
}
