package abuse

import (
	"bytes"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"

	"postern/server"
)

// A request of the soak is for /KIND?id=ID&n=BYTES. Its answer, whatever the kind,
// begins with what came of the request's content.

// content is what is answered to a request whose content was body.
func content(id, n int, body []byte) []byte {
	sum := fnv.New64a()
	sum.Write(body)
	b := fmt.Appendf(nil, "%d %x\n", len(body), sum.Sum64())
	for i := range n {
		b = append(b, byte('a'+(id+i)%26))
	}
	return b
}

// ends are the kinds of requests after which the connection ends.
var ends = map[string]bool{"panic": true, "abort": true, "broken": true}

// kinds are all kinds of requests.
var kinds = []string{"text", "bytes", "gather", "reader", "sized", "stream", "drive", "nethttp", "early", "context", "teapot", "panic", "abort", "broken"}

func every(r *server.Request) server.Response {
	q, err := r.Query()
	if err != nil {
		return server.Err(err)
	}
	id, _ := strconv.Atoi(q.Get("id"))
	n, _ := strconv.Atoi(q.Get("n"))
	kind := r.Path()[1:]
	switch kind {
	case "drive":
		return server.Drive(func(x *server.Exchange) error { return driven(x, id, n) })
	case "nethttp":
		return server.HTTP(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				panic(http.ErrAbortHandler)
			}
			write(w, content(id, n, body), func() { w.(http.Flusher).Flush() })
		}))(r)
	case "early":
		return server.Bytes("text/plain", content(id, n, nil))
	}
	body, err := r.ReadAll()
	if err != nil {
		return server.Err(err)
	}
	b := content(id, n, body)
	switch kind {
	case "text":
		return server.Text(string(b))
	case "gather":
		return server.Gather("text/plain", b[:len(b)/3], nil, b[len(b)/3:len(b)/2], b[len(b)/2:])
	case "reader":
		return server.Reader("text/plain", bytes.NewReader(b), -1)
	case "sized":
		return server.Reader("text/plain", io.MultiReader(bytes.NewReader(b[:len(b)/2]), bytes.NewReader(b[len(b)/2:])), int64(len(b)))
	case "stream":
		return server.Stream("text/plain", func(w *server.StreamWriter) error {
			var err error
			write(w, b, func() { err = errors.Join(err, w.Flush()) })
			return err
		})
	case "context":
		if r.Context().Err() != nil {
			return server.Err(&server.Error{Status: 499, Err: r.Context().Err()})
		}
	case "teapot":
		return server.Err(&server.Error{Status: 418})
	case "panic":
		panic("as asked for")
	case "abort":
		panic(server.ErrAbort)
	case "broken":
		return server.Stream("text/plain", func(w *server.StreamWriter) error {
			w.Write(b[:len(b)/2])
			w.Flush()
			panic("as asked for")
		})
	}
	return server.Bytes("text/plain", b)
}

// write writes in parts, and flushes after some of them.
func write(w io.Writer, b []byte, flush func()) {
	for len(b) > 0 {
		n := part(len(b))
		if _, err := w.Write(b[:n]); err != nil {
			return // the client has gone
		}
		if b = b[n:]; rand.IntN(3) == 0 {
			flush()
		}
	}
}

func driven(x *server.Exchange, id, n int) error {
	if id%2 == 0 {
		if err := x.Info(103, server.Fields{{Name: "Link", Value: "</x>"}}); err != nil {
			return err
		}
	}
	body, err := x.Request().ReadAll()
	if err != nil {
		return err
	}
	b := content(id, n, body)
	if err := x.Head(200, nil); err != nil {
		return err
	}
	if _, err := x.ReadFrom(bytes.NewReader(b[:len(b)/2])); err != nil {
		return err
	}
	if _, err := x.Write(b[len(b)/2:]); err != nil {
		return err
	}
	return x.Trailer("X-Sum", strconv.Itoa(len(b)))
}
