package server_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"postern/server"
)

// HandlerTimeout holds for a Drive until its head, and for a net/http handler until it
// writes; what they do afterwards fails and harms nobody.
func TestHTTP2HandlerTimeoutOfADrive(t *testing.T) {
	late := func(errs ...error) error {
		for i, err := range errs {
			if !errors.Is(err, server.ErrHandlerTimeout) {
				return fmt.Errorf("call %d: %w", i, errors.Join(errors.New("not late"), err))
			}
		}
		return nil
	}
	drive := func(run func(x *server.Exchange) error) func(chan<- error) server.Handler {
		return func(result chan<- error) server.Handler {
			return func(r *server.Request) server.Response {
				time.Sleep(limit / 2)
				return server.Drive(func(x *server.Exchange) error {
					err := run(x)
					result <- err
					return err
				}).With("X-Extra", "here")
			}
		}
	}
	std := func(run func(w http.ResponseWriter, r *http.Request) error) func(chan<- error) server.Handler {
		return func(result chan<- error) server.Handler {
			return server.HTTP(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { result <- run(w, r) }))
		}
	}
	for _, tc := range []struct {
		name  string
		h     func(result chan<- error) server.Handler
		body  bool
		want  string
		extra string
	}{
		{"head in time", drive(func(x *server.Exchange) error {
			x.Head(200, server.Fields{{"Trailer", "X-Sum"}})
			time.Sleep(2 * limit)
			_, err := io.WriteString(x, "hello")
			return errors.Join(err, x.Trailer("X-Sum", "7"), x.Request().Context().Err())
		}), false, "200 hello map[X-Sum:[7]]", "here"},
		{"too late", drive(func(x *server.Exchange) error {
			<-x.Request().Context().Done()
			_, writing := x.Write([]byte("x"))
			_, _, taking := x.Hijack()
			return late(writing, x.Head(200, nil), x.Info(103, nil), taking, x.Trailer("X", "y"), x.Flush(),
				x.SetReadDeadline(time.Time{}), x.SetWriteDeadline(time.Now()))
		}), false, "504 504 Gateway Timeout\n map[]", "here"},
		{"interim", drive(func(x *server.Exchange) error {
			err := x.Info(103, server.Fields{{"Link", "</a>"}})
			time.Sleep(2 * limit)
			return err
		}), false, "504 504 Gateway Timeout\n map[]", "here"},
		{"reading", drive(func(x *server.Exchange) error {
			_, err := io.Copy(io.Discard, x.Request().Body())
			_, again := io.Copy(io.Discard, x.Request().Body())
			return late(err, again)
		}), true, "504 504 Gateway Timeout\n map[]", "here"},
		{"error", drive(func(x *server.Exchange) error {
			time.Sleep(2 * limit)
			panic("late")
		}), false, "504 504 Gateway Timeout\n map[]", "here"},
		{"net/http, in time", std(func(w http.ResponseWriter, r *http.Request) error {
			w.Header().Set("X-Extra", "its own")
			w.Header().Set("Trailer", "X-Sum")
			io.WriteString(w, "hel")
			time.Sleep(2 * limit)
			_, err := io.WriteString(w, "lo")
			w.Header().Set("X-Sum", "7")
			return errors.Join(err, r.Context().Err())
		}), false, "200 hello map[X-Sum:[7]]", "its own"},
		{"net/http, too late", std(func(w http.ResponseWriter, r *http.Request) error {
			w.Header().Set("X-Extra", "its own")
			<-r.Context().Done()
			time.Sleep(limit) // net/http has done with it
			w.Header().Set("X", "y")
			w.WriteHeader(200)
			_, writing := io.WriteString(w, "x")
			//lint:ignore SA1019 old handlers do
			<-w.(http.CloseNotifier).CloseNotify()
			rc := http.NewResponseController(w)
			return errors.Join(late(writing, rc.Flush(), rc.SetReadDeadline(time.Now())), rc.EnableFullDuplex())
		}), false, "504 504 Gateway Timeout\n map[]", ""},
		{"net/http, nothing written", std(func(w http.ResponseWriter, r *http.Request) error {
			w.Header().Set("X-Extra", "its own")
			return nil
		}), false, "200  map[]", "its own"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				result := make(chan error, 1)
				s := startHTTP2(t, tc.h(result), server.Config{Metrics: true, Limits: server.Limits{HandlerTimeout: limit, BodyRate: -1}})
				req, _ := http.NewRequestWithContext(t.Context(), "GET", site, nil)
				if tc.body {
					never, writer := io.Pipe()
					defer writer.Close()
					req, _ = http.NewRequestWithContext(t.Context(), "POST", site, never)
				}
				began := time.Now()
				resp, err := s.client(t, true).Do(req)
				if err != nil {
					t.Fatal(err)
				}
				if took := time.Since(began); resp.StatusCode == 504 && took != limit {
					t.Errorf("took %v, want %v", took, limit)
				}
				b, err := io.ReadAll(resp.Body)
				resp.Body.Close()
				if got := fmt.Sprint(resp.StatusCode, " ", string(b), " ", resp.Trailer); got != tc.want || err != nil || resp.Header.Get("X-Extra") != tc.extra {
					t.Errorf("got %q, %v, %v\nwant %q", got, err, resp.Header, tc.want)
				}
				time.Sleep(3 * limit)
				if tc.name != "error" {
					if err := <-result; err != nil {
						t.Error(err)
					}
				}
				m := s.Metrics()
				if lates := map[bool]uint64{true: 1}[resp.StatusCode == 504]; m.Timeouts.Handler != lates || m.InFlight != 0 || m.Statuses[resp.StatusCode/100] != 1 {
					t.Errorf("%+v", m)
				}
			})
		})
	}
}

// The three ends of a net/http handler that are none by return reach net/http in time.
func TestHTTP2HandlerTimeoutAndPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := startHTTP2(t, server.HTTP(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/fine" {
				return
			}
			panic(r.URL.Path)
		})), server.Config{Limits: server.Limits{HandlerTimeout: limit}})
		c := s.client(t, true)
		if _, err := c.Get(site + "/oops"); err == nil {
			t.Error("a panic was answered")
		}
		if resp, _ := fetch(t, c, "GET", "/fine", ""); resp.StatusCode != 200 {
			t.Errorf("got %v", resp)
		}
	})
}
