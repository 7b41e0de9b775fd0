// Package peer is what the peers share: the flags of postern's examples/echo, a
// listener, and the contents of the replies.
package peer

import (
	"bytes"
	"flag"
	"fmt"
	"net"
	"os"
)

// The contents of the replies to GET / , /500 and /12k.
var (
	Hello  = []byte("Hello, World!")
	Half   = bytes.Repeat([]byte("x"), 500)
	Twelve = bytes.Repeat([]byte("x"), 12<<10)
)

// Files of the certificate and its key. Both are empty without TLS.
var (
	Cert = flag.String("tls-cert", "", "speak TLS with the certificate in `FILE`")
	Key  = flag.String("tls-key", "", "the certificate's key is in `FILE`")
)

var (
	addr = flag.String("addr", "", "listen on `HOST:PORT`")
	path = flag.String("unix", "", "listen on a Unix socket at `PATH`")
)

// Content returns what a GET of the path is answered with, nil if there is nothing.
func Content(path string) []byte {
	switch path {
	case "/":
		return Hello
	case "/500":
		return Half
	case "/12k":
		return Twelve
	}
	return nil
}

// Listen parses the flags and opens the listener they ask for. It ends the program
// if it cannot.
func Listen() net.Listener {
	flag.Parse()
	network, where := "tcp", *addr
	if *path != "" {
		network, where = "unix", *path
	}
	ln, err := net.Listen(network, where)
	Fatal(err)
	return ln
}

// Fatal ends the program with the error, if there is one.
func Fatal(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
