package server_test

import (
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"postern/server"
	"postern/transport/unix"
)

// A handler learns who is at the other end of a Unix socket, also while the
// transport drives the connection.
func TestPeerCred(t *testing.T) {
	ln, err := unix.Listen(unix.Config{Path: t.TempDir() + "/s"})
	if err != nil {
		t.Fatal(err)
	}
	s := server.New(func(r *server.Request) server.Response {
		cred, err := r.PeerCred()
		return server.Text(fmt.Sprint(cred.PID, cred.UID, cred.GID, err))
	}, server.Config{Log: quiet()})
	go s.Serve(ln)
	defer s.Close()
	c, err := unix.Dial(t.Context(), ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	io.WriteString(c, "GET / HTTP/1.0\r\n\r\n")
	want := fmt.Sprint(os.Getpid(), uint32(os.Getuid()), uint32(os.Getgid()), nil)
	if got, err := io.ReadAll(c); !strings.HasSuffix(string(got), "\r\n\r\n"+want) || err != nil {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
	if _, err := server.NewRequest("GET", "/", nil).PeerCred(); err == nil {
		t.Error("a request without a connection has credentials")
	}
}
