package proxyproto

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
)

// A Header is what a proxy says of a connection that it carries.
type Header struct {
	// Version is 1, the line of text, or 2, the binary form.
	Version int

	// Local says that the proxy speaks for itself, as in a health check: nothing
	// else is set. Version 2 only.
	Local bool

	// Source is the client, Destination what it connected to. They are of the same
	// family. The zero values mean that the proxy does not say: UNKNOWN, or a kind
	// of connection other than TCP.
	Source, Destination netip.AddrPort

	// SourcePath and DestinationPath are the addresses of a client that came by a
	// Unix socket, as net.UnixAddr has them: "" is an unnamed one, and "@" begins
	// an abstract name. Version 2 only.
	SourcePath, DestinationPath string

	// TLVs are the type-length-value vectors behind the addresses as they came,
	// each whole (2.2). See TLV. Version 2 only.
	TLVs []byte
}

// Types of TLVs (2.2.1 to 2.2.7).
const (
	TypeALPN      byte = 0x01 // the protocol that the client's TLS agreed on
	TypeAuthority byte = 0x02 // the host name that the client asked for
	TypeCRC32C    byte = 0x03 // a checksum of the header; Parse checks it
	TypeNoop      byte = 0x04 // padding
	TypeUniqueID  byte = 0x05 // up to 128 bytes that name the connection
	TypeSSL       byte = 0x20 // of the client's TLS: flags, result, TLVs of its own
	TypeNetNS     byte = 0x30 // the name of a network namespace
)

// TLV returns the value of the first TLV of that type, a part of h.TLVs, and whether
// there is one. What it says is as good as the proxy's word.
func (h *Header) TLV(kind byte) (value []byte, ok bool) {
	for b := h.TLVs; len(b) >= tlvHead; {
		end := tlvHead + int(binary.BigEndian.Uint16(b[1:]))
		if end > len(b) {
			break
		}
		if b[0] == kind {
			return b[tlvHead:end:end], true
		}
		b = b[end:]
	}
	return nil, false
}

// An Error says why bytes are no header.
type Error struct {
	Offset int    // in bytes, of what is wrong, from the header's beginning
	Text   string // what is wrong there
}

// Error says what is wrong and where.
func (e *Error) Error() string { return fmt.Sprintf("proxyproto: byte %d: %s", e.Offset, e.Text) }

func wrong(offset int, format string, args ...any) error {
	return &Error{offset, fmt.Sprintf(format, args...)}
}

// signature begins a header of version 2.
const signature = "\r\n\r\n\x00\r\nQUIT\n"

// word begins a header of version 1.
const word = "PROXY "

// Parse reads the header at the beginning of b. n is its length; if that is more
// than len(b) the header is not complete: h is not set, and b has to grow to n
// bytes, all of which belong to the header if it is one, before Parse can tell more.
// Where b is cut makes no difference to what comes out in the end. A header that
// is wrong is an *Error, as soon as that is certain; then n means nothing. h keeps
// nothing of b.
func Parse(b []byte) (h Header, n int, err error) {
	switch {
	case bytes.HasPrefix(b, []byte(word)):
		return parseLine(b)
	case bytes.HasPrefix(b, []byte(signature)):
		return parseBinary(b)
	case len(b) == 0:
		return h, minLine, nil
	}
	for _, start := range []string{word, signature} {
		if len(b) < len(start) && string(b) == start[:len(b)] {
			return h, minLine, nil
		}
	}
	return h, 0, wrong(0, "no header of the PROXY protocol but %.16q", b)
}

// Append appends the header to dst, or returns an error if a header cannot say what
// h says. A checksum among the TLVs is computed anew. Parse gives the same Header
// for it.
func (h *Header) Append(dst []byte) ([]byte, error) {
	if err := h.check(); err != nil {
		return dst, fmt.Errorf("proxyproto: %w", err)
	}
	if h.Version == 1 {
		return h.appendLine(dst), nil
	}
	return h.appendBinary(dst), nil
}

func (h *Header) check() error {
	src, dst := h.Source.Addr(), h.Destination.Addr()
	byIP := src.IsValid() || dst.IsValid()
	byPath := h.SourcePath != "" || h.DestinationPath != "" || !byIP && len(h.TLVs) > 0
	switch {
	case h.Version != 1 && h.Version != 2:
		return fmt.Errorf("no version %d", h.Version)
	case h.Version == 1 && (h.Local || byPath || len(h.TLVs) > 0):
		return fmt.Errorf("version 1 has no LOCAL, no paths and no TLVs")
	case h.Local && (byIP || byPath):
		return fmt.Errorf("LOCAL has no addresses and no TLVs")
	case byIP && byPath:
		return fmt.Errorf("addresses and paths exclude each other")
	case byIP && (!src.IsValid() || src.BitLen() != dst.BitLen()):
		return fmt.Errorf("%v and %v are not of one family", h.Source, h.Destination)
	case src.Zone() != "" || dst.Zone() != "":
		return fmt.Errorf("%v or %v has a zone", h.Source, h.Destination)
	case byPath && (!fits(h.SourcePath) || !fits(h.DestinationPath)):
		return fmt.Errorf("%q or %q is no path of a socket", h.SourcePath, h.DestinationPath)
	}
	_, err := checksum(h.TLVs, 0)
	if size := pathBlock + len(h.TLVs); err == nil && size > 1<<16-1 {
		err = fmt.Errorf("%d bytes of TLVs are too many", len(h.TLVs))
	}
	return err
}
