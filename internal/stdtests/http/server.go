// Package http is package net/http with another Server: ours. All names but those
// here are added by the tests above, as aliases of net/http's.
package http

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"log"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"postern/server"
	"postern/transport/tcp"
	transporttls "postern/transport/tls"
)

// Server has the fields of net/http's that mean something to ours. Tests that need
// others do not compile, and are left out.
type Server struct {
	Addr              string
	Handler           http.Handler
	TLSConfig         *tls.Config
	ReadHeaderTimeout time.Duration
	IdleTimeout       time.Duration
	MaxHeaderBytes    int
	ConnState         func(net.Conn, http.ConnState)
	ErrorLog          *log.Logger

	once  sync.Once
	inner *server.Server
	hs    http.Server // what is registered
}

// ours returns the Server that does it all; limits that are set later do not hold.
func (s *Server) ours() *server.Server {
	s.once.Do(func() {
		s.hs.ConnState, s.hs.ErrorLog = s.ConnState, log.New(lines{s}, "", 0)
		s.inner = server.New(server.HTTP(http.HandlerFunc(s.handle)), server.Config{
			HTTP: &s.hs, Log: slog.New(slog.NewTextHandler(lines{s}, nil)), AllowConnect: true,
			Limits: server.Limits{MaxTarget: -1, MaxHead: cmp.Or(s.MaxHeaderBytes, http.DefaultMaxHeaderBytes), // as net/http's
				HeadTimeout: s.ReadHeaderTimeout, IdleTimeout: s.IdleTimeout},
		})
	})
	return s.inner
}

// handle calls the Handler as it is then: tests change it.
func (s *Server) handle(w http.ResponseWriter, r *http.Request) {
	if s.Handler == nil {
		http.DefaultServeMux.ServeHTTP(w, r)
		return
	}
	s.Handler.ServeHTTP(w, r)
}

// lines writes to the ErrorLog as it is then.
type lines struct{ of *Server }

// Write implements io.Writer.
func (l lines) Write(p []byte) (int, error) {
	to := l.of.ErrorLog
	if to == nil {
		to = log.Default()
	}
	to.Print(strings.TrimSuffix(string(p), "\n"))
	return len(p), nil
}

// Serve is as net/http's.
func (s *Server) Serve(ln net.Listener) error {
	if serveHook != nil {
		serveHook(s, ln)
	}
	err := s.ours().Serve(ln)
	if err == server.ErrServerClosed {
		return http.ErrServerClosed
	}
	if below := errors.Unwrap(err); below != nil { // what the listener has said
		return below
	}
	return err
}

// ServeTLS is as net/http's.
func (s *Server) ServeTLS(ln net.Listener, certFile, keyFile string) error {
	c := new(tls.Config)
	if s.TLSConfig != nil {
		c = s.TLSConfig.Clone()
	}
	if c.NextProtos == nil {
		c.NextProtos = []string{"h2", "http/1.1"}
	}
	if certFile != "" {
		cert, err := tls.LoadX509KeyPair(certFile, keyFile)
		if err != nil {
			return err
		}
		c.Certificates = []tls.Certificate{cert}
	}
	return s.Serve(NewTLSListener(ln, c))
}

// NewTLSListener is what tls.NewListener is to net/http/httptest: transport/tls, if
// that can do what c wants.
func NewTLSListener(ln net.Listener, c *tls.Config) net.Listener {
	if len(c.Certificates) != 1 || c.MaxVersion != 0 || c.GetCertificate != nil || c.GetConfigForClient != nil || c.VerifyConnection != nil {
		return tls.NewListener(ln, c)
	}
	certs, err := transporttls.NewCertificates(transporttls.CertificatesConfig{Sources: []transporttls.Source{{Certificate: c.Certificates[0]}}})
	if err != nil {
		panic(err)
	}
	l, err := transporttls.NewListener(ln, transporttls.Config{Certificates: certs, NextProtos: c.NextProtos, ClientAuth: c.ClientAuth, ClientCAs: c.ClientCAs})
	if err != nil {
		panic(err)
	}
	return l
}

// Close is as net/http's, but waits for handlers.
func (s *Server) Close() error { return s.ours().Close() }

// Shutdown is as net/http's.
func (s *Server) Shutdown(ctx context.Context) error { return s.ours().Shutdown(ctx) }

// RegisterOnShutdown is as net/http's.
func (s *Server) RegisterOnShutdown(f func()) { s.hs.RegisterOnShutdown(f) }

// SetKeepAlivesEnabled is called by net/http/httptest, which closes idle connections
// as well. We have nothing of the kind.
func (s *Server) SetKeepAlivesEnabled(bool) {}

// Serve is as net/http's.
func Serve(ln net.Listener, h http.Handler) error { return (&Server{Handler: h}).Serve(ln) }

// ServeTLS is as net/http's.
func ServeTLS(ln net.Listener, h http.Handler, certFile, keyFile string) error {
	return (&Server{Handler: h}).ServeTLS(ln, certFile, keyFile)
}

// Listen is what net/http/httptest listens with: transport/tcp, unless the
// environment says otherwise.
func Listen() net.Listener {
	listen := func() (net.Listener, error) { return tcp.Listen(tcp.Config{Addr: "127.0.0.1:0"}) }
	if os.Getenv("STDTESTS_OVER") == "net.Listen" {
		listen = func() (net.Listener, error) { return net.Listen("tcp", "127.0.0.1:0") }
	}
	ln, err := listen()
	if err != nil {
		panic(err)
	}
	return ln
}
