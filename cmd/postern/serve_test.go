package main_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	main "postern/cmd/postern"
)

// served is a running "postern serve".
type served struct {
	url    string // without a path
	output string // all that it printed on start
	log    *bytes.Buffer
	stop   func() int // ends it and returns its status; log is complete then
}

// start serves with these flags until the test ends or calls stop.
func start(t *testing.T, args ...string) served {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	out, in := io.Pipe()
	s := served{log: new(bytes.Buffer)}
	ended := make(chan int, 1)
	go func() { // ends with cancel
		status := main.Run(ctx, args, strings.NewReader(""), in, s.log)
		in.Close()
		ended <- status
	}()
	s.stop = sync.OnceValue(func() int {
		cancel()
		go io.Copy(io.Discard, out) // ends with the program
		return <-ended
	})
	t.Cleanup(func() {
		if status := s.stop(); status != 0 {
			t.Errorf("ended with %d: %s", status, s.log)
		}
	})
	s.output = readStart(t, out)
	s.url, _, _ = strings.Cut(strings.TrimPrefix(s.output, "postern serves "), "/ until")
	return s
}

// readStart reads what a server prints until it says nothing more: the third line
// for curl.
func readStart(t *testing.T, out io.Reader) string {
	t.Helper()
	var all strings.Builder
	for lines, curls := bufio.NewScanner(out), 0; curls < 3; {
		if !lines.Scan() {
			t.Fatalf("ended after %q", all.String())
		}
		fmt.Fprintln(&all, lines.Text())
		if strings.HasPrefix(lines.Text(), "  curl ") {
			curls++
		}
	}
	return all.String()
}

func call(t *testing.T, method, url, body string, fields ...string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(fields); i += 2 {
		req.Header.Set(fields[i], fields[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
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

func TestServe(t *testing.T) {
	s := start(t, "--addr", "127.0.0.1:0", "--table", "users", "--table", "sessions")
	for _, tt := range []struct {
		request, body string
		status        int
		want          string // "*": any
	}{
		{"PUT /kv/users/ann", "v", 201, ""},
		{"GET /kv/users/ann", "", 200, "v"},
		{"GET /kv/sessions/ann", "", 404, "*"},
		{"GET /kv/default/ann", "", 404, "no table \"default\"; there is: users, sessions\n"},
		{"GET /favicon.ico", "", 204, ""},
		{"GET /nope", "", 404, "nothing here: there are / and /kv/TABLE/KEY\n"},
		{"GET /kv", "", 404, "*"},
		{"POST /", "x", 405, "this path takes only GET, HEAD\n"},
		{"HEAD /", "", 200, ""},
	} {
		method, path, _ := strings.Cut(tt.request, " ")
		resp, got := call(t, method, s.url+path, tt.body)
		if resp.StatusCode != tt.status || tt.want != "*" && got != tt.want {
			t.Errorf("%s: %d %q, want %d %q", tt.request, resp.StatusCode, got, tt.status, tt.want)
		}
	}
	if status := s.stop(); status != 0 {
		t.Errorf("ended with %d", status)
	}
	if log := s.log.String(); !strings.Contains(log, "method=PUT target=/kv/users/ann status=201") {
		t.Errorf("access log is %q", log)
	}
}

func TestQuiet(t *testing.T) {
	s := start(t, "--addr", "127.0.0.1:0", "--quiet")
	call(t, "GET", s.url+"/", "")
	if status := s.stop(); status != 0 || s.log.Len() > 0 {
		t.Errorf("%d, stderr %q", status, s.log)
	}
}

func TestFileKeepsStore(t *testing.T) {
	db := filepath.Join(t.TempDir(), "my.db")
	s := start(t, "--addr", "127.0.0.1:0", "--db", db)
	if resp, _ := call(t, "PUT", s.url+"/kv/default/a", "kept"); resp.StatusCode != 201 {
		t.Errorf("PUT: %s", resp.Status)
	}
	if status := s.stop(); status != 0 {
		t.Fatalf("ended with %d", status)
	}
	if got := run(t, "", "kv", "get", "a", "--db", db); got != (result{0, "kept", ""}) {
		t.Errorf("kv get behind the server: %+v", got)
	}
	s = start(t, "--addr", "127.0.0.1:0", "--db", db)
	if _, got := call(t, "GET", s.url+"/kv/default/a", ""); got != "kept" {
		t.Errorf("after a restart: %q", got)
	}
}

// The lines that the server prints do what they say, with a real curl in a real
// shell.
func TestLinesToPaste(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("there is no curl here")
	}
	for _, args := range [][]string{{}, {"--token", "s3cret"}, {"--tls-self-signed"}, {"--tls-self-signed", "--token", "s3cret"}} {
		s := start(t, append(args, "--addr", "127.0.0.1:0")...)
		if strings.Contains(s.output, "s3cret") {
			t.Errorf("the token is printed: %s", s.output)
		}
		want := []string{"", "hello", `{"key":"greeting","value":"hello","counter":0}` + "\n"}
		for line := range strings.Lines(s.output) {
			if !strings.HasPrefix(line, "  curl ") {
				continue
			}
			cmd := exec.Command("sh", "-c", strings.Replace(line, "curl", "curl -sS --fail", 1))
			cmd.Env = append(os.Environ(), "POSTERN_TOKEN=s3cret")
			if got, err := cmd.CombinedOutput(); string(got) != want[0] || err != nil {
				t.Errorf("%s: %q, %v, want %q", line, got, err, want[0])
			}
			want = want[1:]
		}
	}
}

func TestToken(t *testing.T) {
	t.Setenv("POSTERN_TOKEN", "from environment")
	s := start(t, "--addr", "127.0.0.1:0")
	if resp, _ := call(t, "GET", s.url+"/kv/default/", ""); resp.StatusCode != 401 {
		t.Errorf("without a token: %s", resp.Status)
	}
	if resp, _ := call(t, "GET", s.url+"/kv/default/", "", "Authorization", "Bearer from environment"); resp.StatusCode != 200 {
		t.Errorf("with the token: %s", resp.Status)
	}
	if resp, page := call(t, "GET", s.url+"/", ""); resp.StatusCode != 200 || strings.Contains(page, "Tables:") || !strings.Contains(page, `id="token"`) {
		t.Errorf("page: %s, %q", resp.Status, page)
	}
	s.stop()

	t.Setenv("POSTERN_TOKEN", "")
	for _, addr := range []string{"0.0.0.0:0", ":0"} {
		got := run(t, "", "--addr", addr)
		if got.status != 1 || got.stdout != "" || !strings.Contains(got.stderr, "can be reached from elsewhere: set --token or POSTERN_TOKEN, or listen on 127.0.0.1\n") {
			t.Errorf("--addr %s: %+v", addr, got)
		}
	}
	s = start(t, "--addr", "0.0.0.0:0", "--token", "t")
	if !strings.HasPrefix(s.url, "http://127.0.0.1:") {
		t.Errorf("URL to paste is %s", s.url)
	}
}

// With the default port taken the next free one serves; one that was asked for is
// not replaced.
func TestPortTaken(t *testing.T) {
	if ln, err := net.Listen("tcp", "127.0.0.1:8080"); err == nil {
		defer ln.Close()
	} // else somebody else has it, which is as good
	s := start(t)
	if ok, _ := regexp.MatchString(`^http://127\.0\.0\.1:8(0[89]|1\d)\d$`, s.url); !ok || s.url == "http://127.0.0.1:8080" {
		t.Errorf("serves %s", s.url)
	}
	if resp, _ := call(t, "GET", s.url+"/", ""); resp.StatusCode != 200 {
		t.Errorf("GET /: %s", resp.Status)
	}
	got := run(t, "", "--addr", "127.0.0.1:8080")
	if got.status != 1 || !strings.HasPrefix(got.stderr, "postern: serve: tcp: listen ") || !strings.Contains(got.stderr, "address already in use") {
		t.Errorf("--addr 127.0.0.1:8080: %+v", got)
	}
}

func TestUnixSocketToo(t *testing.T) {
	path := filepath.Join(t.TempDir(), "postern.sock")
	s := start(t, "--addr", "127.0.0.1:0", "--unix", path)
	if !strings.Contains(s.output, "listening on unix:"+path+" too\n") {
		t.Errorf("printed %s", s.output)
	}
	call(t, "PUT", s.url+"/kv/default/a", "v")
	client := http.Client{Transport: &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
		return net.Dial("unix", path)
	}}}
	resp, err := client.Get("http://any.example/kv/default/a")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if got, err := io.ReadAll(resp.Body); resp.StatusCode != 200 || string(got) != "v" || err != nil {
		t.Errorf("%s %q, %v", resp.Status, got, err)
	}
	if got := run(t, "", "--addr", "127.0.0.1:0", "--unix", path); got.status != 1 || !strings.Contains(got.stderr, "postern: serve: unix: listen ") {
		t.Errorf("a second server on the socket: %+v", got)
	}
}

// The page names what is served, and its policy allows its own script and style
// and no others.
func TestWelcomePage(t *testing.T) {
	s := start(t, "--addr", "127.0.0.1:0", "--table", "users", "--table", "sessions")
	resp, page := call(t, "GET", s.url+"/", "")
	if got := resp.Header.Get("Content-Type"); got != "text/html; charset=utf-8" {
		t.Errorf("Content-Type %q", got)
	}
	for _, want := range []string{`<html lang="en">`, "<code>users</code>, <code>sessions</code>", "in memory"} {
		if !strings.Contains(page, want) {
			t.Errorf("page has no %q", want)
		}
	}
	policy := resp.Header.Get("Content-Security-Policy")
	for _, element := range []string{"script", "style"} {
		found := regexp.MustCompile(`(?s)<`+element+`\b[^>]*>(.*?)</`+element+`>`).FindAllStringSubmatch(page, -1)
		if len(found) != 1 {
			t.Fatalf("page has %d of %s", len(found), element)
		}
		sum := sha256.Sum256([]byte(found[0][1]))
		want := fmt.Sprintf("%s-src 'sha256-%s';", element, base64.StdEncoding.EncodeToString(sum[:]))
		if !strings.Contains(policy, want) {
			t.Errorf("policy %q\nhas no %q", policy, want)
		}
	}
	for _, want := range []string{"default-src 'none';", "connect-src 'self';", "form-action 'none';", "frame-ancestors 'none'"} {
		if !strings.Contains(policy, want) {
			t.Errorf("policy %q has no %q", policy, want)
		}
	}
	if found := regexp.MustCompile(`(?i)\b(src|href|style|on[a-z]+)=|https?:`).FindString(page); found != "" {
		t.Errorf("page has %q: an inline handler or something from outside", found)
	}
	for _, id := range regexp.MustCompile(`<(?:input|textarea) id="([^"]+)"`).FindAllStringSubmatch(page, -1) {
		if !strings.Contains(page, `<label for="`+id[1]+`"`) {
			t.Errorf("field %s has no label", id[1])
		}
	}
}
