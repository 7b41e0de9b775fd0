package server

import (
	"maps"
	"net/http"
	"net/textproto"
	"slices"
	"strconv"
	"strings"

	"postern/h1"
)

// begin makes the head, if that was not done: p is the first content, and all of
// it if the handler has returned.
func (w *httpWriter) begin(p []byte) error {
	if w.begun {
		return w.failed
	}
	w.begun = true
	header := w.sent
	if header == nil {
		header = w.header
	}
	drop := make(map[string]bool, 4)
	trailers := w.declareTrailers(header, drop)
	var add Fields
	te := first(header["Transfer-Encoding"])
	allowed := bodyAllowed(w.status)
	drop["Transfer-Encoding"] = true // is the connection's business

	_, hasLength := header["Content-Length"]
	if w.done.Load() && !trailers && te == "" && allowed && !hasLength && (!w.isHead || len(p) > 0) {
		w.length = int64(len(p))
		add = append(add, Field{"Content-Length", strconv.Itoa(len(p))})
	}
	switch {
	case te != "" && te != "identity" && w.length >= 0:
		w.warn("http: WriteHeader called with both Transfer-Encoding and Content-Length")
		w.length = -1
		drop["Content-Length"] = true
	case w.length < 0, !allowed && w.status != 304:
		drop["Content-Length"] = true
	}
	_, typed := header["Content-Type"]
	switch {
	case !allowed && w.status == 304:
		drop["Content-Type"], drop["Content-Length"] = true, true
	case allowed && !typed && te == "" && first(header["Content-Encoding"]) == "" && len(p) > 0:
		add = append(add, Field{"Content-Type", http.DetectContentType(p)})
	}
	if w.closes(header) && w.status != 101 {
		drop["Connection"] = true
		add = append(add, Field{"Connection", "close"})
	}
	_, w.d.bare = header["Date"]
	f := append(w.fields(header, func(key string) bool { return drop[key] }), add...)
	if w.failed = w.x.Head(w.status, f); w.failed == nil && w.status == 101 {
		w.length = -1
	}
	return w.failed
}

// closes reports whether the connection must not be used again, and reads the rest
// of the request's body where that allows it to be.
func (w *httpWriter) closes(header http.Header) bool {
	if first(header["Connection"]) == "close" || !w.x.req.head.KeepAlive() {
		return true
	}
	if w.body == nil {
		return false
	}
	// 413 says that the rest is not wanted, and its client may not send it before it
	// has been told. It is MaxBytesReader's as a rule, which tells net/http's own
	// writers by a method that is not exported.
	if w.status == 413 || expects100(w.x.req.head) && w.x.req.Version() == h1.HTTP11 {
		w.body.mu.Lock()
		defer w.body.mu.Unlock()
		return !w.body.eof
	}
	return !w.fullDuplex && w.body.beforeReply()
}

// declareTrailers takes up what the handler's Trailer field announces, and reports
// whether there will be a trailer section.
func (w *httpWriter) declareTrailers(header http.Header, drop map[string]bool) bool {
	any := false
	for key := range header {
		if strings.HasPrefix(key, http.TrailerPrefix) {
			drop[key] = true
			any = true
		}
	}
	for _, list := range header["Trailer"] {
		any = true
		for name := range strings.SplitSeq(list, ",") {
			if name = textproto.TrimString(name); name != "" && checkTrailer(name, "") == nil {
				w.trailers = append(w.trailers, textproto.CanonicalMIMEHeaderKey(name))
			}
		}
	}
	return any
}

// single are fields of which h1 sends one line and net/http as many as there are.
var single = []string{"Age", "Content-Length", "Content-Location", "Content-Range", "Content-Type", "Date",
	"Etag", "Expires", "Last-Modified", "Location", "Retry-After", "Server"}

// fields returns a header's lines, sorted, without those that are dropped, those
// whose name is no token, and what of a value cannot be sent.
func (w *httpWriter) fields(header http.Header, drop func(key string) bool) Fields {
	keys := slices.AppendSeq(make([]string, 0, 16), maps.Keys(header))
	slices.Sort(keys)
	f := make(Fields, 0, len(header)+2)
	for _, key := range keys {
		if drop(key) || !validName(key) {
			continue
		}
		for i, v := range header[key] {
			if i > 0 && slices.Contains(single, key) {
				break
			}
			f = append(f, Field{key, clean(v)})
		}
	}
	return f
}

// clean replaces controls in a field value by spaces: a CR or LF would end it.
func clean(v string) string {
	if !slices.ContainsFunc([]byte(v), func(c byte) bool { return c < ' ' || c == 0x7f }) {
		return textproto.TrimString(v)
	}
	b := []byte(v)
	for i, c := range b {
		if c < ' ' && c != '\t' || c == 0x7f {
			b[i] = ' '
		}
	}
	return textproto.TrimString(string(b))
}

func validName(s string) bool {
	for i := range len(s) {
		if c := s[i]; !('a' <= c|0x20 && c|0x20 <= 'z' || '0' <= c && c <= '9' || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0) {
			return false
		}
	}
	return s != ""
}

func first(values []string) string {
	if len(values) == 0 {
		return ""
	}
	return values[0]
}
