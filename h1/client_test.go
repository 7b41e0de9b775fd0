package h1_test

import (
	"testing"

	"postern/h1"
)

// Nothing is begun on a connection whose end is known, even before Next has told.
func TestNoRequestAfterTheEnd(t *testing.T) {
	for name, end := range map[string]func(c *h1.ClientConn){
		"CloseInput": (*h1.ClientConn).CloseInput, "FailInput": (*h1.ClientConn).FailInput, "Fail": (*h1.ClientConn).Fail,
	} {
		var c h1.ClientConn
		if !c.CanBegin() {
			t.Error("nothing can begin on a new connection")
		}
		begun := c.Begin(nil, "GET", "/", "a")
		end(&c)
		if c.CanBegin() {
			t.Errorf("a request may begin after %s", name)
		}
		if out, err := begun.End(); err == nil || len(out) > 0 {
			t.Errorf("a request that was begun before %s ended: %q", name, out)
		}
	}
}

// CopyFields takes what is sloppy but harmless as it is, and one length of several.
func TestCopyFields(t *testing.T) {
	var up h1.ClientConn
	w := up.Begin(nil, "GET", "/", "a")
	if _, err := w.End(); err != nil {
		t.Fatal(err)
	}
	if _, err := up.AppendEnd(nil); err != nil {
		t.Fatal(err)
	}
	in := "HTTP/1.1 200 OK\r\nserver: a\r\nContent-Length: 2\r\nServer: b\r\nX: y\r\nContent-Length: 2\r\nHost: h\r\nKeep-Alive: 5\r\n\r\nhi"
	if _, _, err := up.Next([]byte(in)); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		keep func(i int) bool
		want string
	}{
		{nil, "server: a\r\nServer: b\r\nX: y\r\nHost: h\r\nContent-Length: 2\r\n"},
		{func(i int) bool { return i == 3 || i == 6 }, "X: y\r\nKeep-Alive: 5\r\nTransfer-Encoding: chunked\r\n"},
	} {
		var down h1.ServerConn
		for request := []byte("GET / HTTP/1.1\r\nHost: a\r\n\r\n"); ; {
			ev, n, err := down.Next(request)
			if request = request[n:]; err != nil || ev.Kind == h1.EventEnd {
				break
			}
		}
		w := down.Begin(nil, 200)
		w.CopyFields(up.Response(), tc.keep)
		if out, err := w.End(); string(out) != "HTTP/1.1 200 OK\r\n"+tc.want+"\r\n" || err != nil {
			t.Errorf("copied %q, %v\nwant %q", out, err, tc.want)
		}
	}
}
