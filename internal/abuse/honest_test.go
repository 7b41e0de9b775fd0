package abuse

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Honest clients ask in an open loop: each request has its time, whatever became of
// the one before, and its latency counts from then.
const (
	honestConns = 50
	honestRate  = 1000 // requests a second, of all together
)

// report is how honest clients have fared.
type report struct {
	Asked, Answered int
	P50, P99, Max   time.Duration
	Faults          []string // the first few
}

// behonest is the honest clients' process: it asks until its input ends, and tells
// how it went between one line of input and the next. Behind "pause" it does not ask
// until the next line.
func behonest(addr string) error {
	var h honest
	for i := range honestConns {
		go h.client(addr, time.Duration(i)*time.Second/honestRate) // ends with the process
	}
	in := bufio.NewReader(os.Stdin)
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return nil // that is all
		}
		h.paused.Store(line == "pause\n")
		if err := json.NewEncoder(os.Stdout).Encode(h.report()); err != nil {
			return err
		}
	}
}

type honest struct {
	paused atomic.Bool
	mu     sync.Mutex
	asked  int
	took   []time.Duration
	faults []string
}

func (h *honest) report() report {
	h.mu.Lock()
	defer h.mu.Unlock()
	r := report{Asked: h.asked, Answered: len(h.took), Faults: h.faults}
	slices.Sort(h.took)
	if n := len(h.took); n > 0 {
		r.P50, r.P99, r.Max = h.took[n/2], h.took[n*99/100], h.took[n-1]
	}
	h.asked, h.took, h.faults = 0, nil, nil
	return r
}

// client is one connection, opened again when it ends.
func (h *honest) client(addr string, offset time.Duration) {
	var c net.Conn
	in, out := []byte(small), make([]byte, 4096)
	next := time.Now().Add(offset)
	for ; ; next = next.Add(honestConns * time.Second / honestRate) {
		if time.Sleep(time.Until(next)); h.paused.Load() {
			continue
		}
		var err error
		if c == nil {
			c, err = net.Dial("tcp", addr)
		}
		if err == nil {
			err = call(c, in, out)
		}
		h.mu.Lock()
		h.asked++
		if err == nil {
			h.took = append(h.took, time.Since(next))
		} else if len(h.faults) < 5 {
			h.faults = append(h.faults, err.Error())
		}
		h.mu.Unlock()
		if err != nil && c != nil {
			c.Close()
			c = nil
		}
	}
}

func call(c net.Conn, in, out []byte) error {
	if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return err
	}
	if _, err := c.Write(in); err != nil {
		return err
	}
	n, err := c.Read(out)
	if got := string(out[:n]); err == nil && (!strings.HasPrefix(got, "HTTP/1.1 200 OK\r\n") || !strings.HasSuffix(got, "\r\n\r\nHello, World!")) {
		err = fmt.Errorf("got %q", got)
	}
	return err
}

// clients are honest ones, in a process of their own.
type clients struct {
	cmd *exec.Cmd
	in  io.Writer
	out *bufio.Reader
}

func newClients(t *testing.T, addr string) *clients {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(); w.Close() })
	cmd, out := self(t, r, role+"=honest", "POSTERN_ABUSE_ADDR="+addr)
	return &clients{cmd, w, out}
}

// since returns how they have fared since the last call.
func (c *clients) since(t *testing.T) (r report) { return c.say(t, "go on") }

// pause is since, and they do not ask until the next one.
func (c *clients) pause(t *testing.T) (r report) { return c.say(t, "pause") }

// quiet returns how they fare while nobody does any harm: the best of a few times if
// others disturb all of them.
func (c *clients) quiet(t *testing.T, pids []int) (best report) {
	t.Helper()
	for range 4 {
		c.since(t)
		began, idle, own := time.Now(), idleTime(), ownTime(pids)
		time.Sleep(scale(300*time.Millisecond, 5*time.Second))
		disturbed := others(pids, began, idle, own)
		if r := c.since(t); best.Asked == 0 || r.P99 < best.P99 {
			best = r
		}
		if disturbed <= disturbance {
			break
		}
	}
	return best
}

func (c *clients) say(t *testing.T, what string) (r report) {
	t.Helper()
	fmt.Fprintln(c.in, what)
	line, err := c.out.ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &r)
	}
	if err != nil {
		t.Fatalf("honest clients said %q, %v", line, err)
	}
	return r
}
