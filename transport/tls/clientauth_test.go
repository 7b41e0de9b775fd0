package tls_test

import (
	"crypto/elliptic"
	stdtls "crypto/tls"
	"crypto/x509"
	"path/filepath"
	"strings"
	"testing"

	"postern/transport/memory"
	"postern/transport/tls"
)

// authority makes one that issues certificates for clients.
func authority(t testing.TB, name string) *issued {
	return issue(t, nil, name, func(c *x509.Certificate) {
		c.IsCA, c.BasicConstraintsValid = true, true
		c.KeyUsage = x509.KeyUsageCertSign
	}, elliptic.P256())
}

func (a *issued) client(t testing.TB, name string) stdtls.Certificate {
	return issue(t, a, name, func(c *x509.Certificate) {
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	}, elliptic.P256()).pair
}

// pool is the authority's certificate as Config.ClientCAs.
func (a *issued) pool(t testing.TB) *x509.CertPool {
	t.Helper()
	file, _ := write(t, t.TempDir(), a.pair)
	pool, err := tls.LoadCAs(file)
	if err != nil {
		t.Fatal(err)
	}
	return pool
}

func TestClientCertificates(t *testing.T) {
	cert := selfSigned(t)
	certs := certificates(t, cert)
	ours, theirs := authority(t, "ours"), authority(t, "theirs")
	clients := map[string]stdtls.Certificate{
		"none":   {},
		"ann":    ours.client(t, "ann"),
		"mallet": theirs.client(t, "mallet"),
	}
	for _, c := range []struct {
		auth stdtls.ClientAuthType
		cas  *x509.CertPool
		want string // the clients that are let in
	}{
		{stdtls.NoClientCert, nil, "none ann mallet"},
		{stdtls.RequestClientCert, nil, "none ann mallet"},
		{stdtls.RequireAnyClientCert, nil, "ann mallet"},
		{stdtls.VerifyClientCertIfGiven, ours.pool(t), "none ann"},
		{stdtls.RequireAndVerifyClientCert, ours.pool(t), "ann"},
	} {
		l := listen(t, tls.Config{Certificates: certs, ClientAuth: c.auth, ClientCAs: c.cas})
		for _, version := range []uint16{stdtls.VersionTLS12, stdtls.VersionTLS13} {
			for name, own := range clients {
				config := trusting("localhost", cert)
				config.GetClientCertificate = func(*stdtls.CertificateRequestInfo) (*stdtls.Certificate, error) { return &own, nil }
				config.MaxVersion = version
				_, server, _, err := l.connect(t, config)
				if got, want := err == nil, strings.Contains(c.want, name); got != want {
					t.Errorf("%v: %s by %s is let in: %v (%v), want %v", c.auth, name, stdtls.VersionName(version), got, err, want)
				}
				peers := server.ConnectionState().PeerCertificates
				if asked := c.auth != stdtls.NoClientCert && own.Leaf != nil && err == nil; asked != (len(peers) > 0) {
					t.Errorf("%v: of %s the server has %d certificates", c.auth, name, len(peers))
				} else if asked && peers[0].Subject.CommonName != name {
					t.Errorf("%v: %s is taken for %s", c.auth, name, peers[0].Subject.CommonName)
				}
			}
		}
	}
}

func TestConfigErrors(t *testing.T) {
	certs, pool := certificates(t, selfSigned(t)), x509.NewCertPool()
	for want, c := range map[string]tls.Config{
		"no Certificates": {},
		"ClientAuth is RequireAndVerifyClientCert without ClientCAs": {Certificates: certs, ClientAuth: stdtls.RequireAndVerifyClientCert},
		"ClientAuth is VerifyClientCertIfGiven without ClientCAs":    {Certificates: certs, ClientAuth: stdtls.VerifyClientCertIfGiven},
		"ClientCAs would not be used: ClientAuth is NoClientCert":    {Certificates: certs, ClientCAs: pool},
	} {
		if _, err := tls.NewListener(memory.Listen(memory.Config{}), c); err == nil || err.Error() != "tls: listener on memory:0: "+want {
			t.Errorf("error is %v, want %s", err, want)
		}
	}
}

func TestLoadCAs(t *testing.T) {
	dir := t.TempDir()
	certFile, keyFile := write(t, dir, authority(t, "ours").pair)
	cert, _ := encode(t, authority(t, "ours").pair)
	half, junk := filepath.Join(dir, "half"), filepath.Join(dir, "junk")
	put(t, half, cert[:len(cert)/2])
	put(t, junk, []byte("-----BEGIN CERTIFICATE-----\nanVuaw==\n-----END CERTIFICATE-----\n"))
	for file, want := range map[string]string{
		"/no/such": "open /no/such",
		half:       half + ": a PEM block is not complete",
		keyFile:    keyFile + " has no certificate",
		junk:       junk + ": x509: malformed certificate",
	} {
		if _, err := tls.LoadCAs(certFile, file); err == nil || !strings.HasPrefix(err.Error(), "tls: authorities: "+want) {
			t.Errorf("LoadCAs(%s): %v, want %s", file, err, want)
		}
	}
}
