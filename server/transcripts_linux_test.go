package server_test

import (
	"bytes"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"postern/h1"
	"postern/internal/h1test"
	"postern/server"
)

// mirror says what it has seen of a request.
func mirror(r *server.Request) server.Response {
	body, err := r.ReadAll()
	if err != nil {
		return server.Err(err)
	}
	sum := fnv.New64a()
	sum.Write(body)
	text := fmt.Sprintf("%s %q %v host %q, %d fields, %d bytes %x\n",
		r.Method(), r.Target(), r.Version(), r.Host(), r.Header().Len(), len(body), sum.Sum64())
	for name, value := range r.Trailer().All() {
		text += fmt.Sprintf("trailer %q %q\n", name, value)
	}
	return server.Text(text)
}

// unhurried are limits for a machine that is busy with something else.
var unhurried = server.Limits{FirstByteTimeout: time.Minute, HeadTimeout: time.Minute, IdleTimeout: time.Minute, BodyRate: -1}

// converse sends the pieces, each by itself, then perhaps half-closes, and returns
// all that came back until the server ended the connection. late says whether the
// half-close comes by itself too.
func converse(r road, pieces []string, half, late bool) (string, error) {
	c, taken, err := r.dial()
	if err != nil {
		return "", err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		return "", err
	}
	var out bytes.Buffer
	read := make(chan error, 1)
	go func() {
		_, err := io.Copy(&out, c)
		read <- err
	}()
	for i, p := range pieces {
		if i > 0 {
			settle(taken)
		}
		if _, err = io.WriteString(c, p); err != nil {
			break
		}
	}
	if err == nil && half {
		if late {
			settle(taken)
		}
		err = c.(interface{ CloseWrite() error }).CloseWrite()
	}
	if errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ENOTCONN) || errors.Is(err, syscall.ECONNRESET) {
		err = nil // the server has ended the connection: what it said before counts
	}
	err = errors.Join(err, <-read)
	return out.String(), err
}

var interim = "HTTP/1.1 100 Continue\r\n\r\n"

// talked is converse, its answer without Date and without 100: that one is sent if
// the content was not there when the handler wanted it.
func talked(t testing.TB, r road, pieces []string, half, late bool) string {
	t.Helper()
	out, err := converse(r, pieces, half, late)
	if err != nil {
		t.Errorf("over %s, half-close %v, %.500q: %v", r.name, half, pieces, err)
	}
	return strings.ReplaceAll(dateLine.ReplaceAllString(out, ""), interim, "")
}

// input is what a transcript's client sends.
type input struct {
	name   string
	bytes  string
	refuse string // the status that ends it, if the transcript says so
	ends   bool   // the server ends the connection without being told that nothing comes
}

// inputs are those of h1's transcripts of servers.
func inputs(t testing.TB) (all []input) {
	t.Helper()
	files, err := h1test.Load("../h1/testdata/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	fault := regexp.MustCompile(`^error ([1-9]\d+) `)
	for _, ts := range files {
		for _, tr := range ts {
			role, options, _ := strings.Cut(tr.Commands[0], " ")
			if role != "server" {
				continue
			}
			in := input{name: tr.Name, bytes: string(tr.Input())}
			usual := options == "" || options == "fields" // the engine's limits are h1's own
			closing := false
			for _, c := range tr.Commands[1:] {
				switch name, _, _ := strings.Cut(c, " "); name {
				case "eof", "broken", "fail", "last":
					usual = false
				}
			}
			for _, w := range tr.Want {
				if m := fault.FindStringSubmatch(w); m != nil && usual {
					in.refuse, in.ends = m[1], true
				}
				closing = closing || strings.HasPrefix(w, "request ") && strings.HasSuffix(w, " close")
				in.ends = in.ends || usual && closing && w == "end"
			}
			if in.bytes != "" {
				all = append(all, in)
			}
		}
	}
	slices.SortFunc(all, func(a, b input) int { return strings.Compare(a.name, b.name) })
	return all
}

// cutting is a way to send an input.
type cutting struct {
	name   string
	pieces []string
	half   bool // then half-close
	late   bool // by itself
}

// cuttings are the ways to send an input: n of the places for one cut, and bytewise
// if n is not 0.
func cuttings(in input, n int, rnd *rand.Rand) []cutting {
	s := in.bytes
	all := []cutting{
		{"whole", []string{s}, true, false},
		{"whole, then the end", []string{s}, true, true},
	}
	if in.ends {
		all = append(all, cutting{"whole, without an end", []string{s}, false, false})
	}
	if n > 0 {
		all = append(all, cutting{"bytewise", bytewise(s), !in.ends || rnd.IntN(2) == 0, rnd.IntN(2) == 0})
	}
	if n > 0 {
		var pieces []string
		for rest := s; rest != ""; {
			k := min(len(rest), 1+rnd.IntN(1+min(len(rest), 40)))
			pieces, rest = append(pieces, rest[:k]), rest[k:]
			if len(pieces) == 40 {
				pieces, rest = append(pieces, rest), ""
			}
		}
		all = append(all, cutting{fmt.Sprintf("in %d pieces", len(pieces)), pieces, true, rnd.IntN(2) == 0})
	}
	places := rnd.Perm(max(len(s)-1, 0))
	for _, i := range places[:min(n, len(places))] {
		all = append(all, cutting{fmt.Sprintf("cut at %d", i+1), []string{s[:i+1], s[i+1:]}, true, rnd.IntN(2) == 0})
	}
	return all
}

// bytewise cuts a string into bytes; of a long one its ends.
func bytewise(s string) []string {
	const most = 60
	if len(s) <= 2*most {
		return strings.Split(s, "")
	}
	middle := s[most : len(s)-most]
	return slices.Concat(strings.Split(s[:most], ""), []string{middle}, strings.Split(s[len(s)-most:], ""))
}

// inParallel calls f for each input, many at a time: most of the time all wait.
func inParallel(t *testing.T, all []input, f func(t *testing.T, i int, in input)) {
	t.Helper()
	var wg sync.WaitGroup
	next := make(chan int)
	for range 12 {
		wg.Go(func() {
			for i := range next {
				f(t, i, all[i])
			}
		})
	}
	for i := range all {
		if next <- i; t.Failed() {
			break
		}
	}
	close(next)
	wg.Wait()
}

// everyCut is how all places of every input are tried on every transport, which
// takes minutes.
const everyCut = "POSTERN_EVERY_CUT"

// places is how many of them are tried otherwise.
var places = map[string]int{"memory": 10, "tcp": 5, "tcp, ordinary": 1, "unix": 5, "tls": 1, "tls, ordinary": 1}

// Whatever comes in gets the same answer, byte for byte, over every transport and
// however it is cut.
func TestTranscriptsOverEveryTransport(t *testing.T) {
	s, ways := roads(t, mirror, server.Config{Limits: unhurried})
	all := inputs(t)
	if len(all) < 400 {
		t.Fatalf("%d transcripts", len(all))
	}
	inParallel(t, all, func(t *testing.T, i int, in input) {
		if testing.Short() && i%4 != 0 {
			return
		}
		rnd := rand.New(rand.NewPCG(1, uint64(i)))
		want := talked(t, ways[0], []string{in.bytes}, true, false)
		if in.refuse != "" && !strings.HasPrefix(lastAnswer(want), "HTTP/1.1 "+in.refuse+" ") {
			t.Errorf("%s: the transcript says error %s, the server answers %q", in.name, in.refuse, want)
		}
		for _, way := range ways {
			n := places[way.name]
			if way.name != "memory" && rnd.IntN(2) == 0 {
				n = 0
			}
			if os.Getenv(everyCut) != "" {
				n = len(in.bytes)
			}
			for _, c := range cuttings(in, n, rnd) {
				if got := talked(t, way, c.pieces, c.half, c.late); got != want {
					t.Errorf("%s, over %s, %s: %.500q\n got %q\nwant %q", in.name, way.name, c.name, in.bytes, got, want)
				}
			}
		}
	})
	ended(t, s)
}

// lastAnswer returns the last response of several.
func lastAnswer(s string) string { return s[max(strings.LastIndex(s, "HTTP/1.1 "), 0):] }

// What is wrong disturbs nothing before it, wherever it stands in a pipeline: the
// answers to the requests before it come whole, then its own.
func TestBadInputBehindGood(t *testing.T) {
	s, ways := roads(t, mirror, server.Config{
		Limits: unhurried,
		RenderError: func(_ *server.Request, status int, err error) server.Response { // without offsets: they differ
			text := fmt.Sprint(status)
			if e, ok := errors.AsType[*h1.Error](err); ok {
				text += " " + e.Code.Error()
			}
			return server.Text(text)
		},
	})
	good := []string{
		"GET /one HTTP/1.1\r\nHost: a\r\n\r\n",
		"POST /two HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
		"PUT /three HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\nX-Sum: 5\r\n\r\n",
	}
	answers := make([]string, len(good))
	for i, in := range good {
		answers[i] = talked(t, ways[0], []string{in}, true, false)
		if !strings.HasPrefix(answers[i], "HTTP/1.1 200 ") {
			t.Fatalf("%q: %q", in, answers[i])
		}
	}
	inParallel(t, inputs(t), func(t *testing.T, i int, in input) {
		if testing.Short() && i%4 != 0 {
			return
		}
		rnd := rand.New(rand.NewPCG(2, uint64(i)))
		alone := talked(t, ways[0], []string{in.bytes}, true, false)
		for _, way := range ways {
			for position := range len(good) + 1 {
				before := strings.Join(good[:position], "")
				want := strings.Join(answers[:position], "") + alone
				whole := before + in.bytes
				at := 1 + rnd.IntN(len(whole))
				cuttings := []cutting{
					{name: "in one segment", pieces: []string{whole}},
					{name: "cut before what is wrong", pieces: []string{before, in.bytes}},
					{name: "cut in it", pieces: []string{whole[:len(before)+len(in.bytes)/2], whole[len(before)+len(in.bytes)/2:]}},
					{name: fmt.Sprintf("cut at %d", at), pieces: []string{whole[:at], whole[at:]}},
				}
				if k := rnd.IntN(2 * len(cuttings)); way.name != "memory" && os.Getenv(everyCut) == "" {
					cuttings = cuttings[min(k, len(cuttings)):min(k+1, len(cuttings))]
				}
				for _, c := range cuttings {
					if got := talked(t, way, c.pieces, true, false); got != want {
						t.Errorf("%s, over %s, behind %d requests, %s: %.500q\n got %q\nwant %q",
							in.name, way.name, position, c.name, in.bytes, got, want)
					}
				}
			}
		}
	})
	ended(t, s)
}
