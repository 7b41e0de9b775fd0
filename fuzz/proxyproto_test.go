package fuzz_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"postern/transport/proxyproto"
)

// FuzzProxyHeader takes any bytes for the beginning of a connection. Read in the
// pieces that Parse asks for, or in smaller ones, a header is the same as when all is
// there at once, and nothing behind it is asked for; what was parsed can be written,
// and is parsed as the same.
func FuzzProxyHeader(f *testing.F) {
	const sig = "\r\n\r\n\x00\r\nQUIT\n"
	for _, s := range []string{
		"PROXY UNKNOWN\r\nGET",
		"PROXY UNKNOWN ffff::1 1 \xff\r\n",
		"PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\nGET",
		"PROXY TCP6 2001:db8::1 ::ffff:1.2.3.4 0 65535\r\n",
		"PROXY TCP4 1.2.3.4  5.6.7.8 1 2\r\n",
		sig + "\x20\x00\x00\x00GET",
		sig + "\x21\x00\x00\x03abc",
		sig + "\x21\x11\x00\x0c\x01\x02\x03\x04\x05\x06\x07\x08\x00\x01\x00\x02",
		sig + "\x21\x12\x00\x0c\x01\x02\x03\x04\x05\x06\x07\x08\x00\x01\x00\x02",
		sig + "\x21\x11\x00\x16\x01\x02\x03\x04\x05\x06\x07\x08\x00\x01\x00\x02\x03\x00\x04\xb0\xb9\x34\xb0\x04\x00\x00",
		sig + "\x21\x21\x00\x2b" + strings.Repeat("\x20\x01", 18) + "\x02\x00\x04host",
		sig + "\x21\x31\x00\xd8" + "/run/a\x00b" + strings.Repeat("\x00", 100) + "\x00abstract" + strings.Repeat("\x00", 99),
	} {
		f.Add([]byte(s), uint8(0))
		f.Add([]byte(s), uint8(3))
	}
	f.Fuzz(func(t *testing.T, in []byte, piece uint8) {
		whole, length, failed := proxyproto.Parse(in)
		complete := failed == nil && length <= len(in)
		var e *proxyproto.Error
		switch {
		case complete:
		case !reflect.DeepEqual(whole, proxyproto.Header{}):
			t.Fatalf("%q: %+v, %d, %v: neither whole nor nothing", in, whole, length, failed)
		case failed != nil && (!errors.As(failed, &e) || e.Offset < 0 || e.Offset > len(in)):
			t.Fatalf("%q: %#v is not where it is wrong", in, failed)
		}
		for at := 0; ; {
			h, n, err := proxyproto.Parse(in[:at:at])
			if err != nil {
				if complete {
					t.Fatalf("%q: the first %d bytes: %v, and all of it is a header", in, at, err)
				}
				return
			}
			if n <= at {
				if !complete || at != length || !reflect.DeepEqual(h, whole) {
					t.Fatalf("%q: in pieces %+v, %d, whole %+v, %d, %v", in, h, at, whole, length, failed)
				}
				break
			}
			if complete && n > length {
				t.Fatalf("%q: the first %d bytes ask for %d, and the header has %d", in, at, n, length)
			}
			if at == len(in) {
				if failed != nil {
					t.Fatalf("%q: as a whole it is wrong, and in pieces incomplete: %v", in, failed)
				}
				return
			}
			if n = min(n, len(in)); piece > 0 {
				n = min(n, at+int(piece))
			}
			at = n
		}
		written, err := whole.Append(nil)
		if err != nil {
			t.Fatalf("%q is %+v, which cannot be written: %v", in, whole, err)
		}
		again, n, err := proxyproto.Parse(written)
		if err != nil || n != len(written) {
			t.Fatalf("%q is %+v, written %q: %d, %v", in, whole, written, n, err)
		}
		twice, err := again.Append(nil)
		if string(twice) != string(written) || err != nil {
			t.Fatalf("%q is written %q, and then %q, %v", in, written, twice, err)
		}
		// A checksum over a path with something behind its end is another one.
		whole.TLVs, again.TLVs = nil, nil
		if !reflect.DeepEqual(again, whole) {
			t.Fatalf("%q is %+v, written %q, which is %+v", in, whole, written, again)
		}
	})
}
