package main_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"postern/examples/internal/program"
	"postern/examples/internal/programtest"
	main "postern/examples/proxy"
)

const hello = "HTTP/1.1 200 OK\r\nDate: today\r\nContent-Length: 5\r\n\r\nhello"

// A server and a client that others have written understand each other through it.
func TestNetHTTP(t *testing.T) {
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.NewResponseController(w).EnableFullDuplex()
		w.Header().Set("Trailer", "X-Got")
		w.WriteHeader(http.StatusEarlyHints)
		n, err := io.Copy(w, r.Body)
		w.Header().Set("X-Got", fmt.Sprintf("%d %s %v", n, r.Trailer.Get("X-Sent"), err))
	}))
	defer upstream.Close()
	addr := start(t, upstream.Listener.Addr().String())
	c := programtest.Client(t, addr)
	for range 3 {
		req, _ := http.NewRequest("POST", "http://localhost/", io.MultiReader(strings.NewReader(strings.Repeat("x", 1<<20))))
		req.Trailer = http.Header{"X-Sent": {"all"}}
		resp, err := c.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		n, err := io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if got := resp.Trailer.Get("X-Got"); n != 1<<20 || err != nil || got != "1048576 all <nil>" {
			t.Errorf("%d bytes, %v, trailer %q", n, err, got)
		}
	}
	if resp, got := programtest.Call(t, c, "GET", "/", ""); resp.StatusCode != 200 || got != "" {
		t.Errorf("%d %q", resp.StatusCode, got)
	}
}

// Pipelined requests are answered in their order, over one upstream connection.
func TestPipelined(t *testing.T) {
	addr := start(t, listen(t, func(n int, c *net.TCPConn, in *bufio.Reader) {
		for {
			request, ok := head(in)
			if !ok {
				return
			}
			target := strings.Fields(request)[1]
			fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%d%s", len(target)+1, n, target)
		}
	}))
	var requests strings.Builder
	for i := range 10 {
		fmt.Fprintf(&requests, "GET /%d HTTP/1.1\r\nHost: x\r\n\r\n", i)
	}
	c, in := dial(t, addr)
	io.WriteString(c, requests.String())
	for i := range 10 {
		resp, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := io.ReadAll(resp.Body); string(got) != fmt.Sprintf("1/%d", i) {
			t.Errorf("answer %d: %q", i, got)
		}
	}
}

// The content of both messages flows at the same time.
func TestBothWaysAtOnce(t *testing.T) {
	addr := start(t, listen(t, func(_ int, c *net.TCPConn, in *bufio.Reader) {
		head(in)
		io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
		io.Copy(c, in) // the chunks as they come
	}))
	c, in := dial(t, addr)
	io.WriteString(c, "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
	head(in)
	for i := range 100 {
		chunk := fmt.Sprintf("3\r\n%03d\r\n", i)
		io.WriteString(c, chunk)
		next(t, in, chunk)
	}
	io.WriteString(c, "0\r\n\r\n")
	next(t, in, "0\r\n\r\n")
}

// 100 (Continue) comes from the upstream, and the content waits for it.
func TestExpect(t *testing.T) {
	addr := start(t, listen(t, func(_ int, c *net.TCPConn, in *bufio.Reader) {
		if request, _ := head(in); !strings.Contains(request, "\r\nExpect: 100-continue\r\n") || in.Buffered() > 0 {
			t.Errorf("the upstream got %q and %d bytes", request, in.Buffered())
		}
		io.WriteString(c, "HTTP/1.1 100 Continue\r\n\r\n")
		next(t, in, "hello")
		io.WriteString(c, hello)
	}))
	c, in := dial(t, addr)
	io.WriteString(c, "POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
	next(t, in, "HTTP/1.1 100 Continue\r\nVia: 1.1 postern\r\n\r\n")
	io.WriteString(c, "hello")
	next(t, in, "HTTP/1.1 200 OK\r\n")
}

// What stands behind the heads of an upgrade is the new protocol's, in both directions.
func TestUpgrade(t *testing.T) {
	addr := start(t, listen(t, func(_ int, c *net.TCPConn, in *bufio.Reader) {
		if request, _ := head(in); !strings.Contains(request, "\r\nUpgrade: echo\r\n") || !strings.Contains(request, "\r\nConnection: upgrade\r\n") {
			t.Errorf("the upstream got %q", request)
		}
		io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: upgrade\r\n\r\nready ")
		io.Copy(c, in)
		io.WriteString(c, " bye")
	}))
	c, in := dial(t, addr)
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: echo\r\nConnection: upgrade\r\n\r\nfirst ")
	next(t, in, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nVia: 1.1 postern\r\nConnection: upgrade\r\n\r\nready first ")
	for range 10 {
		io.WriteString(c, "GET / HTTP/9\n\x00")
		next(t, in, "GET / HTTP/9\n\x00")
	}
	c.CloseWrite()
	if rest, err := io.ReadAll(in); string(rest) != " bye" || err != nil {
		t.Errorf("%q, %v", rest, err)
	}
}

// An offer that the upstream does not take changes nothing.
func TestUpgradeDeclined(t *testing.T) {
	addr := start(t, listen(t, func(_ int, c *net.TCPConn, in *bufio.Reader) {
		for range 2 {
			head(in)
			io.WriteString(c, hello)
		}
	}))
	got := talk(t, addr, "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n")
	if strings.Count(got, "200 OK") != 2 {
		t.Errorf("%q", got)
	}
}

// An upstream that has seen enough answers before the content has ended.
func TestEarlyResponse(t *testing.T) {
	for _, connection := range []string{"", "Connection: close\r\n"} {
		addr := start(t, listen(t, func(_ int, c *net.TCPConn, in *bufio.Reader) {
			head(in)
			next(t, in, "4\r\nxxxx\r\n")
			io.WriteString(c, "HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n"+connection+"\r\nno\n")
			c.CloseWrite()
			io.Copy(io.Discard, in) // closing at once would destroy the answer
		}))
		c, in := dial(t, addr)
		io.WriteString(c, "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n10000\r\nxxxx")
		resp, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(resp.Body)
		if resp.StatusCode != 413 || string(got) != "no\n" || err != nil || resp.Close != (connection != "") {
			t.Errorf("%q: %d %q, %v, close %v", connection, resp.StatusCode, got, err, resp.Close)
		}
		if connection != "" {
			if _, err := in.ReadByte(); err != io.EOF {
				t.Errorf("behind it: %v", err)
			}
		}
	}
}

// A client that offers content for 100 gets the final response instead, and does not
// have to send it.
func TestEarlyResponseToExpectation(t *testing.T) {
	addr := start(t, says(t, "HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\n\r\n"))
	c, in := dial(t, addr)
	io.WriteString(c, "POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
	if got, err := io.ReadAll(in); !strings.HasPrefix(string(got), "HTTP/1.1 417 ") || !strings.Contains(string(got), "\r\nConnection: close\r\n") || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}

// An upstream may close a connection that waits for a request: one that can be sent
// again is, and one that cannot is never sent there.
func TestStaleUpstream(t *testing.T) {
	gone := make(chan struct{}, 10)
	seen := make(chan string, 10)
	addr := start(t, listen(t, func(n int, c *net.TCPConn, in *bufio.Reader) {
		request, ok := head(in)
		if !ok {
			return
		}
		if strings.HasPrefix(request, "POST ") {
			next(t, in, "x")
		}
		seen <- fmt.Sprint(n, " ", strings.Fields(request)[0])
		io.WriteString(c, hello)
		c.Close()
		gone <- struct{}{}
	}))
	c, in := dial(t, addr)
	for i, method := range []string{"GET", "GET", "POST", "DELETE"} {
		fmt.Fprintf(c, "%s / HTTP/1.1\r\nHost: x\r\n", method)
		if method == "POST" {
			io.WriteString(c, "Content-Length: 1\r\n\r\nx")
		} else {
			io.WriteString(c, "\r\n")
		}
		resp, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(resp.Body); string(got) != "hello" || err != nil {
			t.Errorf("%s: %q, %v", method, got, err)
		}
		if got, want := <-seen, fmt.Sprint(i+1, " ", method); got != want {
			t.Errorf("the upstream saw %q, want %q", got, want)
		}
		<-gone
	}
}

// Bytes that no request asked for are not taken for the answer to the next.
func TestUnsolicitedResponse(t *testing.T) {
	addr := start(t, listen(t, func(n int, c *net.TCPConn, in *bufio.Reader) {
		for {
			request, ok := head(in)
			if !ok {
				return
			}
			fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n%s%s", strings.Fields(request)[1],
				"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
		}
	}))
	got := talk(t, addr, "GET /1 HTTP/1.1\r\nHost: x\r\n\r\nGET /2 HTTP/1.1\r\nHost: x\r\n\r\n")
	if strings.Contains(got, "evil") || !strings.Contains(got, "/1HTTP/1.1 200 OK") || !strings.HasSuffix(got, "/2") {
		t.Errorf("%q", got)
	}
}

// Unix sockets on both sides.
func TestUnix(t *testing.T) {
	dir := t.TempDir()
	second := "unix:" + filepath.Join(dir, "second")
	programtest.Start(t, main.Run, 1, "-unix", filepath.Join(dir, "second"), "-to", says(t, hello))
	p := programtest.Start(t, main.Run, 2, "-addr", "127.0.0.1:0", "-unix", filepath.Join(dir, "first"), "-to", second)
	for _, addr := range p.Addrs {
		if resp, got := programtest.Call(t, programtest.Client(t, addr), "GET", "/", ""); got != "hello" || len(resp.Header["Via"]) != 2 {
			t.Errorf("%s: %q, %v", addr, got, resp.Header)
		}
	}
}

// A program that is told to stop ends what has begun, and waits for nobody.
func TestStop(t *testing.T) {
	asked, answer := make(chan struct{}), make(chan struct{})
	p := programtest.Start(t, main.Run, 1, "-addr", "127.0.0.1:0", "-to", listen(t, func(_ int, c *net.TCPConn, in *bufio.Reader) {
		head(in)
		close(asked)
		<-answer
		io.WriteString(c, hello)
	}))
	idle, idleIn := dial(t, p.Addrs[0])
	busy, in := dial(t, p.Addrs[0])
	io.WriteString(busy, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	<-asked
	ended := make(chan error)
	go func() { ended <- p.Stop() }() // ends with busy
	if _, err := idleIn.ReadByte(); err != io.EOF {
		t.Errorf("the idle connection: %v", err)
	}
	idle.Close()
	close(answer)
	if got, err := io.ReadAll(in); !strings.HasSuffix(string(got), "\r\nConnection: close\r\n\r\nhello") || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	busy.Close()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// Also what has said that the connection persists.
func TestStopInTheMiddle(t *testing.T) {
	rest := make(chan struct{})
	p := programtest.Start(t, main.Run, 1, "-addr", "127.0.0.1:0", "-to", listen(t, func(_ int, c *net.TCPConn, in *bufio.Reader) {
		head(in)
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel")
		<-rest
		io.WriteString(c, "lo")
	}))
	idle, idleIn := dial(t, p.Addrs[0])
	c, in := dial(t, p.Addrs[0])
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	head(in)
	go p.Stop() // ends with c
	if _, err := idleIn.ReadByte(); err != io.EOF {
		t.Errorf("the idle connection: %v", err)
	}
	idle.Close()
	close(rest)
	c.SetDeadline(time.Now().Add(5 * time.Second)) // less than the grace for what does not end
	if got, err := io.ReadAll(in); string(got) != "hello" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	c.Close()
}

func TestBadFlags(t *testing.T) {
	for _, args := range [][]string{{}, {"-to", "x:1", "-timeout", "0s"}, {"-to", "x:1", "-conns", "0"}, {"-nope"}, {"x"}} {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		if err := main.Run(ctx, args, io.Discard, io.Discard); err != program.ErrUsage {
			t.Errorf("%q: %v", args, err)
		}
		cancel()
	}
}
