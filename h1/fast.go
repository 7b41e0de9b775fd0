package h1

// This file takes what is complete, in bounds and without fault in one pass. What
// it does not take it leaves untouched to the careful path, which decides alone
// what is wrong, and where. So the two cannot disagree on an error, and on what is
// accepted they are held to each other by the fuzz targets and by every transcript
// that is played byte by byte. It makes parsing a head three times as fast.

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
// wrongly costs as much as fifty instructions. So both ends are found without one,
// and the name of a recognised field is compared and not searched for bytes that no
// name has.
func (c *conn) fastLines(h *Head, in []byte, maxBytes, maxFields int, fold bool) (blank bool) {
	if min(len(in), maxBytes) <= 16 {
		return false
	}
	had := len(h.fields)
	if had == cap(h.fields) {
		h.fields = append(h.fields, make([]field, 16)...)[:had]
	}
	table := h.fields[:min(cap(h.fields), maxFields)]
	lines, line, blank := takeLines(table, had, in[:min(len(in), maxBytes)], c.line, fold)
	h.fields = h.fields[:lines]
	h.noteFrom(had)
	c.line, c.scan = line, line
	return blank
}

// takeLines adds the field lines of in from place line on to a table of lines, and
// returns where it got to. It is apart from fastLines for the sake of registers.
func takeLines(table []field, lines int, in []byte, line int, fold bool) (newLines, newLine int, blank bool) {
	in = in[:len(in):len(in)]
	ends := newLineEnds(in, line)
	for uint(lines) < uint(len(table)) {
		if line+2 <= len(in) && load2(in, line) == '\r'|'\n'<<8 {
			return lines, line, true
		}
		end, found := ends.near(line)
		if found == 0 {
			end = ends.far(line)
		}
		if end+2 > len(in) || load2(in, end) != '\r'|'\n'<<8 {
			break
		}
		if fold && (end+2 == len(in) || in[end+2] == ' ' || in[end+2] == '\t') {
			break
		}
		var lo, hi uint64 // the line's first words
		if line+16 <= len(in) {
			lo, hi = load(in, line), load(in, line+8)
		} else {
			lo, hi = lastWords(in, line)
		}
		// The colon, if it is in the first words: up to the line's end all is ASCII,
		// so the subtraction alone marks it.
		n := lowestMark(lo ^ ':'*ones - ones)
		n += lowestMark(hi^':'*ones-ones) & -(n / 8)
		var id FieldID
		if n < 16 {
			// Setting bit 0x20 makes keys. Before a colon that is another line's stands a
			// LF, which becomes "*": no key has that.
			mask := &firstBytes[n]
			lo, hi = (lo|0x20*ones)&mask.lo, (hi|0x20*ones)&mask.hi
			known := &shortFields[wordHash(lo^hi)]
			id = known.id
			if (lo^known.lo)|(hi^known.hi) != 0 {
				if !otherName(in[:line+n], line, lo, hi) {
					break
				}
				id = 0
			}
		} else if n, id = longName(in[line:end]); n == 0 {
			break
		}
		from := line + n + 1
		if w := load2(in, from); byte(w) <= ' ' { // SP, or the CR of an empty value
			if from++; w>>8 <= ' ' {
				break
			}
		}
		if byte(load2(in, end-1)) == ' ' {
			break
		}
		f := &table[lines]
		lines++
		f.nameOff, f.nameLen, f.id = uint32(line), uint16(n), id
		f.valOff, f.valLen = uint32(from), uint32(end-from)
		line = end + 2
	}
	return lines, line, false
}

// otherName reports whether b from i on, less than sixteen bytes, is a field name.
// Its key is lo and hi: the key of what is no name is not plain.
//
//go:noinline
func otherName(b []byte, i int, lo, hi uint64) bool {
	mask := &firstBytes[(len(b)-i)%16]
	plain := noPlain(lo)&mask.lo|noPlain(hi)&mask.hi == 0
	return i < len(b) && (plain || span(b, i, tchar) == len(b))
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

// shortFields are the recognised names of less than sixteen bytes as words, each in
// its hash's place. In the others is what no name becomes.
var shortFields = func() (t [256]struct {
	lo, hi uint64
	id     FieldID
}) {
	for i := range t {
		t[i].lo = 1
	}
	for id := FieldID(1); id < nFields; id++ {
		if key := fieldKeys[id]; len(fieldNames[id]) < 16 {
			t[key.hash()].lo, t[key.hash()].hi, t[key.hash()].id = key[0], key[1], id
		}
	}
	return t
}()

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
