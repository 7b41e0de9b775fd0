package main_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	main "postern/examples/client"
	"postern/examples/internal/program"
)

// client runs the program.
func client(stdin io.Reader, args ...string) (stdout, stderr string, err error) {
	var out, complaints bytes.Buffer
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	err = main.Run(ctx, args, stdin, &out, &complaints)
	return out.String(), complaints.String(), err
}

// server hands each connection to script and returns the URL of its root.
func server(t *testing.T, script func(c *net.TCPConn, in *bufio.Reader)) (url string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	t.Cleanup(func() {
		ln.Close()
		<-ended
	})
	go func() { // ends when ln closes
		defer close(ended)
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			c.SetDeadline(time.Now().Add(20 * time.Second))
			script(c.(*net.TCPConn), bufio.NewReader(c))
			c.Close()
		}
	}()
	return "http://" + ln.Addr().String() + "/"
}

// says answers every request with the same bytes, when it has read the head.
func says(t *testing.T, response string) (url string) {
	return server(t, func(c *net.TCPConn, in *bufio.Reader) {
		head(in)
		io.WriteString(c, response)
		c.CloseWrite()
		io.Copy(io.Discard, in)
	})
}

func head(in *bufio.Reader) (text string) {
	for !strings.HasSuffix(text, "\r\n\r\n") {
		line, err := in.ReadString('\n')
		if text += line; err != nil {
			break
		}
	}
	return text
}

// reflect answers with what it has understood.
func reflect(w http.ResponseWriter, r *http.Request) {
	content, err := io.ReadAll(r.Body)
	if len(content) > 20 {
		content = fmt.Appendf(content[:0], "%d bytes", len(content))
	}
	fmt.Fprintf(w, "%s %s %s %q %d %v %v", r.Method, r.Host, r.RequestURI, content, r.ContentLength, r.TransferEncoding, err)
}

func TestRequests(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(reflect))
	defer s.Close()
	host := s.Listener.Addr().String()
	long := filepath.Join(t.TempDir(), "long")
	if err := os.WriteFile(long, bytes.Repeat([]byte("x"), 5<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		args  []string
		stdin string
		want  string
	}{
		{nil, "", "GET " + host + ` /a%20b?c "" 0 [] <nil>`},
		{[]string{"-X", "DELETE", "-H", "host: other"}, "", `DELETE other /a%20b?c "" 0 [] <nil>`},
		{[]string{"-d", "hello"}, "", "POST " + host + ` /a%20b?c "hello" 5 [] <nil>`},
		{[]string{"-d", "", "-X", "PUT"}, "", "PUT " + host + ` /a%20b?c "" 0 [] <nil>`},
		{[]string{"-d", "-"}, "from stdin", "POST " + host + ` /a%20b?c "from stdin" -1 [chunked] <nil>`},
		{[]string{"-d", "-"}, "", "POST " + host + ` /a%20b?c "" -1 [chunked] <nil>`},
		{[]string{"-d", "@" + long}, "", "POST " + host + ` /a%20b?c "5242880 bytes" 5242880 [] <nil>`},
		{[]string{"-d", "-"}, strings.Repeat("x", 5<<20), "POST " + host + ` /a%20b?c "5242880 bytes" -1 [chunked] <nil>`},
		{[]string{"-X", "HEAD"}, "", ""},
	} {
		args := append(tt.args, s.URL+"/a%20b?c#d")
		if got, stderr, err := client(strings.NewReader(tt.stdin), args...); got != tt.want || err != nil || stderr != "" {
			t.Errorf("%q: %q, %q, %v, want %q", args, got, stderr, err, tt.want)
		}
	}
}

func TestUnix(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	s := http.Server{Handler: http.HandlerFunc(reflect)}
	defer s.Close()
	go s.Serve(ln) // ends with s
	if got, _, err := client(nil, "unix:"+path+":/a?b"); got != `GET localhost /a?b "" 0 [] <nil>` || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}

func TestShowsHeads(t *testing.T) {
	url := says(t, "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX-Sum: 7\r\n\r\n")
	if got, stderr, err := client(nil, "-i", url); got != "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nhi" || stderr != "" || err != nil {
		t.Errorf("-i: %q, %q, %v", got, stderr, err)
	}
	got, stderr, err := client(nil, "-v", "-H", "X-a:  b ", url)
	want := "> GET / HTTP/1.1\n> Host: " + url[len("http://"):len(url)-1] + "\n> X-a: b\n> User-Agent: postern-client\n> \n" +
		"< HTTP/1.1 103 Early Hints\n< Link: </a>\n< \n< HTTP/1.1 200 OK\n< Transfer-Encoding: chunked\n< \n< X-Sum: 7\n< \n"
	if got != "hi" || stderr != want || err != nil {
		t.Errorf("-v: %q, %v\n%s\nwant\n%s", got, err, stderr, want)
	}
}

// Long content waits for 100 (Continue), but not for ever.
func TestExpect(t *testing.T) {
	for _, answers := range []bool{true, false} {
		url := server(t, func(c *net.TCPConn, in *bufio.Reader) {
			if h := head(in); !strings.Contains(h, "\r\nExpect: 100-continue\r\n") || in.Buffered() > 0 {
				t.Errorf("head %q and %d bytes", h, in.Buffered())
			}
			if answers {
				io.WriteString(c, "HTTP/1.1 100 Continue\r\n\r\n")
			}
			chunk := make([]byte, len("2\r\nhi\r\n0\r\n\r\n"))
			n, err := io.ReadFull(in, chunk)
			fmt.Fprintf(c, "HTTP/1.1 200 OK\r\n\r\n%q %v", chunk[:n], err)
		})
		wait := "20s"
		if !answers {
			wait = "10ms"
		}
		if got, _, err := client(strings.NewReader("hi"), "-d", "-", "-expect", wait, url); got != `"2\r\nhi\r\n0\r\n\r\n" <nil>` || err != nil {
			t.Errorf("answers %v: %q, %v", answers, got, err)
		}
	}
}

// A final response ends the waiting, and the sending.
func TestEarlyResponse(t *testing.T) {
	url := says(t, "HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nno\n")
	for _, expect := range []string{"0", "20s"} {
		// The content never ends: only the response does.
		if got, _, err := client(endless{}, "-d", "-", "-expect", expect, url); got != "no\n" || err != nil {
			t.Errorf("-expect %s: %q, %v", expect, got, err)
		}
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

// One that wants the content after all gets it.
func TestEarlyAcceptance(t *testing.T) {
	received := make(chan int64, 1)
	url := server(t, func(c *net.TCPConn, in *bufio.Reader) {
		head(in)
		io.WriteString(c, "HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")
		n, _ := io.Copy(io.Discard, io.LimitReader(in, 4<<20))
		received <- n
	})
	if _, _, err := client(nil, "-d", strings.Repeat("x", 4<<20), url); err != nil {
		t.Error(err)
	}
	if n := <-received; n != 4<<20 {
		t.Errorf("%d bytes", n)
	}
}

// An end is clean or it is an error, and then what came is written all the same.
func TestEnds(t *testing.T) {
	for _, tt := range []struct{ response, want, err string }{
		{"HTTP/1.0 200 OK\r\n\r\nhello", "hello", ""},
		{"HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\n\r\nhello", "hello", ""},
		{"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello", "hello", "the server closed before the response was complete"},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", "hello", "the server closed before the response was complete"},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloX", "hello", "this is no response: h1: no CRLF after chunk-data at byte 55"},
		{"", "", "the server closed before the response was complete"},
		{"220 mail ready\r\n", "", "this is no response: h1: malformed HTTP-version at byte 0"},
		{"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "", "this is no response: h1: Content-Length beside Transfer-Encoding at byte 55"},
	} {
		got, _, err := client(nil, says(t, tt.response))
		if got != tt.want || fmt.Sprint(err) != tt.err && !(err == nil && tt.err == "") {
			t.Errorf("%q: %q, %v", tt.response, got, err)
		}
	}
}

// Content that ends with the connection is incomplete if that is reset.
func TestReset(t *testing.T) {
	url := server(t, func(c *net.TCPConn, in *bufio.Reader) {
		head(in)
		io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\nhello")
		c.SetLinger(0)
	})
	if _, _, err := client(nil, url); err == nil || !strings.HasPrefix(err.Error(), "the connection broke: ") {
		t.Error(err)
	}
}

func TestTimeout(t *testing.T) {
	release := make(chan struct{})
	url := server(t, func(*net.TCPConn, *bufio.Reader) { <-release })
	defer close(release)
	if _, _, err := client(nil, "-timeout", "50ms", url); err == nil || err.Error() != "nothing moved for 50ms" {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := main.Run(ctx, []string{url}, nil, io.Discard, io.Discard); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// Content that cannot be read does not look complete to the server.
func TestBrokenContent(t *testing.T) {
	received := make(chan string, 1)
	url := server(t, func(c *net.TCPConn, in *bufio.Reader) {
		head(in)
		rest, _ := io.ReadAll(in)
		received <- string(rest)
	})
	stdin := io.MultiReader(strings.NewReader("hello"), iotest.ErrReader(errors.New("bad disk")))
	if _, _, err := client(stdin, "-d", "-", "-expect", "0", url); err == nil || err.Error() != "the content cannot be sent: bad disk" {
		t.Error(err)
	}
	if got := <-received; strings.Contains(got, "0\r\n\r\n") {
		t.Errorf("%q", got)
	}
}

func TestRefused(t *testing.T) {
	url := says(t, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n")
	for _, tt := range []struct {
		args []string
		want string // in the error or on stderr
	}{
		{nil, "usage: client"},
		{[]string{"-nope", url}, "not defined: -nope"},
		{[]string{"-H", "x", url}, "no colon"},
		{[]string{"https://localhost/"}, "there is no TLS here, so no https"},
		{[]string{"localhost:8080"}, "is not http://HOST[:PORT]/PATH"},
		{[]string{"http://user@localhost/"}, "is not http://HOST[:PORT]/PATH"},
		{[]string{"unix:/path"}, "is not unix:SOCKET:/PATH"},
		{[]string{"-d", "@" + filepath.Join(t.TempDir(), "none"), url}, "no such file"},
		{[]string{"unix:" + filepath.Join(t.TempDir(), "none") + ":/"}, "no such file"},
		{[]string{"-H", "X: a\r\nY: b", url}, "this request cannot be sent: h1: invalid byte in a field value to be sent"},
		{[]string{"-X", "CONNECT", url}, "this request cannot be sent: h1: invalid request-target to be sent"},
		{[]string{"-H", "Content-Length: 4", "-d", "hello", url}, "this request cannot be sent: h1: field to be sent twice"},
		{[]string{"-H", "Upgrade: x", url}, "the server switched to another protocol"},
	} {
		_, stderr, err := client(nil, tt.args...)
		if err == nil || !strings.Contains(err.Error()+stderr, tt.want) {
			t.Errorf("%q: %v, stderr %q, want %q", tt.args, err, stderr, tt.want)
		}
		if usage := errors.Is(err, program.ErrUsage); usage != (stderr != "") {
			t.Errorf("%q: usage error %v, stderr %q", tt.args, usage, stderr)
		}
	}
}
