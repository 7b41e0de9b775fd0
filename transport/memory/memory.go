// Package memory is a transport inside the process: a listener, a way to dial
// it, and connections that behave as TCP ones do, with buffers of a fixed size,
// half-close, deadlines and resets. A whole server runs over it without a
// socket.
//
// It works under testing/synctest: whatever waits here is durably blocked, and
// deadlines follow the bubble's clock. Listeners and pipes belong to the bubble
// that made them.
package memory

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
)

// A Config says how a listener and its connections are measured. The zero value
// is good.
type Config struct {
	// Buffer is how many bytes a connection holds, for each direction, until the
	// peer reads; a write waits for room. Zero or negative: 64 KiB.
	Buffer int
	// Backlog is how many connections may wait for Accept before Dial waits.
	// Zero: 128. Negative: none, so Dial returns when Accept has the connection.
	Backlog int
	// Name is the host part of every address. "" means "memory".
	Name string
}

// Addr is the address of a listener or of one end of a connection, in the form
// "name:number": 0 for listeners, 1, 2, 3 and so on for those who dialled.
type Addr string

// Network returns "memory".
func (Addr) Network() string { return "memory" }

// String returns "name:number".
func (a Addr) String() string { return string(a) }

// withDefaults returns c with every zero replaced by what it stands for.
func (c Config) withDefaults() Config {
	if c.Buffer <= 0 {
		c.Buffer = 64 << 10
	}
	if c.Backlog == 0 {
		c.Backlog = 128
	}
	c.Backlog = max(c.Backlog, 0)
	if c.Name == "" {
		c.Name = "memory"
	}
	return c
}

func (c Config) addr(number uint64) Addr {
	return Addr(c.Name + ":" + strconv.FormatUint(number, 10))
}

// A Listener accepts connections from its own Dial. It is a net.Listener. All
// methods may be called at the same time.
type Listener struct {
	config Config
	queue  chan *Conn // dialled, not yet accepted: the server's ends
	dials  atomic.Uint64
	closed chan struct{} // closed by the first Close
	once   sync.Once     // guards closed
}

// Listen returns a new Listener, which no other can get in the way of. The
// caller closes it.
func Listen(c Config) *Listener {
	c = c.withDefaults()
	return &Listener{config: c, queue: make(chan *Conn, c.Backlog), closed: make(chan struct{})}
}

// Dial connects to l and returns the client's end, a *Conn that the caller
// closes. While the backlog is full it waits, until ctx ends; the error then
// wraps that of ctx. When l is closed the error wraps syscall.ECONNREFUSED.
func (l *Listener) Dial(ctx context.Context) (net.Conn, error) {
	client, server := pipe(l.config.Buffer, l.config.addr(l.dials.Add(1)), l.config.addr(0))
	err := ctx.Err()
	if err == nil {
		select {
		case <-l.closed:
			err = syscall.ECONNREFUSED
		default:
			select {
			case l.queue <- server:
			case <-l.closed:
				err = syscall.ECONNREFUSED
			case <-ctx.Done():
				err = ctx.Err()
			}
		}
	}
	if err != nil {
		return nil, fmt.Errorf("memory: %w", &net.OpError{Op: "dial", Net: "memory", Addr: l.Addr(), Err: err})
	}
	select {
	case <-l.closed:
		l.drain() // Close may have drained before the connection was queued
	default:
	}
	return client, nil
}

// Accept waits for the next connection and returns the server's end, a *Conn
// that the caller closes. After Close its error wraps net.ErrClosed.
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case <-l.closed:
	default:
		select {
		case conn := <-l.queue:
			return conn, nil
		case <-l.closed:
		}
	}
	return nil, &net.OpError{Op: "accept", Net: "memory", Addr: l.Addr(), Err: net.ErrClosed}
}

// Close ends every Accept and Dial, and resets the connections that nobody
// accepted. Accepted ones live on. A second Close returns an error that wraps
// net.ErrClosed.
func (l *Listener) Close() error {
	err := error(&net.OpError{Op: "close", Net: "memory", Addr: l.Addr(), Err: net.ErrClosed})
	l.once.Do(func() {
		close(l.closed)
		l.drain()
		err = nil
	})
	return err
}

// Addr returns the listener's Addr, "memory:0" unless Config.Name says
// otherwise.
func (l *Listener) Addr() net.Addr { return l.config.addr(0) }

// drain resets the connections that wait in the queue.
func (l *Listener) drain() {
	for {
		select {
		case conn := <-l.queue:
			conn.reset()
		default:
			return
		}
	}
}
