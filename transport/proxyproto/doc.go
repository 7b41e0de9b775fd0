// Package proxyproto takes the client's address from a proxy that cannot say it in
// the protocol it carries: versions 1 and 2 of HAProxy's PROXY protocol, which
// HAProxy, nginx, Envoy and most clouds' load balancers speak. The header stands
// before everything else on a connection. Section numbers here are those of
// https://www.haproxy.org/download/3.2/doc/proxy-protocol.txt.
//
//	inner, err := tcp.Listen(tcp.Config{Addr: ":8080"})
//	...
//	ln, err := proxyproto.NewListener(inner, proxyproto.Config{
//		Trusted: proxyproto.TrustPrefixes(netip.MustParsePrefix("10.0.0.0/24")),
//	})
//
// TLS that the client speaks goes around it, since the header comes first:
// tls.NewListener(ln, ...).
//
// # Who is believed
//
// Whoever may send a header says who the client is: what is decided by address,
// logged or counted for it is in its hands. So a listener has to be told whom it
// trusts, and those have to be proxies that put a header of their own before
// whatever a client sends. From them a header is required. There is no mode that
// takes connections with and without one from the same peer: through a proxy that
// adds none, every client could send one itself, and section 5 forbids such
// guessing. A peer that is not trusted is refused, or its connection is passed on
// untouched, header and all.
//
// # When it is read
//
// Accept reads nothing. The first call that needs the header reads it, and no byte
// beyond: Read, Write, ReadFrom, RemoteAddr, LocalAddr, Header, SyscallConn, Pump
// and Rest. From then on the connection below goes on as if the header had never
// been there, and so by its fast paths. A connection whose header is wrong or late
// is closed without an answer, and every call has the same error.
package proxyproto
