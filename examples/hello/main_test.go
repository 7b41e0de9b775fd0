package main_test

import (
	"bufio"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"

	main "postern/examples/hello"
)

// TestMain makes the test binary the program itself when it is told so.
func TestMain(m *testing.M) {
	if os.Getenv("HELLO_TEST_RUN") != "" {
		main.Main()
		return
	}
	m.Run()
}

func TestHello(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, "-addr", "127.0.0.1:0")
	cmd.Env = append(os.Environ(), "HELLO_TEST_RUN=1")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer cmd.Process.Kill()
	line, err := bufio.NewReader(out).ReadString('\n')
	addr, ok := strings.CutPrefix(strings.TrimSpace(line), "listening on ")
	if !ok {
		t.Fatalf("printed %q: %v", line, err)
	}
	resp, err := http.Get("http://" + addr + "/a%20path")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if resp.StatusCode != 200 || string(got) != "Hello from /a path\n" || err != nil {
		t.Errorf("%d %q, %v", resp.StatusCode, got, err)
	}
}
