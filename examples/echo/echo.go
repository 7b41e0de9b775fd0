package main

import (
	"bytes"

	"postern/server"
)

var (
	hello    = []byte("Hello, World!")
	half     = bytes.Repeat([]byte("x"), 500)
	twelve   = bytes.Repeat([]byte("x"), 12<<10)
	notFound = server.Text("not found: there are /, /500, /12k and /echo\n").WithStatus(404)
)

// echo is the handler.
func echo(r *server.Request) server.Response {
	switch {
	case r.PathIs("/"):
		return fixed(r, hello)
	case r.PathIs("/500"):
		return fixed(r, half)
	case r.PathIs("/12k"):
		return fixed(r, twelve)
	case r.PathIs("/echo"):
		return back(r)
	}
	return notFound
}

// fixed answers GET, and HEAD without the content: the engine leaves it out.
func fixed(r *server.Request, content []byte) server.Response {
	if m := r.Method(); m != "GET" && m != "HEAD" {
		return notAllowed("GET, HEAD")
	}
	return server.Bytes("text/plain", content)
}

func back(r *server.Request) server.Response {
	if r.Method() != "POST" {
		return notAllowed("POST")
	}
	content, err := r.ReadAll()
	if err != nil {
		return server.Err(err)
	}
	mediaType := r.Header().Get("Content-Type")
	if mediaType == "" {
		mediaType = "application/octet-stream"
	}
	return server.Bytes(mediaType, content)
}

func notAllowed(allow string) server.Response {
	return server.Text("method not allowed: this path takes "+allow+"\n").WithStatus(405).With("Allow", allow)
}
