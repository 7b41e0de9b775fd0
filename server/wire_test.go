package server_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"postern/h1"
	"postern/server"
	"postern/transport/memory"
)

// app is the handler that most tests talk to.
func app(r *server.Request) server.Response {
	switch r.Path() {
	case "/":
		return server.Text("hello")
	case "/echo":
		b, err := r.ReadAll()
		if err != nil {
			return server.Err(err)
		}
		return server.Bytes("application/octet-stream", b)
	case "/copy":
		return server.Reader("text/plain", r.Body(), -1)
	case "/ignore":
		return server.Text("ignored")
	case "/panic":
		panic("oops")
	case "/fail":
		return server.Err(errors.New("no luck"))
	case "/teapot":
		return server.Err(&server.Error{Status: 418})
	case "/reader":
		return server.Reader("text/plain", strings.NewReader("0123456789"), 10)
	case "/short":
		return server.Reader("text/plain", strings.NewReader("01234"), 10)
	case "/stream":
		return server.Stream("text/plain", func(w *server.StreamWriter) error {
			for i := range 3 {
				fmt.Fprintf(w, "line %d\n", i)
				if err := w.Flush(); err != nil {
					return err
				}
			}
			return nil
		})
	case "/broken":
		return server.Stream("text/plain", func(w *server.StreamWriter) error {
			fmt.Fprint(w, "part")
			return errors.New("no more")
		})
	case "/gather":
		return server.Gather("text/plain", []byte("a"), nil, []byte("bc"))
	case "/empty":
		return server.Empty(204)
	case "/notmodified":
		return server.Text("never seen").WithStatus(304).With("ETag", `"x"`)
	case "/bye":
		r := server.Text("bye")
		r.Close = true
		return r
	case "/inject":
		return server.Text("x").With("X", "a\r\nSet-Cookie: b")
	case "/length":
		return server.Text("x").With("Content-Length", "5")
	case "/interim":
		return server.Empty(100)
	case "/trailer":
		if _, err := io.Copy(io.Discard, r.Body()); err != nil {
			return server.Err(err)
		}
		return server.Text(r.Trailer().Get("X-Sum"))
	}
	return server.Text("no such page: " + r.Path() + "\n").WithStatus(404)
}

// bench is a server under synctest: its time is the bubble's.
type bench struct {
	*server.Server
	ln *memory.Listener
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func start(t testing.TB, h server.Handler, cfg server.Config) *bench {
	if cfg.Log == nil {
		cfg.Log = quiet()
	}
	b := &bench{server.New(h, cfg), memory.Listen(memory.Config{})}
	go b.Serve(b.ln)
	t.Cleanup(func() { b.Close() })
	return b
}

func (b *bench) dial(t testing.TB) net.Conn {
	t.Helper()
	c, err := b.ln.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// talk sends the pieces, lets the server come to rest after each, half-closes and
// returns all that came back.
func talk(t testing.TB, c net.Conn, pieces ...string) string {
	t.Helper()
	var out bytes.Buffer
	var wg sync.WaitGroup
	wg.Go(func() { io.Copy(&out, c) })
	for _, p := range pieces {
		if _, err := io.WriteString(c, p); err != nil {
			break
		}
		synctest.Wait()
	}
	c.(interface{ CloseWrite() error }).CloseWrite()
	wg.Wait()
	return out.String()
}

var dateLine = regexp.MustCompile(`Date: [A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT\r\n`)

// plain makes answers readable: no Date, which must be there, and no CR.
func plain(t testing.TB, out string) string {
	t.Helper()
	finals := strings.Count(out, "HTTP/1.1 ") - strings.Count(out, "HTTP/1.1 100 ")
	if n := len(dateLine.FindAllString(out, -1)); n != finals {
		t.Errorf("%d Date fields in %d responses: %q", n, finals, out)
	}
	return strings.ReplaceAll(dateLine.ReplaceAllString(out, ""), "\r\n", "\n")
}

const host = "Host: a\r\n"

var big = strings.Repeat("0123456789abcdef", 20_000) // 320 kB, more than any buffer

const plainHello = "HTTP/1.1 200 OK\nContent-Type: text/plain; charset=utf-8\nContent-Length: 5\n\nhello"

// exchanges is what clients say, and what they get, all of it.
func exchanges() []struct{ name, in, want string } {
	ok := func(body string) string {
		return fmt.Sprintf("HTTP/1.1 200 OK\nContent-Type: text/plain; charset=utf-8\nContent-Length: %d\n\n%s", len(body), body)
	}
	page := func(status int, why string) string {
		text := fmt.Sprintf("%d %s%s\n", status, h1.StatusText(status), why)
		return fmt.Sprintf("HTTP/1.1 %d %s\nContent-Type: text/plain; charset=utf-8\nContent-Length: %d\nConnection: close\n\n%s",
			status, h1.StatusText(status), len(text), text)
	}
	bin := func(body string) string {
		return fmt.Sprintf("HTTP/1.1 200 OK\nContent-Type: application/octet-stream\nContent-Length: %d\n\n%s", len(body), body)
	}
	get := func(path string, fields ...string) string {
		return "GET " + path + " HTTP/1.1\r\n" + host + strings.Join(fields, "") + "\r\n"
	}
	post := func(path, body string, fields ...string) string {
		return fmt.Sprintf("POST %s HTTP/1.1\r\n%sContent-Length: %d\r\n%s\r\n%s", path, host, len(body), strings.Join(fields, ""), body)
	}
	chunkedPost := func(path, body string) string {
		return "POST " + path + " HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n" + body
	}
	return []struct{ name, in, want string }{
		{"get", get("/"), ok("hello")},
		{"head", "HEAD / HTTP/1.1\r\n" + host + "\r\n", strings.TrimSuffix(ok("hello"), "hello")},
		{"head of a stream", "HEAD /stream HTTP/1.1\r\n" + host + "\r\n" + get("/"), "HTTP/1.1 200 OK\nContent-Type: text/plain\nTransfer-Encoding: chunked\n\n" + ok("hello")},
		{"pipelined", get("/") + get("/x") + get("/"), ok("hello") + "HTTP/1.1 404 Not Found\nContent-Type: text/plain; charset=utf-8\nContent-Length: 17\n\nno such page: /x\n" + ok("hello")},
		{"many pipelined", strings.Repeat(get("/"), 1000), strings.Repeat(ok("hello"), 1000)},
		{"post", post("/echo", "abc") + get("/"), bin("abc") + ok("hello")},
		{"post of nothing", post("/echo", "") + get("/"), bin("") + ok("hello")},
		{"big post", post("/echo", big) + get("/"), bin(big) + ok("hello")},
		{"chunked post", chunkedPost("/echo", "3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nX: y\r\n\r\n") + get("/"), bin("abcde") + ok("hello")},
		{"trailer", chunkedPost("/trailer", "3\r\nabc\r\n0\r\nX-Sum: 7\r\n\r\n"), ok("7")},
		{"streamed both ways", post("/copy", big) + get("/"), ""},
		{"body ignored", post("/ignore", "abc") + get("/"), ok("ignored") + ok("hello")},
		{"reader", get("/reader") + get("/"), "HTTP/1.1 200 OK\nContent-Type: text/plain\nContent-Length: 10\n\n0123456789" + ok("hello")},
		{"reader that ends early", get("/short") + get("/"), "HTTP/1.1 200 OK\nContent-Type: text/plain\nContent-Length: 10\n\n01234"},
		{"stream", get("/stream") + get("/"), "HTTP/1.1 200 OK\nContent-Type: text/plain\nTransfer-Encoding: chunked\n\n7\nline 0\n\n7\nline 1\n\n7\nline 2\n\n0\n\n" + ok("hello")},
		{"stream to 1.0", "GET /stream HTTP/1.0\r\n\r\n", "HTTP/1.1 200 OK\nContent-Type: text/plain\nConnection: close\n\nline 0\nline 1\nline 2\n"},
		{"stream that fails", get("/broken") + get("/"), "HTTP/1.1 200 OK\nContent-Type: text/plain\nTransfer-Encoding: chunked\n\n4\npart\n"},
		{"gather", get("/gather"), "HTTP/1.1 200 OK\nContent-Type: text/plain\nContent-Length: 3\n\nabc"},
		{"no content", get("/empty") + get("/"), "HTTP/1.1 204 No Content\n\n" + ok("hello")},
		{"not modified", get("/notmodified") + get("/"), "HTTP/1.1 304 Not Modified\nContent-Type: text/plain; charset=utf-8\nETag: \"x\"\n\n" + ok("hello")},
		{"close asked for", get("/", "Connection: close\r\n") + get("/"), strings.Replace(ok("hello"), "\n\n", "\nConnection: close\n\n", 1)},
		{"close by the handler", get("/bye") + get("/"), strings.Replace(ok("bye"), "\n\n", "\nConnection: close\n\n", 1)},
		{"1.0", "GET / HTTP/1.0\r\n\r\n", strings.Replace(ok("hello"), "\n\n", "\nConnection: close\n\n", 1)},
		{"1.0 keep-alive", strings.Repeat("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", 2), strings.Repeat(strings.Replace(ok("hello"), "\n\n", "\nConnection: keep-alive\n\n", 1), 2)},
		{"absolute-form", "GET http://b/echo?x HTTP/1.1\r\n" + host + "\r\n", bin("")},
		{"options *", "OPTIONS * HTTP/1.1\r\n" + host + "\r\n" + get("/"), "HTTP/1.1 200 OK\nContent-Length: 0\n\n" + ok("hello")},
		{"connect", "CONNECT a:1 HTTP/1.1\r\n" + host + "\r\n" + get("/"), page(501, "")},
		{"expectation unknown", post("/echo", "abc", "Expect: tea\r\n") + get("/"), page(417, "")},
		{"expectation of nothing", post("/echo", "abc", "Expect:\r\n") + get("/"), bin("abc") + ok("hello")},
		{"path with a bad escape", get("/%zz") + get("/"), page(400, "")},
		{"panic", get("/panic") + get("/"), page(500, "")},
		{"error", get("/fail") + get("/"), strings.Replace(page(500, ""), "Connection: close\n", "", 1) + ok("hello")},
		{"error with status", get("/teapot") + get("/"), "HTTP/1.1 418 \nContent-Type: text/plain; charset=utf-8\nContent-Length: 4\n\n418\n" + ok("hello")},
		{"response splitting", get("/inject") + get("/"), page(500, "")},
		{"length is the engine's", get("/length") + get("/"), page(500, "")},
		{"interim status as final", get("/interim") + get("/"), page(500, "")},
		{"body over the limit, announced", post("/echo", strings.Repeat("x", 400_001)) + get("/"), page(413, ": request body too large: limit 400000 bytes")},
		{"body over the limit, chunked", chunkedPost("/echo", "61a81\r\n"+strings.Repeat("x", 400_001)+"\r\n0\r\n\r\n") + get("/"), page(413, ": request body too large: limit 400000 bytes")},
		{"body malformed", chunkedPost("/echo", "3\r\nabcX"), page(400, ": no CRLF after chunk-data at byte 66")},
		{"body cut short", post("/echo", "abc")[:len(post("/echo", "abc"))-1], page(400, ": input ended inside a message at byte 53")},

		// Ten kinds of bad input: one answer, a close, and no word on what follows.
		{"row 2: bare LF", "GET / HTTP/1.1\nHost: a\n\n" + get("/hidden"), page(400, ": bare LF at byte 14")},
		{"row 3: bare CR", "GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n" + get("/hidden"), page(400, ": bare CR at byte 23")},
		{"row 12: fragment", get("/#") + get("/hidden"), page(400, ": invalid request-target at byte 5")},
		{"row 18: no Host", "GET / HTTP/1.1\r\n\r\n" + get("/hidden"), page(400, ": no Host at byte 16")},
		{"row 21: space before colon", get("/", "X : y\r\n") + get("/hidden"), page(400, ": whitespace before the field's colon at byte 26")},
		{"row 30: two framings", post("/echo", "0\r\n\r\n", "Transfer-Encoding: chunked\r\n") + get("/hidden"), page(400, ": Content-Length beside Transfer-Encoding at byte 68")},
		{"row 31: chunked in 1.0", "POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + get("/hidden"), page(400, ": Transfer-Encoding in an HTTP/1.0 message at byte 40")},
		{"row 36: length", get("/", "Content-Length: 1x\r\n") + get("/hidden"), page(400, ": invalid Content-Length at byte 41")},
		{"row 51: chunk-size", chunkedPost("/echo", "0x3\r\nabc\r\n0\r\n\r\n") + get("/hidden"), page(400, ": invalid chunk-size at byte 61")},
		{"row 52: chunk's end", chunkedPost("/echo", "3\nabc\r\n0\r\n\r\n") + get("/hidden"), page(400, ": bare LF at byte 61")},
		{"row 13: target too long", get("/"+strings.Repeat("x", 9000)) + get("/hidden"), page(414, ": request-target too long at byte 8234")},
		{"row 24: head too large", get("/", "X: "+strings.Repeat("x", 70_000)+"\r\n") + get("/hidden"), page(431, ": head too large at byte 65536")},
		{"row 24: too many fields", get("/", strings.Repeat("X: y\r\n", 100)) + get("/hidden"), page(431, ": too many field lines at byte 619")},
		{"row 33: coding", "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: gzip, chunked\r\n\r\n" + get("/hidden"), page(501, ": unknown transfer coding at byte 45")},
		{"row 8: version", "GET / HTTP/2.0\r\n" + host + "\r\n" + get("/hidden"), page(505, ": HTTP version not supported at byte 11")},
		{"bad after good", get("/") + "BAD\r\n\r\n" + get("/hidden"), ok("hello") + page(400, ": malformed request-line at byte 30")},
		{"head too large for HEAD", "HEAD / HTTP/1.1\r\n" + host + "X : y\r\n\r\n", strings.SplitAfter(page(400, ": whitespace before the field's colon at byte 27"), "\n\n")[0]},
	}
}

func TestExchanges(t *testing.T) {
	for _, tc := range exchanges() {
		if tc.name == "streamed both ways" {
			tc.want = plainHello // behind a response whose chunks depend on the reads
		}
		t.Run(tc.name, func(t *testing.T) {
			for how, cut := range map[string]func(string) []string{
				"whole":     func(s string) []string { return []string{s} },
				"in two":    func(s string) []string { return []string{s[:len(s)/2], s[len(s)/2:]} },
				"bytewise":  func(s string) []string { return strings.Split(s[:min(len(s), 300)], "") },
				"in pieces": func(s string) (p []string) { return pieces(s, 999) },
			} {
				if how == "bytewise" && len(tc.in) > 300 {
					continue
				}
				synctest.Test(t, func(t *testing.T) {
					b := start(t, app, server.Config{Limits: server.Limits{MaxBody: 400_000}})
					got := plain(t, talk(t, b.dial(t), cut(tc.in)...))
					if tc.name == "streamed both ways" {
						if !strings.HasSuffix(got, tc.want) {
							t.Fatalf("%s: got %d bytes that end with %.300q", how, len(got), got[max(0, len(got)-300):])
						}
						var body string
						body, got = got[:len(got)-len(tc.want)], got[len(got)-len(tc.want):]
						if unchunked := dechunk(t, body); unchunked != big {
							t.Errorf("%s: %d bytes came back, want %d", how, len(unchunked), len(big))
						}
					}
					if got != tc.want {
						t.Errorf("%s: got %.2000q\nwant %.2000q", how, got, tc.want)
					}
				})
			}
		})
	}
}

// dechunk decodes a chunked response whose CRs have gone.
func dechunk(t testing.TB, s string) string {
	t.Helper()
	_, s, _ = strings.Cut(s, "\n\n")
	var b strings.Builder
	for {
		var n int
		line, rest, _ := strings.Cut(s, "\n")
		if _, err := fmt.Sscanf(line, "%x", &n); err != nil {
			t.Fatalf("chunk-size %q: %v", line, err)
		}
		if n == 0 {
			return b.String()
		}
		b.WriteString(rest[:n])
		s = rest[n+1:]
	}
}

func pieces(s string, n int) (p []string) {
	for len(s) > n {
		p, s = append(p, s[:n]), s[n:]
	}
	return append(p, s)
}

// A client that waits for 100 gets it when the handler reads, and only then.
func TestContinue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, app, server.Config{})
		head := "POST /echo HTTP/1.1\r\n" + host + "Content-Length: 3\r\nExpect: 100-continue\r\n\r\n"
		got := plain(t, talk(t, b.dial(t), head, "abc"))
		want := "HTTP/1.1 100 Continue\n\nHTTP/1.1 200 OK\nContent-Type: application/octet-stream\nContent-Length: 3\n\nabc"
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		got = plain(t, talk(t, b.dial(t), strings.Replace(head, "/echo", "/ignore", 1)))
		want = "HTTP/1.1 200 OK\nContent-Type: text/plain; charset=utf-8\nContent-Length: 7\nConnection: close\n\nignored"
		if got != want {
			t.Errorf("body ignored: got %q, want %q", got, want)
		}
		got = plain(t, talk(t, b.dial(t), strings.Replace(head, "Content-Length: 3", "Content-Length: 99999999", 1)))
		if !strings.HasPrefix(got, "HTTP/1.1 413 ") {
			t.Errorf("too large: got %q", got)
		}
	})
}

// What the handler leaves unread is read up to a limit; beyond it the connection
// ends, and the client still gets the response.
func TestUnreadBody(t *testing.T) {
	for _, tc := range []struct {
		size  int
		close bool
	}{{1000, false}, {200_000, false}, {300_000, true}} {
		synctest.Test(t, func(t *testing.T) {
			b := start(t, app, server.Config{})
			in := fmt.Sprintf("POST /ignore HTTP/1.1\r\n%sContent-Length: %d\r\n\r\n%s", host, tc.size, strings.Repeat("x", tc.size))
			got := plain(t, talk(t, b.dial(t), append(pieces(in, 5000), "GET / HTTP/1.1\r\n"+host+"\r\n")...))
			if closed := strings.Contains(got, "Connection: close"); closed != tc.close {
				t.Errorf("%d bytes: got %q", tc.size, got)
			}
			if n := strings.Count(got, "HTTP/1.1 200 OK"); n != map[bool]int{true: 1, false: 2}[tc.close] {
				t.Errorf("%d bytes: %d responses", tc.size, n)
			}
		})
	}
}

func TestRefuseHTTP10(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, app, server.Config{RefuseHTTP10: true, ServerName: "postern"})
		got := plain(t, talk(t, b.dial(t), "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"))
		want := "HTTP/1.1 505 HTTP Version Not Supported\nServer: postern\nContent-Type: text/plain; charset=utf-8\nContent-Length: 31\nConnection: close\n\n505 HTTP Version Not Supported\n"
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

// The time of every timeout, and what the client sees.
func TestTimeouts(t *testing.T) {
	limits := server.Limits{
		FirstByteTimeout: 3 * time.Second, HeadTimeout: 5 * time.Second, IdleTimeout: 7 * time.Second,
		BodyRate: 100, BodyWindow: 11 * time.Second, WriteTimeout: 13 * time.Second,
	}
	for _, tc := range []struct {
		name, in string
		after    time.Duration
		want     string // start of what comes after the answers to what was sent
	}{
		{"first byte", "", 3 * time.Second, ""},
		{"head", "GET / HT", 5 * time.Second, "HTTP/1.1 408 Request Timeout"},
		{"idle", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", 7 * time.Second, "HTTP/1.1 200 OK"},
		{"head after idle", "GET /empty HTTP/1.1\r\nHost: a\r\n\r\nG", 5 * time.Second, "HTTP/1.1 204 No Content"},
		{"body", "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5000\r\n\r\nabc", 11 * time.Second, "HTTP/1.1 408 Request Timeout"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := start(t, app, server.Config{Limits: limits})
				c := b.dial(t)
				began := time.Now()
				if _, err := io.WriteString(c, tc.in); err != nil {
					t.Fatal(err)
				}
				out, err := io.ReadAll(c)
				if err != nil {
					t.Fatal(err)
				}
				if took := time.Since(began); took != tc.after {
					t.Errorf("ended after %v, want %v", took, tc.after)
				}
				if !strings.HasPrefix(string(out), tc.want) || tc.want == "" && len(out) > 0 {
					t.Errorf("got %q, want %q", out, tc.want)
				}
			})
		})
	}
}

// A client that trickles is cut by the rate; one that is slow but fast enough, and
// a handler that takes its time, are not.
func TestBodyRate(t *testing.T) {
	for _, tc := range []struct {
		name   string
		size   int           // of each piece
		every  time.Duration // between pieces
		status string
	}{
		{"trickle", 10, time.Second, "HTTP/1.1 408 "},
		{"slow", 150, time.Second, "HTTP/1.1 200 "},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				slow := func(r *server.Request) server.Response {
					time.Sleep(time.Minute) // is not the client's fault
					return app(r)
				}
				b := start(t, slow, server.Config{Limits: server.Limits{BodyRate: 100, BodyWindow: 5 * time.Second}})
				c := b.dial(t)
				ended := make(chan bool)
				go func() {
					defer close(ended)
					fmt.Fprintf(c, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n", 30*tc.size)
					time.Sleep(time.Minute)
					for range 30 {
						time.Sleep(tc.every)
						if _, err := c.Write(bytes.Repeat([]byte("x"), tc.size)); err != nil {
							return
						}
					}
				}()
				buf := make([]byte, 13)
				if _, err := io.ReadFull(c, buf); err != nil || string(buf) != tc.status {
					t.Errorf("got %q, %v, want %q", buf, err, tc.status)
				}
				c.Close()
				<-ended
			})
		})
	}
}

// A client that does not read is cut, not before WriteTimeout and not much later.
func TestWriteTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		done := make(chan time.Time, 1)
		b := start(t, func(r *server.Request) server.Response {
			return server.Stream("text/plain", func(w *server.StreamWriter) error {
				for {
					if _, err := w.Write(make([]byte, 100_000)); err != nil {
						done <- time.Now()
						return err
					}
				}
			})
		}, server.Config{Limits: server.Limits{WriteTimeout: 10 * time.Second}})
		c := b.dial(t)
		began := time.Now()
		io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		if took := (<-done).Sub(began); took < 10*time.Second || took > 30*time.Second {
			t.Errorf("cut after %v, want 10 to 30 s", took)
		}
	})
}

// A client that reads slowly makes progress, and is not cut.
func TestSlowReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const size = 300_000
		b := start(t, func(*server.Request) server.Response { return server.Bytes("a/b", make([]byte, size)) },
			server.Config{Limits: server.Limits{WriteTimeout: 5 * time.Second}})
		c := b.dial(t)
		io.WriteString(c, request)
		got := 0
		for got < size {
			time.Sleep(time.Second)
			n, err := c.Read(make([]byte, 4096))
			if got += n; err != nil {
				t.Fatalf("after %d bytes: %v", got, err)
			}
		}
	})
}

func TestMaxRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, app, server.Config{Limits: server.Limits{MaxRequests: 2}})
		got := talk(t, b.dial(t), strings.Repeat("GET / HTTP/1.1\r\nHost: a\r\n\r\n", 3))
		if strings.Count(got, "200 OK") != 2 || strings.Count(got, "Connection: close") != 1 {
			t.Errorf("got %q", got)
		}
	})
}

func TestMaxConns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, app, server.Config{Limits: server.Limits{MaxConns: 2}})
		b.dial(t)
		first := b.dial(t)
		synctest.Wait()
		got := talk(t, b.dial(t), "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		if !strings.HasPrefix(got, "HTTP/1.1 503 Service Unavailable\r\n") || !strings.Contains(got, "\r\nRetry-After: 1\r\n") ||
			!strings.Contains(got, "\r\nConnection: close\r\n") {
			t.Errorf("got %q", got)
		}
		for range 100 { // more than will be listened to
			b.dial(t)
		}
		synctest.Wait()
		if st := b.Stats(); st.Conns > 2+16 {
			t.Errorf("%d connections open", st.Conns)
		}
		time.Sleep(2 * time.Second)
		if st := b.Stats(); st.Conns != 2 {
			t.Errorf("%d connections open after a while", st.Conns)
		}
		first.Close()
		synctest.Wait()
		if got := talk(t, b.dial(t), "GET / HTTP/1.1\r\nHost: a\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.1 200 OK\r\n") {
			t.Errorf("after a close: got %q", got)
		}
	})
}
