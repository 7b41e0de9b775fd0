package tls

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"time"

	"postern/transport"
)

// A Config says how a listener's connections speak TLS. Only Certificates is
// needed. NewListener reads it once; changing it later changes nothing.
type Config struct {
	// Certificates are what clients see. Listeners with the same Certificates
	// share session tickets as well: a client resumes on one what it began on
	// another, as far as that one's ClientAuth and ClientCAs permit. Their keys
	// change every day, and a ticket is good for a week (crypto/tls's numbers).
	Certificates *Certificates

	// Strict refuses clients that ask for no name, or for one that no
	// certificate has, with the alert unrecognized_name. Otherwise they get the
	// first certificate.
	Strict bool

	// NextProtos are the protocols to agree on (ALPN, RFC 7301), best first. nil:
	// "http/1.1". List only what the server behind speaks. A client that offers
	// none gets no agreement, one that offers only others is refused.
	NextProtos []string

	// HandshakeTimeout is how long a handshake may take, from its beginning; then
	// the connection is closed. Zero: 5 s. Negative: no limit.
	HandshakeTimeout time.Duration

	// ClientAuth says whether clients are asked for a certificate. The zero value
	// asks for none. VerifyClientCertIfGiven and RequireAndVerifyClientCert need
	// ClientCAs; RequestClientCert and RequireAnyClientCert verify nothing, which
	// is then up to whoever reads ConnectionState.
	ClientAuth tls.ClientAuthType
	// ClientCAs are the authorities whose clients are let in: see LoadCAs. It is
	// an error to verify without them, since that would take every authority that
	// the system trusts, and to give them without verifying.
	ClientCAs *x509.CertPool

	// KeyLog receives the secrets of every connection, in the format that
	// Wireshark reads. Whoever has them can read all that was and will be sent:
	// it is for debugging and never for production. nil: none.
	KeyLog io.Writer
}

// defaultTimeout is how long a handshake may take.
const defaultTimeout = 5 * time.Second

// timeout returns what a HandshakeTimeout stands for, 0 for no limit.
func timeout(d time.Duration) time.Duration {
	if d == 0 {
		return defaultTimeout
	}
	return max(d, 0)
}

// check returns what is wrong with c.
func (c Config) check() error {
	verifies := c.ClientAuth == tls.VerifyClientCertIfGiven || c.ClientAuth == tls.RequireAndVerifyClientCert
	switch {
	case c.Certificates == nil:
		return errors.New("no Certificates")
	case verifies && c.ClientCAs == nil:
		return fmt.Errorf("ClientAuth is %v without ClientCAs", c.ClientAuth)
	case !verifies && c.ClientCAs != nil:
		return fmt.Errorf("ClientCAs would not be used: ClientAuth is %v", c.ClientAuth)
	}
	return nil
}

// config returns what crypto/tls is told.
func (c Config) config() *tls.Config {
	protos := slices.Clone(c.NextProtos)
	if protos == nil {
		protos = []string{"http/1.1"}
	}
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		NextProtos:     protos,
		GetCertificate: c.choose,
		ClientAuth:     c.ClientAuth,
		ClientCAs:      c.ClientCAs,
		KeyLogWriter:   c.KeyLog,
		WrapSession:    c.Certificates.tickets.EncryptTicket,
		UnwrapSession:  c.resume,
	}
}

// choose returns the certificate for a client, or none, which crypto/tls answers
// with unrecognized_name.
func (c Config) choose(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	cert, named := c.Certificates.find(hello)
	if c.Strict && !named {
		hello.Conn.(*wire).unknown = true
		return nil, nil
	}
	return cert, nil
}

// resume opens a ticket. TLS 1.3 chooses no certificate when it resumes, so this
// is where a name that became unknown, or was never known, is noticed.
func (c Config) resume(ticket []byte, state tls.ConnectionState) (*tls.SessionState, error) {
	if c.Strict && !c.Certificates.has(state.ServerName) {
		return nil, nil
	}
	return c.Certificates.tickets.DecryptTicket(ticket, state)
}

// A Listener accepts the connections of another one and puts TLS around them.
// All methods may be called at the same time.
type Listener struct {
	inner  patient
	config *tls.Config
	limit  time.Duration
}

// patient is the listener that the other transports have.
type patient interface {
	net.Listener
	AcceptErrors() uint64
	SetDeadline(time.Time) error
}

// NewListener returns a Listener that accepts from inner and closes it; the
// caller leaves inner alone from here on. If inner is not the listener of another
// transport already, it becomes one: see transport.Listener.
func NewListener(inner net.Listener, c Config) (*Listener, error) {
	if err := c.check(); err != nil {
		return nil, fmt.Errorf("tls: listener on %v: %w", inner.Addr(), err)
	}
	p, ok := inner.(patient)
	if !ok {
		p = transport.NewListener(inner)
	}
	return &Listener{inner: p, config: c.config(), limit: timeout(c.HandshakeTimeout)}, nil
}

// Accept waits for the next connection and returns it as a *Conn, before its
// handshake. After Close its error wraps net.ErrClosed.
func (l *Listener) Accept() (net.Conn, error) {
	inner, err := l.inner.Accept()
	if err != nil {
		return nil, err // it says what and where
	}
	return newConn(inner, l.config, l.limit, tls.Server), nil
}

// Close closes the inner listener. Connections already accepted live on.
func (l *Listener) Close() error { return l.inner.Close() }

// Addr returns the inner listener's address.
func (l *Listener) Addr() net.Addr { return l.inner.Addr() }

// AcceptErrors returns how many accepts have failed and were tried again.
func (l *Listener) AcceptErrors() uint64 { return l.inner.AcceptErrors() }

// SetDeadline makes an Accept that would wait past t fail with
// os.ErrDeadlineExceeded, as transport.Listener has it.
func (l *Listener) SetDeadline(t time.Time) error { return l.inner.SetDeadline(t) }
