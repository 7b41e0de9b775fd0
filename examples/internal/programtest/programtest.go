// Package programtest runs an example program inside a test and talks to it.
package programtest

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"postern/examples/internal/program"
)

// Program is a running program.
type Program struct {
	Addrs []string     // as it printed them
	Stop  func() error // ends it and returns its error
}

// Start runs a program with these flags until the test ends or calls Stop. It waits
// until as many listeners are announced.
func Start(t *testing.T, run program.Run, listeners int, args ...string) Program {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	out, in := io.Pipe()
	ended := make(chan error, 1)
	go func() { // ends with cancel
		err := run(ctx, args, in, io.Discard)
		in.Close()
		ended <- err
	}()
	p := Program{Stop: sync.OnceValue(func() error {
		cancel()
		return <-ended
	})}
	t.Cleanup(func() {
		if err := p.Stop(); err != nil {
			t.Error(err)
		}
	})
	lines := bufio.NewScanner(out)
	for range listeners {
		if !lines.Scan() {
			t.Fatalf("ended before it listened: %v", p.Stop())
		}
		addr, ok := strings.CutPrefix(lines.Text(), "listening on ")
		if !ok {
			t.Fatalf("printed %q", lines.Text())
		}
		p.Addrs = append(p.Addrs, addr)
	}
	return p
}

// Connect connects to an address as it was printed.
func Connect(addr string) (net.Conn, error) {
	if path, ok := strings.CutPrefix(addr, "unix:"); ok {
		return net.Dial("unix", path)
	}
	return net.Dial("tcp", addr)
}

// Dial is Connect until the test ends.
func Dial(t *testing.T, addr string) net.Conn {
	t.Helper()
	conn, err := Connect(addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// Client sends every request over connections to addr.
func Client(t *testing.T, addr string) *http.Client {
	transport := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
		return Connect(addr)
	}}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// Call sends a request and returns the response with its content.
func Call(t *testing.T, c *http.Client, method, path, body string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequest(method, "http://localhost"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	content, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(content)
}
