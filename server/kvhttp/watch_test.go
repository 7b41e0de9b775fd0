package kvhttp_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"postern/kvstore"
	"postern/server"
	"postern/server/kvhttp"
	"postern/transport/memory"
)

// site is a server over a transport in memory, with a store behind it.
type site struct {
	*server.Server
	ln    *memory.Listener
	store *kvstore.Store
	log   *bytes.Buffer // what kvhttp said
}

func newSite(t testing.TB, c kvhttp.Config) *site {
	t.Helper()
	log := new(bytes.Buffer)
	c.Log = slog.New(slog.NewTextHandler(log, nil))
	store := newStore(t)
	s := &site{server.New(kvhttp.New(store, c), server.Config{Log: slog.New(slog.DiscardHandler)}), memory.Listen(memory.Config{}), store, log}
	go s.Serve(s.ln) // ends with Close
	t.Cleanup(func() { s.Close() })
	return s
}

func (s *site) put(t testing.TB, key, value string) {
	t.Helper()
	if _, err := s.store.Overwrite(t.Context(), "default", key, []byte(value)); err != nil {
		t.Fatal(err)
	}
}

func (s *site) delete(t testing.TB, key string) {
	t.Helper()
	if found, err := s.store.Delete(t.Context(), "default", key); !found || err != nil {
		t.Fatal(found, err)
	}
}

// stream is a client that watches.
type stream struct {
	conn net.Conn
	resp *http.Response
	body *bufio.Reader
}

// get sends a request and reads the head of the response.
func (s *site) get(t testing.TB, target string, fields ...string) *stream {
	t.Helper()
	c, err := s.ln.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	io.WriteString(c, "GET "+target+" HTTP/1.1\r\nHost: a\r\n"+strings.Join(append(fields, ""), "\r\n")+"\r\n")
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	return &stream{c, resp, bufio.NewReader(resp.Body)}
}

// next returns the lines of the next event, joined by "|".
func (w *stream) next(t testing.TB) string {
	t.Helper()
	var lines []string
	for {
		line, err := w.body.ReadString('\n')
		if err != nil {
			return fmt.Sprint(append(lines, line, err.Error()))
		}
		if line = strings.TrimSuffix(line, "\n"); line == "" {
			return strings.Join(lines, "|")
		}
		lines = append(lines, line)
	}
}

func (w *stream) want(t testing.TB, events ...string) {
	t.Helper()
	for _, want := range events {
		if got := w.next(t); got != want {
			t.Fatalf("got  %s\nwant %s", got, want)
		}
	}
}

// wantEnd checks that the stream ends as a whole message does.
func (w *stream) wantEnd(t testing.TB) {
	t.Helper()
	if rest, err := io.ReadAll(w.body); len(rest) > 0 || err != nil {
		t.Fatalf("instead of the end: %q, %v", rest, err)
	}
}

func TestWatchTable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := clock
		defer func() {
			synctest.Wait() // until nobody looks at it
			clock = now
		}()
		s := newSite(t, kvhttp.Config{})
		s.put(t, "a", "line\nbreak\r")
		s.put(t, "\xff", "\xfe")
		all, some := s.get(t, "/kv/default/?watch"), s.get(t, "/kv/default/?prefix=b%2F&watch=")
		if all.resp.StatusCode != 200 || all.resp.Header.Get("Content-Type") != "text/event-stream" || all.resp.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("head: %v", all.resp)
		}
		all.want(t,
			`event: put|data: {"key":"a","value":"line\nbreak\r","counter":0}`,
			`event: put|data: {"key_base64":"/w==","value_base64":"/g==","counter":0}`)
		s.put(t, "a", "")
		all.want(t, `event: put|data: {"key":"a","value":"","counter":1}`)
		s.delete(t, "\xff")
		all.want(t, `event: delete|data: {"key_base64":"/w=="}`)
		if _, err := s.store.Add(t.Context(), "default", "b/1", []byte("v"), kvstore.TTL(time.Second)); err != nil {
			t.Fatal(err)
		}
		expiring := `event: put|data: {"key":"b/1","value":"v","counter":1,"expires_at":"2030-01-02T03:04:06Z"}`
		all.want(t, expiring)
		some.want(t, expiring)
		synctest.Wait()
		clock = clock.Add(time.Minute)
		if n, err := s.store.Sweep(t.Context()); n != 1 || err != nil {
			t.Fatal(n, err)
		}
		all.want(t, `event: delete|data: {"key":"b/1"}`)
		some.want(t, `event: delete|data: {"key":"b/1"}`)
		if _, err := s.store.Overwrite(t.Context(), "other", "b/1", []byte("elsewhere")); err != nil {
			t.Fatal(err)
		}
		s.put(t, "b/2", "<ä>")
		some.want(t, `event: put|data: {"key":"b/2","value":"<ä>","counter":2}`)
	})
}

func TestWatchEntry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, kvhttp.Config{})
		w := s.get(t, "/kv/default/a%2Fb?watch")
		w.want(t, `event: delete|data: {"key":"a/b"}`) // there is none
		s.put(t, "a/bc", "begins the same")
		s.put(t, "a/", "is shorter")
		s.put(t, "a/b\x00", "comes next")
		s.put(t, "a/b", "one")
		w.want(t, `id: 0|event: put|data: {"key":"a/b","value":"one","counter":0}`)
		s.delete(t, "a/b")
		w.want(t, `event: delete|data: {"key":"a/b"}`)
		s.put(t, "a/b", "two")
		w.want(t, `id: 1|event: put|data: {"key":"a/b","value":"two","counter":1}`)

		behind := s.get(t, "/kv/default/a/b?watch", "Last-Event-ID: 0")
		behind.want(t, `id: 1|event: put|data: {"key":"a/b","value":"two","counter":1}`)
		upToDate := s.get(t, "/kv/default/a/b?watch", "Last-Event-ID: 1")
		s.put(t, "a/b", "three")
		for _, w := range []*stream{w, behind, upToDate} {
			w.want(t, `id: 2|event: put|data: {"key":"a/b","value":"three","counter":2}`)
		}
		s.delete(t, "a/b")
		for _, known := range []string{"2", "0"} { // 0 is what an absent entry's counter looks like
			gone := s.get(t, "/kv/default/a/b?watch", "Last-Event-ID: "+known)
			gone.want(t, `event: delete|data: {"key":"a/b"}`)
		}
	})
}

// Many entries come in order and once each, beside a writer who changes them.
func TestWatchManyEntries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, kvhttp.Config{})
		const n = 600
		value := strings.Repeat("v", 2000) // several pages by bytes
		err := s.store.Execute(t.Context(), func(tx *kvstore.Tx) error {
			for i := range n {
				if _, err := tx.Add("default", fmt.Sprintf("%04d", i), []byte(value)); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		w := s.get(t, "/kv/default/?watch")
		for i := range n {
			w.want(t, fmt.Sprintf(`event: put|data: {"key":"%04d","value":"%s","counter":0}`, i, value))
		}
		if n, err := s.store.Clear(t.Context(), "default"); n != 600 || err != nil {
			t.Fatal(n, err)
		}
		for i := range n {
			w.want(t, fmt.Sprintf(`event: delete|data: {"key":"%04d"}`, i))
		}
	})
}

func TestWatchPing(t *testing.T) {
	for interval, want := range map[time.Duration]time.Duration{0: 15 * time.Second, time.Minute: time.Minute, -1: 0} {
		synctest.Test(t, func(t *testing.T) {
			s := newSite(t, kvhttp.Config{WatchPing: interval})
			w := s.get(t, "/kv/default/?watch")
			began := time.Now()
			if interval < 0 {
				time.AfterFunc(time.Hour, func() { s.put(t, "a", "v") })
				w.want(t, `event: put|data: {"key":"a","value":"v","counter":0}`)
				return
			}
			w.want(t, ": ping", ": ping")
			if took := time.Since(began); took != 2*want {
				t.Errorf("two pings in %v, want %v", took, 2*want)
			}
			time.AfterFunc(want/2, func() { s.put(t, "a", "v") })
			w.want(t, `event: put|data: {"key":"a","value":"v","counter":0}`, ": ping")
			if took := time.Since(began); took != 3*want+want/2 {
				t.Errorf("the ping after an event came after %v, want %v", took, 3*want+want/2)
			}
		})
	}
}
