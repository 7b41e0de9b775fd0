package compat_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"expvar"
	"fmt"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptrace"
	"net/http/httputil"
	"net/http/pprof"
	"net/textproto"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"
)

// upstream is what proxies are put in front of.
func upstream(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/echo": // to the end first: how far net/http gets with both at once is chance
		b, err := io.ReadAll(r.Body)
		if err != nil {
			w.WriteHeader(400)
		}
		w.Write(b)
	case "/headers":
		for _, k := range slices.Sorted(maps.Keys(r.Header)) {
			fmt.Fprintln(w, k, strings.Join(r.Header[k], "|"))
		}
		fmt.Fprintln(w, r.Host, r.ContentLength, r.TransferEncoding)
	case "/trailers":
		w.Header().Set("Trailer", "X-Sum")
		fmt.Fprint(w, "abc")
		w.Header().Set("X-Sum", "7")
		w.Header().Set(http.TrailerPrefix+"X-Late", "8")
	case "/hints":
		w.Header().Set("Link", "</a>")
		w.WriteHeader(103)
		w.Header().Set("X", "y")
		fmt.Fprint(w, "ok")
	case "/events":
		w.Header().Set("Content-Type", "text/event-stream")
		for i := range 3 {
			fmt.Fprintf(w, "data: %d\n\n", i)
			w.(http.Flusher).Flush()
		}
	case "/abort":
		w.Header().Set("Content-Length", "1000")
		fmt.Fprint(w, "part")
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	case "/abort chunked":
		fmt.Fprint(w, "part")
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	case "/big":
		w.Write(big)
	case "/unread":
		w.WriteHeader(403)
	default:
		http.NotFound(w, r)
	}
}

func throughProxy(s *session) {
	s.do("POST", "/echo", "hello")
	s.do("POST", "/echo", string(big))
	s.get("/headers", "Connection", "X-Hop", "X-Hop", "1", "X-End", "2", "X-Forwarded-For", "10.0.0.1")
	for _, p := range []string{"/trailers", "/events", "/abort", "/abort%20chunked", "/big", "/none"} {
		s.get(p)
	}
	s.do("POST", "/unread", "hello")
	s.do("HEAD", "/big", "")
	req, err := http.NewRequest("POST", s.url+"/echo", io.MultiReader(strings.NewReader("in "), strings.NewReader("chunks")))
	if err != nil {
		s.Fatal(err)
	}
	s.send(req)
	req, err = http.NewRequestWithContext(httptrace.WithClientTrace(context.Background(), &httptrace.ClientTrace{
		Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
			s.note("interim %d %q", code, h)
			return nil
		}}), "GET", s.url+"/hints", nil)
	if err != nil {
		s.Fatal(err)
	}
	s.send(req)
	// the connections are as good as before
	s.do("POST", "/echo", "again")
}

// A proxy that runs on the server, and a server behind a proxy.
func TestReverseProxy(t *testing.T) {
	quiet := log.New(io.Discard, "", 0)
	t.Run("on the server", func(t *testing.T) {
		same(t, func(s *session) http.Handler {
			u, err := url.Parse("http://" + serveNetHTTP(t, http.HandlerFunc(upstream)))
			if err != nil {
				s.Fatal(err)
			}
			return &httputil.ReverseProxy{ErrorLog: quiet, Rewrite: func(r *httputil.ProxyRequest) {
				r.SetURL(u)
				r.SetXForwarded()
				r.Out.Host = "upstream"
			}}
		}, throughProxy)
	})
	t.Run("before the server", func(t *testing.T) {
		same(t, func(*session) http.Handler { return http.HandlerFunc(upstream) }, func(s *session) {
			u, err := url.Parse(s.url)
			if err != nil {
				s.Fatal(err)
			}
			p := &httputil.ReverseProxy{ErrorLog: quiet, FlushInterval: -1, Rewrite: func(r *httputil.ProxyRequest) {
				r.SetURL(u)
				r.Out.Host = "upstream"
			}}
			direct := s.url
			s.url = "http://" + serveNetHTTP(t, p)
			throughProxy(s)
			s.url = direct
		})
	})
}

// A client that goes away ends the proxied request too.
func TestReverseProxyCancels(t *testing.T) {
	same(t, func(s *session) http.Handler {
		ended := make(chan bool)
		u, err := url.Parse("http://" + serveNetHTTP(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, "begin")
			w.(http.Flusher).Flush()
			<-r.Context().Done()
			close(ended)
		})))
		if err != nil {
			s.Fatal(err)
		}
		p := httputil.NewSingleHostReverseProxy(u)
		p.FlushInterval = -1
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/ended" {
				<-ended
				return
			}
			p.ServeHTTP(w, r)
		})
	}, func(s *session) {
		ctx, cancel := context.WithCancel(context.Background())
		req, err := http.NewRequestWithContext(ctx, "GET", s.url+"/", nil)
		if err != nil {
			s.Fatal(err)
		}
		resp, err := s.client.Do(req)
		if err != nil {
			s.Fatal(err)
		}
		p := make([]byte, 5)
		_, err = io.ReadFull(resp.Body, p)
		s.note("%s %v", p, err)
		cancel()
		resp.Body.Close()
		s.get("/ended")
	})
}

func TestFileServer(t *testing.T) {
	dir := t.TempDir()
	when := time.Unix(1e9, 0)
	for name, data := range map[string][]byte{"a.txt": []byte("hello"), "big.bin": big, "empty": nil, "d/index.html": []byte("<html>index")} {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, data, 0o644), os.Chtimes(path, when, when)); err != nil {
			t.Fatal(err)
		}
	}
	mem := fstest.MapFS{"a.txt": {Data: []byte("hello"), ModTime: when}, "big.bin": {Data: big, ModTime: when}, "empty": {}, "d/index.html": {Data: []byte("<html>index")}}
	for name, h := range map[string]http.Handler{
		"files": http.FileServer(http.Dir(dir)), "FileServerFS": http.FileServerFS(os.DirFS(dir)), "in memory": http.FileServerFS(mem),
	} {
		t.Run(name, func(t *testing.T) {
			same(t, func(*session) http.Handler { return h }, func(s *session) {
				for _, p := range []string{"/a.txt", "/big.bin", "/empty", "/", "/d", "/d/", "/d/index.html", "/none", "/..%2fx"} {
					s.get(p)
					s.do("HEAD", p, "")
				}
				for _, r := range []string{"bytes=0-0", "bytes=-3", "bytes=100000-", "bytes=0-1,5-6", "bytes=999999999-", "bytes=x"} {
					s.get("/big.bin", "Range", r)
				}
				s.get("/a.txt", "If-Modified-Since", when.UTC().Format(http.TimeFormat))
				s.get("/a.txt", "If-Unmodified-Since", when.Add(-time.Hour).UTC().Format(http.TimeFormat))
				s.do("POST", "/a.txt", "x")
			})
		})
	}
}

func TestTimeoutHandler(t *testing.T) {
	same(t, func(s *session) http.Handler {
		return http.TimeoutHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch r.URL.Path {
			case "/slow":
				<-r.Context().Done()
				defer func() { s.ended <- true }()
				fmt.Fprint(w, "late") // fails, or is lost
				s.saw("%v", r.Context().Err())
			case "/panic":
				panic(http.ErrAbortHandler)
			default:
				w.Header().Set("X", "y")
				w.WriteHeader(202)
				w.Write(big)
			}
		}), 50*time.Millisecond, "too slow")
	}, func(s *session) {
		s.get("/")
		s.get("/panic")
		s.get("/slow")
		s.wait()
	})
}

func TestServeMuxAndFriends(t *testing.T) {
	same(t, func(s *session) http.Handler {
		mux := http.NewServeMux()
		mux.HandleFunc("GET /users/{id}/{rest...}", func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, r.PathValue("id"), " ", r.PathValue("rest"), " ", r.Pattern)
		})
		mux.HandleFunc("POST /form", func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, r.FormValue("a"), r.PostForm, r.URL.Query())
		})
		mux.Handle("/strip/", http.StripPrefix("/strip", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.URL.Path) })))
		mux.Handle("/limited", http.MaxBytesHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			n, err := io.Copy(io.Discard, r.Body)
			s.saw("%d %v", n, err)
		}), 1<<20))
		mux.HandleFunc("/cookie", func(w http.ResponseWriter, r *http.Request) {
			http.SetCookie(w, &http.Cookie{Name: "a", Value: "b", HttpOnly: true})
			http.SetCookie(w, &http.Cookie{Name: "c", Value: "d"})
			c, err := r.Cookie("x")
			fmt.Fprint(w, c, err)
		})
		mux.HandleFunc("/error", func(w http.ResponseWriter, r *http.Request) { http.Error(w, "no", http.StatusTeapot) })
		mux.Handle("/redirect", http.RedirectHandler("/a?b", http.StatusFound))
		return http.NewCrossOriginProtection().Handler(mux)
	}, func(s *session) {
		s.get("/users/7/a/b")
		s.get("/users//7/../a")
		s.do("POST", "/users/7/a", "")
		s.do("POST", "/form?b=2", "a=1", "Content-Type", "application/x-www-form-urlencoded")
		s.do("POST", "/form?b=2", "a=1", "Content-Type", "application/x-www-form-urlencoded", "Origin", "http://evil.example")
		s.get("/strip/a")
		s.do("POST", "/limited", strings.Repeat("x", 1000))
		s.get("/cookie", "Cookie", "x=y")
		s.get("/error")
		s.get("/redirect")
		s.raw("OPTIONS * HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
	})
}

// The client waits for 100 before it sends, and is refused or invited.
func TestExpectContinue(t *testing.T) {
	same(t, func(s *session) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/refused" {
				w.WriteHeader(401)
				return
			}
			n, err := io.Copy(io.Discard, r.Body)
			fmt.Fprint(w, n, err)
		})
	}, func(s *session) {
		s.client.Transport.(*http.Transport).ExpectContinueTimeout = 5 * time.Second
		s.do("POST", "/", string(big), "Expect", "100-continue")
		s.do("POST", "/refused", string(big), "Expect", "100-continue")
		s.do("POST", "/", string(big), "Expect", "100-continue")
	})
}

func TestPprof(t *testing.T) {
	same(t, func(*session) http.Handler {
		mux := http.NewServeMux()
		mux.HandleFunc("/debug/pprof/", pprof.Index)
		mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
		mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
		mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
		return mux
	}, func(s *session) {
		for _, p := range []string{"", "cmdline", "goroutine?debug=1", "heap", "allocs", "trace?seconds=0.1", "profile?seconds=1", "symbol", "none"} {
			resp, err := s.client.Get(s.url + "/debug/pprof/" + p)
			if err != nil {
				s.note("%s: %v", p, err)
				continue
			}
			n, err := io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
			s.note("%s: %d %s %s some %v, %v", p, resp.StatusCode, resp.Header.Get("Content-Type"), resp.Header.Get("Content-Disposition"), n > 0, err)
		}
	})
}

func TestExpvar(t *testing.T) {
	same(t, func(*session) http.Handler { return expvar.Handler() }, func(s *session) {
		resp, err := s.client.Get(s.url)
		if err != nil {
			s.Fatal(err)
		}
		defer resp.Body.Close()
		var vars map[string]any
		err = json.NewDecoder(resp.Body).Decode(&vars)
		s.note("%d %s %v %v", resp.StatusCode, resp.Header.Get("Content-Type"), slices.Sorted(maps.Keys(vars)), err)
	})
}

// What is sent while the request is still being read.
func TestFullDuplex(t *testing.T) {
	same(t, func(s *session) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			rc := http.NewResponseController(w)
			rc.EnableFullDuplex()
			w.WriteHeader(200)
			rc.Flush()
			p := make([]byte, 100)
			for {
				n, err := r.Body.Read(p)
				w.Write(bytes.ToUpper(p[:n]))
				rc.Flush()
				if err != nil {
					s.saw("%v", err)
					return
				}
			}
		})
	}, func(s *session) {
		pr, pw := io.Pipe()
		req, err := http.NewRequest("POST", s.url, pr)
		if err != nil {
			s.Fatal(err)
		}
		resp, err := s.client.Do(req)
		if err != nil {
			s.Fatal(err)
		}
		defer resp.Body.Close()
		p := make([]byte, 100)
		for _, m := range []string{"one", "two", "three"} {
			io.WriteString(pw, m)
			n, err := resp.Body.Read(p)
			s.note("%s %v", p[:n], err)
		}
		pw.Close()
		_, err = resp.Body.Read(p)
		s.note("%v", err)
	})
}
