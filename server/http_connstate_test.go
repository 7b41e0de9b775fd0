package server_test

import (
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"postern/server"
)

// ConnState is called as net/http calls it.
func TestHTTPConnState(t *testing.T) {
	const wait = "wait for 408"
	for _, tc := range []struct {
		name string
		in   []string
		want string
	}{
		{"silence", nil, "new closed"},
		{"two requests", []string{request, request}, "new active idle active idle closed"},
		{"half a head", []string{"GET / HT"}, "new active closed"},
		{"half a head for too long", []string{"GET / HT", wait}, "new active closed"},
		{"pipelined", []string{request + request}, "new active idle active idle closed"},
		{"pipelined in part", []string{request + "GET", request[3:]}, "new active idle active idle closed"},
		{"no HTTP", []string{"BOGUS REQUEST\r\n\r\n"}, "new active closed"},
		{"no HTTP behind a request", []string{request + "BOGUS REQUEST\r\n\r\n"}, "new active idle active closed"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var mu sync.Mutex
				var states []string
				hs := &http.Server{ConnState: func(_ net.Conn, s http.ConnState) {
					mu.Lock()
					defer mu.Unlock()
					states = append(states, s.String())
				}}
				b := start(t, server.HTTP(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})), server.Config{HTTP: hs})
				c := b.dial(t)
				if len(tc.in) > 1 && tc.in[1] == wait {
					io.WriteString(c, tc.in[0])
					io.ReadAll(c)
				} else {
					talk(t, c, tc.in...)
				}
				b.Close()
				mu.Lock()
				defer mu.Unlock()
				if got := strings.Join(states, " "); got != tc.want {
					t.Errorf("states %q, want %q", got, tc.want)
				}
			})
		})
	}
}
