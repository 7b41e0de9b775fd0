package compat_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"time"

	coder "github.com/coder/websocket"
	gorilla "github.com/gorilla/websocket"
)

func gorillaEcho(s *session) http.Handler {
	up := gorilla.Upgrader{EnableCompression: true, Subprotocols: []string{"echo"}}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := up.Upgrade(w, r, http.Header{"X-Up": {"yes"}})
		if err != nil {
			s.saw("upgrade: %v", err)
			return
		}
		defer c.Close()
		defer func() { s.ended <- true }()
		for {
			kind, p, err := c.ReadMessage()
			if err != nil {
				s.saw("server: %v, context %v", err, r.Context().Err())
				return
			}
			if err := c.WriteMessage(kind, p); err != nil {
				s.saw("server: %v", err)
				return
			}
		}
	})
}

// talkWebSocket dials with the client of gorilla.
func talkWebSocket(s *session) {
	d := gorilla.Dialer{EnableCompression: true, Subprotocols: []string{"echo"}, HandshakeTimeout: 5 * time.Second}
	c, resp, err := d.Dial("ws"+strings.TrimPrefix(s.url, "http")+"/ws", nil)
	if err != nil {
		s.note("dial: %v", err)
		return
	}
	defer c.Close()
	c.SetReadDeadline(time.Now().Add(10 * time.Second))
	for _, k := range []string{"Upgrade", "Connection", "X-Up", "Sec-Websocket-Protocol", "Sec-Websocket-Extensions", "Content-Length", "Transfer-Encoding"} {
		s.note("%d %s: %s", resp.StatusCode, k, strings.ToLower(resp.Header.Get(k)))
	}
	for _, m := range []string{"hello", "", strings.Repeat("long ", 50_000)} {
		if err := c.WriteMessage(gorilla.TextMessage, []byte(m)); err != nil {
			s.note("write: %v", err)
			return
		}
		kind, p, err := c.ReadMessage()
		s.note("kind %d, %d bytes, same %v, %v", kind, len(p), string(p) == m, err)
	}
	c.SetPongHandler(func(data string) error {
		s.note("pong %s", data)
		return nil
	})
	c.WriteControl(gorilla.PingMessage, []byte("p"), time.Now().Add(time.Second))
	c.WriteMessage(gorilla.BinaryMessage, []byte{0, 1})
	_, p, err := c.ReadMessage()
	s.note("%v %v", p, err)
	c.WriteControl(gorilla.CloseMessage, gorilla.FormatCloseMessage(4000, "bye"), time.Now().Add(time.Second))
	_, _, err = c.ReadMessage()
	s.note("client: %v", err)
	s.wait()
}

func TestGorillaWebSocket(t *testing.T) {
	same(t, gorillaEcho, func(s *session) {
		talkWebSocket(s)
		s.get("/ws")
		s.get("/ws", "Connection", "upgrade", "Upgrade", "websocket", "Sec-WebSocket-Version", "12", "Sec-WebSocket-Key", "x")
	})
}

func TestCoderWebSocket(t *testing.T) {
	same(t, func(s *session) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			c, err := coder.Accept(w, r, &coder.AcceptOptions{Subprotocols: []string{"echo"}, CompressionMode: coder.CompressionContextTakeover})
			if err != nil {
				s.saw("accept: %v", err)
				return
			}
			defer c.CloseNow()
			defer func() { s.ended <- true }()
			for {
				kind, p, err := c.Read(r.Context())
				if err != nil {
					s.saw("server: %v", coder.CloseStatus(err))
					return
				}
				if err = c.Write(r.Context(), kind, p); err != nil {
					s.saw("server: %v", err)
					return
				}
			}
		})
	}, func(s *session) {
		ctx, cancel := context.WithTimeout(s.Context(), 10*time.Second)
		defer cancel()
		c, resp, err := coder.Dial(ctx, s.url, &coder.DialOptions{Subprotocols: []string{"echo"}, CompressionMode: coder.CompressionContextTakeover})
		if err != nil {
			s.note("dial: %v", err)
			return
		}
		s.note("%d %s", resp.StatusCode, c.Subprotocol())
		for i, m := range []string{"hello", strings.Repeat("long ", 5000)} {
			if err := c.Write(ctx, coder.MessageText, []byte(m)); err != nil {
				s.note("write: %v", err)
				return
			}
			kind, p, err := c.Read(ctx)
			s.note("%d: %v, %d bytes, same %v, %v", i, kind, len(p), string(p) == m, err)
		}
		s.note("close: %v", c.Close(4000, "bye"))
		s.wait()
		s.get("/")
		s.get("/", "Connection", "Upgrade", "Upgrade", "websocket", "Sec-WebSocket-Version", "12")
	})
}

// A WebSocket through a ReverseProxy: the proxy's both sides are hijacked.
func TestWebSocketThroughProxy(t *testing.T) {
	for name, serveBackend := range map[string]func(*testing.T, http.Handler) string{"net/http": serveNetHTTP, "postern": servePostern} {
		t.Run(fmt.Sprint("to ", name), func(t *testing.T) {
			same(t, func(s *session) http.Handler {
				backend := &session{T: t, ended: s.ended}
				u, err := url.Parse("http://" + serveBackend(t, gorillaEcho(backend)))
				if err != nil {
					s.Fatal(err)
				}
				return httputil.NewSingleHostReverseProxy(u)
			}, talkWebSocket)
		})
	}
}
