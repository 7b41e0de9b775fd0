package fuzz_test

import (
	"fmt"
	"math"
	"strings"
)

// refRespSetup is all that a client knows before the first byte of a response.
type refRespSetup struct {
	requests []refRespRequest // sent completely, in order
	failed   bool             // the connection breaks behind the input
	limits   refRespLimits
	flags    refRespFlags
}

type refRespRequest struct {
	method        string
	offersUpgrade bool // Upgrade, and Connection lists it
	offersTE      bool // TE lists a coding other than trailers
	close         bool // Connection: close
}

// refRespLimits are h1.Config's. Each counts as it is: zero is no default.
type refRespLimits struct {
	maxHead          int   // bytes, from status-line to blank line
	maxFields        int   // lines
	maxTrailer       int   // bytes, with the blank line
	maxTrailerFields int   // lines
	maxChunkLine     int   // bytes, without CRLF
	maxChunkOverhead int   // bytes
	maxBody          int64 // bytes
	maxInfo          int   // interim responses to one request
}

// refRespFlags are h1.Config's flags for clients.
type refRespFlags struct {
	LFResponses, ChunkSizeSpace, CTLValues, AcceptCLTE, StripNameSpace bool
}

// A setup has a code, so that fuzzing can vary it. Zero is one GET with h1's
// default limits, no flags, and a connection that closes cleanly. In a code stand,
// from the lowest bit:
//
//	3 bits   how many requests: 0-3 one, 4 and 5 two, 6 three, 7 none
//	3x3 bits their kinds
//	5 bits   flags
//	1 bit    the connection breaks
//	4 bits   0-7 default limits, 8-15 one limit is tight
//	10 bits  how tight
const (
	refRespTwo   uint32 = 4
	refRespThree uint32 = 6
	refRespNone  uint32 = 7

	// The kind of the first request.
	refRespHEAD    uint32 = 1 << 3
	refRespCONNECT uint32 = 2 << 3
	refRespUpgrade uint32 = 3 << 3
	refRespTE      uint32 = 4 << 3
	refRespClose   uint32 = 5 << 3
	refRespPOST    uint32 = 6 << 3 // offers an upgrade and codings
	refRespUnusual uint32 = 7 << 3 // a method that is not known, and Connection: close

	refRespLF     uint32 = 1 << 12
	refRespSpace  uint32 = 1 << 13
	refRespCTLs   uint32 = 1 << 14
	refRespCLTE   uint32 = 1 << 15
	refRespStrip  uint32 = 1 << 16
	refRespBreaks uint32 = 1 << 17
)

// The limits that refRespTight can set.
const (
	refRespMaxHead uint32 = iota
	refRespMaxFields
	refRespMaxTrailer
	refRespMaxTrailerFields
	refRespMaxChunkLine
	refRespMaxChunkOverhead
	refRespMaxBody
	refRespMaxInfo
)

// refRespTight is the code that sets one limit: from 1 to 128 for maxHead, to 32
// for all others.
func refRespTight(limit, n uint32) uint32 {
	return (8|limit)<<18 | (n-1)<<22
}

// refRespSecond moves the kind of the first request to the second.
func refRespSecond(kind uint32) uint32 { return kind << 3 }

// refRespDecode returns the setup that a code stands for. Every code is one.
func refRespDecode(code uint32) (s refRespSetup) {
	count := 1
	switch code & 7 {
	case 4, 5:
		count = 2
	case refRespThree:
		count = 3
	case refRespNone:
		count = 0
	}
	for i := range count {
		s.requests = append(s.requests, refRespKind(code>>(3*i)&refRespUnusual))
	}
	s.flags = refRespFlags{
		LFResponses:    code&refRespLF != 0,
		ChunkSizeSpace: code&refRespSpace != 0,
		CTLValues:      code&refRespCTLs != 0,
		AcceptCLTE:     code&refRespCLTE != 0,
		StripNameSpace: code&refRespStrip != 0,
	}
	s.failed = code&refRespBreaks != 0
	s.limits = refRespLimits{maxHead: 65536, maxFields: 100, maxTrailer: 8192, maxTrailerFields: 32,
		maxChunkLine: 256, maxChunkOverhead: 16384, maxBody: math.MaxInt64, maxInfo: 32}
	if limit := code >> 18 & 15; limit >= 8 {
		s.limits.tighten(limit-8, int(code>>22))
	}
	return s
}

func refRespKind(kind uint32) refRespRequest {
	req := refRespRequest{method: "GET"}
	switch kind {
	case refRespHEAD:
		req.method = "HEAD"
	case refRespCONNECT:
		req.method = "CONNECT"
	case refRespUpgrade:
		req.offersUpgrade = true
	case refRespTE:
		req.offersTE = true
	case refRespClose:
		req.close = true
	case refRespPOST:
		req = refRespRequest{method: "POST", offersUpgrade: true, offersTE: true}
	case refRespUnusual:
		req = refRespRequest{method: "head", close: true}
	}
	return req
}

func (l *refRespLimits) tighten(limit uint32, bits int) {
	n := 1 + bits%32
	switch limit {
	case refRespMaxHead:
		l.maxHead = 1 + bits%128
	case refRespMaxFields:
		l.maxFields = n
	case refRespMaxTrailer:
		l.maxTrailer = n
	case refRespMaxTrailerFields:
		l.maxTrailerFields = n
	case refRespMaxChunkLine:
		l.maxChunkLine = n
	case refRespMaxChunkOverhead:
		l.maxChunkOverhead = n
	case refRespMaxBody:
		l.maxBody = int64(n)
	case refRespMaxInfo:
		l.maxInfo = n
	}
}

// refRespResult is everything that a server's bytes mean to a client.
type refRespResult struct {
	responses []refResponse // the last is incomplete if its content was faulty
	end       refRespEnd
	left      int      // refRespClosing, refRespSwitched: bytes behind the last response
	faults    []string // refRespFailed: names of the codes that may say what was wrong, as in h1.ErrBareLF
}

// refRespEnd says why a client stopped reading.
type refRespEnd string

const (
	refRespClean    refRespEnd = "clean"    // the input ended behind the last response
	refRespClosing  refRespEnd = "closing"  // a final response was the connection's last
	refRespSwitched refRespEnd = "switched" // what follows is another protocol's
	refRespFailed   refRespEnd = "failed"   // the input broke a rule, or ended too early
)

// refRespFrame says what ends the content.
type refRespFrame string

const (
	refRespNoContent  refRespFrame = "none"
	refRespByLength   refRespFrame = "length"
	refRespChunked    refRespFrame = "chunked"
	refRespUntilClose refRespFrame = "close"
)

type refResponse struct {
	info      bool // interim, not 101
	switched  bool // 101, or 2xx to CONNECT
	version   int  // 10 or 11
	status    int
	reason    string
	fields    []refRespField
	framing   refRespFrame
	keepAlive bool   // of a final response that does not switch
	content   string // decoded; if incomplete, what comes before the fault
	complete  bool
	trailer   []refRespField
}

type refRespField struct{ name, value string }

// String describes a result without its faults, on one line.
func (r refRespResult) String() string {
	var b strings.Builder
	for _, resp := range r.responses {
		fmt.Fprintf(&b, "%v; ", resp)
	}
	b.WriteString(string(r.end))
	if r.left > 0 {
		fmt.Fprintf(&b, " left=%d", r.left)
	}
	return b.String()
}

// String leaves out what most responses have in common.
func (r refResponse) String() string {
	var b strings.Builder
	b.WriteString(map[bool]string{true: "info "}[r.info])
	if r.version != 11 {
		fmt.Fprintf(&b, "HTTP/%d.%d ", r.version/10, r.version%10)
	}
	fmt.Fprintf(&b, "%d", r.status)
	if r.reason != "OK" {
		fmt.Fprintf(&b, " %q", r.reason)
	}
	for _, f := range r.fields {
		fmt.Fprintf(&b, " %s=%q", f.name, f.value)
	}
	if r.framing != refRespNoContent {
		fmt.Fprintf(&b, " %s %q", r.framing, r.content)
	}
	for _, f := range r.trailer {
		fmt.Fprintf(&b, " +%s=%q", f.name, f.value)
	}
	switch {
	case !r.complete:
		b.WriteString(" incomplete")
	case r.switched:
		b.WriteString(" switched")
	case r.keepAlive:
		b.WriteString(" persists")
	}
	return b.String()
}
