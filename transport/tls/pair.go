package tls

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"time"
)

// A Source is one certificate with its key: two files, or a value.
type Source struct {
	// CertFile has the certificate and behind it those that lead to its root, as
	// PEM. KeyFile has the private key; it may be the same file.
	CertFile, KeyFile string

	// Certificate is used if there are no files.
	Certificate tls.Certificate
}

// A pair is a certificate in use, and what is known of its files.
type pair struct {
	source Source
	cert   *tls.Certificate
	seen   digest // of the files when they were read last, good or bad
	failed bool   // they were bad, and cert is an older one
}

// digest is of the contents of both files. A time and a size would cost less to
// compare, and miss a change within a tick of the file system's clock.
type digest [sha256.Size]byte

func newPair(source Source) (*pair, error) {
	p := &pair{source: source}
	var err error
	switch {
	case source.CertFile == "" && source.KeyFile == "":
		p.cert, err = usable(source.Certificate)
	case source.CertFile == "" || source.KeyFile == "":
		return nil, fmt.Errorf("CertFile is %q and KeyFile is %q: both are needed", source.CertFile, source.KeyFile)
	default:
		p, err = p.reload(true)
	}
	if err != nil {
		return nil, err
	}
	return p, nil
}

// reload returns the pair that the files have now, nil if it is still this one or,
// unless again, one that was refused before.
func (p *pair) reload(again bool) (*pair, error) {
	if p.source.CertFile == "" {
		return nil, nil
	}
	chain, key, err := p.read()
	seen := sum(chain, key, err)
	if p.seen == seen && !(p.failed && again) {
		return nil, nil
	}
	var cert *tls.Certificate
	if err == nil {
		cert, err = p.parse(chain, key)
	}
	p.seen, p.failed = seen, err != nil
	if err != nil {
		return nil, err
	}
	return &pair{source: p.source, cert: cert, seen: seen}, nil
}

func (p *pair) read() (chain, key []byte, err error) {
	if chain, err = os.ReadFile(p.source.CertFile); err != nil {
		return nil, nil, err // it names the file
	}
	if key, err = os.ReadFile(p.source.KeyFile); err != nil {
		return nil, nil, err
	}
	return chain, key, nil
}

func sum(chain, key []byte, err error) digest {
	if err != nil {
		return sha256.Sum256([]byte(err.Error()))
	}
	a, b := sha256.Sum256(chain), sha256.Sum256(key)
	return sha256.Sum256(append(a[:], b[:]...))
}

func (p *pair) parse(chain, key []byte) (*tls.Certificate, error) {
	for _, f := range []struct {
		name    string
		content []byte
	}{{p.source.CertFile, chain}, {p.source.KeyFile, key}} {
		if err := wholePEM(f.content); err != nil {
			return nil, fmt.Errorf("%s: %w", f.name, err)
		}
	}
	cert, err := tls.X509KeyPair(chain, key)
	if err != nil {
		return nil, fmt.Errorf("%s with key %s: %w", p.source.CertFile, p.source.KeyFile, err)
	}
	good, err := usable(cert)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", p.source.CertFile, err)
	}
	return good, nil
}

// wholePEM refuses a file that has nothing, or that ends within a block: one that
// is being written. Text between blocks is allowed, as everywhere.
func wholePEM(content []byte) error {
	if len(bytes.TrimSpace(content)) == 0 {
		return errors.New("the file is empty")
	}
	for {
		block, rest := pem.Decode(content)
		if block == nil {
			break
		}
		content = rest
	}
	if bytes.Contains(content, []byte("-----BEGIN")) {
		return errors.New("a PEM block is not complete")
	}
	return nil
}

// usable returns cert with its leaf parsed, or why no client would take it.
func usable(cert tls.Certificate) (*tls.Certificate, error) {
	if len(cert.Certificate) == 0 || cert.PrivateKey == nil {
		return nil, errors.New("neither files nor a Certificate with its PrivateKey")
	}
	leaf, err := x509.ParseCertificate(cert.Certificate[0])
	if err != nil {
		return nil, err
	}
	if time.Now().After(leaf.NotAfter) {
		return nil, fmt.Errorf("the certificate expired at %s", leaf.NotAfter.UTC().Format(time.RFC3339))
	}
	cert.Leaf = leaf
	return &cert, nil
}

// LoadCAs reads the certificates of authorities from PEM files, for
// Config.ClientCAs or a client's RootCAs.
func LoadCAs(files ...string) (*x509.CertPool, error) {
	pool := x509.NewCertPool()
	for _, name := range files {
		content, err := os.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("tls: authorities: %w", err)
		}
		if err := wholePEM(content); err != nil {
			return nil, fmt.Errorf("tls: authorities: %s: %w", name, err)
		}
		found := false
		for block, rest := pem.Decode(content); block != nil; block, rest = pem.Decode(rest) {
			if block.Type != "CERTIFICATE" {
				continue
			}
			cert, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				return nil, fmt.Errorf("tls: authorities: %s: %w", name, err)
			}
			pool.AddCert(cert)
			found = true
		}
		if !found {
			return nil, fmt.Errorf("tls: authorities: %s has no certificate", name)
		}
	}
	return pool, nil
}
