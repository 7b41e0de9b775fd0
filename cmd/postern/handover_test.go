//go:build unix

package main_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// A lineage is a process of the program and those that it hands over to. All of them
// write their logs into one pipe, whose end is the end of the last of them.
type lineage struct {
	*exec.Cmd
	url string
	log *bufio.Scanner
	now int // the process that serves; 0: none any more
}

// found starts the program by a symbolic link, which a test may change.
func found(t *testing.T, args ...string) *lineage {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), "postern")
	if err := os.Symlink(self, link); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(link, append(args, "--addr", "127.0.0.1:0", "--quiet")...)
	return begin(t, cmd)
}

// begin starts cmd, and reads from it until it serves.
func begin(t *testing.T, cmd *exec.Cmd) *lineage {
	t.Helper()
	cmd.Env = append(os.Environ(), "POSTERN_TEST_RUN=1")
	var pipes [4]*os.File
	for i := 0; i < 4; i += 2 {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		r.SetReadDeadline(time.Now().Add(time.Minute))
		t.Cleanup(func() { r.Close() })
		pipes[i], pipes[i+1] = r, w
	}
	cmd.Stdout, cmd.Stderr = pipes[1], pipes[3]
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	pipes[1].Close()
	pipes[3].Close()
	l := &lineage{Cmd: cmd, log: bufio.NewScanner(pipes[2]), now: cmd.Process.Pid}
	t.Cleanup(func() {
		if cmd.ProcessState == nil {
			cmd.Process.Kill()
			cmd.Wait()
		}
		if l.now != 0 && l.now != cmd.Process.Pid {
			syscall.Kill(l.now, syscall.SIGKILL)
		}
	})
	output := readStart(t, pipes[0])
	go io.Copy(io.Discard, pipes[0]) // of later processes; ends with the last
	l.url, _, _ = strings.Cut(output[strings.Index(output, "postern serves ")+len("postern serves "):], "/ until")
	return l
}

// logged reads the log to a line that matches, and returns its submatch.
func (l *lineage) logged(t *testing.T, pattern string) string {
	t.Helper()
	re := regexp.MustCompile(pattern)
	for l.log.Scan() {
		if found := re.FindStringSubmatch(l.log.Text()); found != nil {
			return found[len(found)-1]
		}
		t.Logf("log: %s", l.log.Text())
	}
	t.Fatalf("nothing logged matches %s: %v", pattern, l.log.Err())
	return ""
}

func (l *lineage) signal(t *testing.T, s syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(l.now, s); err != nil {
		t.Fatal(err)
	}
}

// ended waits until the last process has ended.
func (l *lineage) ended(t *testing.T) {
	t.Helper()
	for l.log.Scan() {
		t.Logf("log: %s", l.log.Text())
	}
	if err := l.log.Err(); err != nil {
		t.Fatal(err)
	}
	l.now = 0
}

// exchange writes a request and reads its answer, whose status has to be 201.
func exchange(conn net.Conn, answers *bufio.Reader, key string, last bool) (closes bool, err error) {
	field := ""
	if last {
		field = "Connection: close\r\n"
	}
	conn.SetDeadline(time.Now().Add(time.Minute))
	_, err = fmt.Fprintf(conn, "PUT /kv/default/%s HTTP/1.1\r\nHost: 127.0.0.1\r\n%sContent-Length: 1\r\n\r\nv", key, field)
	if err != nil {
		return false, err
	}
	resp, err := http.ReadResponse(answers, nil)
	if err != nil {
		return false, err
	}
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return false, err
	}
	if resp.StatusCode != 201 {
		return false, errors.New(resp.Status)
	}
	return resp.Close, nil
}

// asks sends requests until stop, over a connection for each or over one for as long
// as the server keeps it, which is idle for pause between them. None may fail, and
// none is sent twice.
func asks(network, addr, name string, keep bool, pause time.Duration, stop *atomic.Bool, done *atomic.Int64) error {
	for i := 0; !stop.Load(); {
		conn, err := net.Dial(network, addr)
		if err != nil {
			return err
		}
		answers := bufio.NewReader(conn)
		for closes := false; !closes && !stop.Load(); i++ {
			if closes, err = exchange(conn, answers, fmt.Sprint(name, "-", i), !keep); err != nil {
				return fmt.Errorf("request %d of %s: %w", i, name, err)
			}
			done.Add(1)
			time.Sleep(pause)
		}
		conn.Close()
	}
	return nil
}

// Twice in a row a process hands over under load, over TCP and over a Unix socket: no
// connection is refused, no request fails, and every entry is there in the end.
func TestHandover(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "s")
	l := found(t, "--db", filepath.Join(dir, "my.db"), "--unix", path)
	addr := strings.TrimPrefix(l.url, "http://")

	var stop atomic.Bool
	var done atomic.Int64
	var clients sync.WaitGroup
	for i := range 4 {
		clients.Go(func() {
			if err := asks("tcp", addr, fmt.Sprint("kept", i), true, time.Duration(i)*20*time.Millisecond, &stop, &done); err != nil {
				t.Error(err)
			}
		})
		clients.Go(func() {
			if err := asks("tcp", addr, fmt.Sprint("new", i), false, 0, &stop, &done); err != nil {
				t.Error(err)
			}
		})
	}
	clients.Go(func() {
		if err := asks("unix", path, "unix", true, 0, &stop, &done); err != nil {
			t.Error(err)
		}
	})
	before := done.Load()
	for range 2 {
		for done.Load() < before+200 {
			time.Sleep(time.Millisecond) // until there is traffic
		}
		old := l.now
		l.signal(t, syscall.SIGUSR2)
		pid, err := strconv.Atoi(l.logged(t, `msg="handing over" process=(\d+)`))
		if err != nil || pid == old {
			t.Fatalf("handed over from %d to %d, %v", old, pid, err)
		}
		l.now = pid
		if old == l.Process.Pid {
			if state := exitOf(t, l.Cmd); state.ExitCode() != 0 {
				t.Errorf("the first process: %v", state)
			}
		}
		before = done.Load()
	}
	for done.Load() < before+200 {
		time.Sleep(time.Millisecond)
	}
	stop.Store(true)
	clients.Wait()
	l.signal(t, syscall.SIGTERM)
	l.ended(t)

	stats := run(t, "", "kv", "ls", "--db", filepath.Join(dir, "my.db"))
	if got := int64(strings.Count(stats.stdout, "\n")); stats.status != 0 || got != done.Load() {
		t.Errorf("%d requests were answered, %d entries are there: %s", done.Load(), got, stats.stderr)
	}
	t.Logf("%d requests", done.Load())
}

// A new program that fails at once changes nothing, and the next may do better. A
// store in memory stays where it is.
func TestNoHandover(t *testing.T) {
	l := found(t, "--db", filepath.Join(t.TempDir(), "my.db"))
	call(t, "PUT", l.url+"/kv/default/a", "v")
	good, err := os.Readlink(l.Path)
	if err != nil {
		t.Fatal(err)
	}
	replace := func(content string) {
		os.Remove(l.Path)
		if content != "" {
			err = os.WriteFile(l.Path, []byte(content), 0o755)
		} else {
			err = os.Symlink(good, l.Path)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for content, want := range map[string]string{
		"#!/bin/sh\nexit 7\n": `msg="no hand-over, this process goes on" error="inherit: .* was not ready: exit status 7"`,
		"no program":          `msg="no hand-over, this process goes on" error="inherit: .* exec format error"`,
	} {
		replace(content)
		l.signal(t, syscall.SIGUSR2)
		l.logged(t, want)
		if _, got := call(t, "GET", l.url+"/kv/default/a", ""); got != "v" {
			t.Errorf("afterwards the answer is %q", got)
		}
	}
	replace("")
	http.DefaultClient.CloseIdleConnections()
	l.signal(t, syscall.SIGUSR2)
	if l.now, err = strconv.Atoi(l.logged(t, `msg="handing over" process=(\d+)`)); err != nil {
		t.Fatal(err)
	}
	exitOf(t, l.Cmd)
	if _, got := call(t, "GET", l.url+"/kv/default/a", ""); got != "v" {
		t.Errorf("the next process answers %q", got)
	}
	l.signal(t, syscall.SIGTERM)
	l.ended(t)

	l = found(t)
	l.signal(t, syscall.SIGUSR2)
	l.logged(t, "the store is in memory, where no other process finds it")
	call(t, "GET", l.url+"/", "")
	l.signal(t, syscall.SIGTERM)
	l.ended(t)
}

// manager listens as a service manager does for what it is told.
func manager(t *testing.T) func(want string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	t.Setenv("NOTIFY_SOCKET", path)
	conn.SetReadDeadline(time.Now().Add(time.Minute))
	return func(want string) {
		t.Helper()
		b := make([]byte, 100)
		if n, err := conn.Read(b); string(b[:n]) != want || err != nil {
			t.Fatalf("the service manager is told %q, %v, want %q", b[:n], err, want)
		}
	}
}

// As systemd starts it, and handed over from there: the one socket is all that is
// listened on.
func TestSocketActivation(t *testing.T) {
	told := manager(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "postern")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	path := filepath.Join(dir, "s")
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	f, err := ln.File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	cmd := exec.Command("sh", "-c", `LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=postern.socket exec "$0" "$@"`,
		self, "--addr", "192.0.2.1:1", "--quiet", "--db", filepath.Join(dir, "my.db"))
	cmd.ExtraFiles = []*os.File{f}
	l := begin(t, cmd)
	told("READY=1")

	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(context.Context, string, string) (net.Conn, error) {
		return net.Dial("unix", path)
	}}}
	for range 2 {
		resp, err := client.Get("http://127.0.0.1/")
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != 200 {
			t.Error(resp.Status)
		}
		if l.now != l.Process.Pid {
			break
		}
		l.signal(t, syscall.SIGUSR2)
		if l.now, err = strconv.Atoi(l.logged(t, `msg="handing over" process=(\d+)`)); err != nil {
			t.Fatal(err)
		}
		told("MAINPID=" + strconv.Itoa(l.now))
		exitOf(t, l.Cmd)
	}
	l.signal(t, syscall.SIGTERM)
	told("STOPPING=1")
	l.ended(t)
	if _, err := os.Lstat(path); err != nil {
		t.Errorf("the socket's file, which the service manager made: %v", err)
	}
}

// The lines that a server prints which listens on a Unix socket alone.
func TestLinesToPasteForUnix(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("there is no curl here")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "s")
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	f, err := ln.File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	cmd := exec.Command("sh", "-c", `LISTEN_PID=$$ LISTEN_FDS=1 exec "$0" --quiet`, self)
	cmd.ExtraFiles = []*os.File{f}
	cmd.Env = append(os.Environ(), "POSTERN_TEST_RUN=1")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	output := readStart(t, out)
	if !strings.HasPrefix(output, "postern was started with its sockets: --addr and --unix are not used\npostern serves unix:"+path+" until Ctrl-C\n") {
		t.Errorf("printed %s", output)
	}
	want := []string{"", "hello", `{"key":"greeting","value":"hello","counter":0}` + "\n"}
	for line := range strings.Lines(output) {
		if !strings.HasPrefix(line, "  curl ") {
			continue
		}
		got, err := exec.Command("sh", "-c", strings.Replace(line, "curl", "curl -sS --fail", 1)).CombinedOutput()
		if !bytes.Equal(got, []byte(want[0])) || err != nil {
			t.Errorf("%s: %q, %v, want %q", line, got, err, want[0])
		}
		want = want[1:]
	}
}
