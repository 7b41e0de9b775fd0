package kvhttp

import (
	"errors"

	"postern/kvstore"
	"postern/server"
)

func (h *handler) get(r *server.Request, p place) (server.Response, error) {
	pre, err := parsePreconditions(r)
	if err == nil {
		_, err = query(r)
	}
	if err != nil {
		return server.Response{}, err
	}
	var e kvstore.Entry
	var found bool
	err = h.store.View(r.Context(), func(tx *kvstore.ReadTx) (err error) {
		e, found, err = tx.Get(p.table, p.key)
		return err
	})
	if err != nil {
		return server.Response{}, err
	}
	if !found {
		return server.Response{}, absent(p)
	}
	tag := etag(e.Counter)
	switch field := pre.failed(tag); field {
	case "":
	case "If-None-Match":
		return server.Empty(304).With("ETag", tag), nil
	default:
		return server.Response{}, unmet(p, field, tag)
	}
	// Whoever may write decides what is in a value: no browser is to run it.
	resp := server.Bytes("application/octet-stream", e.Value).With("ETag", tag).With("X-Content-Type-Options", "nosniff")
	if at := expiry(e); at != "" {
		resp = resp.With("Postern-Expires-At", at)
	}
	return resp, nil
}

func (h *handler) put(r *server.Request, p place) (server.Response, error) {
	pre, err := parsePreconditions(r)
	if err != nil {
		return server.Response{}, err
	}
	until, err := queryExpiry(r)
	if err != nil {
		return server.Response{}, err
	}
	if r.Header().Has("Content-Range") {
		return server.Response{}, refusef(400, "Content-Range: a value is written whole") // RFC 9110 14.5
	}
	r.SetMaxBody(h.MaxValue)
	value, err := r.ReadAll()
	if errors.Is(err, server.ErrBodyTooLarge) {
		return server.Response{}, refusef(413, "value for %v: longer than %d bytes", p, h.MaxValue)
	}
	if err != nil {
		return server.Response{}, err
	}
	var created bool
	var counter uint64
	err = h.store.Execute(r.Context(), func(tx *kvstore.Tx) error {
		old, found, err := tx.Get(p.table, p.key)
		if err != nil {
			return err
		}
		if err := pre.allow(p, old, found); err != nil {
			return err
		}
		if until.past(tx.Now()) {
			return errPast.at("query")
		}
		created = !found
		counter, err = tx.Overwrite(p.table, p.key, value, until.options...)
		return err
	})
	if err != nil {
		return server.Response{}, err
	}
	status := 204
	if created {
		status = 201
	}
	return server.Empty(status).With("ETag", etag(counter)), nil
}

func (h *handler) delete(r *server.Request, p place) (server.Response, error) {
	pre, err := parsePreconditions(r)
	if err == nil {
		_, err = query(r)
	}
	if err != nil {
		return server.Response{}, err
	}
	err = h.store.Execute(r.Context(), func(tx *kvstore.Tx) error {
		old, found, err := tx.Get(p.table, p.key)
		if err != nil {
			return err
		}
		if !found {
			return absent(p)
		}
		if err := pre.allow(p, old, found); err != nil {
			return err
		}
		_, err = tx.Delete(p.table, p.key)
		return err
	})
	if err != nil {
		return server.Response{}, err
	}
	return server.Empty(204), nil
}

// allow reports, as an error, that a change of the entry is not what the client
// wants.
func (p *preconditions) allow(at place, old kvstore.Entry, found bool) error {
	tag := ""
	if found {
		tag = etag(old.Counter)
	}
	if field := p.failed(tag); field != "" {
		return unmet(at, field, tag)
	}
	return nil
}

func unmet(p place, field, tag string) *refusal {
	if tag == "" {
		return refusef(412, "%s does not hold: no %v", field, p)
	}
	return refusef(412, "%s does not hold: %v is at %s", field, p, tag)
}
