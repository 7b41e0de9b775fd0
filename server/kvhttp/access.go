package kvhttp

import (
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/netip"
	"strings"

	"postern/server"
)

// NeedsToken reports whether a listener at addr can be reached from elsewhere, so
// that whoever serves a store there should refuse to start without a token.
// Loopback addresses (127.0.0.0/8, ::1) and Unix sockets do not need one; every
// other address does, wildcards and unknown networks among them. Ask it about
// the Addr of a listener, where names have been resolved.
func NeedsToken(addr net.Addr) bool {
	switch a := addr.(type) {
	case *net.UnixAddr:
		return false
	case *net.TCPAddr:
		ip, ok := netip.AddrFromSlice(a.IP)
		return !ok || !ip.IsLoopback()
	}
	return true
}

// access says who may use the store.
type access struct {
	open   bool
	digest [sha256.Size]byte // of the token: comparing digests hides its length too
}

func newAccess(token string) access {
	return access{open: token == "", digest: sha256.Sum256([]byte(token))}
}

func (a *access) check(r *server.Request) error {
	if a.open {
		if _, tcp := r.LocalAddr().(*net.TCPAddr); tcp && !ownHost(r.Host()) {
			return refusef(421, "host %s: without a token only addresses and localhost are served", clip(r.Host()))
		}
		return nil
	}
	// The scheme is compared without regard to case, RFC 9110 11.1.
	scheme, token, _ := strings.Cut(r.Header().Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return refusef(401, "a token is needed: Authorization: Bearer TOKEN").
			with("WWW-Authenticate", `Bearer realm="postern"`)
	}
	given := sha256.Sum256([]byte(strings.TrimLeft(token, " ")))
	if subtle.ConstantTimeCompare(given[:], a.digest[:]) != 1 {
		return refusef(401, "the token is not the right one").
			with("WWW-Authenticate", `Bearer realm="postern", error="invalid_token"`) // RFC 6750 3.1
	}
	return nil
}

// ownHost reports whether a Host value cannot be a name that a stranger made
// point here: an address, a name below localhost, or one without a dot, which no
// public domain has.
func ownHost(host string) bool {
	if _, err := netip.ParseAddrPort(host); err == nil {
		return true
	}
	if _, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		return true
	}
	name := strings.ToLower(host)
	if i := strings.LastIndexByte(name, ':'); i >= 0 {
		name = name[:i]
	}
	return !strings.Contains(name, ".") || strings.HasSuffix(name, ".localhost")
}
