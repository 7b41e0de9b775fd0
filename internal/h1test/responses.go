package h1test

import (
	"fmt"
	"slices"
	"strings"

	"pgregory.net/rapid"

	"postern/h1"
)

// Answer is a generated response to a question: the bytes, and what they say.
type Answer struct {
	Message
	Question
	Status  int
	Reason  string
	ToClose bool // the content ends with the connection
}

// Answers draws valid responses. Only the last of a connection may be ToClose.
func Answers(last bool) *rapid.Generator[Answer] {
	return rapid.Custom(func(t *rapid.T) Answer {
		a := Answer{
			Question: Question{Method: rapid.SampledFrom([]string{"GET", "HEAD", "POST", "CONNECT"}).Draw(t, "method")},
			Status:   rapid.SampledFrom([]int{200, 201, 204, 304, 404, 500, 599, 999}).Draw(t, "status"),
			Reason:   of(valueChars, 0, 20).Draw(t, "reason"),
		}
		if a.Question.Method == "CONNECT" && a.Status < 300 {
			a.Status = 502 // else a tunnel
		}
		a.Fields = fields(t, "field")
		var body string
		hasContent := a.Question.Method != "HEAD" && a.Status != 204 && a.Status != 304
		switch kind := rapid.IntRange(0, 2).Draw(t, "framing"); {
		case !hasContent:
			a.Fields = append(a.Fields, rapid.SampledFrom([][2]string{{"Content-Length", "7"}, {"Transfer-Encoding", "chunked"}, {"X", ""}}).Draw(t, "idle framing"))
		case kind == 0 && last:
			a.ToClose = true
			a.Content = rapid.StringN(0, 200, 300).Draw(t, "content")
			body = a.Content
		case kind == 1:
			a.Chunked = true
			a.Content = rapid.StringN(0, 200, 300).Draw(t, "content")
			a.Fields = append(a.Fields, [2]string{"Transfer-Encoding", "Chunked"})
			body = chunks(t, a.Content)
			a.Trailer = fields(t, "trailer")
			for _, f := range a.Trailer {
				body += foldedLine(t, f)
			}
			body += "\r\n"
		default:
			a.Content = rapid.StringN(0, 200, 300).Draw(t, "content")
			n := fmt.Sprint(len(a.Content))
			for range rapid.IntRange(1, 2).Draw(t, "lengths") {
				a.Fields = append(a.Fields, [2]string{"Content-Length", n})
			}
			body = a.Content
		}
		a.Fields = rapid.Permutation(a.Fields).Draw(t, "order")
		var b strings.Builder
		b.WriteString(strings.Repeat("\r\n", rapid.IntRange(0, 2).Draw(t, "blank lines")))
		for range rapid.IntRange(0, 2).Draw(t, "interim") {
			b.WriteString("HTTP/1.1 103 \r\nLink: </a>\r\nContent-Length: 9\r\n\r\n")
		}
		fmt.Fprintf(&b, "HTTP/1.1 %d %s\r\n", a.Status, a.Reason)
		for _, f := range a.Fields {
			b.WriteString(foldedLine(t, f))
		}
		b.WriteString("\r\n" + body)
		a.Bytes = []byte(b.String())
		return a
	})
}

// foldedLine is line with folds around the value.
func foldedLine(t *rapid.T, f [2]string) string {
	space := rapid.SampledFrom([]string{"", " ", "\t", "\r\n ", " \r\n\t "})
	return f[0] + ":" + space.Draw(t, "before") + f[1] + space.Draw(t, "behind") + "\r\n"
}

// ReadAnswers states a law: generated responses are understood as they were meant.
func ReadAnswers(t TB, answers []Answer) {
	t.Helper()
	var c h1.ClientConn
	c.Reset(&h1.Config{MaxPending: len(answers)})
	var in []byte
	for _, a := range answers {
		Ask(t, &c, []Question{a.Question})
		in = append(in, a.Bytes...)
	}
	for _, a := range answers {
		content, info := "", true
		for ended := false; !ended; {
			ev, n, err := c.Next(in)
			if err != nil {
				t.Fatalf("%q refused: %v", a.Bytes, err)
			}
			in = in[n:]
			switch h := c.Response(); ev.Kind {
			case h1.EventInfo:
				if !info || h.Status() != 103 {
					t.Fatalf("interim response %d", h.Status())
				}
			case h1.EventResponse:
				info = false
				if h.Status() != a.Status || string(h.Reason()) != a.Reason {
					t.Fatalf("got %d %q, want %d %q", h.Status(), h.Reason(), a.Status, a.Reason)
				}
				sameFields(t, h, a.Fields)
			case h1.EventData:
				content += string(ev.Data)
			case h1.EventEnd:
				sameFields(t, c.Trailer(), a.Trailer)
				ended = true
			case h1.EventNeedData:
				if !a.ToClose || len(in) > 0 {
					t.Fatalf("%q is not enough", a.Bytes)
				}
				c.CloseInput()
			default:
				t.Fatalf("%v in the middle of %q", ev.Kind, a.Bytes)
			}
		}
		if content != a.Content {
			t.Fatalf("content %q, want %q", content, a.Content)
		}
	}
	if last := answers[len(answers)-1]; c.ShouldClose() != last.ToClose || c.Pending() > 0 || len(in) > 0 {
		t.Fatalf("should close: %v, %d pending, %d left", c.ShouldClose(), c.Pending(), len(in))
	}
}

// Conversations draws responses to a connection's requests, with their questions
// and all their bytes.
func Conversations() *rapid.Generator[[]Answer] {
	return rapid.Custom(func(t *rapid.T) []Answer {
		answers := rapid.SliceOfN(Answers(false), 0, 2).Draw(t, "answers")
		answers = append(answers, Answers(true).Draw(t, "last"))
		// Nothing is sent behind CONNECT before it is answered.
		for i := range answers[:len(answers)-1] {
			if answers[i].Question.Method == "CONNECT" {
				answers[i].Question.Method = "GET"
			}
		}
		return slices.Clip(answers)
	})
}
