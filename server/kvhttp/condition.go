package kvhttp

import (
	"strconv"
	"strings"

	"postern/server"
)

// preconditions are what a request asks of the entry as it is (RFC 9110 13.1).
type preconditions struct {
	match     *tagList // If-Match; nil if there is none
	noneMatch *tagList // If-None-Match
}

// tagList is the value of If-Match or If-None-Match. The zero value matches
// nothing.
type tagList struct {
	any  bool // "*"
	tags []entityTag
}

type entityTag struct {
	opaque string // with its quotes
	weak   bool
}

func parsePreconditions(r *server.Request) (p preconditions, err error) {
	if p.match, err = parseTags(r, "If-Match"); err == nil {
		p.noneMatch, err = parseTags(r, "If-None-Match")
	}
	return p, err
}

// parseTags reads the lines of a field as one list (RFC 9110 5.3). Empty members
// are read and ignored, RFC 9110 5.6.1.2.
func parseTags(r *server.Request, field string) (*tagList, error) {
	if !r.Header().Has(field) {
		return nil, nil
	}
	var lines []string
	for v := range r.Header().Values(field) {
		lines = append(lines, v)
	}
	list, rest := &tagList{}, trimOWS(strings.Join(lines, ","))
	if rest == "*" {
		list.any = true
		return list, nil
	}
	malformed := refusef(400, `%s: must be * or a list of quoted tags such as "7"`, field)
	for rest != "" {
		if rest[0] != ',' {
			tag, n := parseTag(rest)
			if n == 0 {
				return nil, malformed
			}
			list.tags = append(list.tags, tag)
			if rest = trimOWS(rest[n:]); rest != "" && rest[0] != ',' {
				return nil, malformed
			}
		}
		rest = trimOWS(strings.TrimPrefix(rest, ","))
	}
	if len(list.tags) == 0 {
		return nil, malformed
	}
	return list, nil
}

// parseTag reads one entity-tag and says how many bytes it has; 0: it is none
// (RFC 9110 8.8.3).
func parseTag(s string) (entityTag, int) {
	opaque, weak := strings.CutPrefix(s, "W/")
	if opaque == "" || opaque[0] != '"' {
		return entityTag{}, 0
	}
	for i := 1; i < len(opaque); i++ {
		switch c := opaque[i]; {
		case c == '"':
			return entityTag{opaque[:i+1], weak}, len(s) - len(opaque) + i + 1
		case c < 0x21 || c == 0x7f:
			return entityTag{}, 0
		}
	}
	return entityTag{}, 0
}

func trimOWS(s string) string { return strings.Trim(s, " \t") }

// failed returns the name of the field that does not hold for an entry with this
// tag, where "" is no entry, or "". If-Match comes first and compares strongly,
// If-None-Match weakly (RFC 9110 13.2.2).
func (p *preconditions) failed(tag string) string {
	switch {
	case p.match != nil && !p.match.holds(tag, false):
		return "If-Match"
	case p.noneMatch != nil && p.noneMatch.holds(tag, true):
		return "If-None-Match"
	}
	return ""
}

func (l *tagList) holds(tag string, weakly bool) bool {
	if tag == "" {
		return false
	}
	for _, t := range l.tags {
		if t.opaque == tag && (weakly || !t.weak) {
			return true
		}
	}
	return l.any
}

// etag is an entry's tag.
func etag(counter uint64) string { return `"` + strconv.FormatUint(counter, 10) + `"` }
