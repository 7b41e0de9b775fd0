package h1

import "strconv"

// Error is what Next and the writers return. Its storage is inside the
// connection, so that handing one out allocates nothing: it is valid until the
// connection's next error or Reset; copy the struct to keep it.
//
//	if e, ok := errors.AsType[*h1.Error](err); ok { log(e.Code, e.Offset) }
//	if errors.Is(err, h1.ErrBareCR) { … }
type Error struct {
	Code   Code    // what is wrong; stable
	Status int     // the status code that suits the answer; 0 for local errors
	Offset int64   // the first offending byte, in bytes from the connection's first (or from Reset)
	Remote bool    // the peer's fault; else the caller misused the connection
	Field  FieldID // the known field to blame, if one is
}

// Error returns the text of the code, with the offset of a remote error.
func (e *Error) Error() string {
	if !e.Remote {
		return e.Code.Error()
	}
	return e.Code.Error() + " at byte " + strconv.FormatInt(e.Offset, 10)
}

// Unwrap returns the Code, so that errors.Is(err, h1.ErrBareCR) works.
func (e *Error) Unwrap() error { return e.Code }

// Code names one way to break the protocol or to misuse a connection. It is an
// error itself, comparable and free of allocation.
type Code uint8

// The remote codes carry a status to answer with; the local ones have none.
const (
	_ Code = iota

	ErrBareCR             // CR that no LF follows (RFC 9112 2.2)
	ErrBareLF             // LF that no CR precedes (RFC 9112 2.2)
	ErrControl            // control character in a head or trailer section (RFC 9110 5.5)
	ErrRequestLine        // no "method SP request-target SP HTTP-version" (RFC 9112 3)
	ErrMethodTooLong      // method of more than 32 bytes (RFC 9112 3); 501
	ErrTarget             // byte or form that no request-target has (RFC 9112 3.2)
	ErrTargetTooLong      // request-target over Config.MaxTarget (RFC 9112 3); 414
	ErrVersion            // HTTP-version malformed or absent (RFC 9112 2.3)
	ErrVersionMajor       // major version other than 1 (RFC 9110 15.6.6); 505
	ErrHTTP2Preface       // "PRI * HTTP/2.0" (RFC 9113 3.4); 505
	ErrLeadingSpace       // whitespace between start-line and first field (RFC 9112 2.2)
	ErrObsFold            // folded field line in a request (RFC 9112 5.2)
	ErrFieldName          // field name that is no token (RFC 9110 5.1)
	ErrSpaceBeforeColon   // whitespace between field name and colon (RFC 9112 5.1)
	ErrTooManyFields      // more field lines than Config allows (RFC 9110 5.4); 431
	ErrHeadTooLarge       // head over Config.MaxHead (RFC 9110 5.4); 431
	ErrTrailerTooLarge    // trailer section over Config.MaxTrailer (RFC 9110 5.4); 431
	ErrTrailerField       // framing, routing or authentication field in a trailer section (RFC 9110 6.5.1)
	ErrEmptyMembers       // more than 32 empty members in a list (RFC 9110 5.6.1.2)
	ErrHostMissing        // HTTP/1.1 request without Host (RFC 9112 3.2)
	ErrHostRepeated       // more than one Host line (RFC 9112 3.2)
	ErrHost               // Host or authority that is no uri-host[":"port] (RFC 9112 3.2)
	ErrTransferEncoding   // Transfer-Encoding other than exactly "chunked" (RFC 9112 6.1)
	ErrTransferCoding     // chunked over a coding that we do not know (RFC 9112 6.1); 501
	ErrTransferEncoding10 // Transfer-Encoding in an HTTP/1.0 message (RFC 9112 6.1)
	ErrLengthAndEncoding  // Content-Length beside Transfer-Encoding (RFC 9112 6.3)
	ErrContentLength      // Content-Length that is no number, or too big (RFC 9112 6.3)
	ErrContentLengths     // more than one Content-Length (RFC 9110 8.6)
	ErrConnectContent     // content in a CONNECT request (RFC 9110 9.3.6)
	ErrChunkSize          // chunk-size that is no hexadecimal number, or too big (RFC 9112 7.1)
	ErrChunkExtension     // malformed chunk extension (RFC 9112 7.1.1)
	ErrChunkLineTooLong   // chunk-size line over Config.MaxChunkLine (RFC 9112 7.1.1)
	ErrChunkOverhead      // more chunk framing than Config.MaxChunkOverhead allows (RFC 9112 7.1.1)
	ErrChunkEnd           // something other than CRLF after chunk-data (RFC 9112 7.1)
	ErrBodyTooLarge       // content over Config.MaxBody (RFC 9110 15.5.14); 413
	ErrUnexpectedEOF      // input ended inside a message, or with a request unanswered (RFC 9112 8)
	ErrStatusLine         // no "HTTP-version SP status-code SP [reason]" (RFC 9112 4)
	ErrUnsolicited        // response that no request asked for (RFC 9112 9.2)
	ErrTooManyInfo        // more interim responses than Config.MaxInfo (RFC 9110 15.2)
	ErrNotOffered         // 101 to a protocol that was not offered, or to none (RFC 9110 7.8)

	// Local codes: the call had no effect, and the connection goes on as before.

	ErrState         // not allowed now, such as a response while no request is open
	ErrStatus        // status code out of range, or not allowed here
	ErrFieldValue    // control character in a field value or reason (RFC 9110 5.5)
	ErrInvalidName   // field name to be sent that is no token (RFC 9110 5.1)
	ErrInvalidMethod // method to be sent that is no token (RFC 9110 9.1)
	ErrInvalidTarget // request-target to be sent that has none of the four forms (RFC 9112 3.2)
	ErrInvalidHost   // host to be sent that is none, or is not the target's (RFC 9112 3.2)
	ErrFieldRepeated // field that may stand only once (RFC 9110 5.3)
	ErrNotInTrailer  // field that no trailer section may have (RFC 9110 6.5.1)
	ErrUpgrade       // 101 or 426 without Upgrade, or 101 to a protocol not offered (RFC 9110 7.8)
	ErrFraming       // framing fields that contradict each other or the status (RFC 9112 6)
	ErrNoContent     // content for a response that has none (RFC 9112 6.3)
	ErrBodyOverrun   // more content than Content-Length or chunk-size announced (RFC 9110 8.6)
	ErrBodyShort     // less content than Content-Length announced (RFC 9110 8.6)
	ErrEarlyInfo     // interim response to HTTP/1.0 (RFC 9110 15.2)

	nCodes
)

var codes = [nCodes]struct {
	status uint16
	text   string
}{
	ErrBareCR:             {400, "bare CR"},
	ErrBareLF:             {400, "bare LF"},
	ErrControl:            {400, "control character in a head"},
	ErrRequestLine:        {400, "malformed request-line"},
	ErrMethodTooLong:      {501, "method too long"},
	ErrTarget:             {400, "invalid request-target"},
	ErrTargetTooLong:      {414, "request-target too long"},
	ErrVersion:            {400, "malformed HTTP-version"},
	ErrVersionMajor:       {505, "HTTP version not supported"},
	ErrHTTP2Preface:       {505, "HTTP/2 connection preface"},
	ErrLeadingSpace:       {400, "whitespace before the first field"},
	ErrObsFold:            {400, "folded field line"},
	ErrFieldName:          {400, "invalid field name"},
	ErrSpaceBeforeColon:   {400, "whitespace before the field's colon"},
	ErrTooManyFields:      {431, "too many field lines"},
	ErrHeadTooLarge:       {431, "head too large"},
	ErrTrailerTooLarge:    {431, "trailer section too large"},
	ErrTrailerField:       {400, "field not allowed in a trailer section"},
	ErrEmptyMembers:       {400, "too many empty list members"},
	ErrHostMissing:        {400, "no Host"},
	ErrHostRepeated:       {400, "more than one Host"},
	ErrHost:               {400, "invalid host"},
	ErrTransferEncoding:   {400, "invalid Transfer-Encoding"},
	ErrTransferCoding:     {501, "unknown transfer coding"},
	ErrTransferEncoding10: {400, "Transfer-Encoding in an HTTP/1.0 message"},
	ErrLengthAndEncoding:  {400, "Content-Length beside Transfer-Encoding"},
	ErrContentLength:      {400, "invalid Content-Length"},
	ErrContentLengths:     {400, "more than one Content-Length"},
	ErrConnectContent:     {400, "content in a CONNECT request"},
	ErrChunkSize:          {400, "invalid chunk-size"},
	ErrChunkExtension:     {400, "invalid chunk extension"},
	ErrChunkLineTooLong:   {400, "chunk-size line too long"},
	ErrChunkOverhead:      {400, "too much chunk framing for the content"},
	ErrChunkEnd:           {400, "no CRLF after chunk-data"},
	ErrBodyTooLarge:       {413, "content too large"},
	ErrUnexpectedEOF:      {400, "input ended inside a message"},
	ErrStatusLine:         {502, "malformed status-line"},
	ErrUnsolicited:        {502, "response without a request"},
	ErrTooManyInfo:        {502, "too many interim responses"},
	ErrNotOffered:         {502, "protocol switched without an offer"},
	ErrState:              {0, "call not allowed in this state"},
	ErrStatus:             {0, "status not allowed here"},
	ErrFieldValue:         {0, "invalid byte in a field value to be sent"},
	ErrInvalidName:        {0, "invalid field name to be sent"},
	ErrInvalidMethod:      {0, "invalid method to be sent"},
	ErrInvalidTarget:      {0, "invalid request-target to be sent"},
	ErrInvalidHost:        {0, "invalid host to be sent"},
	ErrFieldRepeated:      {0, "field to be sent twice"},
	ErrNotInTrailer:       {0, "field to be sent in a trailer section"},
	ErrUpgrade:            {0, "Upgrade missing or not offered"},
	ErrFraming:            {0, "contradictory message framing"},
	ErrNoContent:          {0, "content where the message has none"},
	ErrBodyOverrun:        {0, "more content than announced"},
	ErrBodyShort:          {0, "less content than announced"},
	ErrEarlyInfo:          {0, "interim response to an HTTP/1.0 client"},
}

// Error returns the code's text, such as "h1: bare CR".
func (c Code) Error() string {
	if c == 0 || c >= nCodes {
		return "h1: no error"
	}
	return "h1: " + codes[c].text
}

// Status returns the status code that suits an answer to the fault: 400, 413,
// 414, 431, 501 or 505, 502 if only a server commits it, and 0 for a local code.
func (c Code) Status() int {
	if c >= nCodes {
		return 0
	}
	return int(codes[c].status)
}
