package main

import (
	"fmt"
	"time"

	"postern/kvstore"
)

// An exported entry has a key, a value, a counter and perhaps an expiry, named as
// in the listings of package kvhttp. A key or value that the format cannot hold
// byte for byte stands under key_base64 or value_base64.

// row is an entry to be imported.
type row struct {
	line      int // of the file, from 1
	key       string
	value     []byte
	expiresAt time.Time // zero: never
}

type rowWriter interface {
	write(kvstore.Entry) error
	flush() error
}

// rowReader gives the rows of a file one by one, and then io.EOF. Other errors
// are lineErrors.
type rowReader interface {
	next() (row, error)
}

// lineError says in which line of an import something is wrong.
type lineError struct {
	line int
	err  error
}

func (e *lineError) Error() string { return fmt.Sprintf("line %d: %v", e.line, e.err) }
func (e *lineError) Unwrap() error { return e.err }

// maxRow is the longest row that import reads, in bytes: the longest value that
// put takes fits, were it all escapes.
const maxRow = 128 << 20

var errRowTooLong = fmt.Errorf("row is longer than %d bytes", maxRow)

// lastExpiry is the latest that RFC 3339 can write. Expiries can lie further
// off; nobody will notice.
var lastExpiry = time.Date(9999, 12, 31, 23, 59, 59, 999e6, time.UTC)

func formatExpiry(t time.Time) string {
	switch {
	case t.IsZero():
		return ""
	case t.After(lastExpiry):
		t = lastExpiry
	}
	return t.Format(time.RFC3339Nano)
}

func parseExpiry(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil || t.IsZero() {
		return time.Time{}, fmt.Errorf("expires_at %.40q is no time such as 2030-01-02T03:04:05Z", text)
	}
	return t, nil
}
