package h1

// Config holds a connection's limits and leniencies. The zero value, like a nil
// *Config, is the strict default. In every limit zero means the default named
// there and a negative value means no limit (a head or trailer section still ends
// at 1 GiB). A limit is exact: a message that just fits is accepted, one byte more
// is refused, however the input is cut. The status named is the one that the error
// suggests to a server; to a client it suggests 502.
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
	MaxInfo          int   // client: interim responses to one request; default 32
	MaxPending       int   // client: requests sent before the first is answered; default 1, no pipelining

	StrictTarget bool // server: the path and query of a request-target hold only what RFC 3986 allows there
	CloseHTTP10  bool // server: no persistent connections with HTTP/1.0 clients, as proxies must (RFC 9112 9.3)

	// Each flag below lets one violation pass that two implementations may read in
	// two ways. Set it for a peer that is known and cannot be mended, and never
	// between an attacker and another parser.
	LFResponses    bool // client: LF alone ends a line of a head or trailer section; danger: response splitting
	CTLValues      bool // client: controls but NUL, CR and LF in field values; danger: logs and terminals
	StripNameSpace bool // client: whitespace before a field's colon is dropped, as proxies must (RFC 9112 5.1)
	ChunkSizeSpace bool // client: whitespace behind chunk-size, as some servers pad it
	FoldRequests   bool // server: folded field lines are joined by spaces; danger: smuggling past a peer that does not
	AcceptCLTE     bool // Transfer-Encoding beside Content-Length wins, and the connection closes; danger: smuggling
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
	limit(&r.MaxInfo, 32)
	limit(&r.MaxPending, 1)
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
