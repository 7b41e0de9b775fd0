// Stress drives examples/stress as a closed loop: every connection is kept alive and
// sends the next request when it has the answer; a third of them read (GET), update
// (POST) and delete. Two servers run at once, both durable, one of them with a
// transaction for each write, and take turns: what disturbs the machine disturbs both.
// The medians of the rounds are printed.
//
//	go run ./stress [-rounds 5] [-time 2s] [-conns 64] [-ids 1000] [-dir DIR]
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

var (
	rounds = flag.Int("rounds", 5, "rounds; the median counts")
	span   = flag.Duration("time", 2*time.Second, "how long each server is driven in a round")
	conns  = flag.Int("conns", 64, "connections to each server")
	ids    = flag.Int("ids", 1000, "items that the requests are about")
	dir    = flag.String("dir", "", "where the files are made; default: a temporary folder")
)

func main() {
	flag.Parse()
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "stress:", err)
		os.Exit(1)
	}
}

func run() error {
	place, err := os.MkdirTemp(*dir, "stress")
	if err != nil {
		return err
	}
	defer os.RemoveAll(place)
	binary := filepath.Join(place, "server")
	build := exec.Command("go", "build", "-o", binary, "postern/examples/stress")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		return fmt.Errorf("build: %w", err)
	}
	ways := []*way{{name: "shared commits"}, {name: "a transaction each", batch: 1}}
	for i, w := range ways {
		if err := w.start(binary, filepath.Join(place, fmt.Sprint(i))); err != nil {
			return err
		}
		defer w.stop()
	}
	for range *rounds {
		for _, w := range ways {
			if err := w.drive(); err != nil {
				return fmt.Errorf("%s: %w", w.name, err)
			}
		}
	}
	fmt.Printf("%-24s %12s %10s %10s\n", fmt.Sprintf("%d connections, 1:1:1", *conns), "requests/s", "p50 ms", "p99 ms")
	for _, w := range ways {
		fmt.Printf("%-24s %12.0f %10.2f %10.2f\n", w.name, median(w.rates), median(w.p50), median(w.p99))
	}
	fmt.Printf("%-24s %12.2f\n", "ratio", median(ways[0].rates)/median(ways[1].rates))
	return nil
}

// way is a server and what was measured of it.
type way struct {
	name  string
	batch int // of its flag; 0: as the store does

	cmd   *exec.Cmd
	addr  string
	lines []*line

	rates, p50, p99 []float64 // of each round; requests a second, and milliseconds
}

// line is a connection.
type line struct {
	conn net.Conn
	in   *bufio.Reader
	r    *rand.Rand
	took []time.Duration
}

// start runs the server and connects to it.
func (w *way) start(binary, db string) error {
	w.cmd = exec.Command(binary, "-addr", "127.0.0.1:0", "-db", db, "-batch", fmt.Sprint(w.batch))
	w.cmd.Stderr = os.Stderr
	out, err := w.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := w.cmd.Start(); err != nil {
		return err
	}
	said, err := bufio.NewReader(out).ReadString('\n')
	addr, ok := strings.CutPrefix(strings.TrimSpace(said), "listening on ")
	if !ok {
		return fmt.Errorf("the server says %q: %w", said, err)
	}
	w.addr = addr
	for i := range *conns {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			return err
		}
		w.lines = append(w.lines, &line{conn: conn, in: bufio.NewReader(conn), r: rand.New(rand.NewPCG(1, uint64(i)))})
	}
	return nil
}

func (w *way) stop() {
	for _, l := range w.lines {
		l.conn.Close()
	}
	w.cmd.Process.Signal(os.Interrupt)
	w.cmd.Wait()
}

// drive is one round.
func (w *way) drive() error {
	var group sync.WaitGroup
	faults := make([]error, len(w.lines))
	ctx, cancel := context.WithTimeout(context.Background(), *span)
	defer cancel()
	began := time.Now()
	for i, l := range w.lines {
		group.Go(func() {
			l.took = l.took[:0]
			for ctx.Err() == nil && faults[i] == nil {
				sent := time.Now()
				faults[i] = l.exchange()
				l.took = append(l.took, time.Since(sent))
			}
		})
	}
	group.Wait()
	elapsed := time.Since(began)
	if err := errors.Join(faults...); err != nil {
		return err
	}
	var took []time.Duration
	for _, l := range w.lines {
		took = append(took, l.took...)
	}
	slices.Sort(took)
	w.rates = append(w.rates, float64(len(took))/elapsed.Seconds())
	w.p50 = append(w.p50, float64(took[len(took)/2])/1e6)
	w.p99 = append(w.p99, float64(took[len(took)*99/100])/1e6)
	return nil
}

// exchange sends a request and reads its response.
func (l *line) exchange() error {
	method := []string{"GET", "POST", "DELETE"}[l.r.IntN(3)]
	length := ""
	if method == "POST" {
		length = "Content-Length: 0\r\n"
	}
	_, err := fmt.Fprintf(l.conn, "%s /stress-test/%d HTTP/1.1\r\nHost: bench\r\n%s\r\n", method, l.r.IntN(*ids), length)
	if err != nil {
		return err
	}
	resp, err := http.ReadResponse(l.in, nil)
	if err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return err
	}
	switch resp.StatusCode {
	case 200, 404, 409: // nothing to delete, and somebody was faster
		return nil
	}
	return fmt.Errorf("%s: %s", method, resp.Status)
}

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	return v[len(v)/2]
}
