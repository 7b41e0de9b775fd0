package abuse

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	mrand "math/rand/v2"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// abuse is a way to treat a server badly. A client does it once, and returns what it
// has seen; it is called again until the time is over.
type abuse struct {
	name    string
	clients int
	client  func(ctx context.Context, s *target) string
	want    []string // what clients may see
	must    string   // what some must
}

var abuses = []abuse{
	{"slow heads", scale(300, 2000), slowly("GET / HTTP/1.1\r\nHost: a\r\nX: "), []string{"408", "over"}, "408"},
	{"slow bodies", scale(300, 2000), slowly("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n"), []string{"408", "over"}, "408"},
	{"flood", scale(1000, 4000), flood, []string{"200", "503", "closed", "over"}, "503"},
	{"pipelines that are not read", scale(20, 200), unreading, []string{"cut", "over"}, "cut"},
	{"resets in the middle of answers", scale(20, 100), resetting, []string{"reset", "over"}, "reset"},
	{"garbage", scale(20, 100), garbage, []string{"200", "400", "501", "505", "closed", "over"}, "400"},
	{"half-open handshakes", scale(200, 1000), halfOpen, []string{"closed", "over"}, "closed"},
	{"huge heads", scale(10, 50), hugeHead, []string{"431"}, "431"},
	{"chunk extensions", scale(10, 50), extensions, []string{"400"}, "400"},
}

// Whatever some clients do, the honest ones are served, and when it is over nothing
// is left of it.
func TestAbuse(t *testing.T) {
	s := newTarget(t)
	h := newClients(t, s.TCP)
	time.Sleep(200 * time.Millisecond)
	for _, a := range abuses {
		if a.name == "flood" {
			s.run(t, a, scale(time.Second, 3*time.Second)) // tables that stay for good
		}
	}
	h.pause(t)
	time.Sleep(time.Second)
	start, _ := s.settled(t, state{Objects: 1 << 40, Goroutines: 1 << 30, Files: 1 << 30, Conns: honestConns})
	t.Logf("start: %d objects, %d goroutines, %d files, %d MB", start.Objects, start.Goroutines, start.Files, start.RSS>>20)
	for _, a := range abuses {
		t.Run(a.name, func(t *testing.T) {
			for try := 1; !s.bears(t, h, a, try == 3); try++ {
				t.Logf("once more: others had too much of the machine")
			}
			now, ok := s.settled(t, start)
			t.Logf("left: %d objects, %d goroutines, %d files, %d conns, %d MB, at most %d MB",
				now.Objects, now.Goroutines, now.Files, now.Conns, now.RSS>>20, now.Peak>>20)
			if !ok {
				t.Errorf("at the start: %d objects, %d goroutines, %d files, %d conns", start.Objects, start.Goroutines, start.Files, start.Conns)
			}
			if now.Peak > 512<<20 {
				t.Errorf("%d MB of memory", now.Peak>>20)
			}
		})
	}
}

// bears abuses the server, and looks at what its clients and the honest ones see. If
// the honest ones have waited for too long, others had a noticeable part of the
// processors and it is not the last try, it reports that it is to be tried again.
func (s *target) bears(t *testing.T, h *clients, a abuse, last bool) bool {
	t.Helper()
	pids := []int{os.Getpid(), s.cmd.Process.Pid, h.cmd.Process.Pid}
	quiet := h.quiet(t, pids)
	t.Logf("quiet: %d of %d answered, median %v, p99 %v, at most %v", quiet.Answered, quiet.Asked, quiet.P50, quiet.P99, quiet.Max)
	d := scale(1300*time.Millisecond, 10*time.Second)
	if long && a.name == "garbage" {
		d = time.Minute
	}
	began, idle, own := time.Now(), idleTime(), ownTime(pids)
	seen := s.run(t, a, d)
	r := h.pause(t) // a server that is idle keeps fewer goroutines
	disturbed := others(pids, began, idle, own)
	t.Logf("saw %v", seen)
	t.Logf("honest: %d of %d answered, median %v, p99 %v (%.1f times the quiet one), at most %v; others had %.0f%% of the machine",
		r.Answered, r.Asked, r.P50, r.P99, float64(r.P99)/float64(quiet.P99), r.Max, 100*disturbed)
	for what := range seen {
		if !slices.Contains(a.want, what) {
			t.Errorf("clients saw %q", what)
		}
	}
	if seen[a.must] == 0 {
		t.Errorf("no client saw %q", a.must)
	}
	if r.Asked == 0 || r.Answered*100 < r.Asked*99 {
		t.Errorf("%d of %d honest requests were answered: %q", r.Answered, r.Asked, r.Faults)
	}
	most := max(10*quiet.P99, scale(2*time.Second, 0))
	if r.P99 > most && disturbed > disturbance && !last {
		return false
	}
	if r.P99 > most {
		t.Errorf("p99 is %v, want at most %v", r.P99, most)
	}
	return true
}

// pace is how long a client waits at least from one attempt to the next. Abuse that
// costs clients as much as the server would measure which of them has more of the
// machine.
const pace = 250 * time.Millisecond

// run lets the clients do their worst for d, and counts what they see. They begin
// within a second: all at once, they would measure how many connections two
// processors can open, which is as much work for the clients as for the server.
func (s *target) run(t *testing.T, a abuse, d time.Duration) map[string]int {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	var mu sync.Mutex
	seen := make(map[string]int)
	var wg sync.WaitGroup
	for i := range a.clients {
		wg.Go(func() {
			time.Sleep(time.Second * time.Duration(i) / time.Duration(a.clients))
			for ctx.Err() == nil {
				next := time.After(pace)
				what := a.client(ctx, s)
				mu.Lock()
				seen[what]++
				mu.Unlock()
				select {
				case <-next:
				case <-ctx.Done():
				}
			}
		})
	}
	wg.Wait()
	return seen
}

// slack is how long after its limit the server may end something on a machine that
// has much else to do.
const slack = 10 * time.Second

// dial connects; the connection is closed when ctx ends.
func dial(ctx context.Context, addr string) (*net.TCPConn, func(), error) {
	c, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err != nil {
		if e, ok := errors.AsType[net.Error](err); ok && e.Timeout() {
			<-ctx.Done() // the deadline is ctx's
		}
		return nil, nil, err
	}
	unhook := context.AfterFunc(ctx, func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(limit + slack)); err != nil && ctx.Err() == nil {
		return nil, nil, err
	}
	return c.(*net.TCPConn), func() { unhook(); c.Close() }, nil
}

// unconnected says why dial has failed.
func unconnected(ctx context.Context, err error) string {
	if ctx.Err() != nil {
		return "over"
	}
	return err.Error()
}

// outcome says how a connection ended: by which status, "closed" or "late".
func outcome(ctx context.Context, c net.Conn) string {
	b, err := io.ReadAll(c)
	switch got := string(b); {
	case ctx.Err() != nil:
		return "over"
	case strings.HasPrefix(got, "HTTP/1.1 "):
		return got[len("HTTP/1.1 "):][:3]
	case err != nil && err.(net.Error).Timeout():
		return "late"
	case len(b) > 0:
		return fmt.Sprintf("%.20q", b)
	}
	return "closed"
}

// slowly sends the beginning at once, and then a byte a second.
func slowly(beginning string) func(context.Context, *target) string {
	return func(ctx context.Context, s *target) string {
		c, done, err := dial(ctx, s.TCP)
		if err != nil {
			return unconnected(ctx, err)
		}
		defer done()
		_, _ = io.WriteString(c, beginning) // failing, the outcome shows it
		stop := make(chan bool)
		defer close(stop)
		go func() { // ends with the function
			for {
				select {
				case <-time.After(time.Second):
					_, _ = c.Write([]byte("x"))
				case <-stop:
					return
				}
			}
		}()
		return outcome(ctx, c)
	}
}

// flood holds a connection for as long as the server lets it.
func flood(ctx context.Context, s *target) string {
	c, done, err := dial(ctx, s.TCP)
	if err != nil {
		return unconnected(ctx, err)
	}
	defer done()
	_, _ = io.WriteString(c, small)
	return outcome(ctx, c)
}

// unreading asks and asks, and does not look at the answers.
func unreading(ctx context.Context, s *target) string {
	c, done, err := dial(ctx, s.TCP)
	if err != nil {
		return unconnected(ctx, err)
	}
	defer done()
	_, _ = c.SetReadBuffer(16<<10), c.SetWriteBuffer(64<<10) // else the kernel runs out of memory for sockets: they are all here
	many := bytes.Repeat([]byte("GET /12k HTTP/1.1\r\nHost: a\r\n\r\n"), 1000)
	for {
		_, err := c.Write(many)
		switch {
		case ctx.Err() != nil:
			return "over"
		case err != nil && err.(net.Error).Timeout():
			return "late"
		case err != nil:
			return "cut"
		}
	}
}

// resetting resets the connection while an answer is on its way.
func resetting(ctx context.Context, s *target) string {
	c, done, err := dial(ctx, s.TCP)
	if err != nil {
		return unconnected(ctx, err)
	}
	defer done()
	_, _ = io.WriteString(c, "GET /big HTTP/1.1\r\nHost: a\r\n\r\n")
	_, _ = io.CopyN(io.Discard, c, mrand.Int64N(1<<20))
	_ = c.SetLinger(0)
	return "reset"
}

// garbage sends what is no HTTP, or nearly none.
func garbage(ctx context.Context, s *target) string {
	addr := s.TCP
	if mrand.IntN(4) == 0 {
		addr = s.state.TLS
	}
	c, done, err := dial(ctx, addr)
	if err != nil {
		return unconnected(ctx, err)
	}
	defer done()
	b := make([]byte, 1+mrand.IntN(2000))
	_, _ = rand.Read(b)
	if mrand.IntN(2) == 0 {
		b = append([]byte("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"), b...)
		b[mrand.IntN(len(b))] = byte(mrand.Int())
	}
	_, _ = c.Write(b)
	_ = c.CloseWrite()
	what := outcome(ctx, c)
	if strings.HasPrefix(what, `"\x15\x03`) { // an alert
		return "closed"
	}
	return what
}

// halfOpen begins a handshake, and never ends it.
func halfOpen(ctx context.Context, s *target) string {
	c, done, err := dial(ctx, s.state.TLS)
	if err != nil {
		return unconnected(ctx, err)
	}
	defer done()
	if mrand.IntN(2) == 0 { // some say hello
		go tls.Client(deaf{c}, &tls.Config{ServerName: "localhost"}).Handshake() // ends with the connection
		_, err := io.Copy(io.Discard, c)                                         // the server's side of it, and then?
		switch {
		case ctx.Err() != nil:
			return "over"
		case err != nil && err.(net.Error).Timeout():
			return "late"
		}
		return "closed"
	}
	_, _ = c.Write([]byte{22, 3, 1, 2, 0, 1, 0})
	what := outcome(ctx, c)
	if strings.HasPrefix(what, `"\x15\x03`) { // an alert
		return "closed"
	}
	return what
}

// deaf is a connection whose answers somebody else reads.
type deaf struct{ net.Conn }

func (d deaf) Read([]byte) (int, error) { return 0, io.EOF }

// hugeHead sends a head that does not end.
func hugeHead(ctx context.Context, s *target) string {
	c, done, err := dial(context.WithoutCancel(ctx), s.TCP)
	if err != nil {
		return unconnected(ctx, err)
	}
	defer done()
	line := []byte("X: " + strings.Repeat("x", 1000) + "\r\n")
	_, _ = c.Write([]byte("GET / HTTP/1.1\r\nHost: a\r\n"))
	for range 1000 {
		if _, err := c.Write(line); err != nil {
			break
		}
	}
	return outcome(context.Background(), c)
}

// extensions sends one byte in each chunk, and much beside it.
func extensions(ctx context.Context, s *target) string {
	c, done, err := dial(context.WithoutCancel(ctx), s.TCP)
	if err != nil {
		return unconnected(ctx, err)
	}
	defer done()
	chunks := []byte(strings.Repeat("1;a="+strings.Repeat("x", 200)+"\r\nx\r\n", 50)) // one by one they would cost us more than the server
	_, _ = c.Write([]byte("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"))
	for range 100 {
		if _, err := c.Write(chunks); err != nil {
			break
		}
	}
	return outcome(context.Background(), c)
}
