package kvhttp

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// members are those of a JSON object that nobody has asked for yet. What is wrong
// with them sticks: after the first refusal the results mean nothing.
type members struct {
	left    map[string]json.RawMessage
	refused *refusal
}

// parseMembers reads an object more strictly than json.Unmarshal does, which takes
// members given twice, names in another case, and bytes that are not UTF-8 for
// something that was not said.
func parseMembers(object []byte) *members {
	m := &members{left: make(map[string]json.RawMessage)}
	if !utf8.Valid(object) {
		m.refuse(400, "not UTF-8")
		return m
	}
	d := json.NewDecoder(bytes.NewReader(object))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		m.refuse(400, "must be a JSON object")
		return m
	}
	for d.More() {
		t, err := d.Token()
		name, ok := t.(string)
		var value json.RawMessage
		if ok {
			err = d.Decode(&value)
		}
		if err != nil {
			m.malformed(err)
			return m
		}
		if m.has(name) {
			m.refuse(400, "%s is given twice", clip(name))
		}
		m.left[name] = value
	}
	if _, err := d.Token(); err != nil {
		m.malformed(err)
	} else if _, err = d.Token(); err != io.EOF {
		m.refuse(400, "malformed JSON: something follows the object")
	}
	return m
}

func (m *members) refuse(status int, format string, args ...any) {
	if m.refused == nil {
		m.refused = refusef(status, format, args...)
	}
}

func (m *members) malformed(err error) {
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	m.refuse(400, "malformed JSON: %v", err)
}

func (m *members) has(name string) bool { return m.left[name] != nil }

func (m *members) take(name string) (value json.RawMessage) {
	value = m.left[name]
	delete(m.left, name)
	if value == nil {
		m.refuse(400, "%s is missing", name)
	}
	return value
}

// text takes a string.
func (m *members) text(name string) (s string) {
	value := m.take(name)
	if len(value) == 0 || value[0] != '"' || json.Unmarshal(value, &s) != nil {
		m.refuse(400, "%s: must be a string", name)
	} else if halfPair(value) {
		m.refuse(400, "%s: half a surrogate pair is no character", name)
	}
	return s
}

// content takes bytes, which stand as they are or as base64.
func (m *members) content(name string) string {
	encoded := name + "_base64"
	switch {
	case m.has(name) && m.has(encoded):
		m.refuse(400, "%s and %s exclude one another", name, encoded)
	case m.has(encoded):
		s := m.text(encoded)
		b, err := base64.StdEncoding.Strict().DecodeString(s)
		if err != nil || strings.ContainsAny(s, "\r\n") {
			m.refuse(400, "%s: must be base64 with padding", encoded)
		}
		return string(b)
	}
	return m.text(name)
}

func (m *members) number(name string) *uint64 {
	n, err := strconv.ParseUint(string(m.take(name)), 10, 64)
	if err != nil {
		m.refuse(400, "%s: must be a whole number", name)
	}
	return &n
}

// lifetime takes ttl or expires_at, if there is one.
func (m *members) lifetime() lifetime {
	var ttl, at string
	hasTTL, hasAt := m.has("ttl"), m.has("expires_at")
	if hasTTL {
		ttl = m.text("ttl")
	}
	if hasAt {
		at = m.text("expires_at")
	}
	until, refused := parseExpiry(hasTTL, ttl, hasAt, at)
	if refused != nil {
		m.refuse(refused.status, "%s", refused.text)
	}
	return until
}

// end refuses what is left over.
func (m *members) end(operation string) {
	for _, name := range slices.Sorted(maps.Keys(m.left)) {
		m.refuse(400, "no member %s for this %s", clip(name), operation)
	}
}

// halfPair reports whether a JSON string has an escape of half a surrogate pair,
// which the decoder would replace by U+FFFD.
func halfPair(s []byte) bool {
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			continue
		}
		i++ // at what is escaped
		if s[i] != 'u' {
			continue
		}
		r := escaped(s[i:])
		i += 4
		if !utf16.IsSurrogate(r) {
			continue
		}
		if i+6 >= len(s) || s[i+1] != '\\' || s[i+2] != 'u' || utf16.DecodeRune(r, escaped(s[i+2:])) == utf8.RuneError {
			return true
		}
		i += 6
	}
	return false
}

// escaped returns the code unit of an escape, from its "u" on.
func escaped(s []byte) rune {
	n, _ := strconv.ParseUint(string(s[1:5]), 16, 16) // the decoder has read it
	return rune(n)
}
