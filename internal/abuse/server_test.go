package abuse

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"postern/server"
	"postern/transport/tcp"
	"postern/transport/tls"
	"postern/transport/unix"
)

// role is what this process is, besides the one that go test has started.
const role = "POSTERN_ABUSE_ROLE"

func TestMain(m *testing.M) {
	var err error
	switch os.Getenv(role) {
	case "":
		os.Exit(m.Run())
	case "server":
		err = serve(os.Getenv("POSTERN_ABUSE_DIR"))
	case "honest":
		err = behonest(os.Getenv("POSTERN_ABUSE_ADDR"))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// limit is each of the server's timeouts, and maxConns how many connections it
// serves on a listener.
const limit = time.Second

func maxConns() int { return scale(700, 3000) }

// long says whether this is the long version.
var long = os.Getenv("POSTERN_ABUSE") != ""

// scale returns a number for the short version, or the long one.
func scale[T any](s, l T) T {
	if long {
		return l
	}
	return s
}

// state is what a server knows of itself.
type state struct {
	TCP, Unix, TLS string // addresses
	Debug          string

	Objects    uint64 // on the heap, after two collections
	Goroutines int
	Files      int
	Conns      int
	Requests   uint64
	PSS, RSS   int64 // bytes
	Peak       int64 // of RSS
}

// serve is the server's process. Its debug listener is package net/http's: GET /
// tells its state, POST /shutdown makes it end.
func serve(dir string) error {
	populate(maxConns()*5/4 + 100)
	quiet := slog.New(slog.DiscardHandler)
	idle := time.Minute
	if d, err := time.ParseDuration(os.Getenv("POSTERN_ABUSE_IDLE")); err == nil {
		idle = d
	}
	srv := server.New(answer, server.Config{
		Log: quiet,
		Limits: server.Limits{
			MaxConns: maxConns(), HandshakeTimeout: limit, FirstByteTimeout: limit, HeadTimeout: limit,
			IdleTimeout: idle, WriteTimeout: limit / 4, BodyWindow: limit,
		},
	})
	if n, err := strconv.Atoi(os.Getenv("POSTERN_ABUSE_CONNS")); err == nil {
		srv = server.New(answer, server.Config{Log: quiet, Limits: server.Limits{MaxConns: n, IdleTimeout: idle}})
	}
	plain, err := tcp.Listen(tcp.Config{})
	if err != nil {
		return err
	}
	file, err := unix.Listen(unix.Config{Path: filepath.Join(dir, "s")})
	if err != nil {
		return err
	}
	cert, err := tls.SelfSigned()
	if err != nil {
		return err
	}
	certs, err := tls.NewCertificates(tls.CertificatesConfig{Sources: []tls.Source{{Certificate: cert}}})
	if err != nil {
		return err
	}
	below, err := tcp.Listen(tcp.Config{})
	if err != nil {
		return err
	}
	secure, err := tls.NewListener(below, tls.Config{Certificates: certs})
	if err != nil {
		return err
	}
	debug, err := tcp.Listen(tcp.Config{})
	if err != nil {
		return err
	}
	s := state{TCP: plain.Addr().String(), Unix: filepath.Join(dir, "s"), TLS: below.Addr().String(), Debug: debug.Addr().String()}
	end := make(chan bool, 1)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /", func(w http.ResponseWriter, _ *http.Request) {
		s := s
		s.look(srv)
		_ = json.NewEncoder(w).Encode(s) // who asked will see
	})
	mux.HandleFunc("POST /shutdown", func(http.ResponseWriter, *http.Request) { end <- true })
	go http.Serve(debug, mux) // ends with the process
	if err := json.NewEncoder(os.Stdout).Encode(s); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		<-end
		cancel()
	}()
	if err := srv.Run(ctx, plain, file, secure); err != nil {
		return err
	}
	_, err = fmt.Println("ended")
	time.Sleep(5 * time.Second) // what is left of it can be looked at
	return err
}

// populate starts n goroutines and waits for their end. Package runtime keeps a heap
// object for each of as many as there ever were at a time, so there had better be as
// many as there will be before anything is counted.
func populate(n int) {
	var wg sync.WaitGroup
	end := make(chan bool)
	for range n {
		wg.Go(func() { <-end })
	}
	close(end)
	wg.Wait()
}

func (s *state) look(srv *server.Server) {
	runtime.GC()
	runtime.GC() // pools keep what they hold over one
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	s.Objects, s.Goroutines = m.HeapObjects, runtime.NumGoroutine()
	files, _ := os.ReadDir("/proc/self/fd")
	s.Files = len(files)
	st := srv.Stats()
	s.Conns, s.Requests = st.Conns, st.Requests
	s.PSS = procMemory("smaps_rollup", "Pss:")
	s.RSS, s.Peak = procMemory("status", "VmRSS:"), procMemory("status", "VmHWM:")
}

// procMemory returns a number of a file in /proc/self, in bytes.
func procMemory(file, name string) int64 {
	b, _ := os.ReadFile("/proc/self/" + file)
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, name); ok {
			n, _ := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return n << 10
		}
	}
	return 0
}

var (
	twelve = bytes.Repeat([]byte("x"), 12<<10)
	big    = bytes.Repeat([]byte("y"), 4<<20)
)

func answer(r *server.Request) server.Response {
	switch {
	case r.PathIs("/12k"):
		return server.Bytes("text/plain", twelve)
	case r.PathIs("/big"):
		return server.Bytes("text/plain", big)
	case r.PathIs("/echo"):
		b, err := r.ReadAll()
		if err != nil {
			return server.Err(err)
		}
		return server.Bytes("text/plain", b)
	}
	return server.Text("Hello, World!")
}

// target is a server in a process of its own.
type target struct {
	state
	cmd *exec.Cmd
	out *bufio.Reader
}

func newTarget(t *testing.T, env ...string) *target {
	t.Helper()
	s := &target{}
	s.cmd, s.out = self(t, nil, append(env, role+"=server", "POSTERN_ABUSE_DIR="+t.TempDir())...)
	line, err := s.out.ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &s.state)
	}
	if err != nil {
		t.Fatalf("the server has not started: %q, %v", line, err)
	}
	return s
}

// self starts this program in another role, with that input if it is not nil. It ends with the test.
func self(t *testing.T, in *os.File, env ...string) (*exec.Cmd, *bufio.Reader) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stderr = os.Stderr
	if in != nil {
		cmd.Stdin = in
	}
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended
		_ = cmd.Wait()         // killed
	})
	return cmd, bufio.NewReader(out)
}

// ask returns the server's state as it is now.
func (s *target) ask(t *testing.T) state {
	t.Helper()
	c := http.Client{Timeout: time.Minute, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := c.Get("http://" + s.Debug + "/")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var now state
	if err := json.NewDecoder(resp.Body).Decode(&now); err != nil {
		t.Fatal(err)
	}
	return now
}

// settled waits until the server is as it was: the same connections, and no more
// goroutines, descriptors and objects than a few.
func (s *target) settled(t *testing.T, was state) (now state, ok bool) {
	t.Helper()
	for began := time.Now(); time.Since(began) < 30*time.Second; time.Sleep(100 * time.Millisecond) {
		now = s.ask(t)
		if now.Conns <= was.Conns && now.Goroutines <= was.Goroutines+5 && now.Files <= was.Files+5 &&
			now.Objects <= was.Objects+max(was.Objects/10, 500) {
			return now, true
		}
	}
	return now, false
}

// shutdown tells the server to end, and returns how long that took.
func (s *target) shutdown(t *testing.T) time.Duration {
	t.Helper()
	began := time.Now()
	resp, err := http.Post("http://"+s.Debug+"/shutdown", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	if line, err := s.out.ReadString('\n'); line != "ended\n" {
		t.Fatalf("the server said %q, %v", line, err)
	}
	return time.Since(began)
}
