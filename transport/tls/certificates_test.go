package tls_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	stdtls "crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"postern/transport/tls"
)

// seen connects and returns the first name of the certificate that the server
// shows, or the error.
func seen(t *testing.T, l listener, name string) string {
	t.Helper()
	client, _, clientErr, _ := l.connect(t, &stdtls.Config{ServerName: name, InsecureSkipVerify: true})
	if clientErr != nil {
		return clientErr.Error()
	}
	defer client.Close()
	return client.ConnectionState().PeerCertificates[0].Subject.CommonName
}

func TestNameChoosesTheCertificate(t *testing.T) {
	certs := certificates(t,
		selfSigned(t, "first.example"),
		selfSigned(t, "*.example.org", "192.0.2.1"),
		selfSigned(t, "www.example.org", "Mixed.Example"),
		selfSigned(t, "*.www.example.org"))
	lax := listen(t, tls.Config{Certificates: certs})
	strict := listen(t, tls.Config{Certificates: certs, Strict: true})
	const refused = "unrecognized name"
	for _, c := range []struct{ name, lax, strict string }{
		{"first.example", "first.example", "first.example"},
		{"www.example.org", "www.example.org", "www.example.org"},
		{"WWW.Example.ORG", "www.example.org", "www.example.org"},
		{"mixed.example", "www.example.org", "www.example.org"},
		{"mail.example.org", "*.example.org", "*.example.org"},
		{"a.www.example.org", "*.www.example.org", "*.www.example.org"},
		{"a.mail.example.org", "first.example", refused}, // a wildcard stands for one label
		{"example.org", "first.example", refused},
		{"other.example", "first.example", refused},
		{"*.example.org", "first.example", refused},
		{"192.0.2.1", "first.example", refused}, // of an address clients say nothing
		{"", "first.example", refused},
	} {
		if got := seen(t, lax, c.name); got != c.lax {
			t.Errorf("%q gets %s, want %s", c.name, got, c.lax)
		}
		if got := seen(t, strict, c.name); got != c.strict && !(c.strict == refused && strings.Contains(got, refused)) {
			t.Errorf("%q gets %s from a strict listener, want %s", c.name, got, c.strict)
		}
	}
}

// The server's error names the name that it refused.
func TestStrictSaysWhy(t *testing.T) {
	l := listen(t, tls.Config{Certificates: certificates(t, selfSigned(t, "a.example")), Strict: true})
	_, _, _, err := l.connect(t, &stdtls.Config{ServerName: "b.example", InsecureSkipVerify: true})
	if !errors.Is(err, tls.ErrUnknownName) || err.Error() != `tls: handshake with memory:1: no certificate for the name "b.example"` {
		t.Errorf("error is %v", err)
	}
}

// Of two certificates for a name a client gets the one that it can use.
func TestOneNameTwoKeys(t *testing.T) {
	weak := issue(t, nil, "a.example", func(c *x509.Certificate) { c.Subject.CommonName = "P-521" }, elliptic.P521())
	l := listen(t, tls.Config{Certificates: certificates(t, weak.pair, selfSigned(t, "a.example"))})
	if got := seen(t, l, "a.example"); got != "P-521" {
		t.Errorf("a client that can use both gets %s, want the first", got)
	}
	client, _ := l.pair(t, &stdtls.Config{
		ServerName: "a.example", InsecureSkipVerify: true, MaxVersion: stdtls.VersionTLS12,
		CurvePreferences: []stdtls.CurveID{stdtls.CurveP256},
	})
	if got := client.ConnectionState().PeerCertificates[0].Subject.CommonName; got != "a.example" {
		t.Errorf("a client without P-521 gets %s, want a.example", got)
	}
}

func TestNoCertificates(t *testing.T) {
	dir := t.TempDir()
	certFile, keyFile := write(t, dir, selfSigned(t))
	_, otherKey := write(t, t.TempDir(), selfSigned(t))
	empty := filepath.Join(dir, "empty")
	put(t, empty, []byte{})
	for name, c := range map[string]struct {
		sources []tls.Source
		want    string
	}{
		"none":          {nil, "tls: no certificates: Sources is empty"},
		"zero":          {[]tls.Source{{}}, "tls: certificate 1: neither files nor"},
		"no key":        {[]tls.Source{{CertFile: certFile}}, "both are needed"},
		"missing":       {[]tls.Source{{CertFile: "/no/such", KeyFile: keyFile}}, "tls: certificate 1: open /no/such:"},
		"no key file":   {[]tls.Source{{CertFile: certFile, KeyFile: "/no/such"}}, "open /no/such:"},
		"swapped":       {[]tls.Source{{CertFile: keyFile, KeyFile: certFile}}, "key.pem with key "},
		"key of others": {[]tls.Source{{CertFile: certFile, KeyFile: otherKey}}, "private key does not match"},
		"empty":         {[]tls.Source{{CertFile: certFile, KeyFile: keyFile}, {CertFile: empty, KeyFile: keyFile}}, "tls: certificate 2: " + empty + ": the file is empty"},
		"expired": {[]tls.Source{{Certificate: issue(t, nil, "a.example", func(c *x509.Certificate) {
			c.NotAfter = time.Date(2001, 2, 3, 4, 5, 6, 0, time.UTC)
		}, elliptic.P256()).pair}}, "tls: certificate 1: the certificate expired at 2001-02-03T04:05:06Z"},
	} {
		_, err := tls.NewCertificates(tls.CertificatesConfig{Sources: c.sources})
		if err == nil || !strings.HasPrefix(err.Error(), "tls: ") || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

// files are two certificates in files, and what was reported of them.
type files struct {
	dirs    [2]string
	certs   *tls.Certificates
	reports []error
}

func newFiles(t *testing.T, poll time.Duration) *files {
	f := &files{dirs: [2]string{t.TempDir(), t.TempDir()}}
	c := tls.CertificatesConfig{Poll: poll, OnReload: func(err error) { f.reports = append(f.reports, err) }}
	for i, dir := range f.dirs {
		certFile, keyFile := write(t, dir, selfSigned(t, fmt.Sprintf("old%d.example", i)))
		c.Sources = append(c.Sources, tls.Source{CertFile: certFile, KeyFile: keyFile})
	}
	var err error
	if f.certs, err = tls.NewCertificates(c); err != nil {
		t.Fatal(err)
	}
	return f
}

func (f *files) cert() string { return filepath.Join(f.dirs[0], "cert.pem") }
func (f *files) key() string  { return filepath.Join(f.dirs[0], "key.pem") }

// names are those of both certificates in use.
func (f *files) names(t *testing.T) string {
	t.Helper()
	var found []string
	for _, name := range []string{"old0.example", "new0.example", "old1.example", "new1.example"} {
		cert, err := f.certs.GetCertificate(&stdtls.ClientHelloInfo{ServerName: name})
		if err != nil {
			t.Fatal(err)
		}
		if cert.Leaf.DNSNames[0] == name {
			found = append(found, strings.TrimSuffix(name, ".example"))
		}
	}
	return strings.Join(found, " ")
}

func TestReload(t *testing.T) {
	f := newFiles(t, -1)
	if err := f.certs.Reload(); err != nil || len(f.reports) > 0 {
		t.Errorf("Reload without a change: %v, reported %v", err, f.reports)
	}
	fresh := selfSigned(t, "new0.example")
	write(t, f.dirs[0], fresh)
	if got := f.names(t); got != "old0 old1" {
		t.Errorf("before Reload: %s", got)
	}
	if err := f.certs.Reload(); err != nil || len(f.reports) != 1 || f.reports[0] != nil {
		t.Errorf("Reload: %v, reported %v", err, f.reports)
	}
	if got := f.names(t); got != "new0 old1" {
		t.Errorf("after Reload: %s", got)
	}
	if got := f.certs.Stats(); got != (tls.CertificateStats{Reloads: 1}) {
		t.Errorf("Stats: %+v", got)
	}
}

// What cannot be used leaves the old pair in place, and the other file's change is
// taken over all the same.
func TestReloadRefuses(t *testing.T) {
	good := selfSigned(t, "new0.example")
	whole, key := encode(t, good)
	expired := issue(t, nil, "new0.example", func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }, elliptic.P256())
	expiredCert, expiredKey := encode(t, expired.pair)
	for name, c := range map[string]struct {
		cert, key []byte // nil: removed
		want      string
	}{
		"certificate only":     {whole, []byte("keep"), "private key does not match"},
		"half a certificate":   {whole[:len(whole)/2], key, "cert.pem: a PEM block is not complete"},
		"half a chain":         {append(whole[:len(whole):len(whole)], whole[:len(whole)/2]...), key, "cert.pem: a PEM block is not complete"},
		"half a key":           {whole, key[:len(key)/2], "key.pem: a PEM block is not complete"},
		"nothing yet":          {nil, key, "cert.pem: no such file"},
		"an empty certificate": {[]byte{}, key, "cert.pem: the file is empty"},
		"an empty key":         {whole, []byte{}, "key.pem: the file is empty"},
		"junk":                 {[]byte("junk"), key, "failed to find any PEM data"},
		"a damaged one":        {pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("junk")}), key, "x509: malformed certificate"},
		"an expired one":       {expiredCert, expiredKey, "cert.pem: the certificate expired at "},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFiles(t, -1)
			write(t, f.dirs[1], selfSigned(t, "new1.example"))
			put(t, f.cert(), c.cert)
			if string(c.key) != "keep" {
				put(t, f.key(), c.key)
			}
			err := f.certs.Reload()
			if err == nil || !strings.HasPrefix(err.Error(), "tls: certificate 1: ") || !strings.Contains(err.Error(), c.want) {
				t.Errorf("Reload: %v, want %q", err, c.want)
			}
			if len(f.reports) != 1 || f.reports[0] == nil || f.reports[0].Error() != err.Error() {
				t.Errorf("reported %v", f.reports)
			}
			if got := f.names(t); got != "old0 new1" {
				t.Errorf("in use are %s, want the first as it was and the second as it is", got)
			}
			if err := f.certs.Reload(); err == nil {
				t.Error("a second Reload says nothing of it")
			}
			put(t, f.cert(), whole)
			put(t, f.key(), key)
			if err := f.certs.Reload(); err != nil {
				t.Errorf("Reload once it is whole: %v", err)
			}
			if got := f.names(t); got != "new0 new1" {
				t.Errorf("in use are %s in the end", got)
			}
			if got := f.certs.Stats(); got != (tls.CertificateStats{Reloads: 2, Failures: 2}) {
				t.Errorf("Stats: %+v", got)
			}
		})
	}
}

// A handshake looks at the files when Poll has passed, and a change that is bad is
// reported once.
func TestPoll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFiles(t, 0)
		l := listen(t, tls.Config{Certificates: f.certs})
		want := func(name string) {
			t.Helper()
			if got := seen(t, l, ""); got != name {
				t.Errorf("a client gets %s, want %s", got, name)
			}
		}
		write(t, f.dirs[0], selfSigned(t, "new0.example"))
		time.Sleep(59 * time.Second)
		want("old0.example")
		time.Sleep(time.Second)
		want("new0.example")
		if len(f.reports) != 1 || f.reports[0] != nil {
			t.Errorf("reported %v", f.reports)
		}
		put(t, f.cert(), []byte("junk"))
		want("new0.example")
		if len(f.reports) != 1 {
			t.Errorf("reported %v before the next minute is over", f.reports)
		}
		for range 3 {
			time.Sleep(time.Minute)
			want("new0.example")
		}
		if len(f.reports) != 2 || f.reports[1] == nil {
			t.Errorf("reported %v, want one more", f.reports)
		}
		write(t, f.dirs[0], selfSigned(t, "old0.example"))
		time.Sleep(time.Minute)
		want("old0.example")
	})
}

// An issued certificate can issue others.
type issued struct {
	pair stdtls.Certificate
	key  *ecdsa.PrivateKey
}

// issue makes a certificate, signed by an authority or by itself.
func issue(t testing.TB, by *issued, name string, change func(*x509.Certificate), curve elliptic.Curve) *issued {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: name},
		DNSNames:     []string{name},
		NotBefore:    time.Unix(0, 0),
		NotAfter:     time.Now().Add(time.Hour),
	}
	change(template)
	parent, signer := template, key
	if by != nil {
		parent, signer = by.pair.Leaf, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &issued{stdtls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, key}
}

// encode returns a certificate and its key as PEM.
func encode(t testing.TB, c stdtls.Certificate) (cert, key []byte) {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate[0]}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// write writes a certificate and its key as cert.pem and key.pem.
func write(t testing.TB, dir string, c stdtls.Certificate) (certFile, keyFile string) {
	t.Helper()
	cert, key := encode(t, c)
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	put(t, certFile, cert)
	put(t, keyFile, key)
	return certFile, keyFile
}

// put writes a file, or removes it if there is no content.
func put(t testing.TB, name string, content []byte) {
	t.Helper()
	err := os.Remove(name)
	if content != nil {
		err = os.WriteFile(name, content, 0o600)
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
}
