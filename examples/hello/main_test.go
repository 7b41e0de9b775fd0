package main_test

import (
	"path/filepath"
	"testing"

	main "postern/examples/hello"
	"postern/examples/internal/programtest"
)

func TestHello(t *testing.T) {
	p := programtest.Start(t, main.Run, 2, "-addr", "127.0.0.1:0", "-unix", filepath.Join(t.TempDir(), "s"))
	for _, addr := range p.Addrs {
		resp, got := programtest.Call(t, programtest.Client(t, addr), "GET", "/a%20path", "")
		if resp.StatusCode != 200 || got != "Hello from /a path\n" {
			t.Errorf("%s: %d %q", addr, resp.StatusCode, got)
		}
	}
}
