package kvhttp_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"testing"

	"postern/kvstore"
	"postern/server"
	"postern/server/kvhttp"
	"postern/transport/memory"
	"postern/transport/tcp"
)

func Example() {
	store, err := kvstore.OpenMemory(kvstore.Options{Tables: kvstore.Tables("default")})
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close(context.Background())
	ln, err := tcp.Listen(tcp.Config{Addr: "127.0.0.1:0"})
	if err != nil {
		log.Fatal(err)
	}
	if kvhttp.NeedsToken(ln.Addr()) {
		log.Fatal("anybody could write")
	}
	srv := server.New(kvhttp.New(store, kvhttp.Config{}), server.Config{})
	go srv.Serve(ln)
	defer srv.Close()

	base := "http://" + ln.Addr().String() + "/kv/default/"
	put := func(key, value, ifNoneMatch string) {
		req, _ := http.NewRequest("PUT", base+key, strings.NewReader(value))
		if ifNoneMatch != "" {
			req.Header.Set("If-None-Match", ifNoneMatch)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			log.Fatal(err)
		}
		resp.Body.Close()
		fmt.Println(resp.Status)
	}
	put("greeting", "hello", "*")
	put("greeting", "hello again", "*")
	put("greeting", "good morning", "")

	resp, err := http.Get(base)
	if err != nil {
		log.Fatal(err)
	}
	defer resp.Body.Close()
	listing, _ := io.ReadAll(resp.Body)
	fmt.Printf("%s", listing)
	// Output:
	// 201 Created
	// 412 Precondition Failed
	// 204 No Content
	// {"key":"greeting","value":"good morning","counter":1}
}

// Two accounts change together, or not at all.
func Example_batch() {
	store, err := kvstore.OpenMemory(kvstore.Options{Tables: kvstore.Tables("accounts")})
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close(context.Background())
	kv := kvhttp.New(store, kvhttp.Config{})
	post := func(lines string) {
		r := server.NewRequest("POST", "/kv/:batch", strings.NewReader(lines), server.Field{Name: "Content-Type", Value: "application/x-ndjson"})
		resp := kv(r)
		content, err := resp.Body.ReadAll()
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%s", content)
	}
	post(`{"op":"add","table":"accounts","key":"ann","value":"100"}
{"op":"add","table":"accounts","key":"bob","value":"100"}
`)
	transfer := `{"op":"cas","table":"accounts","key":"ann","value":"70","counter":0}
{"op":"cas","table":"accounts","key":"bob","value":"130","counter":0}
`
	post(transfer)
	post(transfer)
	// Output:
	// {"key":"ann","counter":0}
	// {"key":"bob","counter":0}
	// {"key":"ann","counter":1}
	// {"key":"bob","counter":1}
	// line 1: key "ann" in table "accounts" is at 1
}

// A client follows a table.
func Example_watch() {
	store, err := kvstore.OpenMemory(kvstore.Options{Tables: kvstore.Tables("jobs")})
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	defer store.Close(ctx)
	ln, err := tcp.Listen(tcp.Config{Addr: "127.0.0.1:0"})
	if err != nil {
		log.Fatal(err)
	}
	srv := server.New(kvhttp.New(store, kvhttp.Config{}), server.Config{})
	go srv.Serve(ln)

	store.Overwrite(ctx, "jobs", "build", []byte("running"))
	resp, err := http.Get("http://" + ln.Addr().String() + "/kv/jobs/?watch")
	if err != nil {
		log.Fatal(err)
	}
	defer resp.Body.Close()
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		fmt.Println(lines.Text())
		switch {
		case strings.Contains(lines.Text(), "running"):
			store.Overwrite(ctx, "jobs", "build", []byte("done"))
		case strings.Contains(lines.Text(), "done"):
			store.Delete(ctx, "jobs", "build")
		case lines.Text() == `data: {"key":"build"}`:
			if err := srv.Shutdown(ctx); err != nil { // which the stream ends for
				log.Fatal(err)
			}
		}
	}
	// Output:
	// event: put
	// data: {"key":"build","value":"running","counter":0}
	//
	// event: put
	// data: {"key":"build","value":"done","counter":1}
	//
	// event: delete
	// data: {"key":"build"}
	//
}

// The whole way through the engine, with a client that is not ours.
func TestOverConnection(t *testing.T) {
	ln := memory.Listen(memory.Config{})
	srv := server.New(kvhttp.New(newStore(t), kvhttp.Config{}), server.Config{})
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ln) }() // ends with Shutdown below
	client := http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return ln.Dial(ctx) },
	}}
	call := func(method, path, body string, fields ...string) (*http.Response, string) {
		t.Helper()
		req, err := http.NewRequest(method, "http://kv.example"+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(fields); i += 2 {
			req.Header.Set(fields[i], fields[i+1])
		}
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		content, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp, string(content)
	}
	big := strings.Repeat("0123456789abcdef", 1<<16) // 1 MiB: the limit
	for _, tt := range []struct {
		method, path, body string
		fields             []string
		status             int
		want               string
	}{
		{"PUT", "/kv/default/a%2Fb", big, nil, 201, ""},
		{"PUT", "/kv/default/more", big + "x", []string{"Expect", "100-continue"}, 413, "value for key \"more\" in table \"default\": longer than 1048576 bytes\n"},
		{"GET", "/kv/default/a/b", "", nil, 200, big},
		{"HEAD", "/kv/default/a/b", "", nil, 200, ""},
		{"GET", "/kv/default/a/b", "", []string{"If-None-Match", `"0"`}, 304, ""},
		{"PUT", "/kv/default/a/c", big, nil, 201, ""},
		{"GET", "/kv/default/?prefix=a/", "", nil, 200, `{"key":"a/b","value":"` + big + `","counter":0}` + "\n" + `{"key":"a/c","value":"` + big + `","counter":0}` + "\n"},
		{"HEAD", "/kv/default/", "", nil, 200, ""},
		{"DELETE", "/kv/default/a/b", "", nil, 204, ""},
		{"POST", "/kv/default/a/b", "x", nil, 405, "key \"a/b\" in table \"default\" takes only GET, HEAD, PUT, DELETE\n"},
	} {
		resp, got := call(tt.method, tt.path, tt.body, tt.fields...)
		if resp.StatusCode != tt.status || got != tt.want {
			t.Errorf("%s %s: %d with %d bytes %.80q, want %d with %d bytes %.80q",
				tt.method, tt.path, resp.StatusCode, len(got), got, tt.status, len(tt.want), tt.want)
		}
	}
	if resp, _ := call("HEAD", "/kv/default/a/c", ""); resp.ContentLength != 1<<20 || resp.Header.Get("Content-Type") != "application/octet-stream" {
		t.Errorf("HEAD: length %d, type %q", resp.ContentLength, resp.Header.Get("Content-Type"))
	}
	if err := srv.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if err := <-served; err != server.ErrServerClosed {
		t.Errorf("Serve: %v", err)
	}
}
