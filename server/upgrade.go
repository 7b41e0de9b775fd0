package server

import (
	"io"
	"net"

	"postern/h1"
)

// Upgrade answers 101 and hands the connection to run, which speaks another
// protocol on it (RFC 9110 7.8); early is what the client has sent of that already.
// The connection has left the server, as after Exchange.Hijack, and is closed when
// run returns. Field lines of the Response, such as Sec-WebSocket-Accept, stand in
// the 101. A client that does not offer the protocol gets 426 and its name.
func Upgrade(protocol string, run func(nc net.Conn, early []byte)) Response {
	return Drive(func(x *Exchange) error {
		if !offers(x.req, protocol) {
			return x.refuseUpgrade(protocol)
		}
		if _, err := io.Copy(io.Discard, x.req.Body()); err != nil { // the protocol begins behind it
			return err
		}
		if err := x.Head(101, Fields{{"Upgrade", protocol}}); err != nil {
			return err
		}
		nc, early, err := x.Hijack()
		if err != nil {
			return err
		}
		defer nc.Close()
		run(nc, early)
		return nil
	})
}

func offers(r *Request, protocol string) bool {
	return r.head.OffersUpgrade() && r.head.HasToken(h1.FieldUpgrade, protocol)
}

func (x *Exchange) refuseUpgrade(protocol string) error {
	text := statusLine(426)
	if err := x.Head(426, Fields{{"Upgrade", protocol}, {"Content-Type", "text/plain; charset=utf-8"}}); err != nil {
		return err
	}
	_, err := io.WriteString(x, text)
	return err
}
