package server_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"postern/server"
	"postern/transport/tcp"
)

// contract is one line of what package net/http promises its handlers: a handler,
// and what clients send. It is served by net/http and by postern, and the answers
// and what the handler sees must be the same.
type contract struct {
	name    string
	handler func(w http.ResponseWriter, r *http.Request, saw func(format string, args ...any))
	in      []string // each is answered before the next is sent
	raw     bool     // the answer is what comes until the end
	cut     bool     // the client is gone once it has sent
	differ  []string // pairs: what net/http says, and what we say instead
}

// outcome is what a client and the handler have seen.
func outcome(t *testing.T, tc contract, serve func(t *testing.T, h http.Handler) (addr string)) string {
	t.Helper()
	var mu sync.Mutex
	var seen bytes.Buffer
	ended := make(chan bool, 100)
	addr := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/probe" {
			w.WriteHeader(204)
			return
		}
		defer func() { ended <- true }()
		tc.handler(w, r, func(format string, args ...any) {
			mu.Lock()
			defer mu.Unlock()
			fmt.Fprintf(&seen, "saw "+format+"\n", args...)
		})
	}))
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	var out strings.Builder
	br := bufio.NewReader(c)
	for _, in := range tc.in {
		io.WriteString(c, in)
		switch {
		case tc.cut:
			c.Close()
		case tc.raw:
			c.(*net.TCPConn).CloseWrite()
			b, _ := io.ReadAll(br)
			out.Write(dateLine.ReplaceAll(b, nil))
		default:
			method, _, _ := strings.Cut(in, " ")
			answer(&out, br, method)
		}
	}
	if !tc.raw && !tc.cut {
		io.WriteString(c, "GET /probe HTTP/1.1\r\nHost: a\r\n\r\n")
		if resp, err := http.ReadResponse(br, nil); err != nil {
			fmt.Fprintln(&out, "connection: closed")
		} else {
			fmt.Fprintln(&out, "connection: goes on,", resp.StatusCode)
		}
	}
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		t.Error("the handler did not return")
	}
	mu.Lock()
	defer mu.Unlock()
	return out.String() + seen.String()
}

// answer describes the next responses, up to a final one.
func answer(out *strings.Builder, br *bufio.Reader, method string) {
	for {
		resp, err := http.ReadResponse(br, &http.Request{Method: method})
		if err != nil {
			fmt.Fprintln(out, "no response")
			return
		}
		fmt.Fprintln(out, resp.StatusCode) // some reason phrases differ
		if resp.Close {
			fmt.Fprintln(out, "  close")
		}
		resp.Header.Del("Connection")
		for _, k := range slices.Sorted(maps.Keys(resp.Header)) {
			v := strings.Join(resp.Header[k], "|")
			if k == "Date" && len(v) == len(http.TimeFormat) {
				v = "now"
			}
			fmt.Fprintf(out, "  %s: %s\n", k, v)
		}
		if resp.StatusCode < 200 && resp.StatusCode != 101 {
			continue
		}
		fmt.Fprintf(out, "  length %d %v\n", resp.ContentLength, resp.TransferEncoding)
		body, err := io.ReadAll(resp.Body)
		if len(body) > 100 {
			body = fmt.Appendf(body[:20:20], "... %d bytes", len(body))
		}
		fmt.Fprintf(out, "  %q\n", body)
		if err != nil {
			fmt.Fprintln(out, "  broken off")
		}
		for _, k := range slices.Sorted(maps.Keys(resp.Trailer)) {
			fmt.Fprintf(out, "  trailer %s: %s\n", k, strings.Join(resp.Trailer[k], "|"))
		}
		return
	}
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
	s := server.New(server.HTTP(h), server.Config{Log: quiet(), AllowConnect: true})
	go s.Serve(ln)
	t.Cleanup(func() { s.Close() })
	return ln.Addr().String()
}

// back is a net/http handler that went through postern's Handler and back.
func serveRoundTrip(t *testing.T, h http.Handler) string {
	return serveNetHTTP(t, server.HTTP(h).HTTP())
}

type sawFunc = func(format string, args ...any)

var getHTTP = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"

func postHTTP(body string, fields ...string) string {
	return fmt.Sprintf("POST / HTTP/1.1\r\nHost: a\r\n%sContent-Length: %d\r\n\r\n%s", strings.Join(fields, ""), len(body), body)
}

func chunkedHTTP(body string, fields ...string) string {
	return "POST / HTTP/1.1\r\nHost: a\r\n" + strings.Join(fields, "") + "Transfer-Encoding: chunked\r\n\r\n" + body
}

var contracts = slices.Concat(contractsWriter, contractsResponse, contractsRequest, contractsBody, contractsLifecycle, contractsHijack)

func TestHTTPContract(t *testing.T) {
	for _, tc := range contracts {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			theirs := outcome(t, tc, serveNetHTTP)
			ours := outcome(t, tc, servePostern)
			back := outcome(t, tc, serveRoundTrip)
			if back != theirs {
				t.Errorf("through a Handler and back:\n%s\nwant\n%s", back, theirs)
			}
			want := theirs
			for i := 0; i+1 < len(tc.differ); i += 2 {
				if !strings.Contains(want, tc.differ[i]) {
					t.Errorf("net/http does not say %q:\n%s", tc.differ[i], want)
				}
				want = strings.Replace(want, tc.differ[i], tc.differ[i+1], 1)
			}
			if ours != want {
				t.Errorf("postern:\n%s\nwant\n%s", ours, want)
			}
		})
	}
}
