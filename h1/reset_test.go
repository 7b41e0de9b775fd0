package h1

import "testing"

// However a connection ended, Reset makes it equal to a new one, but for the memory
// of its tables.
func TestResetForgets(t *testing.T) {
	var fresh ServerConn
	fresh.Reset(nil)
	post := "POST /a HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n"
	ends := map[string]func(c *ServerConn){
		"bad request": func(c *ServerConn) { c.Next([]byte("\r\nGET / HTTP/1.1\r\nHost: a\x00")) },
		"half a head": func(c *ServerConn) { c.Next([]byte("GET / HTTP/1.1\r\nHost: a\r\nX: ")) },
		"half a body": func(c *ServerConn) {
			c.Next([]byte(post))
			c.Next([]byte("5;a=b\r\nhel"))
			c.CloseInput()
			c.Next(nil)
		},
		"half a trailer": func(c *ServerConn) {
			c.Next([]byte(post))
			c.Next([]byte("0\r\nX: y\r\nX"))
		},
		"early response": func(c *ServerConn) {
			c.Next([]byte(post))
			c.DisableKeepAlive()
			w := c.Begin(nil, 200)
			w.Length(7)
			w.End()
			c.AppendData(nil, []byte("abc"))
			c.AppendEnd(nil)
		},
	}
	for name, end := range ends {
		for _, cfg := range []*Config{nil, {MaxHead: 200}} {
			c := new(ServerConn)
			c.Reset(cfg)
			end(c)
			if c.progress == fresh.progress {
				t.Errorf("%s leaves no trace", name)
			}
			c.Reset(nil)
			if c.progress != fresh.progress || c.cfg != fresh.cfg || c.given != nil {
				t.Errorf("%s: %+v, want %+v", name, c.progress, fresh.progress)
			}
			for _, h := range []*Head{c.Request(), c.Trailer()} {
				if h != &noHead {
					t.Errorf("%s: %+v", name, h)
				}
			}
			// What stays in the tables is cleared before it is used again.
			c.Next([]byte("GET / HTTP/1.1\r\nHost: b\r\n\r\n"))
			if h := c.Request(); h.Len() != 1 || h.Method() != MethodGet || h.seen != 1<<FieldHost || h.again != 0 || h.NoBody() != true || h.options != 0 {
				t.Errorf("%s: %+v", name, h)
			}
			c.Reset(nil)
			c.Next([]byte("POST / HTTP/1.1\r\nHost: b\r\nTransfer-Encoding: chunked\r\n\r\n"))
			c.Next([]byte("0\r\n\r\n"))
			if h := c.Trailer(); h.Len() != 0 || h.seen != 0 {
				t.Errorf("%s: %+v", name, h)
			}
		}
	}
}
