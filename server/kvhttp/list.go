package kvhttp

import (
	"bytes"
	"context"
	"strconv"

	"postern/kvstore"
	"postern/server"
)

const (
	defaultLimit = 100
	maxLimit     = 1000

	// pageSize ends a snapshot, in bytes of output: while a client reads slowly
	// nothing of the store is held.
	pageSize = 256 << 10
)

// listing is how far a client has been told what is in a table.
type listing struct {
	table  string
	prefix string
	start  string // the next key is this one or above
	left   int    // rows that may still come; 0: done
}

func (h *handler) list(r *server.Request, p place) (server.Response, error) {
	l, err := parseListing(r, p)
	if err != nil {
		return server.Response{}, err
	}
	ctx := r.Context()
	first, err := h.page(ctx, &l)
	if err != nil {
		return server.Response{}, err
	}
	if l.left == 0 {
		return server.Bytes(ndjson, first), nil
	}
	return server.Stream(ndjson, func(w *server.StreamWriter) error {
		for page := first; ; {
			if _, err := w.Write(page); err != nil || l.left == 0 {
				return err
			}
			var err error
			if page, err = h.page(ctx, &l); err != nil {
				return err
			}
		}
	}), nil
}

func parseListing(r *server.Request, p place) (listing, error) {
	params, err := query(r, "prefix", "after", "limit")
	if err != nil {
		return listing{}, err
	}
	l := listing{table: p.table, prefix: params.Get("prefix"), left: defaultLimit}
	if after := params.Get("after"); after != "" {
		l.start = next(after)
	}
	if params.Has("limit") {
		l.left, err = strconv.Atoi(params.Get("limit"))
		if err != nil || l.left < 1 || l.left > maxLimit {
			return listing{}, refusef(400, "query: limit %s: must be 1 to %d", clip(params.Get("limit")), maxLimit)
		}
	}
	return l, nil
}

// next returns the lowest key above key.
func next(key string) string { return key + "\x00" }

// page returns the rows that follow, until they are enough for a page or there
// are no more, and moves l.
func (h *handler) page(ctx context.Context, l *listing) ([]byte, error) {
	var rows bytes.Buffer
	var then listing
	err := h.store.View(ctx, func(tx *kvstore.ReadTx) error {
		rows.Reset() // a View may be run again
		then = *l
		for e, err := range tx.Entries(l.table, kvstore.Range{Prefix: l.prefix, Start: l.start, Limit: l.left}) {
			if err != nil {
				return err
			}
			if err := entryRow(e).write(&rows); err != nil {
				return err
			}
			then.start = next(e.Key)
			then.left--
			if rows.Len() >= pageSize {
				return nil
			}
		}
		then.left = 0
		return nil
	})
	if err != nil {
		return nil, err
	}
	*l = then
	return rows.Bytes(), nil
}
