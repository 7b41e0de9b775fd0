package proxyproto

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"postern/transport"
)

// A Config says who sends headers. Only Trusted is needed. NewListener reads it
// once; changing it later changes nothing.
type Config struct {
	// Trusted reports whether peer is a proxy that is to be believed, and from which
	// a header is required: TrustPrefixes, TrustAll, or a function that Accept may
	// call for each connection, so it should not block.
	Trusted func(peer net.Addr) bool

	// PassOthers has Accept return the connections of peers that are not trusted as
	// they are: what they send is no header to anybody. Without it they are closed
	// at once.
	PassOthers bool

	// Timeout is how long a header may take, from Accept. Zero: 5 s. Negative: no
	// limit.
	Timeout time.Duration

	// MaxHeader is the longest header of version 2, in bytes, with its TLVs; they may
	// hold a certificate. Zero: 4096. Negative: what the format allows, 64 KiB. One
	// of version 1 has 107 at most.
	MaxHeader int

	// Refused, if not nil, is told of each connection that was closed, for a log or a
	// counter: err says why. Only those are left out that this end has closed. It is
	// called by Accept for a peer that is not trusted, else by the first to read,
	// perhaps for several connections at once, and should not block.
	Refused func(peer net.Addr, err error)
}

// ErrUntrusted is what Config.Refused is told of a peer that is not trusted.
var ErrUntrusted = errors.New("proxyproto: peer is not trusted")

// TrustAll trusts every peer. It is for listeners that only the proxy can reach, as a
// Unix socket with the right permissions: anybody else could name any address as
// its own.
func TrustAll(net.Addr) bool { return true }

// TrustPrefixes trusts the peers whose IP address is in one of the prefixes. An IPv4
// address is one also when it comes in an IPv6 one; zones do not matter.
func TrustPrefixes(prefixes ...netip.Prefix) func(peer net.Addr) bool {
	return func(peer net.Addr) bool {
		tcp, ok := peer.(*net.TCPAddr)
		if !ok {
			return false
		}
		ip := tcp.AddrPort().Addr().Unmap().WithZone("")
		for _, p := range prefixes {
			if p.Contains(ip) {
				return true
			}
		}
		return false
	}
}

// A Listener accepts connections that begin with a header. It has the methods of
// transport.Listener, and they may be called at the same time.
type Listener struct {
	inner  patient
	config Config
}

// patient is the listener that the other transports have.
type patient interface {
	net.Listener
	AcceptErrors() uint64
	SetDeadline(time.Time) error
}

// NewListener returns a Listener that accepts from inner and closes it; the
// caller leaves inner alone from here on. If inner is not the listener of another
// transport already, it becomes one: see transport.Listener. It is an error to trust
// nobody in particular: there is no safe default.
func NewListener(inner net.Listener, c Config) (*Listener, error) {
	if c.Trusted == nil {
		return nil, fmt.Errorf("proxyproto: listener on %v: Config.Trusted is nil: say which peers are proxies", inner.Addr())
	}
	if c.Timeout == 0 {
		c.Timeout = 5 * time.Second
	}
	switch {
	case c.MaxHeader == 0:
		c.MaxHeader = 4096
	case c.MaxHeader < 0:
		c.MaxHeader = headSize + 1<<16
	}
	p, ok := inner.(patient)
	if !ok {
		p = transport.NewListener(inner)
	}
	return &Listener{inner: p, config: c}, nil
}

// Accept waits for the next connection and returns it as a *Conn before
// its header was read, or as it is if its peer is not trusted and
// Config.PassOthers is set. After Close its error wraps net.ErrClosed.
func (l *Listener) Accept() (net.Conn, error) {
	for {
		conn, err := l.inner.Accept()
		if err != nil {
			return nil, err // it says what and where
		}
		peer := conn.RemoteAddr()
		switch {
		case l.config.Trusted(peer):
			return newConn(conn, &l.config), nil
		case l.config.PassOthers:
			return conn, nil
		}
		_ = conn.Close() // nothing was said
		if l.config.Refused != nil {
			l.config.Refused(peer, ErrUntrusted)
		}
	}
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
