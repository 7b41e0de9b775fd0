package h1test

import (
	"fmt"
	"strings"

	"pgregory.net/rapid"
)

// Message is a generated request: the bytes, and what they say.
type Message struct {
	Bytes   []byte
	Method  string
	Target  string
	Fields  [][2]string
	Content string
	Trailer [][2]string
	Chunked bool
}

const (
	tokenChars = "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	pathChars  = "!\"$%&'()*+,-./0123456789:;<=>?@ABCXYZ[\\]^_`abcxyz{|}~"
	valueChars = "\t !\"#,:;=abcXYZ0123456789\x80\xff~"
)

// of draws a string of min to max characters.
func of(chars string, min, max int) *rapid.Generator[string] {
	return rapid.Map(rapid.SliceOfN(rapid.SampledFrom([]byte(chars)), min, max), func(b []byte) string { return string(b) })
}

// Requests draws valid requests.
func Requests() *rapid.Generator[Message] {
	return rapid.Custom(func(t *rapid.T) Message {
		m := Message{
			Method: rapid.OneOf(rapid.SampledFrom([]string{"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"}), of(tokenChars, 1, 32)).
				Filter(func(s string) bool { return s != "CONNECT" && s != "PRI" }).Draw(t, "method"),
			Target: "/" + of(pathChars, 0, 40).Draw(t, "target"),
			Fields: append(fields(t, "field"), [2]string{"Host", "a.example:80"}),
		}
		hasContent := rapid.Bool().Draw(t, "content?")
		if hasContent {
			m.Content = rapid.StringN(0, 200, 300).Draw(t, "content")
			m.Chunked = rapid.Bool().Draw(t, "chunked")
		}
		var body string
		switch {
		case m.Chunked:
			m.Fields = append(m.Fields, [2]string{"Transfer-Encoding", "chunked"})
			body = chunks(t, m.Content)
			if m.Trailer = fields(t, "trailer"); true {
				for _, f := range m.Trailer {
					body += line(t, f)
				}
			}
			body += "\r\n"
		case hasContent:
			m.Fields = append(m.Fields, [2]string{"Content-Length", fmt.Sprint(len(m.Content))})
			body = m.Content
		}
		m.Fields = rapid.Permutation(m.Fields).Draw(t, "order")
		var b strings.Builder
		b.WriteString(strings.Repeat("\r\n", rapid.IntRange(0, 2).Draw(t, "blank lines")))
		fmt.Fprintf(&b, "%s %s HTTP/1.1\r\n", m.Method, m.Target)
		for _, f := range m.Fields {
			b.WriteString(line(t, f))
		}
		b.WriteString("\r\n" + body)
		m.Bytes = []byte(b.String())
		return m
	})
}

// fields draws field lines that mean nothing to the protocol.
func fields(t *rapid.T, label string) [][2]string {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) [2]string {
		return [2]string{
			rapid.OneOf(rapid.SampledFrom([]string{"Accept", "user-agent", "X-A", "COOKIE2", "Cache-Control"}), rapid.Map(of(tokenChars, 1, 20), func(s string) string { return "x" + s })).Draw(t, "name"),
			strings.Trim(of(valueChars, 0, 30).Draw(t, "value"), " \t"),
		}
	}), 0, 6).Draw(t, label)
}

func line(t *rapid.T, f [2]string) string {
	space := rapid.SampledFrom([]string{"", " ", "\t", " \t "})
	return f[0] + ":" + space.Draw(t, "before") + f[1] + space.Draw(t, "behind") + "\r\n"
}

// chunks cuts content into chunks and ends with the last one.
func chunks(t *rapid.T, content string) string {
	ext := rapid.SampledFrom([]string{"", "", ";a", "; a=b", " ;\ta = \"q;\\\" \"", ";a;b=1"})
	var b strings.Builder
	for content != "" {
		n := rapid.IntRange(1, len(content)).Draw(t, "chunk")
		format := rapid.SampledFrom([]string{"%x", "%X", "000%x"}).Draw(t, "hex")
		fmt.Fprintf(&b, format+"%s\r\n%s\r\n", n, ext.Draw(t, "extension"), content[:n])
		content = content[n:]
	}
	b.WriteString(rapid.SampledFrom([]string{"0", "000"}).Draw(t, "last") + ext.Draw(t, "extension") + "\r\n")
	return b.String()
}

// Mutate draws small damage to b, of the kinds that attackers try.
func Mutate(t *rapid.T, b []byte) []byte {
	b = append([]byte(nil), b...)
	for range rapid.IntRange(0, 3).Draw(t, "mutations") {
		if len(b) == 0 {
			break
		}
		i := rapid.IntRange(0, len(b)-1).Draw(t, "at")
		bad := rapid.SampledFrom([]string{"\r", "\n", "\x00", " ", "\t", ":", ",", ";", "\r\n", "\r\n\r\n", "0", "5", "\x7f", "\xff",
			"Content-Length: 3\r\n", "Transfer-Encoding: chunked\r\n", "Connection: close\r\n", "Host: b\r\n", "Expect: 100-continue\r\n"}).Draw(t, "bad")
		switch rapid.IntRange(0, 3).Draw(t, "kind") {
		case 0:
			b[i] = bad[0]
		case 1:
			b = append(b[:i], append([]byte(bad), b[i:]...)...)
		case 2:
			b = append(b[:i], b[i+1:]...)
		case 3:
			b = b[:i]
		}
	}
	return b
}

// Cuts draws how to cut a piece.
func Cuts(t *rapid.T) func([]byte) [][]byte {
	sizes := rapid.SliceOfN(rapid.IntRange(1, 40), 1, 20).Draw(t, "cuts")
	return func(b []byte) (pieces [][]byte) {
		for i := 0; len(b) > sizes[i%len(sizes)]; i++ {
			n := sizes[i%len(sizes)]
			pieces, b = append(pieces, b[:n]), b[n:]
		}
		return append(pieces, b)
	}
}
