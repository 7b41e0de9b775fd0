package kvhttp

import (
	"strings"
	"time"

	"postern/kvstore"
	"postern/server"
)

// lifetime is how long a client wants an entry to live.
type lifetime struct {
	options []kvstore.PutOption // none: as it was
	at      time.Time           // zero unless expires_at was given
}

func (l *lifetime) past(now time.Time) bool { return !l.at.IsZero() && l.at.Before(now) }

var errPast = refusef(400, "expires_at is in the past")

// queryExpiry reads the query of a PUT.
func queryExpiry(r *server.Request) (lifetime, error) {
	params, err := query(r, "ttl", "expires_at")
	if err != nil || len(params) == 0 {
		return lifetime{}, err
	}
	// In a query an unescaped "+" is a space, and RFC 3339 has only the one.
	l, refused := parseExpiry(params.Has("ttl"), params.Get("ttl"),
		params.Has("expires_at"), strings.ReplaceAll(params.Get("expires_at"), " ", "+"))
	if refused != nil {
		return lifetime{}, refused.at("query")
	}
	return l, nil
}

// parseExpiry reads what was given of ttl and expires_at.
func parseExpiry(hasTTL bool, ttl string, hasAt bool, at string) (lifetime, *refusal) {
	switch {
	case hasTTL && hasAt:
		return lifetime{}, refusef(400, "ttl and expires_at exclude one another")
	case hasTTL:
		d, err := time.ParseDuration(ttl)
		if err != nil || d <= 0 {
			return lifetime{}, refusef(400, "ttl %s: must be a positive duration such as 90s or 1h30m", clip(ttl))
		}
		return lifetime{options: []kvstore.PutOption{kvstore.TTL(d)}}, nil
	case hasAt:
		t, err := time.Parse(time.RFC3339, at)
		if err != nil || t.IsZero() {
			return lifetime{}, refusef(400, "expires_at %s: must be a time such as 2030-01-02T03:04:05Z", clip(at))
		}
		return lifetime{options: []kvstore.PutOption{kvstore.ExpiresAt(t)}, at: t}, nil
	}
	return lifetime{}, nil
}

// expiry returns when e expires, in RFC 3339, or "" for never.
func expiry(e kvstore.Entry) string {
	if e.ExpiresAt.IsZero() {
		return ""
	}
	return e.ExpiresAt.UTC().Format(time.RFC3339Nano)
}
