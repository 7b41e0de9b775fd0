package kvhttp_test

import (
	"net"
	"testing"

	"postern/server/kvhttp"
	"postern/transport/memory"
)

func TestNeedsToken(t *testing.T) {
	tcp := func(ip string) net.Addr { return &net.TCPAddr{IP: net.ParseIP(ip), Port: 80} }
	for _, tt := range []struct {
		addr net.Addr
		want bool
	}{
		{tcp("127.0.0.1"), false},
		{tcp("127.255.255.254"), false},
		{tcp("::1"), false},
		{tcp("::ffff:127.0.0.1"), false},
		{&net.UnixAddr{Name: "/tmp/x", Net: "unix"}, false},
		{&net.TCPAddr{Port: 80}, true},
		{tcp("0.0.0.0"), true},
		{tcp("::"), true},
		{tcp("192.168.1.2"), true},
		{tcp("::ffff:10.0.0.1"), true},
		{tcp("128.0.0.1"), true},
		{tcp("fe80::1"), true},
		{memory.Addr("memory:0"), true},
	} {
		if got := kvhttp.NeedsToken(tt.addr); got != tt.want {
			t.Errorf("NeedsToken(%v) = %v, want %v", tt.addr, got, tt.want)
		}
	}
}

func TestToken(t *testing.T) {
	h := kvhttp.New(newStore(t), kvhttp.Config{Token: "s3cret"})
	with := func(authorization string) []string { return []string{"Authorization: " + authorization} }
	asked := answer{401, "a token is needed: Authorization: Bearer TOKEN\n", `WWW-Authenticate: Bearer realm="postern"`}
	wrong := answer{401, "the token is not the right one\n", `WWW-Authenticate: Bearer realm="postern", error="invalid_token"`}
	run(t, h, []step{
		{request: "GET /kv/default/a", want: asked},
		{request: "GET /kv/nope/", want: asked}, // says nothing about tables before
		{request: "PUT /kv/default/a", fields: with("Basic s3cret"), body: "v", want: asked},
		{request: "PUT /kv/default/a", fields: with("Bearer"), body: "v", want: wrong},
		{request: "PUT /kv/default/a", fields: with("Bearer s3cre"), body: "v", want: wrong},
		{request: "PUT /kv/default/a", fields: with("Bearer s3cret2"), body: "v", want: wrong},
		{request: "PUT /kv/default/a", fields: with("Bearer S3cret"), body: "v", want: wrong},
		{request: "PUT /kv/default/a", fields: with("Bearer s3cret"), body: "v", want: answer{201, "", `ETag: "0"`}},
		{request: "GET /kv/default/a", fields: with("bearer  s3cret"), want: answer{200, "v", `ETag: "0"`}},
		{request: "GET /kv/default/a", fields: append(with("Bearer s3cret"), "Host: kv.example.com"), want: answer{200, "v", `ETag: "0"`}},
	})
}

// A page at evil.example whose name resolves to 127.0.0.1 is of the same origin as
// we are, as far as a browser can tell.
func TestForeignHostIsRefusedWithoutToken(t *testing.T) {
	h := kvhttp.New(newStore(t), kvhttp.Config{})
	for host, want := range map[string]int{
		"127.0.0.1":           404,
		"127.0.0.1:8080":      404,
		"[::1]:8080":          404,
		"[::1]":               404,
		"192.168.1.2:8080":    404,
		"localhost":           404,
		"LocalHost:8080":      404,
		"app.localhost:8080":  404,
		"myhost":              404,
		"evil.example":        421,
		"evil.example:8080":   421,
		"localhost.evil.test": 421,
		"localhost.":          421,
		"127.0.0.1.evil.test": 421,
	} {
		if got := do(t, h, "GET /kv/default/a", "", "Host: "+host); got.status != want {
			t.Errorf("Host %s: %d %q, want %d", host, got.status, got.body, want)
		}
	}
}
