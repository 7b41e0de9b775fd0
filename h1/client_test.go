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

// Every message that Next accepts can be sent on.
func TestCopyFieldsLeavesOutWhatCannotBe(t *testing.T) {
	response := func(t *testing.T, in string, status int) string {
		var up h1.ClientConn
		w := up.Begin(nil, "GET", "/", "a")
		w.Known(h1.FieldUpgrade, "x")
		w.End()
		up.AppendEnd(nil)
		if _, _, err := up.Next([]byte(in)); err != nil {
			t.Fatal(err)
		}
		var down h1.ServerConn
		for request := []byte("GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"); ; {
			ev, n, err := down.Next(request)
			if request = request[n:]; err != nil || ev.Kind == h1.EventEnd {
				break
			}
		}
		w = down.Begin(nil, status)
		w.CopyFields(up.Response(), nil)
		out, err := w.End()
		if err != nil {
			t.Errorf("%q: %v", in, err)
		}
		return string(out)
	}
	request := func(t *testing.T, in string) string {
		var down h1.ServerConn
		if _, _, err := down.Next([]byte(in)); err != nil {
			t.Fatal(err)
		}
		var up h1.ClientConn
		w := up.Begin(nil, "PUT", "/", "b")
		w.CopyFields(down.Request(), nil)
		out, err := w.End()
		if err != nil {
			t.Errorf("%q: %v", in, err)
		}
		return string(out)
	}
	for _, tc := range []struct{ got, want string }{
		{response(t, "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\nX: y\r\n\r\n", 204), "HTTP/1.1 204 No Content\r\nX: y\r\n\r\n"},
		{response(t, "HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n", 304), "HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n"},
		{response(t, "HTTP/1.1 426 No\r\nConnection: upgrade\r\nUpgrade: x\r\nContent-Length: 0\r\n\r\n", 426),
			"HTTP/1.1 426 Upgrade Required\r\nUpgrade: x\r\nContent-Length: 0\r\nConnection: upgrade\r\n\r\n"},
		{response(t, "HTTP/1.1 101 Yes\r\nConnection: upgrade\r\nUpgrade: x\r\nX: y\r\n\r\n", 101),
			"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nX: y\r\nConnection: upgrade\r\n\r\n"},
		{request(t, "PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"),
			"PUT / HTTP/1.1\r\nHost: b\r\nContent-Length: 0\r\n\r\n"},
		{request(t, "PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nConnection: content-length, host\r\nContent-Length: 4\r\n\r\n"),
			"PUT / HTTP/1.1\r\nHost: b\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n"},
	} {
		if tc.got != tc.want {
			t.Errorf("copied\n%q, want\n%q", tc.got, tc.want)
		}
	}
}

// A trailer section is copied without what no trailer section should have.
func TestCopyTrailer(t *testing.T) {
	var up h1.ClientConn
	w := up.Begin(nil, "GET", "/", "a")
	w.End()
	up.AppendEnd(nil)
	for in := []byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: y\r\nExpires: never\r\nDate: now\r\nETag: z\r\n\r\n"); ; {
		ev, n, err := up.Next(in)
		if in = in[n:]; err != nil {
			t.Fatal(err)
		}
		if ev.Kind == h1.EventEnd {
			break
		}
	}
	var down h1.ServerConn
	if _, _, err := down.Next([]byte("GET / HTTP/1.1\r\nHost: a\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	w = down.Begin(nil, 200)
	if _, err := w.End(); err != nil {
		t.Fatal(err)
	}
	w = down.BeginTrailer(nil)
	w.CopyFields(up.Trailer(), nil)
	if out, err := w.End(); string(out) != "0\r\nX: y\r\nETag: z\r\n\r\n" || err != nil {
		t.Errorf("%q, %v", out, err)
	}
}

// What was offered is known when the offer is answered, though the buffer that held
// it may have been used for content.
func TestOfferOutlivesItsBytes(t *testing.T) {
	in := []byte("POST / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: chat\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n")
	var c h1.ServerConn
	if _, _, err := c.Next(in); err != nil {
		t.Fatal(err)
	}
	for i := range in {
		in[i] = 'x'
	}
	if _, err := c.AppendInfo(nil, 100); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, _, err := c.Next([]byte("y")); err != nil {
			t.Fatal(err)
		}
	}
	for protocol, want := range map[string]bool{"xxxx": false, "chat": true} {
		w := c.Begin(nil, 101)
		w.Known(h1.FieldUpgrade, protocol)
		if client, _ := c.State(); client == h1.Switched {
			continue
		}
		if _, err := w.End(); (err == nil) != want {
			t.Errorf("101 to %s: %v", protocol, err)
		}
	}
}
