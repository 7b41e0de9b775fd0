package fuzz_test

import "strings"

// The rules of RFC 9110 5.6 that refRespParse needs. One that consumes returns
// what stands behind the longest match, and whether there was one.

// refRespWS is what OWS and BWS consist of.
const refRespWS = " \t"

// refRespToken consumes 1*tchar.
func refRespToken(s string) (rest string, ok bool) {
	const alpha = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	rest = strings.TrimLeft(s, "!#$%&'*+-.^_`|~"+"0123456789"+alpha)
	return rest, len(rest) < len(s)
}

// refRespQuotedString consumes DQUOTE *( qdtext / quoted-pair ) DQUOTE.
func refRespQuotedString(s string) (rest string, ok bool) {
	s, ok = strings.CutPrefix(s, `"`)
	if !ok {
		return s, false
	}
	for s != "" && !refRespCTL(s[0]) {
		switch {
		case s[0] == '"':
			return s[1:], true
		case s[0] != '\\':
			s = s[1:]
		case len(s) > 1 && !refRespCTL(s[1]):
			s = s[2:]
		default:
			return s, false
		}
	}
	return s, false
}

// refRespWord consumes BWS ( token / quoted-string ).
func refRespWord(s string) (rest string, ok bool) {
	s = strings.TrimLeft(s, refRespWS)
	if strings.HasPrefix(s, `"`) {
		return refRespQuotedString(s)
	}
	return refRespToken(s)
}

// refRespAfter consumes BWS and a delimiter.
func refRespAfter(s, delimiter string) (rest string, ok bool) {
	return strings.CutPrefix(strings.TrimLeft(s, refRespWS), delimiter)
}

// refRespChunkExt reports whether s is a chunk-ext (RFC 9112 7.1.1):
// *( BWS ";" BWS token [ BWS "=" BWS ( token / quoted-string ) ] ).
func refRespChunkExt(s string) (ok bool) {
	for s != "" {
		if s, ok = refRespAfter(s, ";"); !ok {
			return false
		}
		if s, ok = refRespToken(strings.TrimLeft(s, refRespWS)); !ok {
			return false
		}
		value, ok := refRespAfter(s, "=")
		if !ok {
			continue
		}
		if s, ok = refRespWord(value); !ok {
			return false
		}
	}
	return true
}

// refRespCTL reports whether c is a CTL but HTAB. All other bytes are HTAB, SP,
// VCHAR or obs-text.
func refRespCTL(c byte) bool {
	return c < ' ' && c != '\t' || c == 0x7f
}

func refRespAnyCTL(s string) bool {
	for _, c := range []byte(s) {
		if refRespCTL(c) {
			return true
		}
	}
	return false
}

// refRespDigits reports whether s is 1*DIGIT.
func refRespDigits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

// refRespLower makes ASCII letters small and no others: strings.ToLower would
// also turn the Kelvin sign into a k.
func refRespLower(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c - 'A' + 'a'
		}
	}
	return string(b)
}
