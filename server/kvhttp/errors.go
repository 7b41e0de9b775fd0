package kvhttp

import (
	"context"
	"errors"
	"fmt"

	"postern/kvstore"
	"postern/server"
)

// refusal is an answer of 400 and above. Returned by a procedure it rolls the
// procedure back.
type refusal struct {
	status int
	text   string // without a newline
	fields server.Fields
}

func (e *refusal) Error() string { return "kvhttp: " + e.text }

func refusef(status int, format string, args ...any) *refusal {
	return &refusal{status: status, text: fmt.Sprintf(format, args...)}
}

func (e *refusal) with(name, value string) *refusal {
	e.fields = append(e.fields, server.Field{Name: name, Value: value})
	return e
}

// at returns e with the text saying where it was.
func (e *refusal) at(where string) *refusal {
	there := *e
	there.text = where + ": " + e.text
	return &there
}

func absent(p place) *refusal { return refusef(404, "no %v", p) }

func notAllowed(p place, allow string) *refusal {
	return refusef(405, "%v takes only %s", p, allow).with("Allow", allow)
}

// refuse answers a request that came to nothing.
func (h *handler) refuse(r *server.Request, err error) server.Response {
	var e *refusal
	var failed *server.Error
	switch {
	case errors.As(err, &e):
	case errors.As(err, &failed):
		return server.Err(err) // of the request's body: the engine's business
	default:
		e = storeRefusal(err)
		if r.Context().Err() != nil {
			break // nobody waits for it, and the store is well
		}
		h.logFailure(r, err)
	}
	resp := server.Text(e.text + "\n").WithStatus(e.status)
	resp.Header = e.fields
	return resp
}

func (h *handler) logFailure(r *server.Request, err error) {
	h.Log.Error("kvhttp: store failed", "error", err, "method", r.Method(), "target", r.Target(), "listener", r.Listener())
}

// storeRefusal says to a client what an error of the store means for it.
func storeRefusal(err error) *refusal {
	switch {
	case errors.Is(err, kvstore.ErrTooLarge):
		return refusef(413, "key and value are more than the store takes")
	case errors.Is(err, kvstore.ErrFull):
		return refusef(507, "the store is full: nothing was changed")
	case errors.Is(err, kvstore.ErrIndeterminate):
		return refusef(500, "the store failed: whether anything was changed is not known")
	case errors.Is(err, kvstore.ErrStopped), errors.Is(err, kvstore.ErrClosed),
		errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return refusef(503, "the store has stopped: nothing was changed")
	}
	return refusef(500, "the store failed: nothing was changed")
}
