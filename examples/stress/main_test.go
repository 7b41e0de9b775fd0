package main_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"postern/examples/internal/programtest"
	main "postern/examples/stress"
	"postern/kvstore"
	"postern/server"
)

func TestItems(t *testing.T) {
	p := programtest.Start(t, main.Run, 1, "-addr", "127.0.0.1:0")
	c := programtest.Client(t, p.Addrs[0])
	other := func(method, path string, n int) string {
		return fmt.Sprintf("Hello from freetser!\nThread: %s\nMethod: %s\nPath: %s\nBody length: %d bytes\n", p.Addrs[0], method, path, n)
	}
	for _, tt := range []struct {
		request, body string
		status        int
		want          string
	}{
		{"GET /items", "", 200, "Items: 0\n"},
		{"GET /stress-test/1", "", 200, "Created: 1\n"},
		{"GET /stress-test/1", "", 200, "Found: 1, counter=0\n"},
		{"POST /stress-test/1", "", 200, "Updated: 1\n"},
		{"GET /stress-test/1", "", 200, "Found: 1, counter=1\n"},
		{"POST /stress-test/2", "value", 200, "Created: 2\n"},
		{"GET /items", "", 200, "Items: 2\n1, 2\n"},
		{"DELETE /stress-test/1", "", 200, "Deleted: 1\n"},
		{"DELETE /stress-test/1", "", 404, "Not found: 1\n"},
		{"GET /items", "", 200, "Items: 1\n2\n"},
		{"GET /stress-test/a%20b/c", "", 200, "Created: a b/c\n"},
		{"DELETE /stress-test/a%20b/c", "", 200, "Deleted: a b/c\n"},
		{"PUT /stress-test/2", "abc", 200, other("PUT", "/stress-test/2", 3)},
		{"GET /stress-test/", "", 200, other("GET", "/stress-test/", 0)},
		{"POST /items", "12345", 200, other("POST", "/items", 5)},
		{"GET /any?x=1", "", 200, other("GET", "/any?x=1", 0)},
		{"POST /", strings.Repeat("x", 2<<20), 200, other("POST", "/", 2<<20)},
	} {
		method, path, _ := strings.Cut(tt.request, " ")
		resp, got := programtest.Call(t, c, method, path, tt.body)
		if resp.StatusCode != tt.status || got != tt.want {
			t.Errorf("%s: %d %q, want %d %q", tt.request, resp.StatusCode, got, tt.status, tt.want)
		}
		if got := resp.Header.Get("Content-Type"); got != "text/plain; charset=utf-8" {
			t.Errorf("%s: Content-Type %q", tt.request, got)
		}
		if resp.Close {
			t.Errorf("%s: connection is closed", tt.request)
		}
	}
	for i := range 12 {
		programtest.Call(t, c, "POST", fmt.Sprintf("/stress-test/k%02d", i), "")
	}
	if _, got := programtest.Call(t, c, "GET", "/items", ""); got != "Items: 13\n2, k00, k01, k02, k03, k04, k05, k06, k07, k08\n" {
		t.Errorf("GET /items: %q", got)
	}
}

// Errors of the engine close the connection and are worded as freetser words them.
func TestEngineErrors(t *testing.T) {
	p := programtest.Start(t, main.Run, 1, "-unix", filepath.Join(t.TempDir(), "s"))
	for _, tt := range []struct {
		request string
		status  int
		want    string
	}{
		{"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 2097153\r\n\r\n", 413, "413 Error: Payload Too Large\n"},
		{"GET / HTTP/1.0\r\n\r\n", 505, "505 Error: HTTP Version Not Supported\n"},
		{"nonsense\r\n\r\n", 400, "400 Error: Bad Request\n"},
	} {
		conn := programtest.Dial(t, p.Addrs[0])
		io.WriteString(conn, tt.request)
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatalf("%q: %v", tt.request, err)
		}
		got, err := io.ReadAll(resp.Body)
		if resp.StatusCode != tt.status || string(got) != tt.want || err != nil || !resp.Close {
			t.Errorf("%q: %d %q, %v, close %v, want %d %q and close", tt.request,
				resp.StatusCode, got, err, resp.Close, tt.status, tt.want)
		}
	}
}

// Two clients that both read before either writes: one wins, the other is told.
func TestConflict(t *testing.T) {
	store, err := kvstore.OpenMemory(kvstore.Options{Tables: kvstore.Tables(main.Table)})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close(context.Background())
	handle := main.Handler(store)
	for _, tt := range []struct{ won, counter string }{
		{"Created: hot\n", "Found: hot, counter=0\n"},
		{"Updated: hot\n", "Found: hot, counter=1\n"},
	} {
		// In memory reads wait their turn like writes: while the store is held, both
		// clients come to stand in the queue with theirs.
		held, release := make(chan struct{}), make(chan struct{})
		var group sync.WaitGroup
		group.Go(func() {
			store.Execute(context.Background(), func(*kvstore.Tx) error {
				close(held)
				<-release
				return nil
			})
		})
		<-held
		answers := make(chan string, 2)
		for range 2 {
			group.Go(func() {
				resp := handle(server.NewRequest("POST", "/stress-test/hot", strings.NewReader("v")))
				body, _ := resp.Body.ReadAll()
				answers <- fmt.Sprint(resp.Status, " ", resp.Close, " ", string(body))
			})
		}
		for store.Stats().Queued < 2 {
			runtime.Gosched()
		}
		close(release)
		group.Wait()
		got := []string{<-answers, <-answers}
		slices.Sort(got)
		want := []string{"0 false " + tt.won, "409 false Update conflict: hot\n"}
		if !slices.Equal(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
		resp := handle(server.NewRequest("GET", "/stress-test/hot", nil))
		if body, _ := resp.Body.ReadAll(); string(body) != tt.counter {
			t.Errorf("afterwards %q, want %q", body, tt.counter)
		}
	}
}

// A store that fails is the program's fault, and its answer ends the connection.
func TestStoreError(t *testing.T) {
	store, err := kvstore.OpenMemory(kvstore.Options{Tables: kvstore.Tables(main.Table)})
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, request := range []string{"GET /stress-test/1", "POST /stress-test/1", "DELETE /stress-test/1", "GET /items"} {
		method, path, _ := strings.Cut(request, " ")
		resp := main.Handler(store)(server.NewRequest(method, path, nil))
		if resp.Status != 500 || !resp.Close || !errors.Is(resp.Body.Err(), kvstore.ErrClosed) {
			t.Errorf("%s: %d, close %v, %v", request, resp.Status, resp.Close, resp.Body.Err())
		}
	}
}

func TestFileKeepsItems(t *testing.T) {
	db := filepath.Join(t.TempDir(), "items.db")
	p := programtest.Start(t, main.Run, 1, "-addr", "127.0.0.1:0", "-db", db)
	programtest.Call(t, programtest.Client(t, p.Addrs[0]), "GET", "/stress-test/7", "")
	if err := p.Stop(); err != nil {
		t.Fatal(err)
	}
	p = programtest.Start(t, main.Run, 1, "-addr", "127.0.0.1:0", "-db", db, "-batch", "1")
	if _, got := programtest.Call(t, programtest.Client(t, p.Addrs[0]), "GET", "/stress-test/7", ""); got != "Found: 7, counter=0\n" {
		t.Errorf("after a restart: %q", got)
	}
	err := main.Run(t.Context(), []string{"-addr", "127.0.0.1:0", "-db", db}, io.Discard, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "in use by process") {
		t.Errorf("a second program on the same file: %v", err)
	}
}
