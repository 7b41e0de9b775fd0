package kvhttp

import (
	"bytes"
	"encoding/json"
	"unicode/utf8"

	"postern/kvstore"
)

const ndjson = "application/x-ndjson"

// row is an entry as a line of JSON, as much of it as there is to tell. JSON has no
// bytes, so what is not UTF-8 is base64.
type row struct {
	Key         *string `json:"key,omitempty"`
	KeyBase64   []byte  `json:"key_base64,omitempty"`
	Value       *string `json:"value,omitempty"`
	ValueBase64 []byte  `json:"value_base64,omitempty"`
	Counter     *uint64 `json:"counter,omitempty"`
	ExpiresAt   string  `json:"expires_at,omitempty"`
}

// keyRow is what there is to tell of an entry that is not there.
func keyRow(key string) row {
	if !utf8.ValidString(key) {
		return row{KeyBase64: []byte(key)}
	}
	return row{Key: &key}
}

func entryRow(e kvstore.Entry) row {
	line := keyRow(e.Key)
	line.Counter, line.ExpiresAt = &e.Counter, expiry(e)
	if utf8.Valid(e.Value) {
		value := string(e.Value)
		line.Value = &value
	} else {
		line.ValueBase64 = e.Value
	}
	return line
}

// write appends the line, with its newline.
func (l row) write(w *bytes.Buffer) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return enc.Encode(l)
}
