package main_test

import (
	"bufio"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"postern/examples/internal/programtest"
	main "postern/examples/proxy"
)

const testTime = 20 * time.Second // for all that a connection does in a test

// start runs the proxy in front of an upstream.
func start(t *testing.T, to string, args ...string) (addr string) {
	t.Helper()
	return programtest.Start(t, main.Run, 1, append([]string{"-addr", "127.0.0.1:0", "-to", to}, args...)...).Addrs[0]
}

// listen lets script have each connection that it accepts, with its number from 1.
func listen(t *testing.T, script func(n int, c *net.TCPConn, in *bufio.Reader)) (addr string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var scripts sync.WaitGroup
	t.Cleanup(func() {
		ln.Close()
		scripts.Wait()
	})
	scripts.Go(func() {
		for n := 1; ; n++ {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			scripts.Go(func() {
				defer c.Close()
				c.SetDeadline(time.Now().Add(testTime))
				script(n, c.(*net.TCPConn), bufio.NewReader(c))
			})
		}
	})
	return ln.Addr().String()
}

// says is an upstream that answers every request, which has no content, with the
// same bytes, and closes.
func says(t *testing.T, response string) (addr string) {
	return listen(t, func(_ int, c *net.TCPConn, in *bufio.Reader) {
		if _, ok := head(in); ok {
			io.WriteString(c, response)
		}
	})
}

// head reads a message's head, with its blank line.
func head(in *bufio.Reader) (text string, ok bool) {
	for !strings.HasSuffix(text, "\r\n\r\n") {
		line, err := in.ReadString('\n')
		if text += line; err != nil {
			return text, false
		}
	}
	return text, true
}

// dial connects to the proxy until the test ends.
func dial(t *testing.T, addr string) (*net.TCPConn, *bufio.Reader) {
	t.Helper()
	c := programtest.Dial(t, addr)
	c.SetDeadline(time.Now().Add(testTime))
	return c.(*net.TCPConn), bufio.NewReader(c)
}

// talk sends requests, says that there are no more, and returns all that comes back.
func talk(t *testing.T, addr, requests string) string {
	t.Helper()
	c, in := dial(t, addr)
	io.WriteString(c, requests)
	c.CloseWrite()
	answer, err := io.ReadAll(in)
	if err != nil {
		t.Errorf("after %q: %v", answer, err)
	}
	return string(answer)
}

// next reads len(want) bytes and compares.
func next(t *testing.T, in *bufio.Reader, want string) {
	t.Helper()
	got := make([]byte, len(want))
	if n, err := io.ReadFull(in, got); string(got[:n]) != want {
		t.Fatalf("got %q, want %q; %v", got[:n], want, err)
	}
}
