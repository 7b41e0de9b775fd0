package socket_test

import (
	"net"
	"testing"

	"postern/transport"
)

// What one end did before it sent is seen by the other that has received, and the race
// detector knows it.
func TestSentHappenedBefore(t *testing.T) {
	each(t, func(t *testing.T, ln net.Listener) {
		client, server := connect(t, ln)
		var asked, answered string
		ended := pump(server, &steps{f: func(in []byte, end bool) ([]byte, transport.Next) {
			switch {
			case end:
				return nil, transport.Close
			case len(in) > 0 && asked == "yes":
				answered = "yes"
				return in, transport.Park
			}
			return nil, transport.Park
		}})
		eventually(t, "parked", server.Parked)
		asked = "yes"
		send(t, client, "x")
		receive(t, client, "x")
		if answered != "yes" {
			t.Error("not answered")
		}
		client.CloseWrite()
		wantNext(t, ended, transport.Close)
	})
}
