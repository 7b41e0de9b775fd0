package tls_test

import (
	stdtls "crypto/tls"
	"io"
	"strings"
	"testing"

	"postern/transport/tls"
)

// One client's sessions, whatever name they are for.
type sessions struct{ state *stdtls.ClientSessionState }

func (s *sessions) Get(string) (*stdtls.ClientSessionState, bool)  { return s.state, s.state != nil }
func (s *sessions) Put(_ string, state *stdtls.ClientSessionState) { s.state = state }

// resumes connects and reports whether a session was resumed, with one that the
// next connection can resume. ok is whether the handshake succeeded.
func resumes(t *testing.T, l listener, config *stdtls.Config) (resumed, ok bool) {
	t.Helper()
	client, server, clientErr, serverErr := l.connect(t, config)
	if clientErr != nil || serverErr != nil {
		return false, false
	}
	defer client.Close()
	// TLS 1.3 sends tickets behind the handshake: they are there once we have read.
	io.WriteString(server, "x")
	if _, err := client.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	return server.ConnectionState().DidResume, true
}

func TestTicketsAreShared(t *testing.T) {
	cert, ours, theirs := selfSigned(t), authority(t, "ours"), authority(t, "theirs")
	certs := certificates(t, cert)
	open := tls.Config{Certificates: certs}
	other := tls.Config{Certificates: certificates(t, cert)}
	strict := tls.Config{Certificates: certs, Strict: true}
	asking := tls.Config{Certificates: certs, ClientAuth: stdtls.RequireAndVerifyClientCert, ClientCAs: ours.pool(t)}
	foreign := tls.Config{Certificates: certs, ClientAuth: stdtls.RequireAndVerifyClientCert, ClientCAs: theirs.pool(t)}
	lax := tls.Config{Certificates: certs, ClientAuth: stdtls.RequestClientCert}
	for _, c := range []struct {
		name          string
		first, second tls.Config
		as            string // the name that the second connection asks for
		resumed, ok   bool
	}{
		{"two listeners", open, open, "localhost", true, true},
		{"other certificates", open, other, "localhost", false, true},
		{"to a strict one", open, strict, "localhost", true, true},
		{"to a strict one by an unknown name", open, strict, "unknown.example", false, false},
		{"between two that verify", asking, asking, "localhost", true, true},
		{"to one that trusts another authority", asking, foreign, "localhost", false, false},
		{"from one that verifies nothing", lax, foreign, "localhost", false, false},
	} {
		for _, version := range []uint16{stdtls.VersionTLS12, stdtls.VersionTLS13} {
			config := &stdtls.Config{ServerName: "localhost", InsecureSkipVerify: true, MaxVersion: version, ClientSessionCache: new(sessions)}
			config.Certificates = []stdtls.Certificate{ours.client(t, "ann")}
			if resumed, ok := resumes(t, listen(t, c.first), config); resumed || !ok {
				t.Fatalf("%s: first connection resumed: %v, succeeded: %v", c.name, resumed, ok)
			}
			config.ServerName = c.as
			if resumed, ok := resumes(t, listen(t, c.second), config); resumed != c.resumed || ok != c.ok {
				t.Errorf("%s, %s: resumed: %v, succeeded: %v, want %v, %v", c.name, stdtls.VersionName(version), resumed, ok, c.resumed, c.ok)
			}
		}
	}
}

// Secrets go to KeyLog and nowhere else.
func TestKeyLog(t *testing.T) {
	cert := selfSigned(t)
	var log strings.Builder
	l := listen(t, tls.Config{Certificates: certificates(t, cert), KeyLog: &log})
	l.pair(t, trusting("localhost", cert))
	if !strings.Contains(log.String(), "SERVER_TRAFFIC_SECRET_0 ") {
		t.Errorf("logged %q", log.String())
	}
}
