package h1test

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// Row is one requirement of the RFCs and what postern does about it. Transcripts
// name the rows that they show, see NamedRows; docs/conformance.md joins the two.
type Row struct {
	Number int
	RFC    string   // sections, such as "RFC 9112 2.3, RFC 9110 6.2"
	Rule   string   // what the RFC demands; as Server and Client, Markdown for a table's cell
	Server string   // what the server's side does; "" if the rule is none of its business
	Client string   // what the client's side does; likewise, or Same
	Tests  []string // Go tests and examples that show it too: "server.TestExchanges" is in server/*_test.go
}

// Same stands for a client that does what the server does, by the same code; for
// a refusal it has an error instead of a status.
const Same = "the same"

// Rows are all requirements, by number.
var Rows = []Row{
	// Octets and lines.
	{1, "RFC 9112 2.2", "A message is parsed as octets, not as text in some charset.",
		"Bytes from 0x80 on are opaque. Only SP and HTAB are whitespace: 0x85 and 0xA0 are not trimmed.", Same, nil},
	{2, "RFC 9112 2.2", "A line ends with CRLF; whoever takes LF alone for it may see other lines than the next recipient.",
		"400 for a bare LF.", "Error, unless `Config.LFResponses` lets it end lines of heads and trailer sections.", nil},
	{3, "RFC 9112 2.2", "A CR that no LF follows is invalid.",
		"400, wherever it stands; it is not replaced.", Same, nil},
	{4, "RFC 9110 5.5", "A field value holds no CR, LF, NUL or other control character but HTAB.",
		"400 for each of them, and for DEL.", "Error; `Config.CTLValues` lets all but NUL, CR and LF pass.", nil},
	{5, "RFC 9112 2.2", "At least one empty line before a request-line is ignored.",
		"Skips two before each request. A third, or one that LF alone ends, is 400.", Same, nil},
	{6, "RFC 9112 2.2", "Whitespace between start-line and first field is refused, or its line dropped.",
		"400.", Same, nil},
	{7, "RFC 9112 2.2", "What does not match the grammar is answered with 400, and the connection closed.",
		"400 at the first byte that no head may hold, such as the first of a TLS handshake, without waiting for the line's end.", Same, nil},

	// Start-line.
	{8, "RFC 9112 2.3, RFC 9110 2.5, 15.6.6", "The version is HTTP/ DIGIT . DIGIT in upper case. A higher minor version counts as 1.1; another major one may be refused with 505.",
		"400 for any other spelling, 505 for another major version; the HTTP/2 preface has a code of its own.", Same, nil},
	{9, "RFC 9112 3", "A request-line without version is not HTTP/1.",
		"400; nothing behind the line is read.", "", nil},
	{10, "RFC 9112 3", "One space stands between the parts of a request-line.",
		"400 for anything else.", "", nil},
	{11, "RFC 9112 3, RFC 9110 9.1", "A method is a token whose case counts; one longer than any that is known is answered with 501.",
		"Any token of up to 32 bytes, kept as it was sent; a longer one is 501.", "", nil},
	{12, "RFC 9112 3.2", "A request-target holds no whitespace, and a bad one is not mended.",
		"400 for bytes other than visible ASCII, and for `#`; `Config.StrictTarget` leaves only what RFC 3986 allows.", "`Begin` refuses them.", nil},
	{13, "RFC 9112 3", "A request-target that is too long is answered with 414; lines of 8000 bytes are supported.",
		"414 beyond `Config.MaxTarget`, 8192 bytes by default.", "", nil},
	{14, "RFC 9112 3.2, RFC 9110 7.1", "Authority-form goes with CONNECT and `*` with OPTIONS only; origin-form begins with a slash.",
		"400 for any other pair of method and form.", "`Begin` refuses them.", nil},
	{15, "RFC 9112 3.2.2", "Absolute-form is accepted with any method; its authority counts, whatever Host says.",
		"`Head.Authority` is the target's, and `Head.HostMismatch` tells that Host differs; the caller may answer 421. 400 for a URI without authority.", "Sent to a proxy; `Begin` refuses a host that differs from it.", nil},
	{16, "RFC 9110 4.2.1, 4.2.4", "An http URI has a host; user information in it is treated as an error.",
		"400 for both, with any scheme.", "`Begin` refuses both.", nil},
	{17, "RFC 9110 9.3.6", "CONNECT names a host and a port that exists, and has no content.",
		"400 for any other target, a Content-Length over 0, and Transfer-Encoding.", "`Begin` and the writer refuse the same.", nil},
	{18, "RFC 9112 3.2", "400 for HTTP/1.1 without Host, and for any request with more than one or an invalid one.",
		"As it says. Valid is uri-host [\":\" port], also empty, but without comma, zone and user information.", "", nil},
	{19, "RFC 9112 3.2, RFC 9110 7.2", "A client sends Host in every HTTP/1.1 request, first and equal to the target's authority without user information.",
		"", "`Begin` takes the host, checks it and writes it before any other field; the writer refuses a second one.", nil},

	// Fields.
	{20, "RFC 9110 5.1", "A field name is a token, and not empty.",
		"400.", Same, nil},
	{21, "RFC 9112 5.1", "A request with whitespace between field name and colon is answered with 400; in a response a proxy removes it.",
		"400.", "Error, unless `Config.StripNameSpace` drops it.", nil},
	{22, "RFC 9110 5.5", "Whitespace around a field value is not part of it.",
		"Left out of the value; inside, all of it stays.", Same, nil},
	{23, "RFC 9112 5.2", "A folded line in a request is refused or unfolded; in a response a user agent unfolds it. None is generated.",
		"400, unless `Config.FoldRequests` joins the lines. What is written holds no line end.", "Overwrites the fold with spaces in the caller's buffer.", nil},
	{24, "RFC 9110 5.4", "Fields larger than a server wants are answered with 4xx, and never dropped in silence.",
		"431 beyond `Config.MaxFields` and `MaxHead`.", Same, nil},
	{25, "RFC 9110 5.6.1.2", "Empty list members are accepted in moderation.",
		"32 for each of Connection, Upgrade, Expect and Trailer, over all lines; then 400. None where framing depends on it, rows 35 and 36.", Same, nil},
	{26, "RFC 9110 5.3", "Nothing is acted upon before the whole header section is in.",
		"The request is reported at its blank line; before that it can only be given up, with a final status such as 408.", Same, nil},
	{27, "RFC 9110 5.3", "Lines of one name keep their order.",
		"All lines do, and names keep their case.", Same, nil},
	{28, "RFC 9110 5.3", "A field that is no list is sent once.",
		"The writer refuses a second line of Content-Type, Location, Date and the like.", Same, nil},
	{29, "RFC 9110 2.2, 11.1", "Nothing is generated that the grammar forbids.",
		"Field names, field values and reason are checked before a byte is appended; an error appends nothing.",
		"Method, request-target and host too.", []string{"h1.TestReason"}},

	// Framing.
	{30, "RFC 9112 6.1, 6.3", "Content-Length beside Transfer-Encoding is an attempt at smuggling: refused, or the connection is closed after it.",
		"400, whatever the two say; `Config.AcceptCLTE` drops the length and closes.", Same, nil},
	{31, "RFC 9112 6.1", "Transfer-Encoding in an HTTP/1.0 message means that its framing is faulty.",
		"400.", Same, nil},
	{32, "RFC 9112 6.3", "A request whose last transfer coding is not chunked is answered with 400; such a response ends with the connection.",
		"400.", "Error for a coding that TE did not offer; one that it did is left to the caller, and without chunked the content ends with the connection.", nil},
	{33, "RFC 9112 6.1", "A transfer coding that is not understood is answered with 501.",
		"501 if chunked is the last of a well-formed list, else row 32.", "Error, unless TE offered it.", nil},
	{34, "RFC 9112 6.1, 7.1", "Chunked is applied once, and has no parameters.",
		"400.", Same, nil},
	{35, "RFC 9112 6.1, RFC 9110 5.3", "Transfer-Encoding is a list, over all its lines.",
		"Stricter: one line, that says `chunked` in any case and nothing else. 400 for what others read in two ways.", Same, nil},
	{36, "RFC 9112 6.3", "A Content-Length that is no number is an error nobody recovers from.",
		"400 for anything but digits, and for none.", Same, nil},
	{37, "RFC 9110 8.6", "Equal values of Content-Length, in a list or in several lines, are refused or taken as one.",
		"400.", "Taken as one if their digits are the same, else an error.", nil},
	{38, "RFC 9110 8.6, RFC 9112 7.1", "Numbers may be large, and must not wrap around.",
		"Content-Length has up to 19 digits, chunk-size up to 16, leading zeros included; 400 beyond 63 bits, 413 for chunks that exceed them together.", Same, nil},
	{39, "RFC 9112 6.3", "A request with neither field has no content; closing never delimits one.",
		"Ends with its head.", "", nil},
	{40, "RFC 9112 6", "A request's framing does not depend on its method.",
		"Content of GET, HEAD or an unknown method is delivered as any other.", "", nil},
	{41, "RFC 9112 6.3, 8", "A message that ends before its framing says so is incomplete.",
		"Error, never an end; 400 if it can still be answered.", "Error, never an end.", nil},
	{42, "RFC 9112 6.3", "Responses to HEAD, and 1xx, 204 and 304, end with their blank line, whatever their fields say.",
		"Content is refused, for HEAD dropped.", "Reports no content, whatever the fields say.", nil},
	{43, "RFC 9112 6.3, RFC 9110 9.3.6", "2xx to CONNECT begins a tunnel; a server sends neither Content-Length nor Transfer-Encoding with it, and a client ignores them.",
		"Refuses to write them; the connection is switched with the head.", "Switched with the head; the fields do not count.", nil},
	{44, "RFC 9112 6.1, RFC 9110 8.6", "No Transfer-Encoding or Content-Length in 1xx and 204.",
		"The writer refuses both.", "", nil},
	{45, "RFC 9112 6.1", "No Transfer-Encoding in the answer to HTTP/1.0.",
		"The writer refuses it; content without length ends with the connection.", "", nil},
	{46, "RFC 9112 6.1", "A client uses Transfer-Encoding only with a server that is known to speak HTTP/1.1.",
		"", "Takes HTTP/1.1 for granted, unless the last response said 1.0: then the writer refuses it.", nil},
	{47, "RFC 9112 6.2, RFC 9110 8.6", "No Content-Length beside Transfer-Encoding, and none that differs from the content.",
		"The writer refuses both fields together, an end that comes early, and every byte of excess before it is sent.", Same, nil},
	{48, "RFC 9110 9.3.2, 8.6", "The answer to HEAD has no content; its Content-Length is that of GET.",
		"Content is counted against Content-Length and not sent.", "", nil},
	{49, "RFC 9110 15.3.6", "205 has no content.",
		"Written with Content-Length: 0; any other framing is refused.", "", nil},
	{50, "RFC 9112 6.3, 9.8", "A response without framing ends with the connection; over TLS it is complete only with close_notify.",
		"", "`CloseInput` ends such a response, `FailInput` leaves it incomplete.", nil},

	// The chunked coding.
	{51, "RFC 9112 7.1", "Chunked is decoded by everyone. A chunk-size is one or more hexadecimal digits.",
		"400 for a prefix, sign, separator, leading whitespace, no digit at all or more than 16.", Same, nil},
	{52, "RFC 9112 7.1", "CRLF ends a chunk-size line, and stands behind chunk-data.",
		"400 for LF alone, CR alone and anything between.", Same, nil},
	{53, "RFC 9112 7.1.1", "Whitespace behind a chunk-size is legal before an extension only.",
		"400 elsewhere.", "Error, unless `Config.ChunkSizeSpace` drops it.", nil},
	{54, "RFC 9112 7.1.1", "Unknown chunk extensions are ignored; their length is limited.",
		"Their grammar is checked. 400 beyond `Config.MaxChunkLine` and `MaxChunkOverhead`.", Same, nil},
	{55, "RFC 9112 7.1", "The last chunk's size is one or more zeros, perhaps with an extension.",
		"Accepted.", Same, nil},
	{56, "RFC 9112 7.1.2, RFC 9110 6.5.1", "Trailer fields are kept apart from header fields.",
		"`Trailer` has them. Their grammar is that of the header section; 431 beyond limits of their own.", Same, nil},
	{57, "RFC 9110 6.5.1", "No field for framing, routing, authentication or content format is sent as a trailer field.",
		"The writer refuses them; received ones for framing, routing, authentication and cookies are 400.", Same, nil},

	// The connection.
	{58, "RFC 9112 9.3", "A connection persists unless close is said: in HTTP/1.1 by default, in HTTP/1.0 with keep-alive.",
		"Reads the members of all Connection lines in any case; close wins.", Same, nil},
	{59, "RFC 9112 9.6", "After close was sent or received no request is processed.",
		"What follows is not looked at, and `ShouldClose` reports true.", Same, nil},
	{60, "RFC 9112 9.3", "A server reads a request's whole content, or closes.",
		"The next request begins where the content ended. `server` reads on within limits, else closes.", "", []string{"server.TestUnreadBody"}},
	{61, "RFC 9112 6.3, 9.3", "A client takes nothing for a response that it did not ask for.",
		"", "Error for bytes while nothing is outstanding, but for CRLF.", nil},
	{62, "RFC 9112 9.3, 9.6", "Who does not want to persist says close in every message.",
		"Added to the one Connection line of a final response, beside what the caller put there.", Same, nil},
	{63, "RFC 9112 9.2, 9.3.2", "Responses come in the order of the requests.",
		"The next request is reported when the response is complete; until then `Next` pauses.", "Responses belong to requests by their order; `Config.MaxPending` lets several be outstanding.", nil},
	{64, "RFC 9110 7.6.1, RFC 9112 9.3", "A proxy removes what Connection names, and does not keep connections of HTTP/1.0 clients.",
		"`Head.HopByHop` names those lines; `Config.CloseHTTP10` closes.", "", []string{"h1.ExampleHead_HopByHop"}},
	{65, "RFC 9112 9.6", "A server closes in stages, lest a reset destroy its last response.",
		"`ShouldLinger` tells when; `server` half-closes, reads and discards for a while, and closes.", "", []string{"server.TestCloseKeepsTheResponse"}},

	// Interim responses, expectations, upgrades.
	{66, "RFC 9110 15.2", "A client parses any number of interim responses.",
		"", "Reports each; error beyond `Config.MaxInfo`, 32 by default, for one request.", nil},
	{67, "RFC 9110 15.2", "No interim response is sent to HTTP/1.0, and none has content.",
		"The writer refuses both.", "", nil},
	{68, "RFC 9110 10.1.1", "Expect: 100-continue in HTTP/1.1 is answered with 100 or a final status at once; in HTTP/1.0 it is ignored.",
		"`WantsContinue` tells; `server` sends 100 when the handler first reads.", "", []string{"server.TestContinue"}},
	{69, "RFC 9110 10.1.1", "A final status before the content says whether the connection closes.",
		"It closes if the client still waits for 100, since nobody knows whether the content comes.", "Need not send the content: `Abandon` ends the request.", []string{"server.TestContinue"}},
	{70, "RFC 9110 10.1.1", "A client expects 100-continue only with content.",
		"The expectation without content is ignored.", "The writer refuses it.", nil},
	{71, "RFC 9110 10.1.1", "An unknown expectation may be answered with 417.",
		"A field like any other; `server` answers 417.", "", []string{"server.TestExchanges"}},
	{72, "RFC 9110 7.8, 7.6.1", "Upgrade in HTTP/1.0 is ignored; unless Connection names it, it is no offer.",
		"`Head.OffersUpgrade` reports neither, and 101 is refused.", "An offer may be ignored; the connection goes on.", nil},
	{73, "RFC 9110 7.8", "101 names in Upgrade what was offered; a client that waits for 100 gets that first.",
		"The writer refuses 101 without Upgrade, to another protocol, and before the request's end.", "Error for 101 that names no protocol.", nil},
	{74, "RFC 9110 7.8, 15.5.22", "Who sends Upgrade names it in Connection, and 426 has it. A client does not switch inside a request.",
		"Connection is completed; 426 without Upgrade is refused.", "Connection is completed; the request is sent to its end, and no other before the offer is answered.", nil},
	{75, "RFC 9110 7.8", "101 answers an offer.",
		"", "Error if there was none.", nil},
	{76, "RFC 9112 4", "A status code has three digits, and a space behind it even without reason.",
		"Always written so; below 100 and above 999 is refused.", "Takes a status-line without that space; error below 100, while 600 to 999 are delivered.", nil},
	{77, "RFC 9112 7.4", "A client sends TE only if Connection names it, and never lists chunked there.",
		"", "The writer completes Connection and refuses chunked.", nil},
	{78, "RFC 9110 6.6.1", "An origin server with a clock sends Date in 2xx, 3xx and 4xx.",
		"`server` does, in every final response; `h1` has no clock.", "", []string{"server.TestExchanges", "server.TestHandlersMayTakeTheirTime"}},
}

var rowNames = regexp.MustCompile(`\(rows?\b([^)]*)\)?`)

// NamedRows returns the rows that a comment names: "(row 5)", "(rows 2, 3)" or
// "(rows 30 to 35, 60)", in that order. Anything else in their place is an error,
// and so is a number that no row has.
func NamedRows(comment string) (rows []int, err error) {
	for _, m := range rowNames.FindAllStringSubmatch(comment, -1) {
		for part := range strings.SplitSeq(m[1], ",") {
			from, to, isRange := strings.Cut(strings.TrimSpace(part), " to ")
			if !isRange {
				to = from
			}
			i, err := strconv.Atoi(from)
			j, err2 := strconv.Atoi(to)
			if err != nil || err2 != nil || i < 1 || j < i || j > len(Rows) || !strings.HasSuffix(m[0], ")") {
				return nil, fmt.Errorf("h1test: no row is named by %q", m[0])
			}
			for ; i <= j; i++ {
				rows = append(rows, i)
			}
		}
	}
	return rows, nil
}
