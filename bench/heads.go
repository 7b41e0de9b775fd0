// Package bench compares postern with its peers, in one run on one machine: only
// the ratios mean anything.
package bench

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// Heads returns request heads to parse: "small" is the least there is, "browser"
// one long one, "mixed" 512 different ones of nine fields and 540 bytes on
// average, which no branch predictor learns by heart.
func Heads() map[string][][]byte {
	small := "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
	browser := "GET /wp-content/uploads/2010/03/hello-kitty-darth-vader-pink.jpg HTTP/1.1\r\nHost: www.kittyhell.com\r\n" +
		"User-Agent: Mozilla/5.0 (Macintosh; U; Intel Mac OS X 10.6; ja-JP-mac; rv:1.9.2.3) Gecko/20100401 Firefox/3.6.3 Pathtraq/0.9\r\n" +
		"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\nAccept-Language: ja,en-us;q=0.7,en;q=0.3\r\n" +
		"Accept-Encoding: gzip,deflate\r\nAccept-Charset: Shift_JIS,utf-8;q=0.7,*;q=0.7\r\nKeep-Alive: 115\r\nConnection: keep-alive\r\n" +
		"Cookie: wp_ozh_wsa_visits=2; wp_ozh_wsa_visit_lasttime=xxxxxxxxxx; __utma=xxxxxxxxx.xxxxxxxxxx.xxxxxxxxxx.xxxxxxxxxx.xxxxxxxxxx.x\r\n\r\n"
	heads := map[string][][]byte{"small": {[]byte(small)}, "browser": {[]byte(browser)}}
	r := rand.New(rand.NewPCG(1, 2))
	for range 512 {
		heads["mixed"] = append(heads["mixed"], mixedHead(r))
	}
	return heads
}

// mixedHead makes a head as clients send them: fields from a pool, in any order.
func mixedHead(r *rand.Rand) []byte {
	word := func(min, max int) string {
		const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
		b := make([]byte, min+r.IntN(max-min+1))
		for i := range b {
			b[i] = letters[r.IntN(len(letters))]
		}
		return string(b)
	}
	pick := func(of ...string) string { return of[r.IntN(len(of))] }
	pool := []func() string{
		func() string {
			return "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537." + word(1, 2) + " (KHTML, like Gecko) Chrome/1" + word(2, 2) + ".0.0.0 Safari/537.36"
		},
		func() string {
			return "Accept: " + pick("*/*", "application/json", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8")
		},
		func() string {
			return "Accept-Encoding: " + pick("gzip", "gzip, deflate, br", "gzip, deflate, br, zstd")
		},
		func() string { return "Accept-Language: " + pick("en", "de-DE,de;q=0.9", "ja,en-us;q=0.7,en;q=0.3") },
		func() string { return "Connection: keep-alive" },
		func() string { return "Authorization: Bearer " + word(40, 90) },
		func() string { return "Referer: https://www.example.com/" + word(5, 60) },
		func() string { return "X-Forwarded-For: 10." + fmt.Sprint(r.IntN(256)) + ".1.2" },
		func() string { return "Sec-Fetch-Site: " + pick("same-origin", "none", "cross-site") },
		func() string { return "Sec-Fetch-Mode: " + pick("cors", "navigate") },
		func() string { return "If-None-Match: \"" + word(8, 32) + "\"" },
		func() string { return "traceparent: 00-" + word(32, 32) + "-" + word(16, 16) + "-01" },
		func() string { return "Cache-Control: " + pick("no-cache", "max-age=0") },
		func() string { return "X-" + word(3, 12) + ": " + word(5, 30) },
		func() string {
			cookies := make([]string, 1+r.IntN(6))
			for i := range cookies {
				cookies[i] = word(2, 8) + "=" + word(5, 50)
			}
			return "Cookie: " + strings.Join(cookies, "; ")
		},
	}
	r.Shuffle(len(pool), func(i, k int) { pool[i], pool[k] = pool[k], pool[i] })
	var b strings.Builder
	fmt.Fprintf(&b, "%s /%s/%s", pick("GET", "GET", "GET", "HEAD", "POST"), word(2, 20), word(2, 30))
	if r.IntN(3) == 0 {
		fmt.Fprintf(&b, "?%s=%s&%s=%s", word(2, 8), word(2, 30), word(2, 8), word(2, 30))
	}
	fmt.Fprintf(&b, " HTTP/1.1\r\nHost: %s.example.com\r\n", word(3, 12))
	for _, field := range pool[:4+r.IntN(9)] {
		b.WriteString(field() + "\r\n")
	}
	b.WriteString("\r\n")
	return []byte(b.String())
}
