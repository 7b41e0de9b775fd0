package bench

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"postern/h1"
)

// parsers are those that are compared, ours first.
var parsers = []struct {
	name string
	make func() func(head []byte) error
}{
	{"h1", func() func([]byte) error {
		var c h1.ServerConn
		return func(head []byte) error {
			c.Reset(nil)
			ev, _, err := c.Next(head)
			if err == nil && ev.Kind != h1.EventRequest {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
	}},
	{"fasthttp", func() func([]byte) error {
		in := bytes.NewReader(nil)
		r := bufio.NewReaderSize(in, 4096)
		var h fasthttp.RequestHeader
		return func(head []byte) error {
			in.Reset(head)
			r.Reset(in)
			return h.Read(r)
		}
	}},
	{"nethttp", func() func([]byte) error {
		in := bytes.NewReader(nil)
		r := bufio.NewReaderSize(in, 4096)
		return func(head []byte) error {
			in.Reset(head)
			r.Reset(in)
			_, err := http.ReadRequest(r)
			return err
		}
	}},
}

// BenchmarkHead parses one head after the other, on one processor: another would
// collect unseen what garbage a parser makes.
func BenchmarkHead(b *testing.B) {
	heads := Heads()
	for _, p := range parsers {
		for _, name := range []string{"small", "browser", "mixed"} {
			b.Run("parser="+p.name+"/"+name, func(b *testing.B) {
				defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
				all, size, parse := heads[name], 0, p.make()
				for _, h := range all {
					size += len(h)
				}
				b.SetBytes(int64(size / len(all)))
				b.ReportAllocs()
				i := 0
				for b.Loop() {
					if err := parse(all[i]); err != nil {
						b.Fatal(err)
					}
					if i++; i == len(all) {
						i = 0
					}
				}
			})
		}
	}
}

// BenchmarkHeadRatio lets the parsers take turns of some milliseconds, and tells how
// many times as long as ours each needs: the median of what turns say, which a
// neighbour that comes and goes does not change.
func BenchmarkHeadRatio(b *testing.B) {
	heads := Heads()
	for _, name := range []string{"small", "browser", "mixed"} {
		b.Run(name, func(b *testing.B) {
			defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
			all := heads[name]
			turn := make([]func() time.Duration, len(parsers))
			for i, p := range parsers {
				parse := p.make()
				turn[i] = func() time.Duration {
					start := time.Now()
					for k := range 8192 {
						if err := parse(all[k%len(all)]); err != nil {
							b.Fatal(err)
						}
					}
					return time.Since(start)
				}
			}
			ratios := make([][]float64, len(parsers))
			for b.Loop() {
				ours := turn[0]()
				for i := range ratios[1:] {
					ratios[i+1] = append(ratios[i+1], float64(turn[i+1]())/float64(ours))
				}
			}
			for i, r := range ratios[1:] {
				slices.Sort(r)
				b.ReportMetric(r[len(r)/2], parsers[i+1].name+"/h1")
			}
		})
	}
}

// The heads are what they are said to be, and every parser takes them.
func TestHeads(t *testing.T) {
	total, fields := 0, 0
	for _, head := range Heads()["mixed"] {
		var c h1.ServerConn
		if ev, n, err := c.Next(head); err != nil || ev.Kind != h1.EventRequest || n != len(head) {
			t.Fatalf("%q: %v %d %v", head, ev, n, err)
		}
		total += len(head)
		fields += c.Request().Len()
	}
	t.Logf("%d bytes and %.1f fields on average", total/512, float64(fields)/512)
}
