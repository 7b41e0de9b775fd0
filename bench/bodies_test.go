package bench

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"testing"

	"github.com/valyala/fasthttp"

	"postern/h1"
)

// readSize is what each of the readers gets at most from one read.
const readSize = 16 << 10

// bodies are whole requests: the same content by its length and in chunks.
func bodies() (names []string, requests, contents [][]byte) {
	for _, k := range []struct {
		name        string
		size, chunk int
	}{
		{"length-1k", 1 << 10, 0}, {"length-64k", 64 << 10, 0},
		{"chunked-1k-in-16", 1 << 10, 16}, {"chunked-1k-in-1k", 1 << 10, 1 << 10}, {"chunked-64k-in-4k", 64 << 10, 4 << 10},
	} {
		content := bytes.Repeat([]byte("0123456789abcde\n"), k.size/16)
		head := "POST /upload HTTP/1.1\r\nHost: www.example.com\r\nUser-Agent: bench\r\nContent-Type: text/plain\r\n"
		msg := fmt.Appendf([]byte(head), "Content-Length: %d\r\n\r\n%s", k.size, content)
		if k.chunk > 0 {
			msg = append([]byte(head), "Transfer-Encoding: chunked\r\n\r\n"...)
			for at := 0; at < k.size; at += k.chunk {
				msg = fmt.Appendf(msg, "%x\r\n%s\r\n", k.chunk, content[at:at+k.chunk])
			}
			msg = append(msg, "0\r\n\r\n"...)
		}
		names, requests, contents = append(names, k.name), append(requests, msg), append(contents, content)
	}
	return names, requests, contents
}

// receiver reads one whole request and returns its content, in memory that it uses
// again.
type receiver struct {
	name    string
	receive func(in *bytes.Reader) ([]byte, error)
}

func receivers() []receiver {
	var conn h1.ServerConn
	buf, content := make([]byte, readSize), make([]byte, 0, 64<<10)
	viaH1 := func(in *bytes.Reader) ([]byte, error) {
		conn.Reset(nil)
		content = content[:0]
		start, end := 0, 0
		for {
			ev, n, err := conn.Next(buf[start:end])
			start += n
			switch {
			case err != nil:
				return nil, err
			case ev.Kind == h1.EventData:
				content = append(content, ev.Data...)
			case ev.Kind == h1.EventEnd:
				return content, nil
			case ev.Kind == h1.EventNeedData:
				end = copy(buf, buf[start:end])
				start = 0
				k, err := in.Read(buf[end:])
				if err != nil {
					return nil, err
				}
				end += k
			}
		}
	}

	fastReader := bufio.NewReaderSize(nil, readSize)
	var request fasthttp.Request
	viaFasthttp := func(in *bytes.Reader) ([]byte, error) {
		fastReader.Reset(in)
		err := request.Read(fastReader)
		return request.Body(), err
	}

	stdReader, stdContent := bufio.NewReaderSize(nil, readSize), make([]byte, 64<<10+1)
	viaNethttp := func(in *bytes.Reader) ([]byte, error) {
		stdReader.Reset(in)
		r, err := http.ReadRequest(stdReader)
		if err != nil {
			return nil, err
		}
		for n := 0; ; {
			k, err := r.Body.Read(stdContent[n:])
			n += k
			switch {
			case err == io.EOF:
				return stdContent[:n], nil
			case err != nil:
				return nil, err
			}
		}
	}
	return []receiver{{"h1", viaH1}, {"fasthttp", viaFasthttp}, {"nethttp", viaNethttp}}
}

func BenchmarkBody(b *testing.B) {
	names, requests, contents := bodies()
	for _, r := range receivers() {
		for i, name := range names {
			b.Run("receiver="+r.name+"/"+name, func(b *testing.B) {
				in := bytes.NewReader(nil)
				b.SetBytes(int64(len(requests[i])))
				b.ReportAllocs()
				for b.Loop() {
					in.Reset(requests[i])
					if content, err := r.receive(in); err != nil || len(content) != len(contents[i]) {
						b.Fatal(len(content), err)
					}
				}
			})
		}
	}
}

// Every receiver gets the content that was sent.
func TestBodies(t *testing.T) {
	names, requests, contents := bodies()
	for _, r := range receivers() {
		for i, name := range names {
			for range 2 { // the second time in used memory
				if got, err := r.receive(bytes.NewReader(requests[i])); err != nil || !bytes.Equal(got, contents[i]) {
					t.Errorf("%s, %s: %d bytes, %v", r.name, name, len(got), err)
				}
			}
		}
	}
}
