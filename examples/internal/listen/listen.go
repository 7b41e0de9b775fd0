// Package listen is what the examples share: the flags that say where to listen.
package listen

import (
	"flag"
	"fmt"
	"io"
	"net"

	"postern/server"
	"postern/transport/tcp"
	"postern/transport/unix"
)

// Flags are -addr and -unix. At least one listener is opened: without either flag
// it is one on 127.0.0.1:8080.
type Flags struct{ addr, path *string }

// On adds the flags to a set that is yet to be parsed.
func On(flags *flag.FlagSet) Flags {
	return Flags{
		addr: flags.String("addr", "", "listen on `HOST:PORT` (127.0.0.1:8080 if no -unix is given)"),
		path: flags.String("unix", "", "listen on a Unix socket at `PATH`"),
	}
}

// Open opens the listeners, each named by its address, and writes "listening on
// ADDR" for each once clients can connect. Either all are opened or none.
func (f Flags) Open(stdout io.Writer) (all []net.Listener, err error) {
	defer func() {
		if err != nil {
			Close(all)
			all = nil
		}
	}()
	addr := *f.addr
	if addr == "" && *f.path == "" {
		addr = "127.0.0.1:8080"
	}
	var names []string
	if addr != "" {
		ln, err := tcp.Listen(tcp.Config{Addr: addr})
		if err != nil {
			return all, err
		}
		names = append(names, ln.Addr().String())
		all = append(all, ln)
	}
	if *f.path != "" {
		ln, err := unix.Listen(unix.Config{Path: *f.path})
		if err != nil {
			return all, err
		}
		names = append(names, "unix:"+*f.path)
		all = append(all, ln)
	}
	for i, name := range names {
		all[i] = server.Listener{Listener: all[i], Name: name}
		fmt.Fprintln(stdout, "listening on", name)
	}
	return all, nil
}

// Close closes listeners that nobody serves.
func Close(listeners []net.Listener) {
	for _, ln := range listeners {
		ln.Close()
	}
}
