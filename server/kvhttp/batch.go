package kvhttp

import (
	"bytes"
	"errors"
	"fmt"
	"mime"

	"postern/kvstore"
	"postern/server"
)

const (
	// batchName is below the prefix, where no table can be: their names have no colon.
	batchName = ":batch"

	// maxAnswer is how much a batch may read, in bytes of output.
	maxAnswer = 8 << 20
)

// batch runs the operations of a body in one procedure.
func (h *handler) batch(r *server.Request) (server.Response, error) {
	if r.Method() != "POST" {
		return server.Response{}, refusef(405, "%s%s takes only POST", h.Prefix, batchName).with("Allow", "POST")
	}
	if _, err := query(r); err != nil {
		return server.Response{}, err
	}
	// Not a formality: a form or text/plain, or content without a type, may be sent
	// here by any web page that a user of this machine looks at. For this type a
	// browser asks first, with OPTIONS, and gets no permission.
	if t, _, err := mime.ParseMediaType(r.Header().Get("Content-Type")); err != nil || t != ndjson {
		return server.Response{}, refusef(415, "a batch is of Content-Type %s", ndjson).with("Accept", ndjson)
	}
	body, err := r.ReadAll()
	if err != nil {
		return server.Response{}, err
	}
	operations, err := h.parseBatch(body)
	if err != nil {
		return server.Response{}, err
	}
	var answer bytes.Buffer
	err = h.store.Execute(r.Context(), func(tx *kvstore.Tx) error {
		answer.Reset() // a procedure may be run again
		for i := range operations {
			line, err := operations[i].run(tx)
			if err == nil {
				err = line.write(&answer)
			}
			if err == nil && answer.Len() > maxAnswer {
				err = refusef(413, "the answer is longer than %d bytes", maxAnswer)
			}
			if err != nil {
				return inLine(i+1, err)
			}
		}
		return nil
	})
	if err != nil {
		return server.Response{}, err
	}
	return server.Bytes(ndjson, answer.Bytes()), nil
}

// run does what the operation says, or finds that it must not be done, and returns
// the line that answers it.
func (o *operation) run(tx *kvstore.Tx) (row, error) {
	old, found, err := tx.Get(o.table, o.key)
	switch {
	case err != nil:
		return row{}, err
	case o.name == "add" && found:
		return row{}, refusef(409, "%v is there already, at %d", o.place, old.Counter)
	case o.counter != nil && !found:
		return row{}, refusef(412, "no %v", o.place)
	case o.counter != nil && *o.counter != old.Counter:
		return row{}, refusef(412, "%v is at %d", o.place, old.Counter)
	case o.until.past(tx.Now()):
		return row{}, errPast
	}
	line := keyRow(o.key)
	switch {
	case o.writes():
		counter, err := tx.Overwrite(o.table, o.key, o.value, o.until.options...)
		line.Counter = &counter
		return line, err
	case !found:
		return line, nil
	case o.name == "delete":
		line.Counter = &old.Counter
		_, err := tx.Delete(o.table, o.key)
		return line, err
	}
	return entryRow(old), nil
}

// inLine returns a refusal with the number of the line that it is about. What else
// went wrong is no line's fault.
func inLine(n int, err error) error {
	var e *refusal
	switch {
	case errors.As(err, &e):
	case errors.Is(err, kvstore.ErrTooLarge):
		e = storeRefusal(err)
	default:
		return err
	}
	return e.at(fmt.Sprintf("line %d", n))
}
