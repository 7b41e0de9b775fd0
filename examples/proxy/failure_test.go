package main_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// An upstream that reads no more and answers with nonsense does not hold the client.
func TestNonsenseDuringUpload(t *testing.T) {
	t.Parallel()
	stuck, release := make(chan struct{}), make(chan struct{})
	defer close(release)
	addr := start(t, listen(t, func(_ int, c *net.TCPConn, in *bufio.Reader) {
		head(in)
		<-stuck
		io.WriteString(c, "what?\r\n")
		<-release
	}))
	c, in := dial(t, addr)
	io.WriteString(c, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n")
	for err := error(nil); err == nil; { // until all buffers are full
		c.SetWriteDeadline(time.Now().Add(500 * time.Millisecond))
		_, err = c.Write(make([]byte, 1<<20))
	}
	close(stuck)
	if got, _ := head(in); !strings.HasPrefix(got, "HTTP/1.1 502 ") {
		t.Errorf("%q", got)
	}
}

func TestDeadUpstream(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
	for _, to := range []string{ln.Addr().String(), "unix:" + filepath.Join(t.TempDir(), "none")} {
		got := talk(t, start(t, to), "GET / HTTP/1.1\r\nHost: x\r\n\r\nPOST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello")
		if strings.Count(got, "HTTP/1.1 502 Bad Gateway\r\n") != 2 || strings.Count(got, "\r\n\r\nthe upstream cannot be reached\n") != 2 ||
			strings.Count(got, "\r\nConnection: close\r\n") != 1 { // the content is not read
			t.Errorf("%s: %q", to, got)
		}
	}
}

// A response that breaks off must not look complete.
func TestBrokenOff(t *testing.T) {
	for _, head := range []string{"Content-Length: 100\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n64\r\n"} {
		addr := start(t, says(t, "HTTP/1.1 200 OK\r\n"+head+"hello"))
		c, in := dial(t, addr)
		io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		resp, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(resp.Body); string(got) != "hello" || err != io.ErrUnexpectedEOF {
			t.Errorf("%q: %q, %v", head, got, err)
		}
	}
	// Content that ends with the connection is incomplete if that is reset.
	seen := make(chan struct{})
	addr := start(t, listen(t, func(_ int, c *net.TCPConn, in *bufio.Reader) {
		io.WriteString(c, "HTTP/1.0 200 OK\r\n\r\nhello")
		<-seen
		c.SetLinger(0)
	}))
	c, in := dial(t, addr)
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	head(in)
	next(t, in, "5\r\nhello\r\n")
	close(seen)
	if rest, err := io.ReadAll(in); len(rest) > 0 || err != nil {
		t.Errorf("%q, %v", rest, err)
	}
	// To HTTP/1.0 the end of the connection is the end of the content.
	addr = start(t, says(t, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n64\r\nhello"))
	c, in = dial(t, addr)
	io.WriteString(c, "GET / HTTP/1.0\r\n\r\n")
	if got, err := io.ReadAll(in); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("%q, %v", got, err)
	}
}

// Content that breaks off or is malformed must not look complete to the upstream.
func TestBrokenRequest(t *testing.T) {
	for _, content := range []string{"5\r\nhel", "5\r\nhelloX", "3\r\nabc\r\nx\r\n"} {
		ended := make(chan string, 1)
		addr := start(t, listen(t, func(_ int, c *net.TCPConn, in *bufio.Reader) {
			head(in)
			rest, _ := io.ReadAll(in)
			ended <- string(rest)
		}))
		got := talk(t, addr, "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"+content)
		if !strings.HasPrefix(got, "HTTP/1.1 400 Bad Request\r\n") {
			t.Errorf("%q: %q", content, got)
		}
		if rest := <-ended; strings.HasSuffix(rest, "0\r\n\r\n") {
			t.Errorf("%q: the upstream got %q", content, rest)
		}
	}
}

// Whoever does not move is given up, with the status that says who that was.
func TestTimeouts(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	silent := listen(t, func(int, *net.TCPConn, *bufio.Reader) { <-release })
	defer close(release)
	addr := start(t, silent, "-timeout", "500ms", "-idle", "2s")
	for _, tt := range []struct{ sent, want string }{
		{"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 504 "},
		{"GET / HTTP/1.1\r\nHost:", "HTTP/1.1 408 "},
		{"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhel", "HTTP/1.1 408 "},
		{"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n", "HTTP/1.1 504 "},
		{"", ""},
	} {
		c, in := dial(t, addr)
		io.WriteString(c, tt.sent)
		got := ""
		if tt.want != "" {
			got, _ = head(in)
		} else if b, err := io.ReadAll(in); err != nil {
			t.Errorf("%q, %v", b, err)
		}
		if !strings.HasPrefix(got, tt.want) {
			t.Errorf("%q: %q", tt.sent, got)
		}
		c.Close()
	}
}

// An upload may take longer than the upstream has for its answer.
func TestSlowUpload(t *testing.T) {
	t.Parallel()
	addr := start(t, listen(t, func(_ int, c *net.TCPConn, in *bufio.Reader) {
		head(in)
		next(t, in, strings.Repeat("x", 10))
		io.WriteString(c, hello)
	}), "-timeout", "2s")
	c, in := dial(t, addr)
	io.WriteString(c, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n")
	tick := time.NewTicker(300 * time.Millisecond)
	defer tick.Stop()
	for range 10 {
		<-tick.C
		io.WriteString(c, "x")
	}
	next(t, in, "HTTP/1.1 200 OK\r\n")
}

// A client that stops reading costs a bounded amount of memory and is given up; the
// others do not notice.
func TestClientStopsReading(t *testing.T) {
	t.Parallel()
	const limit = 64 << 20 // far more than all buffers on the way hold
	gaveUp := make(chan int64, 1)
	addr := start(t, listen(t, func(_ int, c *net.TCPConn, in *bufio.Reader) {
		if request, _ := head(in); !strings.HasPrefix(request, "GET /endless ") {
			io.WriteString(c, hello)
			return
		}
		fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", limit)
		n, _ := io.Copy(c, io.LimitReader(zeros{}, limit))
		gaveUp <- n
	}), "-timeout", "2s")
	c, _ := dial(t, addr)
	io.WriteString(c, "GET /endless HTTP/1.1\r\nHost: x\r\n\r\n")
	others := func() {
		for range 20 {
			if got := talk(t, addr, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); !strings.HasSuffix(got, "\r\n\r\nhello") {
				t.Fatalf("another client got %q", got)
			}
		}
	}
	others()
	if n := <-gaveUp; n == limit {
		t.Error("all of it went somewhere")
	}
	others()
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
