// Nethttp is a peer: net/http as it comes.
package main

import (
	"io"
	"net/http"
	"strconv"

	"postern/bench/serve/peer"
)

func main() {
	ln := peer.Listen()
	s := http.Server{Handler: http.HandlerFunc(answer)}
	if *peer.Cert != "" {
		peer.Fatal(s.ServeTLS(ln, *peer.Cert, *peer.Key))
	}
	peer.Fatal(s.Serve(ln))
}

func answer(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h["Content-Type"] = []string{"text/plain"}
	content := peer.Content(r.URL.Path)
	if r.Method == "POST" && r.URL.Path == "/echo" {
		var err error
		if content, err = io.ReadAll(r.Body); err != nil {
			panic(http.ErrAbortHandler)
		}
	} else if content == nil {
		http.NotFound(w, r)
		return
	}
	h["Content-Length"] = []string{strconv.Itoa(len(content))}
	w.Write(content)
}
