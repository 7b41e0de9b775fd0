package server_test

import (
	"context"
	stdtls "crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"testing"

	"postern/server"
	"postern/transport/tls"
	"postern/transport/unix"
)

// A handler learns who is at the other end of a Unix socket, also while the transport
// drives the connection, behind TLS, and over HTTP/2; so it does with addresses and
// the state of TLS.
func TestPeer(t *testing.T) {
	cert, err := tls.SelfSigned("a.example")
	if err != nil {
		t.Fatal(err)
	}
	certs, err := tls.NewCertificates(tls.CertificatesConfig{Sources: []tls.Source{{Certificate: cert}}})
	if err != nil {
		t.Fatal(err)
	}
	native := func(r *server.Request) server.Response {
		cred, err := r.PeerCred()
		again, _ := r.Clone().PeerCred()
		return server.Text(fmt.Sprintln(cred, err, cred == again, r.LocalAddr(), r.RemoteAddr().Network(), r.TLS() != nil && r.TLS().ServerName == "a.example"))
	}
	old := server.HTTP(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, r.Context().Value(http.LocalAddrContextKey), r.RemoteAddr, r.TLS != nil && r.TLS.ServerName == "a.example")
	}))
	for _, tc := range []struct {
		name   string
		secure bool
		major  int
	}{{"plain", false, 1}, {"TLS", true, 1}, {"HTTP/2", true, 2}} {
		t.Run(tc.name, func(t *testing.T) {
			path := t.TempDir() + "/s"
			var ln net.Listener
			if ln, err = unix.Listen(unix.Config{Path: path}); err != nil {
				t.Fatal(err)
			}
			scheme := "http"
			if tc.secure {
				scheme = "https"
				if ln, err = tls.NewListener(ln, tls.Config{Certificates: certs, NextProtos: bothVersions}); err != nil {
					t.Fatal(err)
				}
			}
			serveOn(t, ln, func(r *server.Request) server.Response {
				if r.PathIs("/old") {
					return old(r)
				}
				return native(r)
			}, server.Limits{})
			c := &http.Client{Transport: &http.Transport{
				DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
					return unix.Dial(ctx, path)
				},
				TLSClientConfig:   &stdtls.Config{InsecureSkipVerify: true},
				ForceAttemptHTTP2: tc.major == 2,
			}}
			defer c.CloseIdleConnections()
			cred := unix.Cred{PID: os.Getpid(), UID: uint32(os.Getuid()), GID: uint32(os.Getgid())}
			for at, want := range map[string]string{
				"/":    fmt.Sprintln(cred, nil, true, path, "unix", tc.secure),
				"/old": fmt.Sprintln(path, "@", tc.secure),
			} {
				resp, err := c.Get(scheme + "://a.example" + at)
				if err != nil {
					t.Fatal(err)
				}
				got, err := io.ReadAll(resp.Body)
				resp.Body.Close()
				if string(got) != want || err != nil || resp.ProtoMajor != tc.major {
					t.Errorf("%s: HTTP/%d: got %q, %v, want %q", at, resp.ProtoMajor, got, err, want)
				}
			}
		})
	}
	if _, err := server.NewRequest("GET", "/", nil).PeerCred(); err == nil {
		t.Error("a request without a connection has credentials")
	}
}
