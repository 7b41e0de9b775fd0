// Fasthttp is a peer: fasthttp as it comes.
package main

import (
	"github.com/valyala/fasthttp"

	"postern/bench/serve/peer"
)

func main() {
	ln := peer.Listen()
	s := fasthttp.Server{Handler: answer}
	if *peer.Cert != "" {
		peer.Fatal(s.ServeTLS(ln, *peer.Cert, *peer.Key))
	}
	peer.Fatal(s.Serve(ln))
}

func answer(ctx *fasthttp.RequestCtx) {
	content := peer.Content(string(ctx.Path()))
	if ctx.IsPost() && string(ctx.Path()) == "/echo" {
		content = ctx.PostBody()
	} else if content == nil {
		ctx.NotFound()
		return
	}
	ctx.SetContentType("text/plain")
	ctx.SetBody(content)
}
