package server

import (
	"bytes"
	"encoding/json"
	"io"
	"iter"
	"strings"
)

// Response is what a handler returns: a value that the engine writes. The zero
// value is 200 without content.
type Response struct {
	Status int    // 0 means 200
	Header Fields // in this order; Content-Length, Date and Connection are the engine's business
	Body   Body
	Close  bool // close the connection after this response
}

// Field is one field line.
type Field struct{ Name, Value string }

// Fields is an ordered list of field lines.
type Fields []Field

// Get returns the value of the first line with that name, in any case, or "".
func (f Fields) Get(name string) string {
	if i := f.index(name); i >= 0 {
		return f[i].Value
	}
	return ""
}

func (f Fields) index(name string) int {
	for i := range f {
		if strings.EqualFold(f[i].Name, name) {
			return i
		}
	}
	return -1
}

// Body is the content of a Response, made by the constructors below. The zero
// value is no content.
type Body struct {
	kind        bodyKind
	contentType string
	text        string
	data        []byte
	source      any   // [][]byte, io.Reader, func(*StreamWriter) error, func(*Exchange) error, or error
	length      int64 // of a reader; -1: unknown
	limits      *StreamLimits
}

type bodyKind uint8

const (
	bodyNone bodyKind = iota
	bodyText
	bodyBytes
	bodyGather
	bodyReader
	bodyStream
	bodyDrive
	bodyError
)

// Text answers 200 with s as text/plain; charset=utf-8.
func Text(s string) Response { return textAs("text/plain; charset=utf-8", s) }

// HTML answers 200 with s as text/html; charset=utf-8.
func HTML(s string) Response { return textAs("text/html; charset=utf-8", s) }

func textAs(contentType, s string) Response {
	return Response{Body: Body{kind: bodyText, contentType: contentType, text: s}}
}

// Bytes answers 200 with b. The engine reads b until the response is written; the
// handler must not change it any more.
func Bytes(contentType string, b []byte) Response {
	return Response{Body: Body{kind: bodyBytes, contentType: contentType, data: b}}
}

// Gather answers 200 with several slices, one behind the other, as Bytes does.
func Gather(contentType string, b ...[]byte) Response {
	return Response{Body: Body{kind: bodyGather, contentType: contentType, source: b}}
}

// JSON answers 200 with v encoded as application/json and a final newline; if v
// cannot be encoded it answers as Err does.
func JSON(v any) Response {
	b, err := json.Marshal(v)
	if err != nil {
		return Err(err)
	}
	return Bytes("application/json", append(b, '\n'))
}

// Empty answers with a status and no content.
func Empty(status int) Response { return Response{Status: status} }

// Redirect answers with a redirection status, such as 303 or 308, and Location.
// The location is sent as it is and must be an URI reference (RFC 9110 10.2.2).
func Redirect(status int, location string) Response {
	return Empty(status).With("Location", location)
}

// Reader answers 200 with what r yields: length bytes, or all of them in chunks if
// length is negative. A reader that is also an io.Closer is closed by the engine
// once the response is written, broken off, refused or not wanted (HEAD); who
// replaces the response closes it. If r fails, or ends before length bytes, the
// connection is broken off, so that the client sees a truncated message and not a
// shorter one. What r has beyond length bytes is not read.
func Reader(contentType string, r io.Reader, length int64) Response {
	return Response{Body: Body{kind: bodyReader, contentType: contentType, source: r, length: max(length, -1)}}
}

// Stream answers 200 with what write produces, in chunks. It is called once the
// handler has returned, and not for HEAD. If it fails the connection is broken
// off, as with Reader.
func Stream(contentType string, write func(*StreamWriter) error) Response {
	return Response{Body: Body{kind: bodyStream, contentType: contentType, source: write}}
}

// Seq answers 200 with the slices of seq, as Stream does.
func Seq(contentType string, seq iter.Seq[[]byte]) Response {
	return Stream(contentType, func(w *StreamWriter) error {
		for p := range seq {
			if _, err := w.Write(p); err != nil {
				return err
			}
		}
		return nil
	})
}

// Err answers with the error's status, if it is or wraps an *Error, else with 500
// and a line in the log. What the client reads is made by Config.RenderError.
func Err(err error) Response {
	return Response{Status: statusOf(err), Body: Body{kind: bodyError, source: err}}
}

// WithStatus returns r with another status.
func (r Response) WithStatus(status int) Response {
	r.Status = status
	return r
}

// With returns r with one more field line. The other copies of r keep theirs. A
// Content-Type given here replaces the one of the body.
func (r Response) With(name, value string) Response {
	r.Header = append(r.Header[:len(r.Header):len(r.Header)], Field{name, value})
	return r
}

// ContentType returns the type that the body's constructor was given.
func (b Body) ContentType() string { return b.contentType }

// Len returns the content's length in bytes, or -1 if only writing it will tell.
func (b Body) Len() int64 {
	switch b.kind {
	case bodyText:
		return int64(len(b.text))
	case bodyBytes:
		return int64(len(b.data))
	case bodyGather:
		n := int64(0)
		for _, p := range b.source.([][]byte) {
			n += int64(len(p))
		}
		return n
	case bodyReader:
		return b.length
	case bodyStream, bodyDrive:
		return -1
	}
	return 0
}

// Err returns the error of a response made by Err, else nil.
func (b Body) Err() error {
	err, _ := b.source.(error)
	if b.kind != bodyError {
		return nil
	}
	return err
}

// ReadAll returns the whole content, for middleware and tests. It consumes a
// reader and runs a stream; it fails for Drive, whose content needs a client. The result may alias the body's own bytes.
func (b Body) ReadAll() ([]byte, error) {
	switch b.kind {
	case bodyText:
		return []byte(b.text), nil
	case bodyBytes:
		return b.data, nil
	case bodyGather:
		return bytes.Join(b.source.([][]byte), nil), nil
	case bodyReader:
		r := b.reader()
		defer closeReader(r)
		if b.length < 0 {
			return io.ReadAll(r)
		}
		p := make([]byte, b.length)
		_, err := io.ReadFull(r, p)
		return p, err
	case bodyStream:
		var buf bytes.Buffer
		err := b.source.(func(*StreamWriter) error)(&StreamWriter{to: &buf, limits: b.limits})
		return buf.Bytes(), err
	case bodyDrive:
		return nil, errDriven
	}
	return nil, b.Err()
}

// reader returns the reader of a bodyReader; a nil one has nothing to read.
func (b Body) reader() io.Reader {
	if r, ok := b.source.(io.Reader); ok {
		return r
	}
	return strings.NewReader("")
}

func closeReader(r io.Reader) {
	if c, ok := r.(io.Closer); ok {
		_ = c.Close() // what was read of it is unharmed
	}
}
