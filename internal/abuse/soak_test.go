package abuse

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"postern/server"
	"postern/transport/memory"
	"postern/transport/tcp"
	posterntls "postern/transport/tls"
	"postern/transport/unix"
)

// Clients of every kind, over every transport, on good and bad connections, at the
// same time, for as long as POSTERN_SOAK says (a duration): each answer is the right
// one, and nothing is left in the end. It is meant for the race detector.
func TestSoak(t *testing.T) {
	d := 8 * time.Second
	if v := os.Getenv("POSTERN_SOAK"); v != "" {
		var err error
		if d, err = time.ParseDuration(v); err != nil {
			t.Fatal(err)
		}
	}
	goroutines, files := runtime.NumGoroutine(), descriptors()
	srv := server.New(every, server.Config{Log: slog.New(slog.DiscardHandler), AccessLog: slog.New(slog.DiscardHandler),
		Limits: server.Limits{HandshakeTimeout: time.Minute, FirstByteTimeout: time.Minute, HeadTimeout: time.Minute}}) // the machine may be busy
	ways := soakRoads(t, srv)
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	var talks, answers, hostile atomic.Int64
	var wg sync.WaitGroup
	for worker := range 4 * len(ways) {
		wg.Go(func() {
			for n := uint64(0); ctx.Err() == nil && !t.Failed(); n++ {
				w := ways[worker%len(ways)]
				tk := &talk{way: w, rnd: rand.New(rand.NewPCG(uint64(worker), n))}
				tk.plan()
				got, err := tk.run()
				talks.Add(1)
				answers.Add(int64(got))
				if tk.hostile != "" {
					hostile.Add(1)
				}
				if err != nil {
					t.Errorf("%s, worker %d, talk %d (%s): answer %d of %d: %v", w.name, worker, n, tk.hostile, got+1, len(tk.asks), err)
				}
			}
		})
	}
	wg.Wait()
	t.Logf("%d connections, %d of them hostile, %d answers, %d bad handshakes", talks.Load(), hostile.Load(), answers.Load(), srv.Stats().BadHandshakes)
	grace, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := srv.Shutdown(grace); err != nil {
		t.Errorf("Shutdown: %v", err)
	}
	for began := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		g, f := runtime.NumGoroutine(), descriptors()
		if g <= goroutines+2 && f <= files+2 { // the watcher for hang-ups stays a while
			break
		}
		if time.Since(began) > 20*time.Second {
			buf := make([]byte, 1<<20)
			t.Fatalf("%d goroutines and %d descriptors, at the start %d and %d\n%s", g, f, goroutines, files, buf[:runtime.Stack(buf, true)])
		}
	}
}

func descriptors() int {
	files, _ := os.ReadDir("/proc/self/fd")
	return len(files)
}

// way is a listener of the soak.
type way struct {
	name string
	torn bool // its connections may break off
	dial func() (net.Conn, error)
}

func soakRoads(t *testing.T, srv *server.Server) (all []way) {
	t.Helper()
	fail := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	cert, err := posterntls.SelfSigned()
	fail(err)
	certs, err := posterntls.NewCertificates(posterntls.CertificatesConfig{Sources: []posterntls.Source{{Certificate: cert}}})
	fail(err)
	config := &tls.Config{InsecureSkipVerify: true, ClientSessionCache: tls.NewLRUClientSessionCache(0)}
	for _, f := range []struct {
		name string
		wrap faulty
	}{{"", faulty{bare: true}}, {", faulty", faulty{}}, {", torn", faulty{torn: true}}} {
		serve := func(name string, ln net.Listener, secure bool, dial func() (net.Conn, error)) {
			f.wrap.Listener = ln
			wrapped := net.Listener(f.wrap)
			if secure {
				under := dial
				dial = func() (net.Conn, error) {
					c, err := under()
					if err != nil {
						return nil, err
					}
					return tls.Client(c, config), nil
				}
				wrapped, err = posterntls.NewListener(wrapped, posterntls.Config{Certificates: certs, HandshakeTimeout: time.Minute})
				fail(err)
			}
			all = append(all, way{name + f.name, f.wrap.torn, dial})
			go srv.Serve(wrapped) // until Shutdown
		}
		for _, secure := range []string{"", "tls over "} {
			ln, err := tcp.Listen(tcp.Config{})
			fail(err)
			serve(secure+"tcp", ln, secure != "", func() (net.Conn, error) { return net.Dial("tcp", ln.Addr().String()) })
			path := filepath.Join(t.TempDir(), "s")
			file, err := unix.Listen(unix.Config{Path: path})
			fail(err)
			serve(secure+"unix", file, secure != "", func() (net.Conn, error) { return unix.Dial(context.Background(), path) })
		}
		mem := memory.Listen(memory.Config{Buffer: 3000})
		serve("memory", mem, false, func() (net.Conn, error) { return mem.Dial(context.Background()) })
	}
	return all
}

// ask is one request, and what is expected of its answer.
type ask struct {
	kind string
	in   []byte
	want []byte // content of the answer
}

// talk is one connection and what happens on it.
type talk struct {
	way     way
	rnd     *rand.Rand
	asks    []ask
	hostile string // what the client does wrong, or ""
	tail    []byte // sent behind the requests
	sure    bool   // every ask is answered
}

func (k *talk) plan() {
	for range 1 + k.rnd.IntN(6) {
		k.asks = append(k.asks, k.newAsk())
	}
	k.sure = !k.way.torn
	switch k.rnd.IntN(12) {
	case 0:
		k.hostile, k.sure = "reset", false
	case 1:
		k.hostile, k.tail = "garbage", []byte("\x00 what?\r\n\r\n")
	case 2:
		k.hostile, k.tail = "breaks off", []byte("POST /text?id=1&n=1 HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc")
	case 3:
		k.hostile, k.sure = "does not read", false
	}
}

func (k *talk) newAsk() ask {
	rnd := k.rnd
	kind := kinds[rnd.IntN(len(kinds))]
	if ends[kind] && rnd.IntN(3) > 0 {
		kind = "text"
	}
	id, n := rnd.IntN(1000), []int{0, 10, 1000, 20_000, 150_000}[rnd.IntN(5)]
	var body []byte
	method, framing := "GET", ""
	if rnd.IntN(2) == 0 {
		method = "POST"
		body = bytes.Repeat([]byte{byte('A' + rnd.IntN(26))}, []int{0, 5, 3000, 60_000}[rnd.IntN(4)])
		framing = fmt.Sprintf("Content-Length: %d\r\n", len(body))
		if rnd.IntN(4) == 0 {
			framing += "Expect: 100-continue\r\n"
		}
	}
	raw := body
	if method == "POST" && rnd.IntN(2) == 0 {
		framing, raw = "Transfer-Encoding: chunked\r\n", nil
		for rest := body; len(rest) > 0; {
			m := part(len(rest))
			raw = fmt.Appendf(raw, "%x;a=b\r\n%s\r\n", m, rest[:m])
			rest = rest[m:]
		}
		raw = append(raw, "0\r\nX-T: 1\r\n\r\n"...)
	}
	in := fmt.Appendf(nil, "%s /%s?id=%d&n=%d HTTP/1.1\r\nHost: a\r\n%s\r\n", method, kind, id, n, framing)
	if kind == "early" {
		body = nil
	}
	return ask{kind, append(in, raw...), content(id, n, body)}
}

// run has the talk, and returns how many answers came whole. An error is what
// should not have happened.
func (k *talk) run() (answers int, err error) {
	c, err := k.way.dial()
	if err != nil {
		return 0, err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		return 0, err
	}
	if s, ok := c.(interface{ SetReadBuffer(int) error }); ok && k.rnd.IntN(3) == 0 {
		_ = s.SetReadBuffer(32 << 10) // else it is large; far below a segment the kernels wait for each other
	}
	var in []byte
	for _, a := range k.asks {
		in = append(in, a.in...)
	}
	in = append(in, k.tail...)
	cut := len(in)
	if k.hostile == "reset" {
		cut = k.rnd.IntN(len(in))
	}
	sent := make(chan bool)
	go func() { // ends with the connection, which ends with run
		defer close(sent)
		k.send(c, in[:cut])
	}()
	defer func() {
		c.Close()
		<-sent
	}()
	if k.hostile == "does not read" || k.hostile == "reset" {
		select {
		case <-sent:
		case <-time.After(20 * time.Millisecond): // the server has stopped reading
		}
		if l, ok := c.(interface{ SetLinger(int) error }); ok && k.hostile == "reset" {
			_ = l.SetLinger(0) // failing, it is closed already
		}
		return 0, nil
	}
	return k.receive(bufio.NewReaderSize(c, 16+k.rnd.IntN(8000)))
}

// send sends b in pieces, and half-closes.
func (k *talk) send(c net.Conn, b []byte) {
	pieces := 1 + rand.IntN(20)
	for len(b) > 0 {
		n := len(b)
		if pieces--; pieces > 0 && rand.IntN(3) > 0 {
			n = 1 + rand.IntN(n)
		}
		if _, err := c.Write(b[:n]); err != nil {
			return // receive sees why
		}
		if b = b[n:]; rand.IntN(4) == 0 {
			time.Sleep(time.Duration(rand.IntN(500)) * time.Microsecond)
		}
	}
	if rand.IntN(2) == 0 || k.hostile == "breaks off" {
		_ = c.(interface{ CloseWrite() error }).CloseWrite() // the server may have ended it
	}
}

// receive reads the answers and compares them.
func (k *talk) receive(r *bufio.Reader) (answers int, err error) {
	for _, a := range k.asks {
		whole, err := a.receive(r)
		switch {
		case errors.Is(err, errBroken) && !k.sure && !errors.Is(err, os.ErrDeadlineExceeded):
			return answers, nil
		case err != nil:
			return answers, fmt.Errorf("to %.100q: %w", a.in, err)
		}
		if whole {
			answers++
		}
		if ends[a.kind] {
			if k.sure {
				err = k.over(r)
			}
			return answers, err
		}
	}
	if !k.sure {
		return answers, nil
	}
	if k.tail != nil { // one more answer, and the end
		resp, err := http.ReadResponse(r, nil)
		if err != nil || resp.StatusCode != 400 {
			return answers, fmt.Errorf("to what was wrong: %v, %v", resp, err)
		}
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			return answers, err
		}
		return answers, k.over(r)
	}
	return answers, nil
}

// over expects the end.
func (k *talk) over(r io.Reader) error {
	if b, err := io.ReadAll(r); len(b) > 0 || err != nil {
		return fmt.Errorf("behind the last answer: %.100q, %v", b, err)
	}
	return nil
}

// errBroken is a connection that ended before the answer did.
var errBroken = errors.New("broken off")

// receive reads the answer. An error that is not errBroken says what is wrong with it.
func (a ask) receive(r *bufio.Reader) (whole bool, err error) {
	resp, err := http.ReadResponse(r, &http.Request{Method: "GET"})
	for err == nil && resp.StatusCode/100 == 1 {
		resp, err = http.ReadResponse(r, &http.Request{Method: "GET"})
	}
	if a.kind == "abort" {
		if err == nil {
			return false, fmt.Errorf("%s instead of an end", resp.Status)
		}
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("%w: %w", errBroken, err)
	}
	body, err := io.ReadAll(resp.Body)
	want := map[string]int{"teapot": 418, "panic": 500}[a.kind]
	if want == 0 {
		want = 200
	}
	switch {
	case resp.StatusCode != want:
		return false, fmt.Errorf("status %d, want %d: %.100q", resp.StatusCode, want, body)
	case a.kind == "broken":
		if err == nil || !bytes.HasPrefix(a.want, body) {
			return false, fmt.Errorf("broken off on purpose, but read %d bytes, %v", len(body), err)
		}
		return false, nil
	case err != nil && bytes.HasPrefix(a.want, body):
		return false, fmt.Errorf("%w: %d of %d bytes: %w", errBroken, len(body), len(a.want), err)
	case want != 200:
		return true, nil
	case !bytes.Equal(body, a.want):
		return false, fmt.Errorf("%d bytes %.60q, %v, want %d bytes %.60q", len(body), body, err, len(a.want), a.want)
	case a.kind == "drive" && resp.Trailer.Get("X-Sum") != strconv.Itoa(len(body)):
		return false, fmt.Errorf("trailer %v, want %d", resp.Trailer, len(body))
	case resp.Header.Get("Date") == "" || strings.Contains(resp.Header.Get("Connection"), "close") != (a.kind == "panic"):
		return false, fmt.Errorf("header %v", resp.Header)
	}
	return true, nil
}
