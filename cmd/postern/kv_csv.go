package main

import (
	"encoding/base64"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"postern/kvstore"
)

// csvColumns are the columns of an export. An import may have them in any
// order, and needs one for the key and one for the value.
var csvColumns = []string{"key", "key_base64", "value", "value_base64", "counter", "expires_at"}

type csvWriter struct {
	w      *csv.Writer
	headed bool
}

func newCSVWriter(w io.Writer) *csvWriter { return &csvWriter{w: csv.NewWriter(w)} }

func (w *csvWriter) write(e kvstore.Entry) error {
	if err := w.head(); err != nil {
		return err
	}
	fields := make([]string, len(csvColumns))
	put := func(i int, text string) {
		// Readers of CSV, ours too, take CR LF for LF.
		if utf8.ValidString(text) && !strings.Contains(text, "\r") {
			fields[i] = text
		} else {
			fields[i+1] = base64.StdEncoding.EncodeToString([]byte(text))
		}
	}
	put(0, e.Key)
	put(2, string(e.Value))
	fields[4] = strconv.FormatUint(e.Counter, 10)
	fields[5] = formatExpiry(e.ExpiresAt)
	return w.w.Write(fields)
}

func (w *csvWriter) head() error {
	if w.headed {
		return nil
	}
	w.headed = true
	return w.w.Write(csvColumns)
}

func (w *csvWriter) flush() error {
	err := w.head() // of a table without entries too
	w.w.Flush()
	return errors.Join(err, w.w.Error())
}

type csvReader struct {
	r      *csv.Reader
	limit  *rowLimit
	column map[string]int // nil until the header is read

	line int      // in which the last record begins
	last []string // the last record
}

func newCSVReader(r io.Reader) *csvReader {
	limit := &rowLimit{r: r}
	return &csvReader{r: csv.NewReader(limit), limit: limit}
}

func (c *csvReader) next() (row, error) {
	if c.column == nil {
		if err := c.readHeader(); err != nil {
			return row{}, err
		}
	}
	fields, err := c.read()
	if err != nil {
		return row{}, err
	}
	r, err := c.row(fields)
	if err != nil {
		return row{}, &lineError{c.line, err}
	}
	r.line = c.line
	return r, nil
}

// read returns the fields of the next record.
func (c *csvReader) read() ([]string, error) {
	c.limit.left = maxRow
	fields, err := c.r.Read()
	var wrong *csv.ParseError
	switch {
	case err == nil:
		c.line, _ = c.r.FieldPos(0)
		c.last = fields
		return fields, nil
	case err == io.EOF:
		return nil, err
	case errors.As(err, &wrong):
		return nil, &lineError{wrong.StartLine, wrong.Err}
	}
	return nil, &lineError{c.line + 1 + strings.Count(strings.Join(c.last, ""), "\n"), err}
}

func (c *csvReader) readHeader() error {
	names, err := c.read()
	if err != nil {
		return err
	}
	column := map[string]int{}
	for i, name := range names {
		if i == 0 {
			name = strings.TrimPrefix(name, "\ufeff") // of spreadsheets
		}
		if !slices.Contains(csvColumns, name) {
			return &lineError{1, fmt.Errorf("column %.40q is none of %s", name, strings.Join(csvColumns, ", "))}
		}
		if _, twice := column[name]; twice {
			return &lineError{1, fmt.Errorf("two columns %q", name)}
		}
		column[name] = i
	}
	for _, name := range []string{"key", "value"} {
		_, plain := column[name]
		if _, encoded := column[name+"_base64"]; !plain && !encoded {
			return &lineError{1, fmt.Errorf("needs a column %s or %[1]s_base64", name)}
		}
	}
	c.column = column
	return nil
}

func (c *csvReader) row(fields []string) (r row, err error) {
	field := func(name string) string {
		if i, there := c.column[name]; there {
			return fields[i]
		}
		return ""
	}
	one := func(name string) (string, error) {
		plain, encoded := field(name), field(name+"_base64")
		switch {
		case plain != "" && encoded != "":
			return "", fmt.Errorf("has both %s and %[1]s_base64", name)
		case encoded == "":
			return plain, nil
		}
		decoded, err := base64.StdEncoding.DecodeString(encoded)
		if err != nil {
			return "", fmt.Errorf("%s_base64: %v", name, err)
		}
		return string(decoded), nil
	}
	if r.key, err = one("key"); err != nil {
		return row{}, err
	}
	value, err := one("value")
	if err != nil {
		return row{}, err
	}
	r.value = []byte(value)
	if counter := field("counter"); counter != "" {
		if _, err := strconv.ParseUint(counter, 10, 64); err != nil {
			return row{}, fmt.Errorf("counter %.40q is no number", counter)
		}
	}
	r.expiresAt, err = parseExpiry(field("expires_at"))
	return r, err
}

// rowLimit keeps a record without end, a quote that is never closed, from
// filling the memory.
type rowLimit struct {
	r    io.Reader
	left int // bytes until the record is too long
}

func (l *rowLimit) Read(p []byte) (int, error) {
	if l.left <= 0 {
		return 0, errRowTooLong
	}
	n, err := l.r.Read(p)
	l.left -= n
	return n, err
}
