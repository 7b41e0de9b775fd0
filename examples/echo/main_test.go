package main_test

import (
	"bufio"
	stdtls "crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	main "postern/examples/echo"
	"postern/examples/internal/programtest"
	"postern/transport/tls"
)

func TestAnswers(t *testing.T) {
	c := programtest.Client(t, programtest.Start(t, main.Run, 1, "-addr", "127.0.0.1:0").Addrs[0])
	const notFound = "not found: there are /, /500, /12k and /echo\n"
	for _, tt := range []struct {
		method, path, body string
		status             int
		want               string
		mediaType          string
	}{
		{"GET", "/", "", 200, "Hello, World!", "text/plain"},
		{"GET", "/?x=1", "", 200, "Hello, World!", "text/plain"},
		{"HEAD", "/", "", 200, "", "text/plain"},
		{"GET", "/500", "", 200, strings.Repeat("x", 500), "text/plain"},
		{"GET", "/12k", "", 200, strings.Repeat("x", 12288), "text/plain"},
		{"POST", "/echo", "some text", 200, "some text", "application/octet-stream"},
		{"POST", "/echo", "", 200, "", "application/octet-stream"},
		{"POST", "/echo", strings.Repeat("0123456789abcdef", 1<<19), 200, strings.Repeat("0123456789abcdef", 1<<19), "application/octet-stream"},
		{"POST", "/", "x", 405, "method not allowed: this path takes GET, HEAD\n", ""},
		{"DELETE", "/12k", "", 405, "method not allowed: this path takes GET, HEAD\n", ""},
		{"GET", "/echo", "", 405, "method not allowed: this path takes POST\n", ""},
		{"GET", "/nope", "", 404, notFound, ""},
		{"POST", "/echo/", "x", 404, notFound, ""},
	} {
		resp, got := programtest.Call(t, c, tt.method, tt.path, tt.body)
		if resp.StatusCode != tt.status || got != tt.want {
			t.Errorf("%s %s: %d %.60q, want %d %.60q", tt.method, tt.path, resp.StatusCode, got, tt.status, tt.want)
		}
		if got := resp.Header.Get("Content-Type"); tt.mediaType != "" && got != tt.mediaType {
			t.Errorf("%s %s: Content-Type %q, want %q", tt.method, tt.path, got, tt.mediaType)
		}
		if got := resp.Header.Get("Allow"); (resp.StatusCode == 405) != (got != "") {
			t.Errorf("%s %s: %d with Allow %q", tt.method, tt.path, resp.StatusCode, got)
		}
	}
	if resp, _ := programtest.Call(t, c, "HEAD", "/12k", ""); resp.ContentLength != 12288 {
		t.Errorf("HEAD /12k: Content-Length %d", resp.ContentLength)
	}
	if resp, _ := programtest.Call(t, c, "POST", "/echo", strings.Repeat("x", 8<<20+1)); resp.StatusCode != 413 {
		t.Errorf("POST of more than 8 MiB: %d, want 413", resp.StatusCode)
	}
}

func TestListensOnBoth(t *testing.T) {
	path := filepath.Join(t.TempDir(), "echo.sock")
	p := programtest.Start(t, main.Run, 2, "-addr", "127.0.0.1:0", "-unix", path)
	if p.Addrs[1] != "unix:"+path {
		t.Errorf("listening on %q, want unix:%s", p.Addrs[1], path)
	}
	for _, addr := range p.Addrs {
		if resp, got := programtest.Call(t, programtest.Client(t, addr), "POST", "/echo", addr); resp.StatusCode != 200 || got != addr {
			t.Errorf("%s: %d %q", addr, resp.StatusCode, got)
		}
	}
	if err := p.Stop(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket is still there: %v", err)
	}
}

func TestUnixAlone(t *testing.T) {
	p := programtest.Start(t, main.Run, 1, "-unix", filepath.Join(t.TempDir(), "s"))
	if resp, got := programtest.Call(t, programtest.Client(t, p.Addrs[0]), "GET", "/", ""); resp.StatusCode != 200 || got != "Hello, World!" {
		t.Errorf("%d %q", resp.StatusCode, got)
	}
}

func TestTLSOnBoth(t *testing.T) {
	cert, err := tls.SelfSigned("localhost")
	if err != nil {
		t.Fatal(err)
	}
	key, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "pair.pem")
	pair := append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Certificate[0]}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})...)
	if err := os.WriteFile(file, pair, 0o600); err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(cert.Leaf)
	p := programtest.Start(t, main.Run, 2, "-addr", "127.0.0.1:0", "-unix", filepath.Join(t.TempDir(), "s"), "-tls-cert", file, "-tls-key", file)
	for _, addr := range p.Addrs {
		conn := stdtls.Client(programtest.Dial(t, addr), &stdtls.Config{RootCAs: roots, ServerName: "localhost"})
		io.WriteString(conn, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
		if got, err := io.ReadAll(conn); err != nil || !strings.HasSuffix(string(got), "\r\n\r\nHello, World!") {
			t.Errorf("%s: %q, %v", addr, got, err)
		}
	}
}

// An exchange that has begun when the program is told to stop gets its answer.
func TestStopLetsExchangesFinish(t *testing.T) {
	p := programtest.Start(t, main.Run, 1, "-addr", "127.0.0.1:0")
	conn := programtest.Dial(t, p.Addrs[0])
	answers := bufio.NewReader(conn)
	io.WriteString(conn, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
	if line, err := answers.ReadString('\n'); line != "HTTP/1.1 100 Continue\r\n" {
		t.Fatalf("%q, %v", line, err)
	}
	answers.ReadString('\n')
	ended := make(chan error)
	go func() { ended <- p.Stop() }() // ends with the exchange
	for {                             // until it has stopped listening
		other, err := net.Dial("tcp", p.Addrs[0])
		if errors.Is(err, syscall.ECONNREFUSED) {
			break
		}
		if err == nil {
			other.Close()
		}
	}
	io.WriteString(conn, "hello")
	resp, err := http.ReadResponse(answers, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(resp.Body); string(got) != "hello" || err != nil || !resp.Close {
		t.Errorf("%q, %v, close %v", got, err, resp.Close)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestBadFlags(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	path := filepath.Join(t.TempDir(), "s")
	for _, tt := range []struct {
		args []string
		want string // in the error or on stderr
	}{
		{[]string{"-nope"}, "flag provided but not defined: -nope"},
		{[]string{"8080"}, `echo: argument "8080": there are only flags`},
		{[]string{"-addr", taken.Addr().String()}, "address already in use"},
		{[]string{"-addr", "127.0.0.1:0", "-unix", filepath.Join(path, "no", "folder")}, "unix: listen"},
		{[]string{"-addr", "127.0.0.1:0", "-tls-cert", path}, "-tls-cert and -tls-key: tls: certificate 1"},
		{[]string{"-help"}, "listen on a Unix socket"},
	} {
		var stderr strings.Builder
		err := main.Run(t.Context(), tt.args, io.Discard, &stderr)
		if err == nil || !strings.Contains(err.Error()+stderr.String(), tt.want) {
			t.Errorf("%q: %v, stderr %q, want %q", tt.args, err, stderr.String(), tt.want)
		}
	}
}
