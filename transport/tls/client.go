package tls

import (
	"context"
	"crypto/tls"
	"net"
)

// Client makes inner the client's end of a TLS connection and does the handshake,
// within the time that ctx leaves, at most 5 s. config is crypto/tls's: it needs
// ServerName, or InsecureSkipVerify for who can do without. It is not changed and
// may be shared; versions before TLS 1.2 are left out whatever it says. On error
// inner is closed.
func Client(ctx context.Context, inner net.Conn, config *tls.Config) (*Conn, error) {
	config = config.Clone()
	config.MinVersion = max(config.MinVersion, tls.VersionTLS12)
	c := newConn(inner, config, defaultTimeout, tls.Client)
	if err := c.HandshakeContext(ctx); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}
