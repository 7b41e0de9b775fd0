package kvhttp_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"postern/kvstore"
	"postern/server"
	"postern/server/kvhttp"
	"postern/transport/memory"
)

func TestWatchEndsWithServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, kvhttp.Config{})
		table, entry := s.get(t, "/kv/default/?watch"), s.get(t, "/kv/default/a?watch")
		entry.want(t, `event: delete|data: {"key":"a"}`)
		began := time.Now()
		if err := s.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
		table.wantEnd(t)
		entry.wantEnd(t)
		if took := time.Since(began); took > time.Second {
			t.Errorf("Shutdown took %v", took)
		}
		if s.log.Len() > 0 {
			t.Errorf("log has %s", s.log)
		}
	})
}

// A client that is gone is found out by a ping, and leaves nothing behind.
func TestWatchEndsWithClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, kvhttp.Config{MaxWatches: 1})
		w := s.get(t, "/kv/default/?watch")
		w.conn.Close()
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := s.Stats().Conns; n != 0 {
			t.Errorf("%d connections are left", n)
		}
		s.get(t, "/kv/default/a?watch").want(t, `event: delete|data: {"key":"a"}`)
		if s.log.Len() > 0 {
			t.Errorf("log has %s", s.log)
		}
	})
}

func TestWatchEndsWithStore(t *testing.T) {
	for name, end := range map[string]func(*testing.T, *kvstore.Store){
		"closed": func(t *testing.T, s *kvstore.Store) {
			if err := s.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
		},
		"stopped": func(t *testing.T, s *kvstore.Store) {
			err := s.Execute(t.Context(), func(*kvstore.Tx) error { return kvstore.Fatal(errors.New("secret")) })
			if !errors.Is(err, kvstore.ErrStopped) {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSite(t, kvhttp.Config{})
				w := s.get(t, "/kv/default/a?watch")
				w.want(t, `event: delete|data: {"key":"a"}`)
				end(t, s.store)
				w.want(t, `event: error|data: {"error":"the store has stopped: nothing was changed"}`)
				w.wantEnd(t)
				if !strings.Contains(s.log.String(), "target=/kv/default/a?watch") {
					t.Errorf("log has %q", s.log)
				}
				if late := s.get(t, "/kv/default/a?watch"); late.resp.StatusCode != 503 {
					t.Errorf("watching afterwards: %d", late.resp.StatusCode)
				}
			})
		})
	}
}

func TestMaxWatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, kvhttp.Config{MaxWatches: 2})
		first, second := s.get(t, "/kv/default/a?watch"), s.get(t, "/kv/default/?watch")
		third := s.get(t, "/kv/default/a?watch")
		body, _ := io.ReadAll(third.body)
		if third.resp.StatusCode != 503 || third.resp.Header.Get("Retry-After") != "10" || string(body) != "2 clients watch already\n" {
			t.Errorf("third: %d %q", third.resp.StatusCode, body)
		}
		first.want(t, `event: delete|data: {"key":"a"}`)
		first.conn.Close()
		s.put(t, "b", "v") // whoever is told of it is alive
		second.want(t, `event: put|data: {"key":"b","value":"v","counter":0}`)
		time.Sleep(time.Minute)
		s.get(t, "/kv/default/a?watch").want(t, `event: delete|data: {"key":"a"}`)
	})
}

// HEAD, a refusal and an answer that a middleware puts aside take no place.
func TestWatchNotBegunIsNotCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newStore(t)
		kv := kvhttp.New(store, kvhttp.Config{MaxWatches: 1})
		ln := memory.Listen(memory.Config{})
		srv := server.New(func(r *server.Request) server.Response {
			resp := kv(r)
			if r.Header().Has("Aside") && resp.Status == 0 {
				return server.Text("aside")
			}
			return resp
		}, server.Config{})
		go srv.Serve(ln) // ends with Close
		defer srv.Close()
		s := &site{Server: srv, ln: ln, store: store}
		for range 3 {
			aside := s.get(t, "/kv/default/?watch", "Aside: yes", "Connection: close")
			if body, err := io.ReadAll(aside.body); string(body) != "aside" || err != nil {
				t.Fatalf("%q, %v", body, err)
			}
			synctest.Wait()
			if refused := s.get(t, "/kv/default/?watch=1"); refused.resp.StatusCode != 400 {
				t.Fatal(refused.resp.Status)
			}
			check(t, "HEAD", do(t, kv, "HEAD /kv/nope/?watch", ""), answer{404, "*", ""})
			resp := kv(server.NewRequest("HEAD", "/kv/default/?watch", nil))
			if resp.Status != 0 || resp.Body.ContentType() != "text/event-stream" || resp.Header.Get("Cache-Control") != "no-store" {
				t.Fatalf("HEAD: %+v", resp)
			}
		}
		s.get(t, "/kv/default/a?watch").want(t, `event: delete|data: {"key":"a"}`)
	})
}

// A client that does not read is cut off, and meanwhile in nobody's way.
func TestWatchSlowReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, kvhttp.Config{})
		w := s.get(t, "/kv/default/?watch")
		value := strings.Repeat("v", 100<<10) // more than the connection holds
		for i := range 20 {
			s.put(t, "k", fmt.Sprint(value, i))
			synctest.Wait()
		}
		if e, _, err := s.store.Get(t.Context(), "default", "k"); e.Counter != 19 || err != nil {
			t.Fatal(e.Counter, err)
		}
		if _, err := s.store.Clear(t.Context(), "default"); err != nil {
			t.Fatal(err)
		}
		w.want(t, fmt.Sprintf(`event: put|data: {"key":"k","value":"%s0","counter":0}`, value)) // it was on its way
		w.want(t, `event: delete|data: {"key":"k"}`)                                            // what was between is left out

		for range 2 {
			s.put(t, "k", value)
			synctest.Wait()
		}
		time.Sleep(5 * time.Minute)
		if n := s.Stats().Conns; n != 0 {
			t.Errorf("%d connections are left", n)
		}
		if err := s.store.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
}

func TestWatchRefusals(t *testing.T) {
	run(t, kvhttp.New(newStore(t), kvhttp.Config{}), []step{
		{request: "GET /kv/default/a?watch=1", want: answer{400, "query: watch takes no value, not \"1\"\n", ""}},
		{request: "GET /kv/default/a?watch&prefix=b", want: answer{400, "query: no parameter \"prefix\" for this GET\n", ""}},
		{request: "GET /kv/default/?watch&watch", want: answer{400, "query: watch is given 2 times\n", ""}},
		{request: "GET /kv/default/?watch&limit=1", want: answer{400, "query: no parameter \"limit\" for this GET\n", ""}},
		{request: "GET /kv/nope/?watch", want: answer{404, "*", ""}},
		{request: "PUT /kv/default/a?watch", body: "v", want: answer{400, "*", ""}},
		{request: "DELETE /kv/default/a?watch", want: answer{400, "*", ""}},
	})
}
