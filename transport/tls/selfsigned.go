package tls

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"net"
	"time"
)

// How long a self-signed certificate is valid, and how far a client's clock may be
// behind ours when it is new.
const (
	selfSignedLife = 90 * 24 * time.Hour
	clockSkew      = time.Hour
)

// SelfSigned makes a certificate for development and tests, with a key of its own
// (ECDSA on P-256), valid for 90 days, for these host names and IP addresses.
// Without any it is for this machine: localhost, 127.0.0.1 and ::1. No client
// trusts it unless told to: Leaf is what to put into its RootCAs.
func SelfSigned(names ...string) (tls.Certificate, error) {
	if len(names) == 0 {
		names = []string{"localhost", "127.0.0.1", "::1"}
	}
	now := time.Now()
	template := &x509.Certificate{
		// CreateCertificate chooses the serial number.
		Subject:               pkix.Name{CommonName: names[0]},
		NotBefore:             now.Add(-clockSkew),
		NotAfter:              now.Add(selfSignedLife),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true, // and no authority
	}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	cert, err := selfSigned(template)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("tls: self-signed certificate for %q: %w", names, err)
	}
	return cert, nil
}

func selfSigned(template *x509.Certificate) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return tls.Certificate{}, err
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, nil
}
