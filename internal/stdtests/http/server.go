// Package http is package net/http with another Server: ours. All names but those
// here are added by the tests above, as aliases of net/http's.
package http

import (
	"context"
	"crypto/tls"
	"log"
	"log/slog"
	"net"
	"net/http"
	"slices"
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

// ours returns the Server that does it all; what is set later is not looked at.
func (s *Server) ours() *server.Server {
	s.once.Do(func() {
		h := s.Handler
		if h == nil {
			h = http.DefaultServeMux
		}
		s.hs.ConnState, s.hs.ErrorLog = s.ConnState, s.ErrorLog
		logger := slog.Default()
		if s.ErrorLog != nil {
			logger = slog.New(slog.NewTextHandler(lines{s.ErrorLog}, nil))
		}
		s.inner = server.New(server.HTTP(h), server.Config{
			HTTP: &s.hs, Log: logger, AllowConnect: true,
			Limits: server.Limits{HeadTimeout: s.ReadHeaderTimeout, IdleTimeout: s.IdleTimeout, MaxHead: s.MaxHeaderBytes},
		})
	})
	return s.inner
}

// lines writes to a Logger.
type lines struct{ to *log.Logger }

// Write implements io.Writer.
func (l lines) Write(p []byte) (int, error) {
	l.to.Print(strings.TrimSuffix(string(p), "\n"))
	return len(p), nil
}

// Serve is as net/http's.
func (s *Server) Serve(ln net.Listener) error {
	if err := s.ours().Serve(ln); err != server.ErrServerClosed {
		return err
	}
	return http.ErrServerClosed
}

// ServeTLS is as net/http's.
func (s *Server) ServeTLS(ln net.Listener, certFile, keyFile string) error {
	c := new(tls.Config)
	if s.TLSConfig != nil {
		c = s.TLSConfig.Clone()
	}
	if !slices.Contains(c.NextProtos, "http/1.1") {
		c.NextProtos = append(c.NextProtos, "http/1.1")
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

// Listen is what net/http/httptest listens with.
func Listen() net.Listener {
	ln, err := tcp.Listen(tcp.Config{Addr: "127.0.0.1:0"})
	if err != nil {
		panic(err)
	}
	return ln
}
