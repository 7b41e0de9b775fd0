// Package program is what the example programs share: flags, listeners, signals
// and exit codes.
package program

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"postern/server"
	"postern/transport/tcp"
	"postern/transport/unix"
)

// Run is a program without its process: it ends when ctx does.
type Run func(ctx context.Context, args []string, stdout, stderr io.Writer) error

// Main runs a program until SIGINT or SIGTERM, which let it finish what has begun;
// a second one ends it at once. It exits with 1 after an error and with 2 after
// flags that make no sense.
func Main(name string, run Run) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // from here on signals do what they always do
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
	case errors.Is(err, ErrUsage):
		os.Exit(2)
	case err != nil:
		fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
		os.Exit(1)
	}
}

// ErrUsage is the error of flags that make no sense; package flag has told why.
var ErrUsage = errors.New("usage")

// Flags are a program's flags, with -addr and -unix among them.
type Flags struct {
	*flag.FlagSet
	addr, path *string
}

// NewFlags makes the flags of a program that writes its complaints to stderr.
func NewFlags(name string, stderr io.Writer) Flags {
	set := flag.NewFlagSet(name, flag.ContinueOnError)
	set.SetOutput(stderr)
	return Flags{
		FlagSet: set,
		addr:    set.String("addr", "", "listen on `HOST:PORT` (127.0.0.1:8080 if no -unix is given)"),
		path:    set.String("unix", "", "listen on a Unix socket at `PATH`"),
	}
}

// Parse parses the arguments, which must be flags. It fails with ErrUsage, or with
// flag.ErrHelp when only help was wanted.
func (f Flags) Parse(args []string) error {
	switch err := f.FlagSet.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return err
	case err != nil:
		return ErrUsage
	case f.NArg() > 0:
		fmt.Fprintf(f.Output(), "%s: argument %q: there are only flags\n", f.Name(), f.Arg(0))
		return ErrUsage
	}
	return nil
}

// Listen opens the listeners that -addr and -unix ask for, each named by its
// address; without either flag it is one on 127.0.0.1:8080. Either all are opened
// or none.
func (f Flags) Listen() (all []net.Listener, err error) {
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
	if addr != "" {
		ln, err := tcp.Listen(tcp.Config{Addr: addr})
		if err != nil {
			return all, err
		}
		all = append(all, server.Listener{Listener: ln, Name: ln.Addr().String()})
	}
	if *f.path != "" {
		ln, err := unix.Listen(unix.Config{Path: *f.path})
		if err != nil {
			return all, err
		}
		all = append(all, server.Listener{Listener: ln, Name: "unix:" + *f.path})
	}
	return all, nil
}

// Announce writes "listening on ADDR" for each listener that Listen has opened:
// clients can connect from then on.
func Announce(stdout io.Writer, listeners []net.Listener) {
	for _, ln := range listeners {
		fmt.Fprintln(stdout, "listening on", ln.(server.Listener).Name)
	}
}

// Dial connects to an address as Announce writes it: HOST:PORT, or unix:PATH.
func Dial(ctx context.Context, addr string) (net.Conn, error) {
	if path, ok := strings.CutPrefix(addr, "unix:"); ok {
		return unix.Dial(ctx, path)
	}
	return tcp.Dial(ctx, tcp.Config{Addr: addr})
}

// Close closes listeners that nobody serves.
func Close(listeners []net.Listener) {
	for _, ln := range listeners {
		ln.Close()
	}
}
