//go:build unix

package main_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestSignalsStopCleanly(t *testing.T) {
	for _, signal := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
		db := filepath.Join(t.TempDir(), "my.db")
		cmd, url := child(t, "--db", db)
		call(t, "PUT", url+"/kv/default/a", "v")
		if err := cmd.Process.Signal(signal); err != nil {
			t.Fatal(err)
		}
		if state := exitOf(t, cmd); state.ExitCode() != 0 {
			t.Errorf("%v: %v", signal, state)
		}
		if left, err := filepath.Glob(db + "-*"); len(left) > 0 || err != nil {
			t.Errorf("%v: the store was not closed: %q, %v", signal, left, err)
		}
	}
}

// A first signal lets an exchange finish, a second one does not.
func TestExchangeDuringSignals(t *testing.T) {
	for _, second := range []bool{false, true} {
		cmd, url := child(t)
		addr := strings.TrimPrefix(url, "http://")
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		answers := bufio.NewReader(conn)
		io.WriteString(conn, "PUT /kv/default/a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
		if line, err := answers.ReadString('\n'); line != "HTTP/1.1 100 Continue\r\n" {
			t.Fatalf("%q, %v", line, err)
		}
		answers.ReadString('\n')
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		for { // until it has stopped listening
			other, err := net.Dial("tcp", addr)
			if errors.Is(err, syscall.ECONNREFUSED) {
				break
			}
			if err == nil {
				other.Close()
			}
		}
		if second {
			if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			if state := exitOf(t, cmd).Sys().(syscall.WaitStatus); state.Signal() != syscall.SIGTERM {
				t.Errorf("after two signals: %v", cmd.ProcessState)
			}
			continue
		}
		io.WriteString(conn, "hello")
		resp, err := http.ReadResponse(answers, nil)
		if err != nil || resp.StatusCode != 201 || !resp.Close {
			t.Errorf("%v, %v", resp, err)
		}
		if state := exitOf(t, cmd); state.ExitCode() != 0 {
			t.Errorf("after one signal: %v", state)
		}
	}
}

// child runs the program as a process of its own and returns it once it serves.
func child(t *testing.T, args ...string) (cmd *exec.Cmd, url string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd = exec.Command(self, append(args, "--addr", "127.0.0.1:0", "--quiet")...)
	cmd.Env = append(os.Environ(), "POSTERN_TEST_RUN=1")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill() })
	output := readStart(t, out)
	url, _, _ = strings.Cut(strings.TrimPrefix(output, "postern serves "), "/ until")
	return cmd, url
}

// exitOf waits for a child and returns its state.
func exitOf(t *testing.T, cmd *exec.Cmd) *os.ProcessState {
	t.Helper()
	var exit *exec.ExitError
	if err := cmd.Wait(); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState
}

// SIGHUP makes it read its certificate again, before the minute is over.
func TestHangupReloadsTheCertificate(t *testing.T) {
	dir := t.TempDir()
	cmd, url := child(t, saveCertificate(t, dir, "old.example")...)
	url = "https://127.0.0.1" + url[strings.LastIndexByte(url, ':'):]
	saveCertificate(t, dir, "new.example")
	if err := cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	for began := time.Now(); shown(t, url).DNSNames[0] != "new.example"; {
		if time.Since(began) > 20*time.Second {
			t.Fatal("the new certificate is not shown")
		}
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if state := exitOf(t, cmd); state.ExitCode() != 0 {
		t.Errorf("%v", state)
	}
}
