package tls_test

import (
	"crypto/x509"
	"errors"
	"slices"
	"strings"
	"testing"

	"postern/transport/tls"
)

func TestSelfSigned(t *testing.T) {
	for _, c := range []struct {
		names     []string
		good, bad []string
	}{
		{nil, []string{"localhost", "127.0.0.1", "::1"}, []string{"example.org", "127.0.0.2"}},
		{[]string{"example.org", "*.example.org", "192.0.2.7"}, []string{"example.org", "a.example.org", "192.0.2.7"}, []string{"localhost", "a.b.example.org"}},
	} {
		cert := selfSigned(t, c.names...)
		roots := x509.NewCertPool()
		roots.AddCert(cert.Leaf)
		for _, name := range append(c.good, c.bad...) {
			_, err := cert.Leaf.Verify(x509.VerifyOptions{DNSName: name, Roots: roots})
			_, otherName := errors.AsType[x509.HostnameError](err)
			if good := slices.Contains(c.good, name); good != (err == nil) || !good && !otherName {
				t.Errorf("certificate for %q, asked for %q: %v", c.names, name, err)
			}
		}
		if days := cert.Leaf.NotAfter.Sub(cert.Leaf.NotBefore).Hours() / 24; days < 90 || days > 91 {
			t.Errorf("valid for %v days", days)
		}
	}
	if _, err := tls.SelfSigned("no\x00name\xff"); err == nil || !strings.HasPrefix(err.Error(), `tls: self-signed certificate for ["no\x00name\xff"]: `) {
		t.Errorf("a name that is none: %v", err)
	}
}
