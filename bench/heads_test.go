package bench

import (
	"bufio"
	"bytes"
	"net/http"
	"testing"

	"github.com/valyala/fasthttp"

	"postern/h1"
)

// each runs f on one head after the other.
func each(b *testing.B, f func(b *testing.B, head []byte)) {
	heads := Heads()
	for _, name := range []string{"small", "browser", "mixed"} {
		b.Run(name, func(b *testing.B) {
			all, size := heads[name], 0
			for _, h := range all {
				size += len(h)
			}
			b.SetBytes(int64(size / len(all)))
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				f(b, all[i])
				if i++; i == len(all) {
					i = 0
				}
			}
		})
	}
}

func BenchmarkHead(b *testing.B) {
	b.Run("parser=h1", func(b *testing.B) {
		var c h1.ServerConn
		each(b, func(b *testing.B, head []byte) {
			c.Reset(nil)
			if ev, _, err := c.Next(head); err != nil || ev.Kind != h1.EventRequest {
				b.Fatal(ev, err)
			}
		})
	})
	b.Run("parser=fasthttp", func(b *testing.B) {
		in := bytes.NewReader(nil)
		r := bufio.NewReaderSize(in, 4096)
		var h fasthttp.RequestHeader
		each(b, func(b *testing.B, head []byte) {
			in.Reset(head)
			r.Reset(in)
			if err := h.Read(r); err != nil {
				b.Fatal(err)
			}
		})
	})
	b.Run("parser=nethttp", func(b *testing.B) {
		in := bytes.NewReader(nil)
		r := bufio.NewReaderSize(in, 4096)
		each(b, func(b *testing.B, head []byte) {
			in.Reset(head)
			r.Reset(in)
			if _, err := http.ReadRequest(r); err != nil {
				b.Fatal(err)
			}
		})
	})
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
