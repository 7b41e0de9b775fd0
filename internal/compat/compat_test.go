package compat_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"log"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"postern/server"
	"postern/transport/tcp"
)

// session is one run of a test: a client of one server, and a record of what it and
// the product have seen.
type session struct {
	*testing.T
	url    string // of the server, without a slash in the end
	client *http.Client
	ended  chan bool // for handlers to tell that they have

	mu      sync.Mutex
	log     bytes.Buffer // of the client
	handler bytes.Buffer
}

// note is for the client to add to what is compared.
func (s *session) note(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprintf(&s.log, format+"\n", args...)
}

// saw is note for handlers.
func (s *session) saw(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprintf(&s.handler, "handler: "+format+"\n", args...)
}

// same runs a test against both servers. handler makes the product's handler, act is
// its client.
func same(t *testing.T, handler func(s *session) http.Handler, act func(s *session)) {
	t.Helper()
	run := func(serve func(t *testing.T, h http.Handler) string) string {
		s := &session{T: t, ended: make(chan bool, 100)}
		s.url = "http://" + serve(t, handler(s))
		tr := &http.Transport{DisableCompression: true}
		s.client = &http.Client{Transport: tr, Timeout: 10 * time.Second,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
		defer tr.CloseIdleConnections()
		act(s)
		s.mu.Lock()
		defer s.mu.Unlock()
		return strings.ReplaceAll(s.log.String()+s.handler.String(), strings.TrimPrefix(s.url, "http://"), "SERVER")
	}
	theirs, ours := run(serveNetHTTP), run(servePostern)
	if theirs != ours {
		t.Error(difference(theirs, ours))
	}
	if theirs == "" {
		t.Error("nothing was compared")
	}
	if testing.Verbose() {
		t.Log("\n" + theirs)
	}
}

// difference shows the first lines that differ, and what led to them.
func difference(theirs, ours string) string {
	a, b := strings.Split(theirs, "\n"), strings.Split(ours, "\n")
	i := 0
	for i < min(len(a), len(b)) && a[i] == b[i] {
		i++
	}
	from := max(0, i-8)
	return fmt.Sprintf("on net/http:\n%s\non postern:\n%s", strings.Join(a[from:min(len(a), i+4)], "\n"), strings.Join(b[from:min(len(b), i+4)], "\n"))
}

func serveNetHTTP(t *testing.T, h http.Handler) string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	hs := &http.Server{Handler: h, ErrorLog: log.New(io.Discard, "", 0)}
	go hs.Serve(ln)
	t.Cleanup(func() { hs.Close() })
	return ln.Addr().String()
}

func servePostern(t *testing.T, h http.Handler) string {
	ln, err := tcp.Listen(tcp.Config{Addr: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	s := server.New(server.HTTP(h), server.Config{Log: slog.New(slog.DiscardHandler)})
	go s.Serve(ln)
	t.Cleanup(func() { s.Close() })
	return ln.Addr().String()
}

// wait waits for a handler that tells its end.
func (s *session) wait() {
	select {
	case <-s.ended:
	case <-time.After(10 * time.Second):
		s.Error("the handler has not ended")
	}
}

// get is do for GET.
func (s *session) get(path string, header ...string) { s.do("GET", path, "", header...) }

// do sends a request and notes the response. header holds names and values in
// turn.
func (s *session) do(method, path, body string, header ...string) {
	var r io.Reader
	if body != "" {
		r = strings.NewReader(body)
	}
	req, err := http.NewRequest(method, s.url+path, r)
	if err != nil {
		s.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Add(header[i], header[i+1])
	}
	s.send(req)
}

var boundary = regexp.MustCompile(`[0-9a-f]{60}`)

// send sends a request and notes the response.
func (s *session) send(req *http.Request) {
	s.note("> %s %s", req.Method, req.URL.RequestURI())
	resp, err := s.client.Do(req)
	if err != nil {
		s.note("no response")
		return
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	s.note("%s", describe(resp, body, err))
}

func describe(resp *http.Response, body []byte, err error) string {
	var b strings.Builder
	fmt.Fprintln(&b, resp.StatusCode, "close", resp.Close)
	for _, k := range slices.Sorted(maps.Keys(resp.Header)) {
		v := strings.Join(resp.Header[k], "|")
		if k == "Date" {
			v = "now"
		}
		fmt.Fprintf(&b, "  %s: %s\n", k, boundary.ReplaceAllString(v, "BOUNDARY"))
	}
	text := boundary.ReplaceAllString(string(body), "BOUNDARY")
	if len(text) > 8000 {
		text = fmt.Sprintf("%.50s... %d bytes", text, len(text))
	}
	if resp.Request != nil && resp.Request.Method == "HEAD" {
		resp.TransferEncoding = nil // postern says how the content of GET would end
	}
	fmt.Fprintf(&b, "  length %d %v %q", resp.ContentLength, resp.TransferEncoding, text)
	if err != nil {
		fmt.Fprint(&b, " broken off")
	}
	for _, k := range slices.Sorted(maps.Keys(resp.Trailer)) {
		fmt.Fprintf(&b, "\n  trailer %s: %s", k, strings.Join(resp.Trailer[k], "|"))
	}
	return b.String()
}

// raw sends text over a connection of its own, and notes what comes back to the
// end.
func (s *session) raw(text string) {
	c, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
	if err != nil {
		s.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	io.WriteString(c, text)
	br := bufio.NewReader(c)
	for {
		resp, err := http.ReadResponse(br, nil)
		if err != nil {
			break
		}
		body, err := io.ReadAll(resp.Body)
		s.note("%s", describe(resp, body, err))
	}
}
