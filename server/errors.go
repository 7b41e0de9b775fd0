package server

import (
	"errors"
	"net/http"
	"strings"

	"postern/h1"
)

// Error is an error that has a status. A handler returns one through Err, and
// reading a request's body fails with one.
type Error struct {
	Status int   // 400 to 599
	Err    error // what happened; for the log, and not shown to clients by default
}

// Error returns the text of the wrapped error, or the reason phrase.
func (e *Error) Error() string {
	if e.Err == nil {
		return "server: " + h1.StatusText(e.Status)
	}
	return e.Err.Error()
}

// Unwrap returns the wrapped error.
func (e *Error) Unwrap() error { return e.Err }

// ErrServerClosed is what Serve returns after Shutdown or Close. It is also
// http.ErrServerClosed, to those who ask with errors.Is.
var ErrServerClosed error = closedError{}

type closedError struct{}

func (closedError) Error() string { return "server: closed" }

func (closedError) Is(target error) bool { return target == http.ErrServerClosed }

// ErrBodyTooLarge is wrapped by the error of a body read past its limit (413).
var ErrBodyTooLarge = errors.New("server: request body too large")

// ErrBodyTimeout is wrapped by the error of a body that came too slowly (408).
var ErrBodyTimeout = errors.New("server: request body too slow")

// ErrBodyTruncated is wrapped by the error of a body that broke off (400).
var ErrBodyTruncated = errors.New("server: request body broke off")

func statusOf(err error) int {
	var e *Error
	if errors.As(err, &e) && e.Status >= 400 && e.Status <= 599 {
		return e.Status
	}
	return 500
}

// renderError is the default of Config.RenderError: the status in words, and what
// was wrong with the input.
func renderError(_ *Request, status int, err error) Response {
	text := statusLine(status)
	if why := reason(err); why != "" {
		text = text[:len(text)-1] + ": " + why + "\n"
	}
	return Text(text).WithStatus(status)
}

// reason returns what a client may know of an error: what it did itself.
func reason(err error) string {
	if e, ok := errors.AsType[*h1.Error](err); ok && e.Remote {
		return strings.TrimPrefix(e.Error(), "h1: ")
	}
	for _, own := range []error{ErrBodyTooLarge, ErrBodyTimeout, ErrBodyTruncated, errPlain} {
		if errors.Is(err, own) {
			return strings.TrimPrefix(err.Error(), "server: ")
		}
	}
	return ""
}

// statusLine returns a text such as "404 Not Found\n".
func statusLine(status int) string {
	const digits = "0123456789"
	s := string([]byte{digits[status/100%10], digits[status/10%10], digits[status%10]})
	if text := h1.StatusText(status); text != "" {
		s += " " + text
	}
	return s + "\n"
}
