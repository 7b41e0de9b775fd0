package h1

// This file takes what is complete, in bounds and without fault in one pass. What
// it does not take it leaves untouched to the careful path, which decides alone
// what is wrong, and where. So the two cannot disagree on an error, and on what is
// accepted they are held to each other by the fuzz targets and by every transcript
// that is played byte by byte. It makes parsing a head three to four times as fast.

// fastRequestLine is requestLine for a line that is complete, with a method that
// has a name here and an origin-form target. It returns the line's length with its
// CRLF, or 0.
func (c *conn) fastRequestLine(h *Head, in []byte) int {
	if len(in) < 16 || c.cfg.StrictTarget {
		return 0
	}
	w := load(in, 0)
	sp := w ^ ' '*ones
	m := lowestMark((sp - ones) &^ sp)
	w &= firstBytes[m+1].lo
	method := methodByHash[methodHash(w)]
	if m == 0 || w != methodWords[method] || method == MethodConnect || in[m+1] != '/' {
		return 0
	}
	start := m + 1
	stop := start
	for {
		var lo, hi uint64
		if stop+16 <= len(in) {
			lo, hi = load(in, stop), load(in, stop+8)
		} else {
			lo, hi = lastWords(in, stop)
		}
		lo, hi = noTarget(lo), noTarget(hi)
		if (lo|hi)&highs == 0 {
			stop += 16
			continue
		}
		if lo&highs == 0 {
			stop += 8
			lo = hi
		}
		stop += lowestMark(lo)
		break
	}
	const rest = " HTTP/1.1\r\n"
	if stop-start > c.cfg.MaxTarget || stop+len(rest) > min(len(in), c.cfg.MaxHead) {
		return 0
	}
	v := in[stop : stop+len(rest)]
	if string(v[:len(" HTTP/1.")]) != " HTTP/1." || v[8] > '1' || v[8] < '0' || v[9] != '\r' || v[10] != '\n' {
		return 0
	}
	l := &h.line
	l.targetOff, l.targetLen = uint32(start), uint32(stop-start)
	l.methodLen, l.method = uint16(m), method
	l.form, l.version = FormOrigin, HTTP10+Version(v[8]-'0')
	return stop + len(rest)
}

// fastLines adds field lines of in to h, from c.line on, until one wants care, and
// reports whether it got to the blank line. It takes lines of SP and VCHAR for
// which the table has room. Where lines may be folded it takes none that goes on, or
// may.
//
// How long a name or a value is cannot be foretold, and a branch that is foretold
// wrongly costs as much as fifty instructions. So a name's end is found without a
// branch, and the name of a recognised field is compared and not searched for
// bytes that no name has.
func (c *conn) fastLines(h *Head, in []byte, maxBytes, maxFields int, fold bool) (blank bool) {
	in = in[:min(len(in), maxBytes)]
	if len(in) < 16 {
		return false
	}
	if len(h.fields) == cap(h.fields) {
		h.fields = append(h.fields, make([]field, 16)...)[:len(h.fields)]
	}
	table, lines := h.fields[:min(cap(h.fields), maxFields)], len(h.fields)
	line := c.line
	for {
		if line+2 <= len(in) && load2(in, line) == '\r'|'\n'<<8 {
			blank = true
			break
		}
		if lines == len(table) {
			break
		}
		var lo, hi uint64 // the line's first words
		if line+16 <= len(in) {
			lo, hi = load(in, line), load(in, line+8)
		} else {
			lo, hi = lastWords(in, line)
		}
		end := line
		for w0, w1 := lo, hi; ; {
			w0, w1 = noPrint(w0), noPrint(w1)
			if (w0|w1)&highs != 0 {
				if w0&highs == 0 {
					end += 8
					w0 = w1
				}
				end += lowestMark(w0)
				break
			}
			end += 16
			if end+16 <= len(in) {
				w0, w1 = load(in, end), load(in, end+8)
			} else {
				w0, w1 = lastWords(in, end)
			}
		}
		if end+2 > len(in) || load2(in, end) != '\r'|'\n'<<8 {
			break
		}
		if fold && (end+2 == len(in) || in[end+2] == ' ' || in[end+2] == '\t') {
			break
		}
		// The colon, if it is in the first words: up to the line's end all is ASCII,
		// so the subtraction alone marks it.
		n := lowestMark(lo ^ ':'*ones - ones)
		n += lowestMark(hi^':'*ones-ones) & -(n / 8)
		var id FieldID
		if n < 16 {
			// There are no controls in the line, so setting bit 0x20 makes keys.
			lo = (lo | 0x20*ones) & firstBytes[n].lo
			hi = (hi | 0x20*ones) & firstBytes[n].hi
			id = fieldByHash[wordHash(lo^hi)] % 64
			if known := &fieldKeys[id]; (lo^known[0])|(hi^known[1]) != 0 {
				id = 0
				if n == 0 || span(in[:line+n], line, tchar) != line+n {
					break
				}
			}
		} else if n, id = longName(in[line:end]); n == 0 {
			break
		}
		from, to := line+n+1, end
		w := load2(in, from)
		if byte(w) == ' ' {
			from++
			w >>= 8
		}
		if byte(w) <= ' ' || byte(load2(in, to-1)) <= ' ' {
			from, to = trimOWS(in, from, to)
		}
		f := &table[lines]
		lines++
		f.nameOff, f.nameLen, f.id = uint32(line), uint16(n), id
		f.valOff, f.valLen = uint32(from), uint32(to-from)
		h.note(id, lines)
		line = end + 2
	}
	h.fields = h.fields[:lines]
	c.line, c.scan = line, line
	return blank
}

// longName returns the length of the name that a line starts with, and the field
// that it is. A length of 0 is a line that wants care.
//
//go:noinline
func longName(line []byte) (n int, id FieldID) {
	n = span(line, 0, tchar)
	if n > 0xffff || n == len(line) || line[n] != ':' {
		return 0, 0
	}
	return n, fieldOf(line[:n])
}

// methodWords are the methods as words, each with the SP behind it.
var methodWords = func() (t [nMethods]uint64) {
	for m, name := range methodNames {
		for i, b := range []byte(name + " ") {
			t[m] |= uint64(b) << (8 * i)
		}
	}
	return t
}()

// methodHash spreads the methods over 16 places without a collision.
func methodHash(w uint64) uint64 { return w * 0xe7acd9b3224bfd9f >> 60 }

var methodByHash = func() (t [16]Method) {
	for m := MethodGet; m < nMethods; m++ {
		t[methodHash(methodWords[m])] = m
	}
	return t
}()
