package main_test

import (
	stdtls "crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"postern/transport/tls"
)

// shown connects and returns the certificate that the server shows.
func shown(t *testing.T, url string) *x509.Certificate {
	t.Helper()
	conn, err := stdtls.Dial("tcp", strings.TrimPrefix(url, "https://"), &stdtls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0]
}

// saveCertificate makes one for a name and writes it and its key to dir.
func saveCertificate(t *testing.T, dir, name string) (args []string) {
	t.Helper()
	cert, err := tls.SelfSigned(name)
	if err != nil {
		t.Fatal(err)
	}
	key, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for file, block := range map[string]*pem.Block{
		certFile: {Type: "CERTIFICATE", Bytes: cert.Certificate[0]},
		keyFile:  {Type: "PRIVATE KEY", Bytes: key},
	} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return []string{"--tls-cert", certFile, "--tls-key", keyFile}
}

func TestHTTPS(t *testing.T) {
	for _, c := range []struct {
		args  []string
		url   string // how it begins
		curl  string
		named []string // what the certificate is good for
	}{
		{[]string{"--tls-self-signed"}, "https://127.0.0.1:", "  curl -k -X PUT ", []string{"localhost", "127.0.0.1", "::1"}},
		{saveCertificate(t, t.TempDir(), "127.0.0.1"), "https://127.0.0.1:", "  curl -X PUT ", []string{"127.0.0.1"}},
		{append(saveCertificate(t, t.TempDir(), "kv.example"), "--token", "t"), "https://kv.example:", "  curl -H ", []string{"kv.example"}},
		{saveCertificate(t, t.TempDir(), "kv.example"), "https://127.0.0.1:", "  curl -k -X PUT ", []string{"kv.example"}},
	} {
		s := start(t, append(c.args, "--addr", "127.0.0.1:0")...)
		if !strings.HasPrefix(s.url, c.url) || !strings.Contains(s.output, c.curl) {
			t.Errorf("%q: printed %s", c.args, s.output)
		}
		_, port, err := net.SplitHostPort(strings.TrimPrefix(s.url, "https://"))
		if err != nil {
			t.Fatal(err)
		}
		addr := "127.0.0.1:" + port
		cert := shown(t, "https://"+addr)
		roots := x509.NewCertPool()
		roots.AddCert(cert)
		for _, name := range c.named {
			if err := cert.VerifyHostname(name); err != nil {
				t.Errorf("%q: %v", c.args, err)
			}
			for _, two := range []bool{false, true} {
				config := &stdtls.Config{RootCAs: roots, ServerName: name}
				client := http.Client{Transport: &http.Transport{ForceAttemptHTTP2: two, TLSClientConfig: config}}
				resp, err := client.Get("https://" + addr + "/")
				if err != nil {
					t.Fatal(err)
				}
				resp.Body.Close()
				client.CloseIdleConnections()
				if resp.StatusCode != 200 || (resp.TLS.NegotiatedProtocol == "h2") != two || (resp.ProtoMajor == 2) != two {
					t.Errorf("%q: %s by %q", c.args, resp.Status, resp.TLS.NegotiatedProtocol)
				}
			}
		}
		if resp, text := call(t, "GET", "http://"+addr+"/", ""); resp.StatusCode != 400 || !strings.Contains(text, "HTTPS") {
			t.Errorf("%q: HTTP gets %s %q", c.args, resp.Status, text)
		}
	}
}

func TestHTTPSErrors(t *testing.T) {
	args := saveCertificate(t, t.TempDir(), "a.example")
	other := saveCertificate(t, t.TempDir(), "a.example")
	for want, args := range map[string][]string{
		"open /no/such: no such file or directory": {"--tls-cert", "/no/such", "--tls-key", args[3]},
		"private key does not match public key":    {"--tls-cert", args[1], "--tls-key", other[3]},
	} {
		got := run(t, "", append(args, "--addr", "127.0.0.1:0")...)
		if got.status != 1 || got.stdout != "" || !strings.HasPrefix(got.stderr, "postern: serve: tls: certificate 1: ") || !strings.Contains(got.stderr, want) {
			t.Errorf("%q: %+v", args, got)
		}
	}
}

// The Unix socket speaks no TLS.
func TestHTTPSLeavesTheSocketPlain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	start(t, "--addr", "127.0.0.1:0", "--unix", path, "--tls-self-signed")
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	io.WriteString(conn, "GET / HTTP/1.0\r\n\r\n")
	if got, err := io.ReadAll(conn); err != nil || !strings.HasPrefix(string(got), "HTTP/1.1 200 OK\r\n") {
		t.Errorf("got %q, %v", got, err)
	}
}
