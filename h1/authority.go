package h1

import "bytes"

// authority checks b for uri-host [ ":" port ] (RFC 3986 3.2), less user
// information and less the comma, which would let two hosts pass for one. It
// returns the offset of the port behind its colon, or 0 if there is none. The
// host may be empty.
func authority(b []byte) (port int, ok bool) {
	if plainHost(b) {
		return 0, true
	}
	i := 0
	if len(b) > 0 && b[0] == '[' {
		end := bytes.IndexByte(b, ']')
		if end < 0 || !ipLiteral(b[1:end]) {
			return 0, false
		}
		i = end + 1
	} else {
		for i < len(b) && b[i] != ':' {
			switch {
			case is(b[i], regName):
				i++
			case b[i] == '%' && i+2 < len(b) && is(b[i+1], hexDig) && is(b[i+2], hexDig):
				i += 3
			default:
				return 0, false
			}
		}
	}
	if i == len(b) {
		return 0, true
	}
	if b[i] != ':' || span(b, i+1, digit) != len(b) {
		return 0, false
	}
	return i + 1, true
}

// plainHost reports whether b is long enough for words and holds nothing but
// letters, digits, "-" and ".", as most hosts do.
func plainHost(b []byte) bool {
	if len(b) < 8 {
		return false
	}
	last := len(b) - 8
	bad := noPlain(load(b, 0)) | noPlain(load(b, min(8, last))) | noPlain(load(b, min(16, last))) | noPlain(load(b, last))
	for i := 24; i < last; i += 8 {
		bad |= noPlain(load(b, i))
	}
	return bad == 0
}

// validPort reports whether b is a decimal number from 1 to 65535.
func validPort(b []byte) bool {
	n := 0
	for _, d := range b {
		if n = n*10 + int(d-'0'); n > 65535 {
			return false
		}
	}
	return n > 0
}

// ipLiteral checks what stands between the brackets of an IP-literal (RFC 3986
// 3.2.2): an IPv6 address without zone, or an IPvFuture.
func ipLiteral(b []byte) bool {
	if len(b) > 0 && lower(b[0]) == 'v' {
		dot := span(b, 1, hexDig)
		if dot == 1 || dot+1 >= len(b) || b[dot] != '.' {
			return false
		}
		for _, x := range b[dot+1:] {
			if !is(x, regName) && x != ':' && x != ',' {
				return false
			}
		}
		return true
	}
	left, right, elided := bytes.Cut(b, []byte("::"))
	if !elided {
		return groups(b, true) == 8
	}
	n, m := groups(left, false), groups(right, true)
	return n >= 0 && m >= 0 && n+m < 8
}

// groups counts the 16-bit groups of an IPv6 address or of a part of it; a dotted
// IPv4 address, where it may end the part, counts as two. It returns -1 for
// anything else.
func groups(b []byte, v4 bool) int {
	if len(b) == 0 {
		return 0
	}
	n := 0
	for {
		end := span(b, 0, hexDig)
		if v4 && end < len(b) && b[end] == '.' && ipv4(b) {
			return n + 2
		}
		if end == 0 || end > 4 {
			return -1
		}
		n++
		if end == len(b) {
			return n
		}
		if b[end] != ':' {
			return -1
		}
		b = b[end+1:]
	}
}

// ipv4 checks b for four numbers of 0 to 255 without leading zeros.
func ipv4(b []byte) bool {
	for part := range 4 {
		n := span(b, 0, digit)
		if n == 0 || n > 3 || n > 1 && b[0] == '0' || n == 3 && string(b[:3]) > "255" {
			return false
		}
		b = b[n:]
		if part == 3 {
			return len(b) == 0
		}
		if len(b) == 0 || b[0] != '.' {
			return false
		}
		b = b[1:]
	}
	return false
}
