// Package h1test holds what h1's tests and the fuzz targets share: transcripts,
// generators of messages, and laws.
package h1test

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Transcript is one case of a testdata file: comments, commands, and below the
// line what happens.
//
//	# RFC 9112 7.1.1: chunk extensions are read and ignored.
//	server
//	recv "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
//	recv "5;note=x\r\nhello\r\n0\r\n\r\n"
//	----
//	request POST / framing=chunked
//	data "hello"
//	end
//
// The commands:
//
//	server [OPTION ...]              a fresh connection
//	client [OPTION ...]              the same in the other role
//	recv "BYTES" [*N]                the peer sends BYTES, N times over
//	eof, broken                      the peer sends no more: CloseInput, FailInput
//	info STATUS                      AppendInfo
//	respond STATUS ["TYPE" ["BODY"]] AppendResponse
//	head STATUS ["Name: value" ...]  Begin, Field, End
//	get ["TARGET" ...]               whole GET requests to host a
//	request METHOD "TARGET" "HOST" ["Name: value" ...]
//	data "BYTES", end                AppendData, AppendEnd
//	trailer ["Name: value" ...]      BeginTrailer, Field, End
//	skip N                           SkipBody
//	reject                           AppendErrorResponse for the last error
//	last, fail, abandon              DisableKeepAlive, Fail, Abandon
//
// An option is "fields", which logs field lines, "chunks", which logs where chunks
// begin and end, a limit such as head=100, or a flag of Config such as LFResponses.
type Transcript struct {
	Name     string // file and line
	Comments []string
	Commands []string
	Want     []string
}

// Load reads the transcripts of every file that matches the pattern.
func Load(pattern string) (map[string][]Transcript, error) {
	names, err := filepath.Glob(pattern)
	if err != nil {
		return nil, err
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("h1test: no file matches %s", pattern)
	}
	files := make(map[string][]Transcript, len(names))
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		files[name] = parse(filepath.Base(name), string(b))
	}
	return files, nil
}

func parse(file, content string) (all []Transcript) {
	var t Transcript
	below := false
	flush := func() {
		if len(t.Commands) > 0 {
			all = append(all, t)
		}
		t, below = Transcript{}, false
	}
	sc := bufio.NewScanner(strings.NewReader(content))
	sc.Buffer(nil, 1<<20)
	for line := 1; sc.Scan(); line++ {
		switch s := sc.Text(); {
		case s == "":
			flush()
		case s == "----":
			below = true
		case below:
			t.Want = append(t.Want, s)
		case strings.HasPrefix(s, "#"):
			t.Comments = append(t.Comments, s)
		default:
			if t.Name == "" {
				t.Name = fmt.Sprintf("%s:%d", file, line)
			}
			t.Commands = append(t.Commands, s)
		}
	}
	flush()
	return all
}

// Format writes transcripts back in the form that Load reads.
func Format(ts []Transcript) []byte {
	var b strings.Builder
	for i, t := range ts {
		if i > 0 {
			b.WriteByte('\n')
		}
		for _, part := range [][]string{t.Comments, t.Commands, {"----"}, t.Want} {
			for _, s := range part {
				b.WriteString(s + "\n")
			}
		}
	}
	return []byte(b.String())
}

// Input returns all bytes that the transcript's peer sends.
func (t *Transcript) Input() []byte {
	var in []byte
	for _, s := range t.Commands {
		if name, args, err := split(s); err == nil && name == "recv" {
			b, _ := bytesOf(args)
			in = append(in, b...)
		}
	}
	return in
}

// split parses a command line: words, and Go strings in quotes.
func split(s string) (name string, args []string, err error) {
	name, rest, _ := strings.Cut(s, " ")
	for rest = strings.TrimSpace(rest); rest != ""; rest = strings.TrimSpace(rest) {
		if rest[0] != '"' {
			word, tail, _ := strings.Cut(rest, " ")
			args, rest = append(args, word), tail
			continue
		}
		q, err := strconv.QuotedPrefix(rest)
		if err != nil {
			return "", nil, fmt.Errorf("bad string: %s", rest)
		}
		v, err := strconv.Unquote(q)
		if err != nil {
			return "", nil, err
		}
		args, rest = append(args, v), rest[len(q):]
	}
	return name, args, nil
}

// bytesOf evaluates the arguments of recv: strings, each perhaps followed by *N.
func bytesOf(args []string) (b []byte, err error) {
	last := ""
	for _, a := range args {
		if n, ok := strings.CutPrefix(a, "*"); ok && len(n) > 0 {
			times, err := strconv.Atoi(n)
			if err != nil {
				return nil, fmt.Errorf("bad repetition %q", a)
			}
			b = append(b, strings.Repeat(last, times-1)...)
			continue
		}
		last = a
		b = append(b, a...)
	}
	return b, nil
}
