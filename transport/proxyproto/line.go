package proxyproto

import (
	"bytes"
	"net/netip"
	"strconv"
)

// Version 1: one line of text (2.1).

const (
	minLine = len("PROXY UNKNOWN\r\n") // bytes of the shortest; no header of version 2 is shorter
	maxLine = 107                      // bytes of the longest, with its CRLF
)

// parseLine is Parse for what begins with word.
func parseLine(b []byte) (h Header, n int, err error) {
	window := b[:min(len(b), maxLine)]
	end := bytes.IndexAny(window, "\r\n")
	switch {
	case end < 0 || end+1 == len(window) && window[end] == '\r':
		n, err = lineNeeds(window)
		if err == nil && n > maxLine {
			err = wrong(len(window), "no CRLF in the first %d bytes", maxLine)
		}
		return h, n, err
	case window[end] == '\n' || window[end+1] != '\n':
		return h, 0, wrong(end, "CR and LF stand only together, at the line's end")
	}
	fields := bytes.Split(window[:end], []byte(" "))
	switch string(fields[1]) {
	case "UNKNOWN": // what follows is to be ignored
		return Header{Version: 1}, end + 2, nil
	case "TCP4", "TCP6":
	default:
		return h, 0, unknownProtocol(fields[1])
	}
	if len(fields) != 6 {
		return h, 0, wrong(end, "%d fields and not 6, with one space between them", len(fields))
	}
	var at [6]int // where each field begins
	for i := 1; i < len(at); i++ {
		at[i] = at[i-1] + len(fields[i-1]) + 1
	}
	var addrs [2]netip.Addr
	var ports [2]uint16
	for i := range addrs {
		f := fields[2+i]
		a, err := netip.ParseAddr(string(f))
		if err != nil || a.Is4() != (string(fields[1]) == "TCP4") || a.Zone() != "" {
			return h, 0, wrong(at[2+i], "%q is no address of %s", f, fields[1])
		}
		addrs[i] = a
	}
	for i := range ports {
		f := fields[4+i]
		p, err := strconv.ParseUint(string(f), 10, 16)
		if err != nil || f[0] == '0' && len(f) > 1 {
			return h, 0, wrong(at[4+i], "%q is no port", f)
		}
		ports[i] = uint16(p)
	}
	h.Version = 1
	h.Source = netip.AddrPortFrom(addrs[0], ports[0])
	h.Destination = netip.AddrPortFrom(addrs[1], ports[1])
	return h, end + 2, nil
}

// lineNeeds returns the least that a line of which b is the beginning can have. It
// is more than len(b), so a line is read in about six pieces and never too far.
func lineNeeds(b []byte) (int, error) {
	if len(b) < minLine {
		return minLine, nil
	}
	if b[len(b)-1] == '\r' {
		return len(b) + 1, nil
	}
	protocol, rest, _ := bytes.Cut(b[len(word):], []byte(" "))
	var least [4]int // bytes of source, destination and their ports
	switch string(protocol) {
	case "UNKNOWN":
		return len(b) + 2, nil
	case "TCP4":
		least = [4]int{len("0.0.0.0"), len("0.0.0.0"), 1, 1}
	case "TCP6":
		least = [4]int{len("::"), len("::"), 1, 1}
	default:
		return 0, unknownProtocol(protocol)
	}
	begun := bytes.Count(rest, []byte(" "))
	if begun >= len(least) {
		return 0, wrong(len(b), "more than 6 fields, or more than one space between them")
	}
	n := len(b) + len("\r\n")
	if b[len(b)-1] == ' ' {
		n += least[begun]
	}
	for _, l := range least[begun+1:] {
		n += 1 + l
	}
	return n, nil
}

func unknownProtocol(p []byte) error {
	return wrong(len(word), "protocol %.16q is none of TCP4, TCP6 and UNKNOWN", p)
}

// appendLine is Append for version 1; h is checked.
func (h *Header) appendLine(dst []byte) []byte {
	dst = append(dst, word...)
	src, to := h.Source.Addr(), h.Destination.Addr()
	switch {
	case !src.IsValid():
		return append(dst, "UNKNOWN\r\n"...)
	case src.Is4():
		dst = append(dst, "TCP4 "...)
	default:
		dst = append(dst, "TCP6 "...)
	}
	dst = append(src.AppendTo(dst), ' ')
	dst = append(to.AppendTo(dst), ' ')
	dst = append(strconv.AppendUint(dst, uint64(h.Source.Port()), 10), ' ')
	dst = strconv.AppendUint(dst, uint64(h.Destination.Port()), 10)
	return append(dst, "\r\n"...)
}
