package server_test

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"postern/server"
	"postern/transport/memory"
	"postern/transport/tcp"
)

// Files are sent from where they are to their end, small or big, over sockets and
// elsewhere, and closed.
func TestFile(t *testing.T) {
	dir := t.TempDir()
	big := bytes.Repeat([]byte("0123456789abcdef"), 200_000)
	for name, data := range map[string][]byte{"small.txt": []byte("hello"), "big.bin": big, "empty.html": nil} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var mu sync.Mutex
	var opened []fs.File // guarded by mu
	handler := func(fsys fs.FS) server.Handler {
		return func(r *server.Request) server.Response {
			f, err := fsys.Open(r.Path()[1:])
			if err != nil {
				return server.Err(&server.Error{Status: 404, Err: err})
			}
			mu.Lock()
			opened = append(opened, f)
			mu.Unlock()
			if s, ok := f.(io.Seeker); ok && r.RawQuery() == "rest" {
				s.Seek(3, io.SeekStart)
			}
			resp := server.File("", f)
			if r.RawQuery() == "driven" {
				return server.Drive(func(x *server.Exchange) error {
					defer f.Close()
					if err := x.Head(200, server.Fields{{Name: "Content-Length", Value: fmt.Sprint(resp.Body.Len())}, {Name: "Content-Type", Value: resp.Body.ContentType()}}); err != nil {
						return err
					}
					_, err := x.ReadFrom(f)
					return err
				})
			}
			return resp
		}
	}
	socket, err := tcp.Listen(tcp.Config{Addr: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	mem := memory.Listen(memory.Config{})
	s := server.New(handler(os.DirFS(dir)), server.Config{Log: quiet()})
	go s.Serve(socket)
	go s.Serve(server.Listener{Listener: mem, Handler: handler(fstest.MapFS{"small.txt": {Data: []byte("hello")}, "big.bin": {Data: big}, "empty.html": {}})})
	defer s.Close()
	dial := map[string]func() (net.Conn, error){
		"tcp":    func() (net.Conn, error) { return net.Dial("tcp", socket.Addr().String()) },
		"memory": func() (net.Conn, error) { return mem.Dial(t.Context()) },
	}
	for _, tc := range []struct{ target, contentType, want string }{
		{"small.txt", "text/plain; charset=utf-8", "hello"}, {"big.bin", "application/octet-stream", string(big)}, {"empty.html", "text/html; charset=utf-8", ""},
		{"small.txt?rest", "text/plain; charset=utf-8", "lo"}, {"big.bin?rest", "application/octet-stream", string(big[3:])},
		{"small.txt?driven", "text/plain; charset=utf-8", "hello"}, {"big.bin?driven", "application/octet-stream", string(big)},
	} {
		for how, dial := range dial {
			c, err := dial()
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			c.SetDeadline(time.Now().Add(10 * time.Second))
			io.WriteString(c, "GET /"+tc.target+" HTTP/1.1\r\nHost: a\r\n\r\nGET /"+tc.target+" HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
			out, err := io.ReadAll(c)
			if err != nil {
				t.Fatal(err)
			}
			for i := range 2 {
				head, rest, _ := strings.Cut(string(out), "\r\n\r\n")
				content := rest[:min(len(rest), len(tc.want))]
				out = []byte(rest[len(content):])
				if content != tc.want || !strings.Contains(head+"\r\n", fmt.Sprintf("\r\nContent-Length: %d\r\n", len(tc.want))) {
					t.Errorf("%s over %s, %d: %q and %d bytes, want %d", tc.target, how, i, head, len(content), len(tc.want))
				}
				if !strings.Contains(head, "Content-Type: "+tc.contentType) && !strings.Contains(tc.target, "bin") {
					t.Errorf("%s: %q", tc.target, head)
				}
			}
		}
	}
	mu.Lock()
	defer mu.Unlock()
	for _, f := range opened {
		if osFile, ok := f.(*os.File); ok && osFile.Close() == nil {
			t.Error("a file was left open")
		}
	}
}

func TestFileOfDirectory(t *testing.T) {
	f, err := os.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if resp := server.File("", f); resp.Body.Err() == nil || f.Close() == nil {
		t.Error("a directory was taken for a file, or left open")
	}
}

// A file that is shorter than it was is a truncated response.
func TestFileShrinks(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(path, make([]byte, 1<<20), 0o644); err != nil {
		t.Fatal(err)
	}
	ln, err := tcp.Listen(tcp.Config{Addr: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	s := server.New(func(*server.Request) server.Response {
		f, err := os.Open(path)
		if err != nil {
			return server.Err(err)
		}
		resp := server.File("a/b", f)
		if err := os.Truncate(path, 100_000); err != nil {
			return server.Err(err)
		}
		return resp
	}, server.Config{Log: quiet()})
	go s.Serve(ln)
	defer s.Close()
	c, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	io.WriteString(c, request+request)
	out, err := io.ReadAll(c)
	_, content, _ := strings.Cut(string(out), "\r\n\r\n")
	if len(content) != 100_000 || err != nil {
		t.Errorf("%d bytes, %v", len(content), err)
	}
}
