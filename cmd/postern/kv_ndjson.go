package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"

	"postern/kvstore"
)

// jsonRow is a line of NDJSON. Pointers tell what is absent from what is empty.
type jsonRow struct {
	Key         *string `json:"key,omitempty"`
	KeyBase64   *[]byte `json:"key_base64,omitempty"`
	Value       *string `json:"value,omitempty"`
	ValueBase64 *[]byte `json:"value_base64,omitempty"`
	Counter     uint64  `json:"counter"`
	ExpiresAt   string  `json:"expires_at,omitempty"`
}

type ndjsonWriter struct{ enc *json.Encoder }

func newNDJSONWriter(w io.Writer) *ndjsonWriter {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return &ndjsonWriter{enc}
}

func (w *ndjsonWriter) write(e kvstore.Entry) error {
	line := jsonRow{Counter: e.Counter, ExpiresAt: formatExpiry(e.ExpiresAt)}
	if utf8.ValidString(e.Key) {
		line.Key = &e.Key
	} else {
		key := []byte(e.Key)
		line.KeyBase64 = &key
	}
	if utf8.Valid(e.Value) {
		value := string(e.Value)
		line.Value = &value
	} else {
		line.ValueBase64 = &e.Value
	}
	return w.enc.Encode(line)
}

func (w *ndjsonWriter) flush() error { return nil }

type ndjsonReader struct {
	in   *bufio.Reader
	line int
	text []byte // of a line that is longer than in's buffer
}

func newNDJSONReader(r io.Reader) *ndjsonReader {
	return &ndjsonReader{in: bufio.NewReaderSize(r, 64<<10)}
}

func (r *ndjsonReader) next() (row, error) {
	for {
		text, err := r.readLine()
		if err == io.EOF {
			return row{}, io.EOF
		}
		if err == nil && len(bytes.TrimSpace(text)) == 0 {
			continue
		}
		var parsed row
		if err == nil {
			parsed, err = parseJSONRow(text)
		}
		if err != nil {
			return row{}, &lineError{r.line, err}
		}
		parsed.line = r.line
		return parsed, nil
	}
}

// readLine returns the next line, which is good until the next call. The last
// one may lack its newline.
func (r *ndjsonReader) readLine() ([]byte, error) {
	r.text = r.text[:0]
	r.line++
	for {
		part, err := r.in.ReadSlice('\n')
		if err == nil && len(r.text) == 0 {
			return part, nil
		}
		r.text = append(r.text, part...)
		switch {
		case len(r.text) > maxRow:
			return nil, errRowTooLong
		case err == nil, err == io.EOF && len(r.text) > 0:
			return r.text, nil
		case err != bufio.ErrBufferFull:
			return nil, err
		}
	}
}

func parseJSONRow(text []byte) (row, error) {
	// Package json would put U+FFFD for these and say nothing.
	if !utf8.Valid(text) {
		return row{}, errors.New("not UTF-8: key_base64 and value_base64 take any bytes")
	}
	if loneSurrogate(text) {
		return row{}, errors.New("half of a surrogate pair stands for no character")
	}
	var j jsonRow
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	err := dec.Decode(&j)
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &kind) && kind.Field == "":
		return row{}, errors.New("is no object")
	case errors.As(err, &kind):
		return row{}, fmt.Errorf("field %q is no %v", kind.Field, kind.Type)
	case err != nil:
		return row{}, errors.New(strings.TrimPrefix(err.Error(), "json: "))
	}
	if len(bytes.TrimSpace(text[dec.InputOffset():])) > 0 {
		return row{}, errors.New("something follows the object")
	}
	return j.row()
}

func (j *jsonRow) row() (r row, err error) {
	switch {
	case (j.Key == nil) == (j.KeyBase64 == nil):
		return row{}, errors.New("needs either key or key_base64")
	case (j.Value == nil) == (j.ValueBase64 == nil):
		return row{}, errors.New("needs either value or value_base64")
	}
	if j.Key != nil {
		r.key = *j.Key
	} else {
		r.key = string(*j.KeyBase64)
	}
	if j.Value != nil {
		r.value = []byte(*j.Value)
	} else {
		r.value = *j.ValueBase64
	}
	r.expiresAt, err = parseExpiry(j.ExpiresAt)
	return r, err
}

// loneSurrogate reports whether the JSON text has an escape \uD800 to \uDFFF
// that is no half of a pair (RFC 8259 7).
func loneSurrogate(text []byte) bool {
	for {
		i := bytes.IndexByte(text, '\\')
		if i < 0 || i+1 == len(text) {
			return false
		}
		unit := escapedUnit(text[i:])
		switch {
		case 0xdc00 <= unit && unit <= 0xdfff:
			return true
		case 0xd800 <= unit && unit <= 0xdbff:
			if low := escapedUnit(text[i+6:]); low < 0xdc00 || low > 0xdfff {
				return true
			}
			i += 6
		}
		text = text[i+2:]
	}
}

// escapedUnit returns the code unit of the escape \uXXXX that text begins with,
// or -1.
func escapedUnit(text []byte) int {
	if len(text) < 6 || text[0] != '\\' || text[1] != 'u' {
		return -1
	}
	unit, err := strconv.ParseUint(string(text[2:6]), 16, 16)
	if err != nil {
		return -1
	}
	return int(unit)
}
