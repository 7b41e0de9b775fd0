// Package tls puts TLS 1.2 and 1.3 around the connections of any net.Listener:
// those of transport/tcp and transport/unix, and others. The protocol itself is
// crypto/tls; here are the certificates, their choice and exchange while the
// server runs, and a connection that keeps what a transport promises.
//
//	certs, err := tls.NewCertificates(tls.CertificatesConfig{
//		Sources: []tls.Source{{CertFile: "cert.pem", KeyFile: "key.pem"}},
//	})
//	...
//	ln, err := tls.NewListener(inner, tls.Config{Certificates: certs})
//
// # Handshakes
//
// Accept does no handshake, so that a slow client keeps nobody waiting: whoever
// serves the connection calls HandshakeContext, or the first Read or Write does
// it. No goroutine is started and nothing is queued. How many handshakes run at
// once is therefore the number of connections, whose limit is the server's.
//
// # Certificates
//
// The name that the client asks for (SNI, RFC 6066 3) finds the certificate that
// has it, else one whose wildcard stands for its first label, else the first of
// all; Config.Strict refuses instead. A client that connects to an IP address
// sends no name. Files are read again when they change, and what was good stays
// in use until what replaces it is good too: see CertificatesConfig.
//
// # Ends
//
// A TLS stream ends with a message (close_notify, RFC 8446 6.1), which nobody
// on the way can forge, not with the end of the connection below. CloseWrite and
// Close send it; Read returns io.EOF for it, and io.ErrUnexpectedEOF when the
// connection ended without. Close after SetLinger(0) leaves it out: what was
// sent is then known to be incomplete.
package tls
