package server_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"postern/server"
)

// Every response says what all have in common, with its own type and of its own
// second, and what it says itself comes before that.
func TestCommonFields(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		contentType := "" // of the next response
		b := start(t, func(r *server.Request) server.Response {
			resp := server.Bytes(contentType, []byte("hello"))
			if r.PathIs("/own") {
				resp = resp.With("Server", "other").With("Date", "today")
			}
			return resp
		}, server.Config{ServerName: "us"})
		ask := func(path, want string) {
			t.Helper()
			want = "HTTP/1.1 200 OK\r\n" + want + "Content-Length: 5\r\nConnection: close\r\n\r\nhello"
			if got := talk(t, b.dial(t), "GET "+path+" HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"); got != want {
				t.Errorf("%s, %q: got %q, want %q", path, contentType, got, want)
			}
		}
		time.Sleep(300 * time.Millisecond) // seconds do not begin with the server
		for range 3 {
			now := "Date: " + time.Now().UTC().Format("Mon, 02 Jan 2006 15:04:05 GMT") + "\r\nServer: us\r\n"
			for i := range 12 { // more than are kept
				contentType = fmt.Sprintf("text/x%d", i)
				for range 2 {
					ask("/", now+"Content-Type: "+contentType+"\r\n")
				}
			}
			contentType = ""
			ask("/", now)
			contentType = "a/b"
			ask("/own", "Content-Type: a/b\r\nServer: other\r\nDate: today\r\n")
			time.Sleep(900 * time.Millisecond)
		}
		contentType = "a\nb"
		if got := talk(t, b.dial(t), "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.1 500 ") {
			t.Errorf("a bad type: %q", got)
		}
	})
}

func TestBadServerName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		b := start(t, app, server.Config{ServerName: "a\nb", Log: slog.New(slog.NewTextHandler(&log, nil))})
		if got := plain(t, talk(t, b.dial(t), "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")); !strings.HasPrefix(got, "HTTP/1.1 200 OK\nContent-Type") {
			t.Errorf("got %q", got)
		}
		if !strings.Contains(log.String(), "ServerName left out") {
			t.Errorf("log: %q", log.String())
		}
	})
}
