package h1

// FieldID names a field that h1 recognises while it parses, so that finding it
// later is a table look-up instead of a search. Zero is every other field.
type FieldID uint8

// The recognised fields (IANA HTTP Field Name Registry).
const (
	_ FieldID = iota
	FieldAccept
	FieldAcceptCharset
	FieldAcceptEncoding
	FieldAcceptLanguage
	FieldAcceptRanges
	FieldAccessControlRequestHeaders
	FieldAccessControlRequestMethod
	FieldAge
	FieldAllow
	FieldAuthorization
	FieldCacheControl
	FieldConnection
	FieldContentDisposition
	FieldContentEncoding
	FieldContentLanguage
	FieldContentLength
	FieldContentLocation
	FieldContentRange
	FieldContentType
	FieldCookie
	FieldDate
	FieldETag
	FieldExpect
	FieldExpires
	FieldForwarded
	FieldFrom
	FieldHost
	FieldIfMatch
	FieldIfModifiedSince
	FieldIfNoneMatch
	FieldIfRange
	FieldIfUnmodifiedSince
	FieldKeepAlive
	FieldLastModified
	FieldLink
	FieldLocation
	FieldMaxForwards
	FieldOrigin
	FieldPragma
	FieldProxyAuthenticate
	FieldProxyAuthorization
	FieldProxyConnection
	FieldRange
	FieldReferer
	FieldRetryAfter
	FieldSecFetchDest
	FieldSecFetchMode
	FieldSecFetchSite
	FieldSecWebSocketKey
	FieldSecWebSocketVersion
	FieldServer
	FieldSetCookie
	FieldTE
	FieldTrailer
	FieldTransferEncoding
	FieldUpgrade
	FieldUpgradeInsecureRequests
	FieldUserAgent
	FieldVary
	FieldVia
	FieldWWWAuthenticate
	FieldXForwardedFor
	FieldXRequestID
	nFields
)

var fieldNames = [nFields]string{
	FieldAccept:                      "Accept",
	FieldAcceptCharset:               "Accept-Charset",
	FieldAcceptEncoding:              "Accept-Encoding",
	FieldAcceptLanguage:              "Accept-Language",
	FieldAcceptRanges:                "Accept-Ranges",
	FieldAccessControlRequestHeaders: "Access-Control-Request-Headers",
	FieldAccessControlRequestMethod:  "Access-Control-Request-Method",
	FieldAge:                         "Age",
	FieldAllow:                       "Allow",
	FieldAuthorization:               "Authorization",
	FieldCacheControl:                "Cache-Control",
	FieldConnection:                  "Connection",
	FieldContentDisposition:          "Content-Disposition",
	FieldContentEncoding:             "Content-Encoding",
	FieldContentLanguage:             "Content-Language",
	FieldContentLength:               "Content-Length",
	FieldContentLocation:             "Content-Location",
	FieldContentRange:                "Content-Range",
	FieldContentType:                 "Content-Type",
	FieldCookie:                      "Cookie",
	FieldDate:                        "Date",
	FieldETag:                        "ETag",
	FieldExpect:                      "Expect",
	FieldExpires:                     "Expires",
	FieldForwarded:                   "Forwarded",
	FieldFrom:                        "From",
	FieldHost:                        "Host",
	FieldIfMatch:                     "If-Match",
	FieldIfModifiedSince:             "If-Modified-Since",
	FieldIfNoneMatch:                 "If-None-Match",
	FieldIfRange:                     "If-Range",
	FieldIfUnmodifiedSince:           "If-Unmodified-Since",
	FieldKeepAlive:                   "Keep-Alive",
	FieldLastModified:                "Last-Modified",
	FieldLink:                        "Link",
	FieldLocation:                    "Location",
	FieldMaxForwards:                 "Max-Forwards",
	FieldOrigin:                      "Origin",
	FieldPragma:                      "Pragma",
	FieldProxyAuthenticate:           "Proxy-Authenticate",
	FieldProxyAuthorization:          "Proxy-Authorization",
	FieldProxyConnection:             "Proxy-Connection",
	FieldRange:                       "Range",
	FieldReferer:                     "Referer",
	FieldRetryAfter:                  "Retry-After",
	FieldSecFetchDest:                "Sec-Fetch-Dest",
	FieldSecFetchMode:                "Sec-Fetch-Mode",
	FieldSecFetchSite:                "Sec-Fetch-Site",
	FieldSecWebSocketKey:             "Sec-WebSocket-Key",
	FieldSecWebSocketVersion:         "Sec-WebSocket-Version",
	FieldServer:                      "Server",
	FieldSetCookie:                   "Set-Cookie",
	FieldTE:                          "TE",
	FieldTrailer:                     "Trailer",
	FieldTransferEncoding:            "Transfer-Encoding",
	FieldUpgrade:                     "Upgrade",
	FieldUpgradeInsecureRequests:     "Upgrade-Insecure-Requests",
	FieldUserAgent:                   "User-Agent",
	FieldVary:                        "Vary",
	FieldVia:                         "Via",
	FieldWWWAuthenticate:             "WWW-Authenticate",
	FieldXForwardedFor:               "X-Forwarded-For",
	FieldXRequestID:                  "X-Request-ID",
}

// String returns the field's registered spelling, such as "Content-Type", and ""
// for zero.
func (id FieldID) String() string {
	if id >= nFields {
		return ""
	}
	return fieldNames[id]
}

// fieldOf returns the field that a name spells in any case, or zero.
func fieldOf[B []byte | string](name B) FieldID {
	key := keyOf(name)
	if id := fieldByHash[key.hash()]; fieldKeys[id%64] == key && len(fieldNames[id]) == len(name) {
		return id
	}
	return 0
}

// fieldKey is a name as words, in lower case, with zeros behind it. Bit 0x20 is set
// where 0x40 is: that folds letters, and makes no other byte a letter or a "-".
// What does not fit is left out; no recognised name is that long.
type fieldKey [4]uint64

func keyOf[B []byte | string](name B) (k fieldKey) {
	for i := range k {
		word := name[min(8*i, len(name)):min(8*i+8, len(name))]
		for j := range len(word) {
			k[i] |= uint64(word[j]|word[j]>>1&0x20) << (8 * j)
		}
	}
	return k
}

// hash spreads the recognised names over 256 places without a collision; the
// multiplier was found by trying, and a test holds it to that.
func (k fieldKey) hash() uint8 { return wordHash(k[0] ^ k[1] ^ k[2] ^ k[3]) }

func wordHash(w uint64) uint8 { return uint8(w * 0xea1c6e8318af8d25 >> 56) }

// fieldKeys are the names' keys. That of zero is no name's.
var fieldKeys = func() (t [64]fieldKey) {
	t[0] = fieldKey{1}
	for id := FieldID(1); id < nFields; id++ {
		t[id] = keyOf(fieldNames[id])
	}
	return t
}()

var fieldByHash = func() (t [256]FieldID) {
	for id := FieldID(1); id < nFields; id++ {
		t[fieldKeys[id].hash()] = id
	}
	return t
}()
