package main

import (
	"errors"
	"fmt"
	"strings"

	"postern/h1"
	"postern/kvstore"
	"postern/server"
)

const (
	table   = "items"
	maxBody = 2 << 20 // bytes
)

// app answers with what is in its store.
type app struct{ store *kvstore.Store }

func (a app) handle(r *server.Request) server.Response {
	body, err := r.ReadAll()
	if err != nil {
		return server.Err(err)
	}
	method, path := r.Method(), r.Path()
	id, isItem := strings.CutPrefix(path, "/stress-test/")
	var resp server.Response
	switch {
	case isItem && id != "" && method == "GET":
		resp, err = a.get(r, id)
	case isItem && id != "" && method == "POST":
		resp, err = a.post(r, id, body)
	case isItem && id != "" && method == "DELETE":
		resp, err = a.delete(r, id)
	case path == "/items" && method == "GET":
		resp, err = a.items(r)
	default:
		resp = server.Text(fmt.Sprintf("Hello from freetser!\nThread: %s\nMethod: %s\nPath: %s\nBody length: %d bytes\n",
			r.Listener(), method, r.Target(), len(body)))
	}
	if err != nil {
		resp = server.Err(err)
		resp.Close = true
	}
	return resp
}

// get finds the item or makes it. Between Get and Add another client may make or
// remove it; then the turn is repeated.
func (a app) get(r *server.Request, id string) (server.Response, error) {
	for {
		e, found, err := a.store.Get(r.Context(), table, id)
		if err != nil {
			return server.Response{}, err
		}
		if found {
			return textf("Found: %s, counter=%d", id, e.Counter), nil
		}
		_, err = a.store.Add(r.Context(), table, id, []byte("item-"+id))
		switch {
		case err == nil:
			return textf("Created: %s", id), nil
		case !errors.Is(err, kvstore.ErrExists):
			return server.Response{}, err
		}
	}
}

// post reads and writes in two steps, as an application does that works on the
// value in between: the counter tells whether another client was faster.
func (a app) post(r *server.Request, id string, value []byte) (server.Response, error) {
	if len(value) == 0 {
		value = []byte("item-" + id)
	}
	e, found, err := a.store.Get(r.Context(), table, id)
	if err != nil {
		return server.Response{}, err
	}
	if !found {
		_, err = a.store.Add(r.Context(), table, id, value)
		if errors.Is(err, kvstore.ErrExists) {
			return conflict(id), nil
		}
		return textf("Created: %s", id), err
	}
	won, err := a.store.TryUpdate(r.Context(), table, id, value, e.Counter)
	if err == nil && !won {
		return conflict(id), nil
	}
	return textf("Updated: %s", id), err
}

func conflict(id string) server.Response {
	return textf("Update conflict: %s", id).WithStatus(409)
}

func (a app) delete(r *server.Request, id string) (server.Response, error) {
	found, err := a.store.Delete(r.Context(), table, id)
	if err == nil && !found {
		return textf("Not found: %s", id).WithStatus(404), nil
	}
	return textf("Deleted: %s", id), err
}

func (a app) items(r *server.Request) (server.Response, error) {
	keys, err := a.store.ListKeys(r.Context(), table)
	if err != nil {
		return server.Response{}, err
	}
	text := fmt.Sprintf("Items: %d", len(keys))
	if len(keys) > 0 {
		text += "\n" + strings.Join(keys[:min(len(keys), 10)], ", ")
	}
	return textf("%s", text), nil
}

// textf answers with a text and its newline.
func textf(format string, args ...any) server.Response {
	return server.Text(fmt.Sprintf(format, args...) + "\n")
}

// renderError words errors as freetser does; RFC 9110 has another name for 413.
func renderError(_ *server.Request, status int, _ error) server.Response {
	words := h1.StatusText(status)
	if status == 413 {
		words = "Payload Too Large"
	}
	return server.Text(fmt.Sprintf("%d Error: %s\n", status, words))
}
