package proxyproto_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/netip"

	"postern/transport/proxyproto"
	"postern/transport/tcp"
)

// A proxy on this machine carries a client's connection, and says whose it is.
func Example() {
	inner, err := tcp.Listen(tcp.Config{})
	if err != nil {
		log.Fatal(err)
	}
	ln, err := proxyproto.NewListener(inner, proxyproto.Config{
		Trusted: proxyproto.TrustPrefixes(netip.MustParsePrefix("127.0.0.0/8")),
		Refused: func(_ net.Addr, err error) { log.Print(err) },
	})
	if err != nil {
		log.Fatal(err)
	}
	defer ln.Close()

	proxy, err := tcp.Dial(context.Background(), tcp.Config{Addr: ln.Addr().String()})
	if err != nil {
		log.Fatal(err)
	}
	defer proxy.Close()
	h := proxyproto.Header{
		Version:     2,
		Source:      netip.MustParseAddrPort("192.0.2.7:50000"),
		Destination: netip.MustParseAddrPort("198.51.100.1:443"),
	}
	first, err := h.Append(nil)
	if err != nil {
		log.Fatal(err)
	}
	proxy.Write(append(first, "hello"...)) // what the client sent goes behind it

	conn, err := ln.Accept()
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	said := make([]byte, 5)
	io.ReadFull(conn, said)
	fmt.Printf("%v says %s\n", conn.RemoteAddr(), said)
	// Output: 192.0.2.7:50000 says hello
}
