package h1

import (
	"bytes"
	"runtime/debug"
	"strings"
	"syscall"
	"testing"
)

// fence returns two places for n bytes each: what stands behind the one and before
// the other cannot be read.
func fence(t *testing.T) (last, first func(b []byte) []byte) {
	page := syscall.Getpagesize()
	m, err := syscall.Mmap(-1, 0, 3*page, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Munmap(m); err != nil {
			t.Error(err)
		}
	})
	for _, outside := range [][]byte{m[:page], m[2*page:]} {
		if err := syscall.Mprotect(outside, syscall.PROT_NONE); err != nil {
			t.Fatal(err)
		}
	}
	inside := m[page : 2*page]
	place := func(at int, b []byte) []byte {
		copy(inside[at:], b)
		return inside[at : at+len(b) : at+len(b)]
	}
	last = func(b []byte) []byte { return place(page-len(b), b) }
	first = func(b []byte) []byte { return place(0, b) }
	return last, first
}

// No byte outside the input is ever read: not behind it, as the loads of eight
// bytes must promise, and not before it. Heads that are cut anywhere take the fast
// path as far as it goes and then the careful one; those that come byte by byte
// take the careful one from their first line on.
func TestLoadsStayInside(t *testing.T) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	last, first := fence(t)
	value := strings.Repeat("v", 70)
	heads := []string{
		"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET /" + value + "?q HTTP/1.1\r\nHost: www.example.com\r\nAccept: */*\r\nUser-Agent: " + value + "\r\nTE: x\r\n\r\n",
		"OPTIONS /a HTTP/1.1\r\nHost: abcdefgh\r\nUpgrade-Insecure-Requests: 1\r\nX-" + value + ": 1\r\nX: \t \r\nY:\r\n\r\n",
		"PURGE /a HTTP/1.1\r\nHost: [::1]:80\r\nX-Tab: a\tb\r\nX-Obs: \xc3\xa4\r\nConnection: keep-alive\r\n\r\n",
		"GET /a HTTP/1.1\r\nHost: example.org:8080\r\nConnection: close\r\nX-0123456789abc: " + value[:17] + "\r\n\r\n",
		"GET /a HTTP/1.1\r\nHost: a\r\n" + strings.Repeat("X-0: "+value+"\r\n", 9) + "Y: " + strings.Repeat(value, 9) + "\r\n\r\n",
	}
	for _, head := range heads {
		for _, place := range []func([]byte) []byte{last, first} {
			var slow ServerConn
			for n := range len(head) + 1 {
				want := EventNeedData
				if n == len(head) {
					want = EventRequest
				}
				in := place([]byte(head[:n]))
				var fast ServerConn
				for _, c := range []*ServerConn{&fast, &slow} {
					if ev, _, err := c.Next(in); err != nil || ev.Kind != want {
						t.Fatalf("%q: %v, %v, want %v", in, ev.Kind, err, want)
					}
				}
				if n == len(head) && !bytes.Equal(fast.Request().Raw(), slow.Request().Raw()) {
					t.Fatalf("%q and %q", fast.Request().Raw(), slow.Request().Raw())
				}
			}
		}
	}
	const trailer = "0\r\nA: b\r\nX-Sum: 0123456789\r\n\r\n"
	for n := range len(trailer) + 1 {
		for _, place := range []func([]byte) []byte{last, first} {
			var c ServerConn
			if _, _, err := c.Next([]byte("PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")); err != nil {
				t.Fatal(err)
			}
			want := EventNeedData
			if n == len(trailer) {
				want = EventEnd
			}
			_, used, err := c.Next(place([]byte(trailer[:min(n, 3)])))
			ev := Event{}
			if err == nil {
				ev, _, err = c.Next(place([]byte(trailer[used:n])))
			}
			if err != nil || ev.Kind != want {
				t.Fatalf("%q: %v, %v, want %v", trailer[:n], ev.Kind, err, want)
			}
		}
	}
	for n := range 40 {
		host := []byte(value[:n])
		if _, ok := authority(last(host)); !ok {
			t.Errorf("no host: %q", host)
		}
		authority(first(host))
	}
}
