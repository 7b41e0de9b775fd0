package server_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"postern/server"
)

// driven answers each path with a Drive that does something of its own.
func driven(r *server.Request) server.Response {
	steps := map[string]func(x *server.Exchange) error{
		"/nothing": func(x *server.Exchange) error { return nil },
		"/write": func(x *server.Exchange) error {
			_, err := io.WriteString(x, "hello")
			return err
		},
		"/length": func(x *server.Exchange) error {
			if err := x.Head(201, server.Fields{{Name: "Content-Length", Value: "5"}, {Name: "X", Value: "y"}}); err != nil {
				return err
			}
			_, err := io.WriteString(x, "hello")
			return err
		},
		"/early hints": func(x *server.Exchange) error {
			for range 2 {
				if err := x.Info(103, server.Fields{{Name: "Link", Value: "</a>; rel=preload"}}); err != nil {
					return err
				}
			}
			if err := x.Info(200, nil); err == nil {
				return errors.New("Info took 200")
			}
			return x.Head(204, nil)
		},
		"/flushes": func(x *server.Exchange) error {
			for i := range 3 {
				fmt.Fprint(x, i)
				if err := x.Flush(); err != nil {
					return err
				}
			}
			return nil
		},
		"/trailer": func(x *server.Exchange) error {
			if err := x.Head(200, server.Fields{{Name: "Trailer", Value: "X-Sum"}}); err != nil {
				return err
			}
			io.WriteString(x, "abc")
			if err := x.Trailer("Content-Length", "3"); err == nil {
				return errors.New("Trailer took Content-Length")
			}
			return x.Trailer("X-Sum", "7")
		},
		"/trailer without place": func(x *server.Exchange) error {
			x.Head(200, server.Fields{{Name: "Content-Length", Value: "0"}})
			return x.Trailer("X-Sum", "7")
		},
		"/refused head": func(x *server.Exchange) error {
			if err := x.Head(200, server.Fields{{Name: "Bad", Value: "a\r\nb"}}); err == nil {
				return errors.New("Head took CR LF")
			}
			if err := x.Head(99, nil); err == nil {
				return errors.New("Head took 99")
			}
			if err := x.Head(200, server.Fields{{Name: "Content-Length", Value: "2"}}); err != nil {
				return err
			}
			if err := x.Head(200, nil); err == nil {
				return errors.New("a second Head")
			}
			if _, err := io.WriteString(x, "abc"); err == nil {
				return errors.New("Write took more than announced")
			}
			_, err := io.WriteString(x, "ok")
			return err
		},
		"/no content": func(x *server.Exchange) error {
			x.Head(204, nil)
			if _, err := io.WriteString(x, "abc"); err == nil {
				return errors.New("204 took content")
			}
			return nil
		},
		"/copy": func(x *server.Exchange) error {
			_, err := x.ReadFrom(x.Request().Body())
			return err
		},
		"/shout": func(x *server.Exchange) error {
			b, err := x.Request().ReadAll()
			if err != nil {
				return err
			}
			_, err = x.Write(bytes.ToUpper(b))
			return err
		},
		"/fail":        func(x *server.Exchange) error { return errors.New("no luck") },
		"/teapot":      func(x *server.Exchange) error { return &server.Error{Status: 418} },
		"/panic":       func(x *server.Exchange) error { panic("oops") },
		"/abort":       func(x *server.Exchange) error { return server.ErrAbort },
		"/panic abort": func(x *server.Exchange) error { panic(server.ErrAbort) },
		"/fail late": func(x *server.Exchange) error {
			io.WriteString(x, "part")
			return errors.New("no luck")
		},
		"/panic late": func(x *server.Exchange) error {
			io.WriteString(x, "part")
			panic("oops")
		},
		"/short": func(x *server.Exchange) error {
			x.Head(200, server.Fields{{Name: "Content-Length", Value: "5"}})
			_, err := io.WriteString(x, "hell")
			return err
		},
		"/goexit": func(x *server.Exchange) error {
			runtime.Goexit()
			return nil
		},
	}
	if step := steps[r.Path()]; step != nil {
		resp := server.Drive(step)
		if r.RawQuery() == "with" {
			resp = resp.With("Vary", "Origin").With("Content-Type", "a/b")
			resp.Close = true
		}
		return resp
	}
	if r.PathIs("/thrown") {
		panic(server.ErrAbort)
	}
	return app(r)
}

func TestDrive(t *testing.T) {
	get := func(path string, fields ...string) string {
		return "GET " + strings.ReplaceAll(path, " ", "%20") + " HTTP/1.1\r\n" + host + strings.Join(fields, "") + "\r\n"
	}
	post := func(path, body string, fields ...string) string {
		return fmt.Sprintf("POST %s HTTP/1.1\r\n%sContent-Length: %d\r\n%s\r\n%s", path, host, len(body), strings.Join(fields, ""), body)
	}
	hello := "HTTP/1.1 200 OK\nContent-Type: text/plain; charset=utf-8\nContent-Length: 5\n\nhello"
	page := "HTTP/1.1 500 Internal Server Error\nContent-Type: text/plain; charset=utf-8\nContent-Length: 26\n\n500 Internal Server Error\n"
	closing := strings.Replace(page, "\n\n", "\nConnection: close\n\n", 1)
	chunked := func(chunks string) string { return "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n" + chunks }
	for _, tc := range []struct{ in, want string }{
		{get("/nothing"), "HTTP/1.1 200 OK\nContent-Length: 0\n\n" + hello},
		{get("/write"), chunked("5\nhello\n0\n\n") + hello},
		{"HEAD /write HTTP/1.1\r\n" + host + "\r\n", chunked("") + hello},
		{"GET /write HTTP/1.0\r\n\r\n", "HTTP/1.1 200 OK\nConnection: close\n\nhello"},
		{get("/length"), "HTTP/1.1 201 Created\nX: y\nContent-Length: 5\n\nhello" + hello},
		{get("/early hints"), strings.Repeat("HTTP/1.1 103 Early Hints\nLink: </a>; rel=preload\n\n", 2) + "HTTP/1.1 204 No Content\n\n" + hello},
		{"GET /early%20hints HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "HTTP/1.1 204 No Content\nConnection: keep-alive\n\n" + hello},
		{get("/flushes"), chunked("1\n0\n1\n1\n1\n2\n0\n\n") + hello},
		{get("/trailer"), "HTTP/1.1 200 OK\nTrailer: X-Sum\nTransfer-Encoding: chunked\n\n3\nabc\n0\nX-Sum: 7\n\n" + hello},
		{"GET /trailer HTTP/1.0\r\n\r\n", "HTTP/1.1 200 OK\nTrailer: X-Sum\nConnection: close\n\nabc"},
		{get("/trailer without place"), "HTTP/1.1 200 OK\nContent-Length: 0\n\n" + hello},
		{get("/refused head"), "HTTP/1.1 200 OK\nContent-Length: 2\n\nok" + hello},
		{get("/no content"), "HTTP/1.1 204 No Content\n\n" + hello},
		{post("/copy", "abc"), chunked("3\nabc\n0\n\n") + hello},
		{post("/shout", "abc"), chunked("3\nABC\n0\n\n") + hello},
		{post("/nothing", "abc"), "HTTP/1.1 200 OK\nContent-Length: 0\n\n" + hello},
		{get("/fail"), page + hello},
		{get("/teapot"), "HTTP/1.1 418 \nContent-Type: text/plain; charset=utf-8\nContent-Length: 4\n\n418\n" + hello},
		{get("/panic"), closing},
		{get("/abort"), ""},
		{get("/panic abort"), ""},
		{get("/thrown"), ""},
		{get("/goexit"), ""},
		{get("/fail late"), chunked("4\npart\n")},
		{get("/panic late"), chunked("4\npart\n")},
		{get("/short"), "HTTP/1.1 200 OK\nContent-Length: 5\n\nhell"},
		{get("/write?with"), "HTTP/1.1 200 OK\nVary: Origin\nContent-Type: a/b\nTransfer-Encoding: chunked\nConnection: close\n\n5\nhello\n0\n\n"},
		{get("/fail?with"), strings.NewReplacer("text/plain; charset=utf-8", "a/b", "Content-Type", "Vary: Origin\nContent-Type", "\n\n", "\nConnection: close\n\n").Replace(page)},
		{post("/shout", "abc", "Expect: 100-continue\r\n"), "HTTP/1.1 100 Continue\n\n" + chunked("3\nABC\n0\n\n") + hello},
	} {
		t.Run(strings.SplitN(tc.in, "\r\n", 2)[0], func(t *testing.T) {
			in := get("/") + tc.in + get("/") // pipelined behind, and before
			for how, cut := range map[string]func(string) []string{
				"whole":    func(s string) []string { return []string{s} },
				"in two":   func(s string) []string { return []string{s[:len(s)/2], s[len(s)/2:]} },
				"bytewise": func(s string) []string { return strings.Split(s, "") },
			} {
				synctest.Test(t, func(t *testing.T) {
					want := hello + tc.want
					if strings.Contains(tc.in, "Expect") && how != "bytewise" { // it did not wait
						want = strings.Replace(want, "HTTP/1.1 100 Continue\n\n", "", 1)
					}
					b := start(t, driven, server.Config{})
					if got := plainInfo(t, talk(t, b.dial(t), cut(in)...)); got != want {
						t.Errorf("%s: got %q\nwant %q", how, got, want)
					}
				})
			}
		})
	}
}

// plainInfo is plain for answers that may hold interim ones, which have no Date.
func plainInfo(t testing.TB, out string) string {
	t.Helper()
	hints := strings.Count(out, "HTTP/1.1 103 ")
	out = strings.Replace(out, "HTTP/1.1 103 ", "HTTP/1.1 100 103 ", hints)
	return strings.ReplaceAll(plain(t, out), "HTTP/1.1 100 103 ", "HTTP/1.1 103 ")
}

// A Drive's errors and panics are logged, but not ErrAbort.
func TestDriveLog(t *testing.T) {
	for path, want := range map[string]string{
		"/fail": "server: handler failed", "/panic": "server: response panicked", "/fail%20late": "server: response broken off",
		"/abort": "", "/panic%20abort": "", "/thrown": "", "/write": "",
	} {
		synctest.Test(t, func(t *testing.T) {
			var log bytes.Buffer
			b := start(t, driven, server.Config{Log: slog.New(slog.NewTextHandler(&log, nil))})
			talk(t, b.dial(t), "GET "+path+" HTTP/1.1\r\nHost: a\r\n\r\n")
			b.Close()
			if got := log.String(); want == "" && got != "" || !strings.Contains(got, want) {
				t.Errorf("%s: logged %q, want %q", path, got, want)
			}
		})
	}
}

// The body is read in one goroutine while another writes, and neither waits for
// the other: here the answer's pieces alternate with the request's.
func TestDriveFullDuplex(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, func(r *server.Request) server.Response {
			return server.Drive(func(x *server.Exchange) error {
				pieces := make(chan string)
				var readErr error
				go func() {
					defer close(pieces)
					buf := make([]byte, 100)
					for {
						n, err := r.Body().Read(buf)
						if n > 0 {
							pieces <- string(buf[:n])
						}
						if err != nil {
							readErr = err
							return
						}
					}
				}()
				io.WriteString(x, "begin")
				x.Flush()
				for p := range pieces {
					io.WriteString(x, strings.ToUpper(p))
					if err := x.Flush(); err != nil {
						return err
					}
				}
				return readErr2(readErr)
			})
		}, server.Config{})
		c := b.dial(t)
		io.WriteString(c, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
		got := ""
		expect := func(want string) {
			t.Helper()
			buf := make([]byte, 1000)
			for !strings.HasSuffix(got, want) {
				n, err := c.Read(buf)
				if got += string(buf[:n]); err != nil {
					t.Fatalf("got %q, %v, want %q at the end", got, err, want)
				}
			}
		}
		expect("5\r\nbegin\r\n")
		for _, p := range []string{"one", "two", "three"} {
			fmt.Fprintf(c, "%x\r\n%s\r\n", len(p), p)
			expect(fmt.Sprintf("%x\r\n%s\r\n", len(p), strings.ToUpper(p)))
		}
		io.WriteString(c, "0\r\n\r\n")
		expect("\r\n0\r\n\r\n")
	})
}

func readErr2(err error) error {
	if err == io.EOF {
		return nil
	}
	return err
}

// An answer may end before the body does: the rest is read, and the connection
// goes on.
func TestDriveEarlyResponse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, func(r *server.Request) server.Response {
			return server.Drive(func(x *server.Exchange) error {
				if _, err := io.ReadFull(r.Body(), make([]byte, 3)); err != nil {
					return err
				}
				return x.Head(400, server.Fields{{Name: "Content-Length", Value: "0"}})
			})
		}, server.Config{})
		c := b.dial(t)
		io.WriteString(c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\n\r\nabc")
		buf := make([]byte, 1000)
		n, err := c.Read(buf)
		if got := plain(t, string(buf[:n])); err != nil || got != "HTTP/1.1 400 Bad Request\nContent-Length: 0\n\n" {
			t.Fatalf("got %q, %v", got, err)
		}
		got := plain(t, talk(t, c, "defgh", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"))
		if got != "HTTP/1.1 400 Bad Request\nContent-Length: 0\n\n" {
			t.Errorf("the second: %q", got)
		}
	})
}

// Big writes arrive whole, whatever the framing.
func TestDriveBigWrites(t *testing.T) {
	big := strings.Repeat("0123456789abcdef", 30_000)
	for _, framing := range []string{"chunked", "length", "close"} {
		synctest.Test(t, func(t *testing.T) {
			b := start(t, func(r *server.Request) server.Response {
				return server.Drive(func(x *server.Exchange) error {
					var f server.Fields
					if framing == "length" {
						f = server.Fields{{Name: "Content-Length", Value: fmt.Sprint(2*len(big) + 2)}}
					}
					if err := x.Head(200, f); err != nil {
						return err
					}
					for _, p := range []string{"a", big, "b"} {
						if _, err := io.WriteString(x, p); err != nil {
							return err
						}
					}
					_, err := x.ReadFrom(strings.NewReader(big))
					return err
				})
			}, server.Config{})
			version := "1.1"
			if framing == "close" {
				version = "1.0"
			}
			got := plain(t, talk(t, b.dial(t), "GET / HTTP/"+version+"\r\nHost: a\r\n\r\n"))
			if framing == "chunked" {
				got = dechunk(t, got)
			} else {
				_, got, _ = strings.Cut(got, "\n\n")
			}
			if want := "a" + big + "b" + big; got != want {
				t.Errorf("%s: got %d bytes, want %d", framing, len(got), len(want))
			}
		})
	}
}

// Hijack hands over the connection and what the client sent early; the server
// forgets it, and Shutdown does not wait.
func TestHijack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		taken := make(chan net.Conn)
		b := start(t, func(r *server.Request) server.Response {
			return server.Drive(func(x *server.Exchange) error {
				nc, early, err := x.Hijack()
				if err != nil {
					return err
				}
				if _, _, err := x.Hijack(); err == nil {
					t.Error("a second Hijack")
				}
				if _, err := x.Write([]byte("x")); err == nil {
					t.Error("Write after Hijack")
				}
				fmt.Fprintf(nc, "raw %s, early %q", r.Path(), early)
				taken <- nc
				<-taken
				return nil
			})
		}, server.Config{AccessLog: slog.New(slog.NewTextHandler(&log, nil))})
		c := b.dial(t)
		io.WriteString(c, "GET /a HTTP/1.1\r\nHost: a\r\n\r\nmore")
		nc := <-taken
		if st := b.Stats(); st.Conns != 0 {
			t.Errorf("%d connections", st.Conns)
		}
		if err := b.Shutdown(context.Background()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour) // no deadline is left
		io.WriteString(c, "later")
		buf := make([]byte, 100)
		n, err := nc.Read(buf)
		if string(buf[:n]) != "later" || err != nil {
			t.Errorf("read %q, %v", buf[:n], err)
		}
		taken <- nil
		synctest.Wait()
		nc.Close()
		out, err := io.ReadAll(c)
		if want := `raw /a, early "more"`; string(out) != want || err != nil {
			t.Errorf("got %q, %v, want %q", out, err, want)
		}
		if n := strings.Count(log.String(), "\n"); n != 1 {
			t.Errorf("%d access records", n)
		}
	})
}

func TestUpgrade(t *testing.T) {
	upgrade := func(fields, body string) string {
		return "POST / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: shout, other\r\n" + fields +
			fmt.Sprintf("Content-Length: %d\r\n\r\n", len(body)) + body
	}
	const switched = "HTTP/1.1 101 Switching Protocols\nX: y\nUpgrade: shout\nConnection: upgrade\n\n"
	for _, tc := range []struct {
		name   string
		pieces []string
		want   string
	}{
		{"taken", []string{upgrade("", ""), "hello"}, switched + "HELLO"},
		{"early", []string{upgrade("", "") + "hello"}, switched + "HELLO"},
		{"behind a body", []string{upgrade("", "body"), "hello"}, switched + "HELLO"},
		{"behind a slow body", []string{strings.TrimSuffix(upgrade("", "body"), "dy"), "dyhel", "lo"}, switched + "HELLO"},
		{"expecting", []string{upgrade("Expect: 100-continue\r\n", "body"), "hello"}, "HTTP/1.1 100 Continue\n\n" + switched + "HELLO"},
		{"pipelined", []string{upgrade("", "") + "hello "}, switched + "HELLO "},
		{"not offered", []string{strings.Replace(upgrade("", ""), "shout", "else", 1) + request},
			strings.Repeat("HTTP/1.1 426 Upgrade Required\nX: y\nUpgrade: shout\nContent-Type: text/plain; charset=utf-8\nTransfer-Encoding: chunked\nConnection: upgrade\n\n15\n426 Upgrade Required\n\n0\n\n", 2)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := start(t, func(r *server.Request) server.Response {
					return server.Upgrade("shout", func(nc net.Conn, early []byte) {
						rest, _ := io.ReadAll(nc)
						nc.Write(bytes.ToUpper(append(early, rest...)))
					}).With("X", "y")
				}, server.Config{})
				got := talk(t, b.dial(t), tc.pieces...)
				got = strings.ReplaceAll(dateLine.ReplaceAllString(got, ""), "\r\n", "\n")
				if got != tc.want {
					t.Errorf("got %q\nwant %q", got, tc.want)
				}
				if err := b.Shutdown(context.Background()); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// An exchange's own deadlines hold instead of the Limits', and end with it.
func TestDriveDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, func(r *server.Request) server.Response {
			if r.PathIs("/") {
				return server.Text("hello")
			}
			return server.Drive(func(x *server.Exchange) error {
				began := time.Now()
				if r.PathIs("/patient") {
					x.SetReadDeadline(time.Time{})
				} else {
					x.SetReadDeadline(began.Add(3 * time.Second))
				}
				b, err := r.ReadAll()
				_, e := fmt.Fprintf(x, "%s %v %v", b, time.Since(began), err != nil)
				return errors.Join(e)
			})
		}, server.Config{Limits: server.Limits{BodyRate: 1 << 20, BodyWindow: time.Second}})
		c := b.dial(t)
		io.WriteString(c, "POST /hurried HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\na")
		if got, _ := io.ReadAll(c); !strings.Contains(string(got), " 3s true") || !strings.Contains(string(got), "Connection: close") {
			t.Errorf("hurried: got %q", got)
		}
		c = b.dial(t)
		io.WriteString(c, "POST /patient HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\na")
		time.Sleep(time.Minute)
		if got := talk(t, c, "b", request); !strings.Contains(got, "ab 1m0s false") || !strings.HasSuffix(got, "hello") {
			t.Errorf("patient: got %q", got)
		}
	})
}

// A client that does not read is cut at the exchange's own write deadline.
func TestDriveWriteDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		took := make(chan time.Duration)
		b := start(t, func(r *server.Request) server.Response {
			return server.Drive(func(x *server.Exchange) error {
				began := time.Now()
				go func() {
					time.Sleep(time.Second)
					x.SetWriteDeadline(time.Now().Add(time.Second))
				}()
				for {
					if _, err := x.Write(make([]byte, 100_000)); err != nil {
						took <- time.Since(began)
						return err
					}
				}
			})
		}, server.Config{})
		c := b.dial(t)
		io.WriteString(c, request)
		if d := <-took; d != 2*time.Second {
			t.Errorf("cut after %v", d)
		}
	})
}

// CONNECT reaches handlers that ask for it, and becomes a tunnel.
func TestConnect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, func(r *server.Request) server.Response {
			if r.Host() == "refused:1" {
				return server.Text("no").WithStatus(403)
			}
			return server.Drive(func(x *server.Exchange) error {
				if err := x.Head(200, nil); err != nil {
					return err
				}
				if _, err := io.WriteString(x, "x"); err == nil {
					t.Error("wrote content into a tunnel")
				}
				nc, early, err := x.Hijack()
				if err != nil {
					return err
				}
				defer nc.Close()
				_, err = fmt.Fprintf(nc, "%s to %s", early, x.Request().Target())
				return err
			})
		}, server.Config{AllowConnect: true})
		got := talk(t, b.dial(t), "CONNECT refused:1 HTTP/1.1\r\nHost: a\r\n\r\nCONNECT b:1 HTTP/1.1\r\nHost: b:1\r\n\r\nearly")
		want := "HTTP/1.1 403 Forbidden\nContent-Type: text/plain; charset=utf-8\nContent-Length: 2\n\nno" + "HTTP/1.1 200 OK\n\nearly to b:1"
		if got := plain(t, got); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

// What run leaves behind does no harm: a read that goes on in another goroutine is
// waited for, and what comes later fails.
func TestDriveLeftovers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reading := make(chan error, 1)
		var left *server.Exchange
		b := start(t, func(r *server.Request) server.Response {
			return server.Drive(func(x *server.Exchange) error {
				left = x
				go func() {
					_, err := io.ReadAll(r.Body())
					reading <- err
				}()
				time.Sleep(time.Second)
				return errors.New("no luck")
			})
		}, server.Config{Limits: server.Limits{BodyRate: 1, BodyWindow: 5 * time.Second}})
		c := b.dial(t)
		io.WriteString(c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\nExpect: 100-continue\r\n\r\n")
		out, err := io.ReadAll(c)
		if !strings.Contains(string(out), "HTTP/1.1 500 ") || err != nil {
			t.Errorf("got %q, %v", out, err)
		}
		if err := <-reading; err == nil {
			t.Error("a body that never came was read")
		}
		if _, err := left.Write([]byte("x")); err == nil {
			t.Error("Write after the end")
		}
		if _, _, err := left.Hijack(); err == nil {
			t.Error("Hijack after the end")
		}
	})
}
