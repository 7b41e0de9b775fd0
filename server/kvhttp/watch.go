package kvhttp

import (
	"bytes"
	"context"
	"fmt"
	"strconv"

	"postern/kvstore"
	"postern/server"
)

// asksToWatch reports whether the query of a GET has the parameter watch.
func asksToWatch(r *server.Request) bool {
	if r.RawQuery() == "" {
		return false
	}
	params, _ := r.Query() // what is malformed is found later
	return params.Has("watch")
}

// feed is a watch that is going on.
type feed struct {
	h     *handler
	r     *server.Request
	table string
	keys  kvstore.Range
	key   *string // the only one, or nil
	known string  // the counter of that which the client had before
}

// watch answers with Server-Sent Events: the state as it is, and then every change.
func (h *handler) watch(r *server.Request, p place) (server.Response, error) {
	f, err := h.parseFeed(r, p)
	if err != nil {
		return server.Response{}, err
	}
	// A store that is closed is to be told by a status, not within the stream.
	err = h.store.View(r.Context(), func(*kvstore.ReadTx) error { return nil })
	if err != nil {
		return server.Response{}, err
	}
	answer := server.Stream("text/event-stream", f.run).With("Cache-Control", "no-store")
	if r.Method() == "HEAD" {
		return answer, nil
	}
	if n := h.watching.Add(1); h.MaxWatches >= 0 && n > int64(h.MaxWatches) {
		h.watching.Add(-1)
		return server.Response{}, refusef(503, "%d clients watch already", h.MaxWatches).with("Retry-After", watchRetry)
	}
	// Not where the stream ends: whoever wraps this handler may never run it.
	context.AfterFunc(r.Context(), func() { h.watching.Add(-1) })
	return answer, nil
}

// watchRetry is when to ask again if too many clients watch.
const watchRetry = "10" // seconds

func (h *handler) parseFeed(r *server.Request, p place) (*feed, error) {
	takes := []string{"watch"}
	if p.key == "" {
		takes = append(takes, "prefix")
	}
	params, err := query(r, takes...)
	if err != nil {
		return nil, err
	}
	if v := params.Get("watch"); v != "" {
		return nil, refusef(400, "query: watch takes no value, not %s", clip(v))
	}
	f := &feed{h: h, r: r, table: p.table, keys: kvstore.Range{Prefix: params.Get("prefix")}}
	if p.key != "" {
		f.key = &p.key
		f.keys = kvstore.Range{Start: p.key, End: next(p.key)}
		f.known = r.Header().Get("Last-Event-ID")
	}
	return f, nil
}

// run sends the feed until the client is gone, the server shuts down or the store
// fails.
func (f *feed) run(w *server.StreamWriter) error {
	ctx := f.r.StreamContext()
	first := true
	for page, err := range f.h.store.WatchPages(ctx, f.table, f.keys, max(f.h.WatchPing, 0)) {
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			f.h.logFailure(f.r, err)
			_, err = fmt.Fprintf(w, "event: error\ndata: {\"error\":%q}\n\n", storeRefusal(err).text)
			return err
		}
		events, err := f.events(page, first)
		if err != nil {
			return err
		}
		first = false
		if _, err := w.Write(events); err != nil {
			return err
		}
		if err := w.Flush(); err != nil {
			return err
		}
	}
	return nil
}

// events renders a page.
func (f *feed) events(page []kvstore.Entry, first bool) ([]byte, error) {
	switch {
	case len(page) > 0:
	case !first:
		return []byte(": ping\n\n"), nil
	case f.key != nil:
		page = []kvstore.Entry{{Key: *f.key}}
	}
	var events bytes.Buffer
	for _, e := range page {
		if f.key != nil && e.Value != nil && f.known == strconv.FormatUint(e.Counter, 10) {
			continue
		}
		if err := f.event(&events, e); err != nil {
			return nil, err
		}
	}
	return events.Bytes(), nil
}

func (f *feed) event(w *bytes.Buffer, e kvstore.Entry) error {
	name, line := "put", entryRow(e)
	if e.Value == nil {
		name, line = "delete", keyRow(e.Key)
	}
	if f.key != nil && line.Counter != nil { // among many keys a counter tells nothing
		fmt.Fprintf(w, "id: %d\n", *line.Counter)
	}
	fmt.Fprintf(w, "event: %s\ndata: ", name)
	err := line.write(w)
	w.WriteByte('\n')
	return err
}
