package kvhttp

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"postern/kvstore"
	"postern/server"
)

// Store is what this package needs of a *kvstore.Store, with the same contracts.
type Store interface {
	Execute(ctx context.Context, procedure func(*kvstore.Tx) error) error
	View(ctx context.Context, read func(*kvstore.ReadTx) error) error
	WatchPages(ctx context.Context, table string, r kvstore.Range, idle time.Duration) iter.Seq2[[]kvstore.Entry, error]
	Tables() []string
}

// Config says how a store is served. The zero value is good for loopback.
type Config struct {
	// Prefix is the path below which the tables are, as it stands in requests: it
	// is compared without decoding. It begins and ends with a slash. "": "/kv/".
	Prefix string

	// MaxValue is the longest value that a PUT or a line of a batch takes, in
	// bytes; beyond: 413. Zero: 1 MiB. Negative: no limit but the store's.
	MaxValue int64

	// MaxBatch is how many operations a batch takes; beyond: 413. Nobody else
	// writes while they run. Zero: 1000. Negative: no limit but that on a body.
	MaxBatch int

	// MaxWatches is how many clients may watch at a time; beyond: 503. Zero: 1000.
	// Negative: no limit.
	MaxWatches int

	// WatchPing is how long a watch may have nothing to tell until it sends a
	// comment, by which clients that are gone are found out, and proxies see that
	// the connection is in use. Zero: 15 s. Negative: never.
	WatchPing time.Duration

	// Token is what clients have to send as "Authorization: Bearer TOKEN". It is
	// compared in constant time. "": nothing is asked for; instead a request that
	// came over TCP and whose Host is somebody's domain name is refused with 421,
	// because a web page can point its own name at a loopback address and then
	// read the store through its visitor's browser (DNS rebinding).
	Token string

	// Log receives the store's errors. nil: slog.Default().
	Log *slog.Logger
}

const (
	defaultMaxValue   = 1 << 20 // bytes
	defaultMaxBatch   = 1000
	defaultMaxWatches = 1000
	defaultWatchPing  = 15 * time.Second
)

// New makes the handler that serves store, which stays the caller's to close. It
// panics if the prefix does not begin and end with a slash. The handler is safe
// for concurrent use.
func New(store Store, c Config) server.Handler {
	if c.Prefix == "" {
		c.Prefix = "/kv/"
	}
	if c.Prefix[0] != '/' || c.Prefix[len(c.Prefix)-1] != '/' {
		panic(fmt.Sprintf("kvhttp: prefix %q must begin and end with a slash", c.Prefix))
	}
	if c.MaxValue == 0 {
		c.MaxValue = defaultMaxValue
	}
	if c.MaxBatch == 0 {
		c.MaxBatch = defaultMaxBatch
	}
	if c.MaxWatches == 0 {
		c.MaxWatches = defaultMaxWatches
	}
	if c.WatchPing == 0 {
		c.WatchPing = defaultWatchPing
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	h := &handler{Config: c, store: store, tables: store.Tables(), access: newAccess(c.Token)}
	return h.serve
}

// handler is a Config in use.
type handler struct {
	Config
	store    Store
	tables   []string
	access   access
	watching atomic.Int64 // clients
}

// place is what a request is about; the empty key is the table as a whole.
type place struct{ table, key string }

// String names the place as error texts do.
func (p place) String() string {
	if p.key == "" {
		return fmt.Sprintf("table %s", clip(p.table))
	}
	return fmt.Sprintf("key %s in table %s", clip(p.key), clip(p.table))
}

// maxQuoted is how much of a client's own words an error text repeats, in bytes.
const maxQuoted = 40

func clip(s string) string {
	if len(s) > maxQuoted {
		return fmt.Sprintf("%q...", s[:maxQuoted])
	}
	return fmt.Sprintf("%q", s)
}

func (h *handler) serve(r *server.Request) server.Response {
	resp, err := h.answer(r)
	if err != nil {
		return h.refuse(r, err)
	}
	return resp
}

func (h *handler) answer(r *server.Request) (server.Response, error) {
	if err := h.access.check(r); err != nil {
		return server.Response{}, err
	}
	if path, ok := bytes.CutPrefix(r.PathBytes(), []byte(h.Prefix)); ok && string(path) == batchName {
		return h.batch(r)
	}
	p, err := h.locate(r)
	if err != nil {
		return server.Response{}, err
	}
	method := r.Method()
	switch {
	case (method == "GET" || method == "HEAD") && asksToWatch(r):
		return h.watch(r, p)
	case p.key == "" && (method == "GET" || method == "HEAD"):
		return h.list(r, p)
	case p.key == "" && (method == "PUT" || method == "DELETE"):
		return server.Response{}, refusef(400, "%s of %v needs a key: %sTABLE/KEY", method, p, h.Prefix)
	case p.key == "":
		return server.Response{}, notAllowed(p, "GET, HEAD")
	case method == "GET" || method == "HEAD":
		return h.get(r, p)
	case method == "PUT":
		return h.put(r, p)
	case method == "DELETE":
		return h.delete(r, p)
	}
	return server.Response{}, notAllowed(p, "GET, HEAD, PUT, DELETE")
}

// locate finds the place in the path, and that its table is there.
func (h *handler) locate(r *server.Request) (place, error) {
	rest, ok := strings.CutPrefix(string(r.PathBytes()), h.Prefix)
	if !ok {
		return place{}, refusef(404, "nothing here: tables are below %s", h.Prefix)
	}
	rawTable, rawKey, slash := strings.Cut(rest, "/")
	table, err := url.PathUnescape(rawTable)
	if err != nil {
		return place{}, refusef(400, "table in path: bad escape")
	}
	key, err := url.PathUnescape(rawKey)
	switch {
	case err != nil:
		return place{}, refusef(400, "key in path: bad escape")
	case !slices.Contains(h.tables, table):
		return place{}, refusef(404, "no table %s; there is: %s", clip(table), strings.Join(h.tables, ", "))
	case !slash:
		return place{}, refusef(404, "nothing here: %s%s/ lists the table, %[1]s%[2]s/KEY is an entry", h.Prefix, rawTable)
	}
	return place{table, key}, nil
}

// query returns the parameters of a request that takes those named.
func query(r *server.Request, takes ...string) (url.Values, error) {
	if r.RawQuery() == "" {
		return nil, nil
	}
	params, err := r.Query()
	if err != nil {
		return nil, refusef(400, "query: malformed")
	}
	for name, values := range params {
		switch {
		case !slices.Contains(takes, name):
			return nil, refusef(400, "query: no parameter %s for this %s", clip(name), r.Method())
		case len(values) > 1:
			return nil, refusef(400, "query: %s is given %d times", name, len(values))
		}
	}
	return params, nil
}
