package tls

import (
	"crypto/tls"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// A CertificatesConfig says where certificates come from. Only Sources is needed.
type CertificatesConfig struct {
	// Sources are the certificates, the default one first. A name may be in
	// several, as one with an RSA key and one with an ECDSA key: a client gets
	// the first that it can use.
	Sources []Source

	// Poll is how long what was read from files counts as the latest. The first
	// handshake after that looks at them again, so that there is no goroutine to
	// stop. Zero: one minute. Negative: only Reload looks.
	Poll time.Duration

	// OnReload is called after files have changed, with nil, or with what was
	// wrong with them. It is called once for each change, by the goroutine that
	// looked, and holds its handshake up. nil: errors are only counted.
	OnReload func(error)
}

// Certificates are what a server shows its clients, found by name. The names of a
// certificate are its subject alternative names of type DNS, exact or with "*" for
// the first label; the common name is none.
//
// Files are compared by content, and read at Reload and as CertificatesConfig.Poll
// says. A pair that cannot be used leaves the one before it in place: a file that
// is missing or written in part, a key that is not the certificate's, a
// certificate that has expired. Handshakes under way are not concerned, nor are
// connections or session tickets.
//
// All methods may be called at the same time.
type Certificates struct {
	poll     time.Duration // 0: never
	onReload func(error)
	tickets  tls.Config // has the keys of session tickets, nothing else

	latest atomic.Pointer[index]
	due    atomic.Int64 // when the files are to be looked at; ns since the Unix epoch

	mu    sync.Mutex // guards pairs
	pairs []*pair

	reloads, failures atomic.Uint64
}

// CertificateStats are counts since the Certificates were made.
type CertificateStats struct {
	Reloads  uint64 // times that files had changed and were taken over
	Failures uint64 // times that they had changed and at least one was refused
}

// NewCertificates reads all sources. At the beginning every one has to be good.
func NewCertificates(c CertificatesConfig) (*Certificates, error) {
	if len(c.Sources) == 0 {
		return nil, errors.New("tls: no certificates: Sources is empty")
	}
	s := &Certificates{onReload: c.OnReload}
	for i, source := range c.Sources {
		p, err := newPair(source)
		if err != nil {
			return nil, fmt.Errorf("tls: certificate %d: %w", i+1, err)
		}
		if source.CertFile != "" && c.Poll >= 0 {
			s.poll = c.Poll
			if s.poll == 0 {
				s.poll = time.Minute
			}
		}
		s.pairs = append(s.pairs, p)
	}
	s.latest.Store(newIndex(s.pairs))
	s.due.Store(time.Now().Add(s.poll).UnixNano())
	return s, nil
}

// GetCertificate returns the certificate for a client: by its exact name, by a
// wildcard for the name's first label, or the first of all. It never fails. It
// serves crypto/tls's Config as well.
func (s *Certificates) GetCertificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	cert, _ := s.find(hello)
	return cert, nil
}

// find is GetCertificate. It also reports whether the certificate has the name.
func (s *Certificates) find(hello *tls.ClientHelloInfo) (cert *tls.Certificate, named bool) {
	s.look()
	latest := s.latest.Load()
	found := latest.named(hello.ServerName)
	if len(found) == 0 {
		return latest.first, false
	}
	for _, cert := range found {
		if len(found) == 1 || hello.SupportsCertificate(cert) == nil {
			return cert, true
		}
	}
	return found[0], true
}

// has reports whether a certificate has the name.
func (s *Certificates) has(name string) bool { return len(s.latest.Load().named(name)) > 0 }

// look reads the files again if that is due, and nobody else does it.
func (s *Certificates) look() {
	if s.poll == 0 {
		return
	}
	now := time.Now()
	if due := s.due.Load(); now.UnixNano() >= due && s.due.CompareAndSwap(due, now.Add(s.poll).UnixNano()) {
		s.reload(false)
	}
}

// Reload reads the files now and takes over what has changed. The error names
// every file that was refused, also when it was refused before and has not changed
// since; the others are in use.
func (s *Certificates) Reload() error { return s.reload(true) }

// reload is Reload. With again it tries what was refused before once more.
func (s *Certificates) reload(again bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	changed := false
	var refused []error
	for i, p := range s.pairs {
		next, err := p.reload(again)
		if err != nil {
			refused = append(refused, fmt.Errorf("tls: certificate %d: %w", i+1, err))
		} else if next != nil {
			s.pairs[i], changed = next, true
		}
	}
	if changed {
		s.latest.Store(newIndex(s.pairs))
		s.reloads.Add(1)
	}
	err := errors.Join(refused...)
	if err != nil {
		s.failures.Add(1)
	}
	if s.onReload != nil && (changed || err != nil) {
		s.onReload(err)
	}
	return err
}

// Stats returns the counts as they are now.
func (s *Certificates) Stats() CertificateStats {
	return CertificateStats{Reloads: s.reloads.Load(), Failures: s.failures.Load()}
}

// An index finds certificates by name. It does not change.
type index struct {
	first  *tls.Certificate
	byName map[string][]*tls.Certificate // in lower case; "*.example.org" among them
}

func newIndex(pairs []*pair) *index {
	x := &index{first: pairs[0].cert, byName: make(map[string][]*tls.Certificate)}
	for _, p := range pairs {
		for _, name := range p.cert.Leaf.DNSNames {
			name = strings.ToLower(name)
			x.byName[name] = append(x.byName[name], p.cert)
		}
	}
	return x
}

// named returns the certificates that have the name, or else the wildcard that
// stands for it (RFC 9525 6.3).
func (x *index) named(name string) []*tls.Certificate {
	name = strings.ToLower(name)
	if strings.HasPrefix(name, "*") {
		return nil // no host is called that
	}
	if found := x.byName[name]; found != nil {
		return found
	}
	if _, parent, ok := strings.Cut(name, "."); ok {
		return x.byName["*."+parent]
	}
	return nil
}
