package main

import (
	stdtls "crypto/tls"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"postern/transport/tls"
)

// httpsFlags are those that make the TCP listener speak TLS.
type httpsFlags struct {
	cert, key  string
	selfSigned bool
}

func (f *httpsFlags) register(flags *flag.FlagSet) {
	flags.StringVar(&f.cert, "tls-cert", "", "")
	flags.StringVar(&f.key, "tls-key", "", "")
	flags.BoolVar(&f.selfSigned, "tls-self-signed", false, "")
}

// https is TLS on the TCP listener; nil is none.
type https struct {
	certs      *tls.Certificates
	files      bool // they can change
	selfSigned bool
}

// load reads the certificate, or makes one for this machine and for the host that
// is listened on. It returns nil if no flag asks for TLS.
func (f *httpsFlags) load(addr string, log *slog.Logger) (*https, error) {
	var source tls.Source
	switch {
	case f.selfSigned && (f.cert != "" || f.key != ""):
		return nil, usagef("serve: --tls-self-signed makes a certificate, and --tls-cert and --tls-key bring one: choose")
	case f.selfSigned:
		names := []string{"localhost", "127.0.0.1", "::1"}
		if host, _, err := net.SplitHostPort(addr); err == nil && host != "" && !slices.Contains(names, host) {
			names = append(names, host)
		}
		cert, err := tls.SelfSigned(names...)
		if err != nil {
			return nil, fmt.Errorf("serve: %w", err)
		}
		source.Certificate = cert
	case f.cert == "" && f.key == "":
		return nil, nil
	case f.cert == "" || f.key == "":
		return nil, usagef("serve: --tls-cert FILE and --tls-key FILE are needed both")
	default:
		source.CertFile, source.KeyFile = f.cert, f.key
	}
	certs, err := tls.NewCertificates(tls.CertificatesConfig{
		Sources: []tls.Source{source},
		OnReload: func(err error) {
			if err != nil {
				log.Error("the certificate has changed and cannot be used; the one before stays", "error", err)
			} else {
				log.Info("the certificate has changed and is in use", "file", f.cert)
			}
		},
	})
	if err != nil {
		return nil, fmt.Errorf("serve: %w", err)
	}
	return &https{certs: certs, files: !f.selfSigned, selfSigned: f.selfSigned}, nil
}

// wrap makes ln speak TLS.
func (h *https) wrap(ln net.Listener) (net.Listener, error) {
	if h == nil {
		return ln, nil
	}
	return tls.NewListener(ln, tls.Config{Certificates: h.certs, NextProtos: []string{"h2", "http/1.1"}})
}

// reloadOnHangup reads the certificate again at every SIGHUP, until stop.
func (h *https) reloadOnHangup() (stop func()) {
	if h == nil || !h.files {
		return func() {}
	}
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	go func() { // ends with stop
		for range hangups {
			_ = h.certs.Reload() // OnReload has logged it
		}
	}()
	return func() {
		signal.Stop(hangups)
		close(hangups)
	}
}

// address returns the base URL of the listener at addr, and the curl command that
// believes its certificate. A host name needs a token, without which the store
// answers to addresses alone.
func (h *https) address(addr net.Addr, guarded bool) (url, curl string) {
	if onUnix(addr) {
		return "http://localhost", "curl --unix-socket '" + addr.String() + "'"
	}
	host := localHost(addr)
	if h == nil {
		return "http://" + host, "curl"
	}
	name, port, err := net.SplitHostPort(host)
	cert, certErr := h.certs.GetCertificate(new(stdtls.ClientHelloInfo))
	if err != nil || certErr != nil || h.selfSigned {
		return "https://" + host, "curl -k"
	}
	if cert.Leaf.VerifyHostname(name) == nil {
		return "https://" + host, "curl"
	}
	for _, name := range cert.Leaf.DNSNames {
		if guarded && !strings.HasPrefix(name, "*") {
			return "https://" + net.JoinHostPort(name, port), "curl"
		}
	}
	return "https://" + host, "curl -k"
}
