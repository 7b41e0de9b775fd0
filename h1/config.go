package h1

// Config holds a connection's limits. The zero value, like a nil *Config, is the
// strict default. In every field zero means the default named there and a
// negative value means no limit (a head or trailer section still ends at 1 GiB). A limit is exact: a message
// that just fits is accepted, one byte more is refused, however the input is cut.
//
// A Config may be shared by many connections and must not change while one uses it.
type Config struct {
	MaxTarget        int   // bytes of request-target; default 8192; beyond: 414
	MaxHead          int   // bytes of a head, start-line to blank line; default 65536; beyond: 431
	MaxFields        int   // field lines in a head; default 100; beyond: 431
	MaxTrailer       int   // bytes of a trailer section with its blank line; default 8192; beyond: 431
	MaxTrailerFields int   // field lines in a trailer section; default 32; beyond: 431
	MaxChunkLine     int   // bytes of a chunk-size line before its CRLF; default 256; beyond: 400
	MaxChunkOverhead int   // bytes of chunk-size lines in a message, less 16 and twice the size for each chunk; default 16384; beyond: 400
	MaxBody          int64 // bytes of decoded content in a message; default no limit; beyond: 413
}

// maxOffset is the largest head that 32-bit field offsets can address with room
// to spare; it stands in for "no limit" where a head is concerned.
const maxOffset = 1 << 30

// maxMethod is the longest method taken; anything longer is 501 (RFC 9112 3).
const maxMethod = 32

var strict = (&Config{}).resolved()

// resolved replaces defaults and "none" by plain numbers, so that the parsers
// compare and never ask.
func (c *Config) resolved() Config {
	r := *c
	limit(&r.MaxTarget, 8<<10)
	limit(&r.MaxHead, 64<<10)
	limit(&r.MaxFields, 100)
	limit(&r.MaxTrailer, 8<<10)
	limit(&r.MaxTrailerFields, 32)
	limit(&r.MaxChunkLine, 256)
	limit(&r.MaxChunkOverhead, 16<<10)
	if r.MaxBody <= 0 {
		r.MaxBody = 1<<63 - 1
	}
	return r
}

func limit(v *int, byDefault int) {
	switch {
	case *v == 0:
		*v = byDefault
	case *v < 0 || *v > maxOffset:
		*v = maxOffset
	}
}
