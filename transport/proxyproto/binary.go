package proxyproto

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"net/netip"
	"strings"
)

// Version 2: binary (2.2).

const (
	headSize  = 16  // bytes before the addresses
	pathSize  = 108 // bytes of the address of a Unix socket
	pathBlock = 2 * pathSize
	tlvHead   = 3 // bytes before a TLV's value
)

// The fourteenth byte: address family and, in the lower half, transport protocol.
const (
	overIPv4 = 0x11
	overIPv6 = 0x21
	overUnix = 0x31
)

// parseBinary is Parse for what begins with signature.
func parseBinary(b []byte) (h Header, n int, err error) {
	if len(b) < headSize {
		return h, headSize, nil
	}
	command, family := b[12], b[13]
	if command>>4 != 2 {
		return h, 0, wrong(12, "version %d, this is how version 2 begins", command>>4)
	}
	n = headSize + int(binary.BigEndian.Uint16(b[14:]))
	switch {
	case command&0xf > 1:
		return h, 0, wrong(12, "command %d is neither LOCAL nor PROXY", command&0xf)
	case command&0xf == 0: // all the rest is to be ignored
		if len(b) < n {
			return h, n, nil
		}
		return Header{Version: 2, Local: true}, n, nil
	case family>>4 > 3 || family&0xf > 2:
		return h, 0, wrong(13, "no family and protocol have the number %#02x", family)
	}
	addrs := 0 // bytes of addresses
	switch family {
	case overIPv4:
		addrs = 2*4 + 2*2
	case overIPv6:
		addrs = 2*16 + 2*2
	case overUnix:
		addrs = pathBlock
	}
	if n < headSize+addrs {
		return h, 0, wrong(14, "%d bytes, and the addresses alone take %d", n-headSize, addrs)
	}
	if len(b) < n {
		return h, n, nil
	}
	h.Version = 2
	a := b[headSize:n]
	switch family {
	case overIPv4:
		h.Source = netip.AddrPortFrom(netip.AddrFrom4([4]byte(a)), binary.BigEndian.Uint16(a[8:]))
		h.Destination = netip.AddrPortFrom(netip.AddrFrom4([4]byte(a[4:])), binary.BigEndian.Uint16(a[10:]))
	case overIPv6:
		h.Source = netip.AddrPortFrom(netip.AddrFrom16([16]byte(a)), binary.BigEndian.Uint16(a[32:]))
		h.Destination = netip.AddrPortFrom(netip.AddrFrom16([16]byte(a[16:])), binary.BigEndian.Uint16(a[34:]))
	case overUnix:
		h.SourcePath, h.DestinationPath = path(a[:pathSize]), path(a[pathSize:pathBlock])
	default: // unspecified, or datagrams: what it says is not for us
		return h, n, nil
	}
	if h.TLVs, err = parseTLVs(b[:n], headSize+addrs); err != nil {
		return Header{}, 0, err
	}
	return h, n, nil
}

// path returns the address of a Unix socket as package net writes it.
func path(b []byte) string {
	if b[0] == 0 {
		if name := bytes.TrimRight(b, "\x00"); len(name) > 0 {
			return "@" + string(name[1:])
		}
		return ""
	}
	name, _, _ := bytes.Cut(b, []byte{0})
	return string(name)
}

// fits reports whether path can give p back.
func fits(p string) bool {
	if strings.HasPrefix(p, "@") {
		return p != "@" && len(p) <= pathSize && p[len(p)-1] != 0
	}
	return len(p) <= pathSize && !strings.Contains(p, "\x00")
}

// parseTLVs returns a copy of the TLVs, from offset to the end of a header, once they
// are known to be whole and the checksum among them to be right (2.2.3).
func parseTLVs(header []byte, offset int) ([]byte, error) {
	if offset == len(header) {
		return nil, nil
	}
	tlvs := bytes.Clone(header[offset:])
	at, err := checksum(tlvs, offset)
	if err != nil || at < 0 {
		return tlvs, err
	}
	given := binary.BigEndian.Uint32(tlvs[at:])
	clear(tlvs[at : at+4])
	computed := crc32.Update(crc32.Checksum(header[:offset], castagnoli), castagnoli, tlvs)
	binary.BigEndian.PutUint32(tlvs[at:], given)
	if given != computed {
		return nil, wrong(offset+at, "the checksum is %08x, and that of the header %08x", given, computed)
	}
	return tlvs, nil
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// checksum returns where among the TLVs the four bytes of the checksum are, or -1 if
// there is none, and an error if the TLVs, which begin at offset of a header, are not
// whole.
func checksum(tlvs []byte, offset int) (found int, err error) {
	found = -1
	for at := 0; at < len(tlvs); {
		b := tlvs[at:]
		if len(b) < tlvHead {
			return -1, wrong(offset+at, "%d bytes are no TLV", len(b))
		}
		size := int(binary.BigEndian.Uint16(b[1:]))
		if size > len(b)-tlvHead {
			return -1, wrong(offset+at, "a TLV of %d bytes with %d left", size, len(b)-tlvHead)
		}
		if b[0] == TypeCRC32C {
			if size != 4 || found >= 0 {
				return -1, wrong(offset+at, "a checksum is 4 bytes, once")
			}
			found = at + tlvHead
		}
		at += tlvHead + size
	}
	return found, nil
}

// appendBinary is Append for version 2; h is checked.
func (h *Header) appendBinary(dst []byte) []byte {
	start := len(dst)
	dst = append(dst, signature...)
	src, to := h.Source.Addr(), h.Destination.Addr()
	switch {
	case h.Local:
		return append(dst, 0x20, 0, 0, 0)
	case src.IsValid():
		family := byte(overIPv4)
		if src.Is6() {
			family = overIPv6
		}
		dst = append(dst, 0x21, family, 0, 0)
		dst = append(append(dst, src.AsSlice()...), to.AsSlice()...)
		dst = binary.BigEndian.AppendUint16(dst, h.Source.Port())
		dst = binary.BigEndian.AppendUint16(dst, h.Destination.Port())
	case h.SourcePath != "" || h.DestinationPath != "" || len(h.TLVs) > 0:
		dst = append(dst, 0x21, overUnix, 0, 0)
		for _, p := range []string{h.SourcePath, h.DestinationPath} {
			var block [pathSize]byte
			if copy(block[:], p); block[0] == '@' {
				block[0] = 0
			}
			dst = append(dst, block[:]...)
		}
	default:
		return append(dst, 0x21, 0, 0, 0)
	}
	dst = append(dst, h.TLVs...)
	b := dst[start:]
	binary.BigEndian.PutUint16(b[14:], uint16(len(b)-headSize))
	if at, _ := checksum(h.TLVs, 0); at >= 0 {
		sum := b[len(b)-len(h.TLVs)+at:][:4]
		clear(sum)
		binary.BigEndian.PutUint32(sum, crc32.Checksum(b, castagnoli))
	}
	return dst
}
