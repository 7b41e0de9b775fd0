package tls_test

import (
	"context"
	stdtls "crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"

	"postern/transport/memory"
	"postern/transport/tcp"
	"postern/transport/tls"
)

// A server and a client on this machine, with a certificate made for the occasion.
func Example() {
	cert, err := tls.SelfSigned()
	if err != nil {
		log.Fatal(err)
	}
	certs, err := tls.NewCertificates(tls.CertificatesConfig{Sources: []tls.Source{{Certificate: cert}}})
	if err != nil {
		log.Fatal(err)
	}
	inner, err := tcp.Listen(tcp.Config{})
	if err != nil {
		log.Fatal(err)
	}
	ln, err := tls.NewListener(inner, tls.Config{Certificates: certs})
	if err != nil {
		log.Fatal(err)
	}
	defer ln.Close()
	go func() {
		conn, err := ln.Accept()
		if err != nil {
			log.Fatal(err)
		}
		fmt.Fprint(conn, "hello") // the first Write does the handshake
		conn.Close()
	}()

	below, err := tcp.Dial(context.Background(), tcp.Config{Addr: ln.Addr().String()})
	if err != nil {
		log.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(cert.Leaf)
	conn, err := tls.Client(context.Background(), below, &stdtls.Config{ServerName: "localhost", RootCAs: roots})
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	got, err := io.ReadAll(conn)
	fmt.Printf("%s %v\n", got, err)
	// Output: hello <nil>
}

// A certificate for every name, with the first for who asks for none, read again
// when the files change.
func ExampleNewCertificates() {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	for _, name := range []string{"example.org", "example.net"} {
		if err := save(dir, name); err != nil {
			log.Fatal(err)
		}
	}

	certs, err := tls.NewCertificates(tls.CertificatesConfig{
		Sources: []tls.Source{
			{CertFile: filepath.Join(dir, "example.org.pem"), KeyFile: filepath.Join(dir, "example.org.key")},
			{CertFile: filepath.Join(dir, "example.net.pem"), KeyFile: filepath.Join(dir, "example.net.key")},
		},
		OnReload: func(err error) { fmt.Println("changed, and wrong is:", err) },
	})
	if err != nil {
		log.Fatal(err)
	}
	if err := save(dir, "example.net"); err != nil { // renewed
		log.Fatal(err)
	}
	if err := certs.Reload(); err != nil { // or wait a minute
		log.Fatal(err)
	}
	if _, err := tls.NewListener(memory.Listen(memory.Config{}), tls.Config{Certificates: certs}); err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%+v\n", certs.Stats())
	// Output:
	// changed, and wrong is: <nil>
	// {Reloads:1 Failures:0}
}

// save makes a certificate for a name and writes it and its key as PEM.
func save(dir, name string) error {
	cert, err := tls.SelfSigned(name)
	if err != nil {
		return err
	}
	key, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	if err != nil {
		return err
	}
	chain := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Certificate[0]})
	if err := os.WriteFile(filepath.Join(dir, name+".pem"), chain, 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, name+".key"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}), 0o600)
}
