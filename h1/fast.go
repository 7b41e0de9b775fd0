package h1

import (
	"encoding/binary"
	"math/bits"
)

// This file takes what is complete, in bounds and without fault in one pass. What
// it does not take it leaves untouched to the careful path, which decides alone
// what is wrong, and where. So the two cannot disagree on an error, and on what is
// accepted they are held to each other by the fuzz targets and by every transcript
// that is played byte by byte. It makes parsing a head more than twice as fast.

// fastRequestLine is requestLine for a line that is complete and has an
// origin-form target. It returns the line's length with its CRLF, or 0.
func (c *conn) fastRequestLine(h *Head, in []byte) int {
	if c.cfg.StrictTarget {
		return 0
	}
	m := 0
	for m < len(in) && class[in[m]]&tchar != 0 {
		m++
	}
	if m == 0 || m > maxMethod || m+1 >= len(in) || in[m] != ' ' || in[m+1] != '/' {
		return 0
	}
	start := m + 1
	stop := skipTarget(in, start)
	const rest = " HTTP/1.1\r\n"
	if stop-start > c.cfg.MaxTarget || stop+len(rest) > min(len(in), c.cfg.MaxHead) {
		return 0
	}
	v := in[stop : stop+len(rest)]
	if string(v[:len(" HTTP/1.")]) != " HTTP/1." || v[8] > '1' || v[8] < '0' || v[9] != '\r' || v[10] != '\n' {
		return 0
	}
	method := methodOf(in[:m])
	if method == MethodConnect {
		return 0
	}
	h.line = startLine{
		targetOff: uint32(start), targetLen: uint32(stop - start),
		methodLen: uint16(m), method: method, form: FormOrigin, version: HTTP10 + Version(v[8]-'0'),
	}
	return stop + len(rest)
}

// fastLines adds field lines of in to h, from c.line on, until one wants care.
func (c *conn) fastLines(h *Head, in []byte, maxBytes, maxFields int, fold bool) {
	in = in[:min(len(in), maxBytes)]
	line := c.line
	for len(h.fields) < maxFields {
		i := line
		for i < len(in) && class[in[i]]&tchar != 0 {
			i++
		}
		colon := i
		if i == line || i >= len(in) || in[i] != ':' || i-line > 0xffff {
			break
		}
		i++
		for i < len(in) && (in[i] == ' ' || in[i] == '\t') {
			i++
		}
		from := i
		i = skipText(in, i)
		if i+1 >= len(in) || in[i] != '\r' || in[i+1] != '\n' {
			break
		}
		if fold && (i+2 >= len(in) || in[i+2] == ' ' || in[i+2] == '\t') {
			break // the line goes on, or may
		}
		to := i
		for to > from && (in[to-1] == ' ' || in[to-1] == '\t') {
			to--
		}
		id := fieldAt(in, line, colon)
		h.add(field{uint32(line), uint32(from), uint32(to - from), uint16(colon - line), id})
		line = i + 2
	}
	c.line, c.scan = line, line
}

// skipTarget returns the index of the first byte of b at or after i that no
// request-target has, or len(b).
func skipTarget(b []byte, i int) int {
	for i+8 <= len(b) {
		w := binary.LittleEndian.Uint64(b[i:])
		del, hash := w^0x7f*ones, w^'#'*ones
		hit := (w | (w-0x21*ones)&^w | (del-ones)&^del | (hash-ones)&^hash) & highs
		if hit != 0 {
			return i + bits.TrailingZeros64(hit)/8
		}
		i += 8
	}
	return span(b, i, targetByte)
}

// fieldAt is fieldOf(in[start:end]), comparing eight bytes at a time where in goes
// on long enough behind the name.
func fieldAt(in []byte, start, end int) FieldID {
	name := in[start:end]
	id := fieldByHash[fieldHash(name)]
	if id == 0 {
		return 0
	}
	known := &foldedNames[id]
	const fold = 0x20 * ones
	rest := in[start:]
	for k := range known {
		n := len(name) - 8*k
		if n <= 0 {
			break
		}
		if len(rest) < 8*k+8 {
			return fieldOf(name)
		}
		w := binary.LittleEndian.Uint64(rest[8*k:]) | fold
		if n < 8 {
			w &= 1<<(8*n) - 1
		}
		if w != known[k] {
			return 0
		}
	}
	return id
}

// foldedNames are the names of the recognised fields as fieldAt compares them:
// little-endian words in lower case, with zeros behind the name, so that a longer
// name differs too. Setting bit 0x20 folds letters and leaves "-" as it is; no
// other byte of a token becomes one of these by it.
var foldedNames = func() (t [nFields][4]uint64) {
	for id := FieldID(1); id < nFields; id++ {
		name := fieldNames[id]
		for i := range len(name) {
			t[id][i/8] |= uint64(name[i]|0x20) << (8 * (i % 8))
		}
	}
	return t
}()
