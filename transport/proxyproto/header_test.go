package proxyproto_test

import (
	"bytes"
	"errors"
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"postern/transport/proxyproto"
)

const sig = "\r\n\r\n\x00\r\nQUIT\n"

// header is one of version 1 or 2 for these addresses.
func header(version int, source, destination string) proxyproto.Header {
	return proxyproto.Header{
		Version:     version,
		Source:      netip.MustParseAddrPort(source),
		Destination: netip.MustParseAddrPort(destination),
	}
}

// padded is the address of a Unix socket.
func padded(path string) string { return path + strings.Repeat("\x00", 108-len(path)) }

// with returns h with these TLVs.
func with(h proxyproto.Header, tlvs string) proxyproto.Header {
	h.TLVs = []byte(tlvs)
	return h
}

var good = []struct {
	name, wire string
	want       proxyproto.Header
}{
	{"the specification's example", "PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n",
		header(1, "192.168.0.1:56324", "192.168.0.11:443")},
	{"the longest TCP4", "PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n",
		header(1, "255.255.255.255:65535", "255.255.255.255:65535")},
	{"the shortest TCP4", "PROXY TCP4 1.2.3.4 0.0.0.0 0 1\r\n", header(1, "1.2.3.4:0", "0.0.0.0:1")},
	{"the longest TCP6", "PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff FFFF:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n",
		header(1, "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535", "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535")},
	{"the shortest TCP6", "PROXY TCP6 :: :: 1 2\r\n", header(1, "[::]:1", "[::]:2")},
	{"an IPv4 address in TCP6", "PROXY TCP6 ::ffff:192.0.2.1 2001:db8::1 1 2\r\n", header(1, "[::ffff:192.0.2.1]:1", "[2001:db8::1]:2")},
	{"the shortest UNKNOWN", "PROXY UNKNOWN\r\n", proxyproto.Header{Version: 1}},
	{"the longest UNKNOWN", "PROXY UNKNOWN " + strings.Repeat("x", 107-16) + "\r\n", proxyproto.Header{Version: 1}},
	{"UNKNOWN with a TCP4's rest", "PROXY UNKNOWN 1.2.3.4 5.6.7.8 1 2\r\n", proxyproto.Header{Version: 1}},

	{"IPv4", sig + "\x21\x11\x00\x0c" + "\xc0\xa8\x00\x01\xc0\xa8\x00\x0b\xdc\x04\x01\xbb",
		header(2, "192.168.0.1:56324", "192.168.0.11:443")},
	{"IPv6", sig + "\x21\x21\x00\x24" + "\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01" +
		"\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02" + "\x00\x01\xff\xff",
		header(2, "[2001:db8::1]:1", "[2001:db8::2]:65535")},
	{"Unix", sig + "\x21\x31\x00\xd8" + padded("") + padded("/run/web.sock"),
		proxyproto.Header{Version: 2, DestinationPath: "/run/web.sock"}},
	{"Unix, abstract", sig + "\x21\x31\x00\xd8" + padded("\x00client") + padded("\x00web"),
		proxyproto.Header{Version: 2, SourcePath: "@client", DestinationPath: "@web"}},
	{"Unix, as long as can be", sig + "\x21\x31\x00\xd8" + strings.Repeat("s", 108) + "\x00" + strings.Repeat("d", 107),
		proxyproto.Header{Version: 2, SourcePath: strings.Repeat("s", 108), DestinationPath: "@" + strings.Repeat("d", 107)}},
	{"LOCAL", sig + "\x20\x00\x00\x00", proxyproto.Header{Version: 2, Local: true}},
	{"LOCAL with all that is ignored", sig + "\x20\xff\x00\x03abc", proxyproto.Header{Version: 2, Local: true}},
	{"unspecified", sig + "\x21\x00\x00\x00", proxyproto.Header{Version: 2}},
	{"unspecified with what is ignored", sig + "\x21\x00\x00\x05abcde", proxyproto.Header{Version: 2}},
	{"UDP", sig + "\x21\x12\x00\x0c" + "\x01\x02\x03\x04\x05\x06\x07\x08\x00\x01\x00\x02", proxyproto.Header{Version: 2}},

	{"TLVs", sig + "\x21\x11\x00\x20" + "\x01\x02\x03\x04\x05\x06\x07\x08\x00\x01\x00\x02" + "\x02\x00\x07example\x04\x00\x00\x20\x00\x04abcd",
		with(header(2, "1.2.3.4:1", "5.6.7.8:2"), "\x02\x00\x07example\x04\x00\x00\x20\x00\x04abcd")},
	{"a right checksum", sig + "\x21\x11\x00\x16" + "\x01\x02\x03\x04\x05\x06\x07\x08\x00\x01\x00\x02" + "\x03\x00\x04\xb0\xb9\x34\xb0" + "\x04\x00\x00",
		with(header(2, "1.2.3.4:1", "5.6.7.8:2"), "\x03\x00\x04\xb0\xb9\x34\xb0\x04\x00\x00")},
	{"TLVs behind unnamed Unix sockets", sig + "\x21\x31\x00\xdb" + padded("") + padded("") + "\x04\x00\x00",
		with(proxyproto.Header{Version: 2}, "\x04\x00\x00")},
}

// Wherever a header is cut, Parse asks for more of it and never for what is behind
// it, and comes to the same end.
func TestParse(t *testing.T) {
	for _, tt := range good {
		t.Run(tt.name, func(t *testing.T) {
			h, n, err := proxyproto.Parse([]byte(tt.wire + "GET"))
			if err != nil || n != len(tt.wire) || !reflect.DeepEqual(h, tt.want) {
				t.Fatalf("got %+v, %d, %v\nwant %+v, %d", h, n, err, tt.want, len(tt.wire))
			}
			for cut := range len(tt.wire) {
				h, n, err := proxyproto.Parse([]byte(tt.wire[:cut]))
				if err != nil || n <= cut || n > len(tt.wire) || !reflect.DeepEqual(h, proxyproto.Header{}) {
					t.Errorf("the first %d bytes: %+v, %d, %v", cut, h, n, err)
				}
			}
			again, err := tt.want.Append([]byte("before "))
			if err != nil {
				t.Fatal(err)
			}
			again, ok := bytes.CutPrefix(again, []byte("before "))
			if h, n, err := proxyproto.Parse(again); !ok || err != nil || n != len(again) || !reflect.DeepEqual(h, tt.want) {
				t.Errorf("appended as %q, which is %+v, %d, %v", again, h, n, err)
			}
		})
	}
}

// reads counts in how many pieces a header that is all there is read.
func reads(t *testing.T, wire string) (pieces int) {
	for at := 0; ; pieces++ {
		_, n, err := proxyproto.Parse([]byte(wire[:at]))
		if err != nil {
			t.Fatal(err)
		}
		if n <= at {
			return pieces
		}
		at = n
	}
}

// Each piece is a system call.
func TestReadInFewPieces(t *testing.T) {
	for _, tt := range []struct {
		wire string
		most int
	}{
		{good[0].wire, 7},
		{good[3].wire, 16},
		{"PROXY UNKNOWN\r\n", 1},
		{sig + "\x21\x11\x00\x0c123456789012", 3},
	} {
		if got := reads(t, tt.wire); got > tt.most {
			t.Errorf("%q takes %d pieces, want %d at most", tt.wire, got, tt.most)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	const v4 = "\x01\x02\x03\x04\x05\x06\x07\x08\x00\x01\x00\x02"
	for _, tt := range []struct {
		name, wire string
		offset     int
		part       string // of the error's text
	}{
		{"HTTP", "GET / HTTP/1.1\r\n", 0, `no header of the PROXY protocol but "GET / HTTP/1.1\r\n"`},
		{"one byte", "G", 0, "no header"},
		{"lower case", "proxy TCP4 1.2.3.4 5.6.7.8 1 2\r\n", 0, "no header"},
		{"TLS", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 0, "no header"},
		{"a signature that goes wrong", "\r\n\r\n\x00\r\nQUIT\r", 0, "no header"},
		{"no space", "PROXYTCP4 1.2.3.4 5.6.7.8 1 2\r\n", 0, "no header"},

		{"protocol", "PROXY TCP5 1.2.3.4 5.6.7.8 1 2\r\n", 6, `protocol "TCP5" is none`},
		{"no protocol", "PROXY  TCP4 1.2.3.4 5.6.7.8 1 2\r\n", 6, `protocol "" is none`},
		{"UNKNOWN run on", "PROXY UNKNOWNS 1.2.3.4 5.6.7.8 1 2\r\n", 6, "none of"},
		{"UNKNOWN too long", "PROXY UNKNOWN " + strings.Repeat("x", 107-15) + "\r\n", 107, "no CRLF in the first 107 bytes"},
		{"no end", "PROXY UNKNOWN " + strings.Repeat("x", 200), 107, "no CRLF in the first 107 bytes"},
		{"LF alone", "PROXY TCP4 1.2.3.4 5.6.7.8 1 2\n", 30, "only together"},
		{"CR alone", "PROXY TCP4 1.2.3.4 5.6.7.8 1 2\rGET", 30, "only together"},
		{"LF within UNKNOWN", "PROXY UNKNOWN\nGET / HTTP/1.1\r\n", 13, "only together"},
		{"two spaces", "PROXY TCP4 1.2.3.4  5.6.7.8 1 2\r\n", 31, "7 fields"},
		{"space at the end", "PROXY TCP4 1.2.3.4 5.6.7.8 1 2 \r\n", 31, "7 fields"},
		{"a field too few", "PROXY TCP4 1.2.3.4 5.6.7.8 1\r\n", 28, "5 fields"},
		{"other family", "PROXY TCP4 ::1 ::2 1 2\r\n", 11, `"::1" is no address of TCP4`},
		{"mixed families", "PROXY TCP6 ::1 1.2.3.4 1 2\r\n", 15, `"1.2.3.4" is no address of TCP6`},
		{"leading zero", "PROXY TCP4 1.2.3.04 5.6.7.8 1 2\r\n", 11, "no address"},
		{"256", "PROXY TCP4 1.2.3.256 5.6.7.8 1 2\r\n", 11, "no address"},
		{"three numbers", "PROXY TCP4 1.2.3 5.6.7.8 1 2\r\n", 11, "no address"},
		{"zone", "PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n", 11, "no address"},
		{"brackets", "PROXY TCP6 [::1] ::1 1 2\r\n", 11, "no address"},
		{"a host name", "PROXY TCP4 localhost 5.6.7.8 1 2\r\n", 11, "no address"},
		{"port too big", "PROXY TCP4 1.2.3.4 5.6.7.8 65536 2\r\n", 27, `"65536" is no port`},
		{"port with a zero", "PROXY TCP4 1.2.3.4 5.6.7.8 1 02\r\n", 29, `"02" is no port`},
		{"port with a sign", "PROXY TCP4 1.2.3.4 5.6.7.8 +1 2\r\n", 27, "no port"},
		{"no port", "PROXY TCP4 1.2.3.4 5.6.7.8 1 \r\n", 29, `"" is no port`},

		{"version 1 in binary", sig + "\x11\x11\x00\x0c" + v4, 12, "version 1"},
		{"version 3", sig + "\x31\x11\x00\x0c" + v4, 12, "version 3"},
		{"command", sig + "\x22\x11\x00\x0c" + v4, 12, "command 2"},
		{"family", sig + "\x21\x41\x00\x0c" + v4, 13, "0x41"},
		{"transport protocol", sig + "\x21\x13\x00\x0c" + v4, 13, "0x13"},
		{"IPv4 cut short", sig + "\x21\x11\x00\x0b" + v4, 14, "11 bytes, and the addresses alone take 12"},
		{"IPv6 cut short", sig + "\x21\x21\x00\x0c" + v4, 14, "take 36"},
		{"Unix cut short", sig + "\x21\x31\x00\x0c" + v4, 14, "take 216"},
		{"half a TLV", sig + "\x21\x11\x00\x0e" + v4 + "\x04\x00", 28, "2 bytes are no TLV"},
		{"a TLV beyond the end", sig + "\x21\x11\x00\x10" + v4 + "\x04\x00\x02x", 28, "a TLV of 2 bytes with 1 left"},
		{"a wrong checksum", sig + "\x21\x11\x00\x13" + v4 + "\x03\x00\x04abcd", 31, "the checksum is 61626364, and that of the header "},
		{"a checksum of three bytes", sig + "\x21\x11\x00\x12" + v4 + "\x03\x00\x03abc", 28, "4 bytes, once"},
		{"two checksums", sig + "\x21\x11\x00\x1a" + v4 + "\x03\x00\x04abcd\x03\x00\x04abcd", 35, "4 bytes, once"},
	} {
		h, _, err := proxyproto.Parse([]byte(tt.wire))
		var e *proxyproto.Error
		if !errors.As(err, &e) || e.Offset != tt.offset || !strings.Contains(e.Text, tt.part) || !reflect.DeepEqual(h, proxyproto.Header{}) {
			t.Errorf("%s: %+v, %v, want an error at byte %d with %q", tt.name, h, err, tt.offset, tt.part)
		}
		// In pieces, as it is read, it ends in an error too, if there is enough to read.
		for at, wire := 0, tt.wire+strings.Repeat("x", 107); ; {
			_, n, err := proxyproto.Parse([]byte(wire[:at]))
			if err != nil {
				break
			}
			if n <= at {
				t.Errorf("%s: the first %d bytes are good", tt.name, n)
				break
			}
			at = n
		}
	}
}

func TestTLV(t *testing.T) {
	h := proxyproto.Header{TLVs: []byte("\x04\x00\x00\x02\x00\x07example\x02\x00\x05other")}
	if got, ok := h.TLV(proxyproto.TypeAuthority); string(got) != "example" || !ok {
		t.Errorf("authority is %q, %v", got, ok)
	}
	if got, ok := h.TLV(proxyproto.TypeNoop); len(got) > 0 || !ok {
		t.Errorf("noop is %q, %v", got, ok)
	}
	if got, ok := h.TLV(proxyproto.TypeSSL); got != nil || ok {
		t.Errorf("SSL is %q, %v", got, ok)
	}
	for _, broken := range []string{"\x02", "\x02\x00\x05abc"} {
		h.TLVs = []byte(broken)
		if got, ok := h.TLV(proxyproto.TypeAuthority); got != nil || ok {
			t.Errorf("of %q the authority is %q", broken, got)
		}
	}
}

func TestAppendRefuses(t *testing.T) {
	v4, v6 := netip.MustParseAddrPort("1.2.3.4:5"), netip.MustParseAddrPort("[::1]:5")
	for _, tt := range []struct {
		part string
		h    proxyproto.Header
	}{
		{"no version 0", proxyproto.Header{}},
		{"version 1 has no", proxyproto.Header{Version: 1, Local: true}},
		{"version 1 has no", proxyproto.Header{Version: 1, SourcePath: "/a"}},
		{"version 1 has no", with(header(1, "1.2.3.4:5", "1.2.3.4:5"), "\x04\x00\x00")},
		{"LOCAL has no", proxyproto.Header{Version: 2, Local: true, Source: v4, Destination: v4}},
		{"LOCAL has no", proxyproto.Header{Version: 2, Local: true, TLVs: []byte("\x04\x00\x00")}},
		{"exclude each other", proxyproto.Header{Version: 2, Source: v4, Destination: v4, SourcePath: "/a"}},
		{"one family", proxyproto.Header{Version: 2, Source: v4, Destination: v6}},
		{"one family", proxyproto.Header{Version: 1, Source: v4}},
		{"zone", proxyproto.Header{Version: 2, Source: netip.MustParseAddrPort("[fe80::1%a]:1"), Destination: v6}},
		{"no path", proxyproto.Header{Version: 2, SourcePath: strings.Repeat("x", 109)}},
		{"no path", proxyproto.Header{Version: 2, SourcePath: "a\x00b"}},
		{"no path", proxyproto.Header{Version: 2, SourcePath: "@"}},
		{"no TLV", with(header(2, "1.2.3.4:5", "1.2.3.4:5"), "\x04")},
		{"too many", with(header(2, "1.2.3.4:5", "1.2.3.4:5"), strings.Repeat("\x04\xff\x00"+strings.Repeat("x", 0xff00), 2))},
	} {
		got, err := tt.h.Append([]byte("kept"))
		if string(got) != "kept" || err == nil || !strings.HasPrefix(err.Error(), "proxyproto: ") || !strings.Contains(err.Error(), tt.part) {
			t.Errorf("%+v: %q, %v, want an error with %q", tt.h, got, err, tt.part)
		}
	}
}
