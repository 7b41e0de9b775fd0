package server_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"
)

var contractsWriter = []contract{
	{name: "every optional interface", in: []string{getHTTP}, handler: func(w http.ResponseWriter, r *http.Request, saw sawFunc) {
		_, flusher := w.(http.Flusher)
		_, flushError := w.(interface{ FlushError() error })
		_, hijacker := w.(http.Hijacker)
		_, readerFrom := w.(io.ReaderFrom)
		_, stringWriter := w.(io.StringWriter)
		_, notifier := w.(http.CloseNotifier) //lint:ignore SA1019 gin asks for it
		_, pusher := w.(http.Pusher)
		_, unwrap := w.(interface{ Unwrap() http.ResponseWriter })
		saw("%v", []bool{flusher, flushError, hijacker, readerFrom, stringWriter, notifier, pusher, unwrap})
		rc := http.NewResponseController(w)
		saw("%v %v %v", rc.SetReadDeadline(time.Now().Add(time.Minute)), rc.SetWriteDeadline(time.Now().Add(time.Minute)), rc.EnableFullDuplex())
	}},
	{name: "flush", in: []string{getHTTP}, handler: func(w http.ResponseWriter, r *http.Request, saw sawFunc) {
		io.WriteString(w, "one")
		w.(http.Flusher).Flush()
		io.WriteString(w, "two")
		saw("%v", http.NewResponseController(w).Flush())
	}},
	{name: "flush of nothing", in: []string{getHTTP}, handler: func(w http.ResponseWriter, r *http.Request, saw sawFunc) {
		w.(http.Flusher).Flush()
	}},
	{name: "ReadFrom", in: []string{getHTTP}, handler: func(w http.ResponseWriter, r *http.Request, saw sawFunc) {
		n, err := w.(io.ReaderFrom).ReadFrom(strings.NewReader(strings.Repeat("<p>", 5000)))
		saw("%d %v", n, err)
	}},
	{name: "ReadFrom with a length", in: []string{getHTTP}, handler: func(w http.ResponseWriter, r *http.Request, saw sawFunc) {
		w.Header().Set("Content-Length", "15000")
		n, err := io.Copy(w, strings.NewReader(strings.Repeat("<p>", 5000)))
		saw("%d %v", n, err)
	}},
	{name: "ReadFrom of little", in: []string{getHTTP}, handler: func(w http.ResponseWriter, r *http.Request, saw sawFunc) {
		n, err := io.Copy(w, strings.NewReader("{}"))
		saw("%d %v", n, err)
	}},
	{name: "ReadFrom that fails at once", in: []string{getHTTP}, handler: func(w http.ResponseWriter, r *http.Request, saw sawFunc) {
		_, err := w.(io.ReaderFrom).ReadFrom(io.MultiReader(reader(func([]byte) (int, error) { return 0, errors.New("no") })))
		saw("%v", err)
		w.WriteHeader(502)
	}},
	{name: "past write deadline", in: []string{getHTTP}, handler: func(w http.ResponseWriter, r *http.Request, saw sawFunc) {
		rc := http.NewResponseController(w)
		rc.SetWriteDeadline(time.Now().Add(-time.Second))
		io.WriteString(w, "x")
		saw("%v", rc.Flush() != nil)
	}},
	{name: "past read deadline", in: []string{"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab"}, handler: func(w http.ResponseWriter, r *http.Request, saw sawFunc) {
		http.NewResponseController(w).SetReadDeadline(time.Now().Add(10 * time.Millisecond))
		b, err := io.ReadAll(r.Body)
		var timeout interface{ Timeout() bool }
		saw("%q %v", b, errors.As(err, &timeout) && timeout.Timeout())
	}},
}

var contractsResponse = []contract{
	{name: "implicit 200", in: []string{getHTTP}, handler: func(w http.ResponseWriter, r *http.Request, saw sawFunc) {}},
	{name: "implicit 200 of Write", in: []string{getHTTP, getHTTP}, handler: func(w http.ResponseWriter, r *http.Request, saw sawFunc) {
		io.WriteString(w, "hello")
	}},
	{name: "empty Write", in: []string{getHTTP}, handler: func(w http.ResponseWriter, r *http.Request, saw sawFunc) {
		w.Write(nil)
		w.WriteHeader(500) // superfluous
	}},
	{name: "superfluous WriteHeader", in: []string{getHTTP}, handler: func(w http.ResponseWriter, r *http.Request, saw sawFunc) {
		w.WriteHeader(202)
		w.WriteHeader(500)
	}},
	{name: "snapshot at WriteHeader", in: []string{getHTTP}, handler: func(w http.ResponseWriter, r *http.Request, saw sawFunc) {
		w.Header().Set("X", "before")
		w.WriteHeader(200)
		w.Header().Set("X", "after")
		w.Header().Set("Y", "after")
		saw("%q", w.Header())
	}},
	{name: "snapshot, Header unasked before", in: []string{getHTTP}, handler: func(w http.ResponseWriter, r *http.Request, saw sawFunc) {
		w.WriteHeader(200)
		w.Header().Set("X", "after")
	}},
	{name: "snapshot at Write", in: []string{getHTTP}, handler: func(w http.ResponseWriter, r *http.Request, saw sawFunc) {
		io.WriteString(w, "x")
		w.Header().Set("X", "after")
	}},
	{name: "sniffing html", in: []string{getHTTP}, handler: func(w http.ResponseWriter, r *http.Request, saw sawFunc) {
		io.WriteString(w, "<html>")
		io.WriteString(w, "hello")
	}},
	{name: "sniffing png", in: []string{getHTTP}, handler: func(w http.ResponseWriter, r *http.Request, saw sawFunc) {
		w.Write([]byte("\x89PNG\x0D\x0A\x1A\x0A"))
	}},
	{name: "no sniffing of an encoding", in: []string{getHTTP}, handler: func(w http.ResponseWriter, r *http.Request, saw sawFunc) {
		w.Header().Set("Content-Encoding", "gzip")
		io.WriteString(w, "<html>")
	}},
	{name: "Content-Type given", in: []string{getHTTP}, handler: func(w http.ResponseWriter, r *http.Request, saw sawFunc) {
		w.Header().Set("content-type", "a/b")
		io.WriteString(w, "<html>")
	}},
	{name: "Content-Type and Date suppressed", in: []string{getHTTP}, handler: func(w http.ResponseWriter, r *http.Request, saw sawFunc) {
		w.Header()["Content-Type"] = nil
		w.Header()["Date"] = nil
		io.WriteString(w, "<html>")
	}},
	{name: "Date given", in: []string{getHTTP}, handler: func(w http.ResponseWriter, r *http.Request, saw sawFunc) {
		w.Header().Set("Date", "yesterday")
	}},
	{name: "length of 2048 bytes", in: []string{getHTTP}, handler: func(w http.ResponseWriter, r *http.Request, saw sawFunc) {
		io.WriteString(w, strings.Repeat("x", 2048))
	}},
	{name: "no length of 2049 bytes", in: []string{getHTTP}, handler: func(w http.ResponseWriter, r *http.Request, saw sawFunc) {
		io.WriteString(w, strings.Repeat("x", 2049))
	}},
	{name: "no length of many writes", in: []string{getHTTP, getHTTP}, handler: func(w http.ResponseWriter, r *http.Request, saw sawFunc) {
		for range 1000 {
			io.WriteString(w, "hello")
		}
	}},
	{name: "big", in: []string{getHTTP, getHTTP}, handler: func(w http.ResponseWriter, r *http.Request, saw sawFunc) {
		for range 10 {
			w.Write(bytes.Repeat([]byte("x"), 300_000))
		}
	}},
	{name: "length to 1.0", in: []string{"GET / HTTP/1.0\r\n\r\n"}, handler: func(w http.ResponseWriter, r *http.Request, saw sawFunc) {
		io.WriteString(w, "hello")
	}},
	{name: "keep-alive to 1.0", in: []string{"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"}, handler: func(w http.ResponseWriter, r *http.Request, saw sawFunc) {
		io.WriteString(w, "hello")
	}},
	{name: "close to 1.0", in: []string{"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"}, handler: func(w http.ResponseWriter, r *http.Request, saw sawFunc) {
		io.WriteString(w, strings.Repeat("x", 3000))
	}},
	{name: "HEAD", in: []string{"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n"}, handler: func(w http.ResponseWriter, r *http.Request, saw sawFunc) {
		n, err := io.WriteString(w, "hello")
		saw("%d %v", n, err)
	}},
	{name: "HEAD of nothing", in: []string{"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n"}, handler: func(w http.ResponseWriter, r *http.Request, saw sawFunc) {},
		differ: []string{"length -1 []", "length -1 [chunked]"}},
	{name: "HEAD of much", in: []string{"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n"}, handler: func(w http.ResponseWriter, r *http.Request, saw sawFunc) {
		for range 3000 {
			io.WriteString(w, "hello")
		}
	}, differ: []string{"length -1 []", "length -1 [chunked]"}},
	{name: "HEAD with a length", in: []string{"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n"}, handler: func(w http.ResponseWriter, r *http.Request, saw sawFunc) {
		w.Header().Set("Content-Length", "12345")
	}},
	{name: "HEAD with a length and less content", in: []string{"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n"}, handler: func(w http.ResponseWriter, r *http.Request, saw sawFunc) {
		w.Header().Set("Content-Length", "12345")
		io.WriteString(w, "part")
	}},
	{name: "204", in: []string{getHTTP}, handler: func(w http.ResponseWriter, r *http.Request, saw sawFunc) {
		w.Header().Set("Content-Length", "5")
		w.WriteHeader(204)
		_, err := io.WriteString(w, "hello")
		saw("%v", err == http.ErrBodyNotAllowed)
	}},
	{name: "304", in: []string{getHTTP}, handler: func(w http.ResponseWriter, r *http.Request, saw sawFunc) {
		w.Header().Set("Content-Type", "a/b")
		w.Header().Set("ETag", `"x"`)
		w.WriteHeader(304)
		_, err := io.WriteString(w, "hello")
		saw("%v", err == http.ErrBodyNotAllowed)
	}},
	{name: "too much content", in: []string{getHTTP}, handler: func(w http.ResponseWriter, r *http.Request, saw sawFunc) {
		w.Header().Set("Content-Length", "3")
		n, err := io.WriteString(w, "abc")
		saw("%d %v", n, err)
		n, err = io.WriteString(w, "d")
		saw("%d %v", n, err == http.ErrContentLength)
	}, differ: []string{"connection: closed", "connection: goes on, 204"}}, // all that was announced was sent
	{name: "too little content", in: []string{getHTTP}, handler: func(w http.ResponseWriter, r *http.Request, saw sawFunc) {
		w.Header().Set("Content-Length", "5")
		io.WriteString(w, "abc")
	}},
	{name: "a bad length", in: []string{getHTTP}, handler: func(w http.ResponseWriter, r *http.Request, saw sawFunc) {
		w.Header().Set("Content-Length", "many")
		io.WriteString(w, "abc")
	}},
	{name: "response splitting", in: []string{getHTTP}, handler: func(w http.ResponseWriter, r *http.Request, saw sawFunc) {
		w.Header().Set("X", "a\r\nSet-Cookie: b")
		w.Header().Set("Bad Name", "x")
		w.Header()["Y"] = []string{" two ", "lines"}
	}},
	{name: "interim responses", in: []string{getHTTP}, handler: func(w http.ResponseWriter, r *http.Request, saw sawFunc) {
		w.Header().Set("Link", "</a>; rel=preload")
		w.WriteHeader(103)
		w.WriteHeader(102)
		w.Header().Set("Content-Length", "2")
		w.WriteHeader(103)
		io.WriteString(w, "ok")
	}},
	{name: "interim response before a redirection", in: []string{getHTTP}, handler: func(w http.ResponseWriter, r *http.Request, saw sawFunc) {
		w.WriteHeader(103)
		http.Redirect(w, r, "/b", http.StatusSeeOther)
	}},
	{name: "status out of range", in: []string{getHTTP}, handler: func(w http.ResponseWriter, r *http.Request, saw sawFunc) {
		defer func() { saw("%v", recover()); w.WriteHeader(799) }()
		w.WriteHeader(1000)
	}},
	{name: "trailers announced", in: []string{getHTTP}, handler: func(w http.ResponseWriter, r *http.Request, saw sawFunc) {
		w.Header().Set("Trailer", "X-Sum, X-None")
		w.Header().Add("Trailer", "X-More")
		io.WriteString(w, "abc")
		w.Header().Set("X-Sum", "7")
		w.Header().Add("X-More", "1")
		w.Header().Add("X-More", "2")
	}},
	{name: "trailers not announced", in: []string{getHTTP}, handler: func(w http.ResponseWriter, r *http.Request, saw sawFunc) {
		io.WriteString(w, "abc")
		w.(http.Flusher).Flush()
		w.Header().Set(http.TrailerPrefix+"X-Sum", "7")
	}},
	{name: "trailers that none may have", in: []string{getHTTP}, handler: func(w http.ResponseWriter, r *http.Request, saw sawFunc) {
		w.Header().Set("Trailer", "Content-Length, X-Sum")
		w.WriteHeader(200)
		w.Header().Set("Content-Length", "3")
		w.Header().Set("X-Sum", "7")
		io.WriteString(w, "abc")
	}},
	{name: "trailers to a response with a length", in: []string{getHTTP}, handler: func(w http.ResponseWriter, r *http.Request, saw sawFunc) {
		w.Header().Set("Content-Length", "3")
		io.WriteString(w, "abc")
		w.Header().Set(http.TrailerPrefix+"X-Sum", "7")
	}},
	{name: "Connection: close", in: []string{getHTTP}, handler: func(w http.ResponseWriter, r *http.Request, saw sawFunc) {
		w.Header().Set("Connection", "close")
		io.WriteString(w, "bye")
	}},
	{name: "client says close", in: []string{"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"}, handler: func(w http.ResponseWriter, r *http.Request, saw sawFunc) {
		saw("%v %q", r.Close, r.Header)
	}},
	{name: "Transfer-Encoding given", in: []string{getHTTP}, handler: func(w http.ResponseWriter, r *http.Request, saw sawFunc) {
		w.Header().Set("Transfer-Encoding", "chunked")
		io.WriteString(w, "abc")
	}},
	{name: "Transfer-Encoding and length given", in: []string{getHTTP}, handler: func(w http.ResponseWriter, r *http.Request, saw sawFunc) {
		w.Header().Set("Transfer-Encoding", "chunked")
		w.Header().Set("Content-Length", "3")
		io.WriteString(w, "abc")
	}},
	{name: "ServeContent", in: []string{getHTTP, "GET / HTTP/1.1\r\nHost: a\r\nRange: bytes=2-4\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\nIf-None-Match: \"x\"\r\n\r\n"},
		handler: func(w http.ResponseWriter, r *http.Request, saw sawFunc) {
			w.Header().Set("ETag", `"x"`)
			http.ServeContent(w, r, "a.txt", time.Unix(1e9, 0), strings.NewReader(strings.Repeat("0123456789", 25)))
		}},
}
