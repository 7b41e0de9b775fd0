package http_test

import (
	"context"
	"log"
	"net"
	. "net/http"
	"net/http/httptest"
	"slices"
	"testing"
)

// run runs a test over HTTP/1.1, over TCP and over TLS, unless it wants less.
func run[T TBRun[T]](t T, f func(t T, mode testMode), opts ...any) {
	t.Helper()
	modes, parallel := []testMode{http1Mode, https1Mode}, true
	for _, opt := range opts {
		switch opt := opt.(type) {
		case testSkipMode:
			modes = slices.DeleteFunc(modes, func(m testMode) bool { return slices.Contains(opt, m) })
		case []testMode:
			modes = slices.DeleteFunc(modes, func(m testMode) bool { return !slices.Contains(opt, m) })
		case testNotParallelOpt:
			parallel = false
		}
	}
	if t, ok := any(t).(*testing.T); ok && parallel {
		setParallel(t)
	}
	if len(modes) == 0 {
		t.Fatal("this test is not for HTTP/1.1")
	}
	for _, mode := range modes {
		t.Run(string(mode), func(t T) {
			if t, ok := any(t).(*testing.T); ok && parallel {
				setParallel(t)
			}
			t.Cleanup(func() { afterTest(t) })
			f(t, mode)
		})
	}
}

// newClientServerTest starts a server and makes a client. HTTP/2 is for tests that
// compare with it.
func newClientServerTest(t testing.TB, mode testMode, h Handler, opts ...any) *clientServerTest {
	cst := &clientServerTest{t: t, h2: mode == http2Mode, h: h}
	var transports []func(*Transport)
	if slices.Contains(opts, any(optFakeNet)) {
		cst.li = fakeNetListen()
		cst.ts = &httptest.Server{Config: &Server{Handler: h}, Listener: cst.li}
		transports = append(transports, func(tr *Transport) {
			tr.DialContext = func(context.Context, string, string) (net.Conn, error) { return cst.li.connect(), nil }
		})
	} else {
		cst.ts = httptest.NewUnstartedServer(h)
	}
	for _, opt := range opts {
		switch opt := opt.(type) {
		case func(*Transport):
			transports = append(transports, opt)
		case func(*httptest.Server):
			opt(cst.ts)
		case func(*Server):
			opt(cst.ts.Config)
		}
	}
	if cst.ts.Config.ErrorLog == nil {
		cst.ts.Config.ErrorLog = log.New(testLogWriter{t}, "", 0)
	}
	switch mode {
	case http1Mode:
		cst.ts.Start()
	case http2Mode:
		cst.ts.EnableHTTP2 = true
		cst.ts.StartTLS()
	default:
		cst.ts.StartTLS()
	}
	cst.c = cst.ts.Client()
	cst.tr = cst.c.Transport.(*Transport)
	for _, f := range transports {
		f(cst.tr)
	}
	t.Cleanup(cst.close)
	return cst
}
