// Echo answers a few fixed requests, for measuring and for trying clients:
//
//	GET, HEAD /      Hello, World!
//	GET, HEAD /500   500 bytes
//	GET, HEAD /12k   12288 bytes
//	POST /echo       the request's content
//
// It listens on -addr, on -unix, or on both, and says "listening on ADDR" for
// each once it can accept; with -tls-cert and -tls-key all of them speak TLS.
// SIGINT and SIGTERM let it finish what has begun; a second one ends it at once.
package main

import (
	"context"
	"fmt"
	"io"
	"net"

	"postern/examples/internal/program"
	"postern/server"
	"postern/transport/tls"
)

func main() { program.Main("echo", run) }

// run is the program: it serves until ctx ends.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := program.NewFlags("echo", stderr)
	cert := flags.String("tls-cert", "", "speak TLS with the certificate in `FILE`")
	key := flags.String("tls-key", "", "the certificate's key is in `FILE`")
	if err := flags.Parse(args); err != nil {
		return err
	}
	listeners, err := flags.Listen()
	if err != nil {
		return err
	}
	if *cert != "" || *key != "" {
		if err := secure(listeners, *cert, *key); err != nil {
			program.Close(listeners)
			return err
		}
	}
	program.Announce(stdout, listeners)
	srv := server.New(echo, server.Config{Limits: server.Limits{MaxBody: 8 << 20}})
	return srv.Run(ctx, listeners...)
}

// secure makes every listener speak TLS.
func secure(listeners []net.Listener, cert, key string) error {
	certs, err := tls.NewCertificates(tls.CertificatesConfig{Sources: []tls.Source{{CertFile: cert, KeyFile: key}}})
	if err != nil {
		return fmt.Errorf("-tls-cert and -tls-key: %w", err)
	}
	for i, ln := range listeners {
		plain := ln.(server.Listener)
		if plain.Listener, err = tls.NewListener(plain.Listener, tls.Config{Certificates: certs}); err != nil {
			return err
		}
		listeners[i] = plain
	}
	return nil
}
