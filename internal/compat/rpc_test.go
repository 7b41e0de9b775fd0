package compat_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"connectrpc.com/connect"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

type text = wrapperspb.StringValue

// rpc is a service with one method of each kind that HTTP/1.1 can carry.
func rpc(s *session) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/s/Unary", connect.NewUnaryHandler("/s/Unary", func(_ context.Context, r *connect.Request[text]) (*connect.Response[text], error) {
		switch r.Msg.Value {
		case "fail":
			err := connect.NewError(connect.CodeNotFound, errors.New("no such thing"))
			err.Meta().Set("X-Meta", "m")
			return nil, err
		case "panic":
			panic(http.ErrAbortHandler)
		}
		resp := connect.NewResponse(wrapperspb.String(strings.ToUpper(r.Msg.Value)))
		resp.Header().Set("X-Head", "h")
		resp.Trailer().Set("X-Tail", "t")
		s.saw("unary %s %s", r.Peer().Protocol, r.Header().Get("X-Asked"))
		return resp, nil
	}))
	mux.Handle("/s/Down", connect.NewServerStreamHandler("/s/Down", func(_ context.Context, r *connect.Request[text], out *connect.ServerStream[text]) error {
		out.ResponseTrailer().Set("X-Tail", "t")
		for _, word := range strings.Fields(r.Msg.Value) {
			if word == "fail" {
				return connect.NewError(connect.CodeAborted, errors.New("in the middle"))
			}
			if err := out.Send(wrapperspb.String(word)); err != nil {
				return err
			}
		}
		return nil
	}))
	mux.Handle("/s/Up", connect.NewClientStreamHandler("/s/Up", func(_ context.Context, in *connect.ClientStream[text]) (*connect.Response[text], error) {
		all := ""
		for in.Receive() {
			all += in.Msg().Value
		}
		return connect.NewResponse(wrapperspb.String(fmt.Sprint(len(all)))), in.Err()
	}))
	return mux
}

func TestConnect(t *testing.T) {
	for name, opts := range map[string][]connect.ClientOption{
		"connect": nil, "connect, gzip": {connect.WithSendGzip()}, "json": {connect.WithProtoJSON()}, "gRPC-Web": {connect.WithGRPCWeb()},
		"gRPC": {connect.WithGRPC()},
	} {
		t.Run(name, func(t *testing.T) {
			same(t, rpc, func(s *session) {
				ctx := s.Context()
				unary := connect.NewClient[text, text](s.client, s.url+"/s/Unary", opts...)
				for _, in := range []string{"hello", strings.Repeat("long ", 50_000), "fail", "panic", "again"} {
					req := connect.NewRequest(wrapperspb.String(in))
					req.Header().Set("X-Asked", "q")
					resp, err := unary.CallUnary(ctx, req)
					if err != nil {
						s.noteError(err)
						continue
					}
					s.note("%.20q %d %q %q", resp.Msg.Value, len(resp.Msg.Value), resp.Header().Get("X-Head"), resp.Trailer().Get("X-Tail"))
				}
				down := connect.NewClient[text, text](s.client, s.url+"/s/Down", opts...)
				for _, in := range []string{"a b c", "", "a fail"} {
					stream, err := down.CallServerStream(ctx, connect.NewRequest(wrapperspb.String(in)))
					if err != nil {
						s.noteError(err)
						continue
					}
					for stream.Receive() {
						s.note("%q", stream.Msg().Value)
					}
					s.noteError(stream.Err())
					s.note("%q", stream.ResponseTrailer().Get("X-Tail"))
					stream.Close()
				}
				up := connect.NewClient[text, text](s.client, s.url+"/s/Up", opts...).CallClientStream(ctx)
				for range 100 {
					if err := up.Send(wrapperspb.String(strings.Repeat("x", 1000))); err != nil {
						s.noteError(err)
						break
					}
				}
				resp, err := up.CloseAndReceive()
				if s.noteError(err); err == nil {
					s.note("%q", resp.Msg.Value)
				}
			})
		})
	}
}

// noteError notes what a client may rely on of an error.
func (s *session) noteError(err error) {
	if e, ok := errors.AsType[*connect.Error](err); ok {
		s.note("%v, wire %v, meta %q", connect.CodeOf(err), connect.IsWireError(err), e.Meta().Get("X-Meta"))
	} else {
		s.note("%v", err)
	}
}

func TestOTelHTTP(t *testing.T) {
	same(t, func(s *session) http.Handler {
		spans := tracetest.NewInMemoryExporter()
		tp := trace.NewTracerProvider(trace.WithSyncer(spans))
		mux := http.NewServeMux()
		mux.Handle("/", otelhttp.NewHandler(http.HandlerFunc(upstream), "op", otelhttp.WithTracerProvider(tp), otelhttp.WithPropagators(propagation.TraceContext{})))
		mux.HandleFunc("/spans", func(w http.ResponseWriter, r *http.Request) {
			for _, span := range spans.GetSpans() {
				fmt.Fprintln(w, span.Name, span.SpanKind, span.Status.Code, span.Parent.TraceID())
				for _, a := range span.Attributes {
					if k := string(a.Key); !strings.HasPrefix(k, "network.peer.port") && k != "client.port" && k != "server.port" {
						fmt.Fprintln(w, " ", k, a.Value.String())
					}
				}
			}
		})
		return mux
	}, func(s *session) {
		s.do("POST", "/echo", "hello", "User-Agent", "x", "Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
		s.get("/events")
		s.get("/trailers")
		s.get("/big")
		s.get("/none")
		s.get("/abort")
		s.get("/spans")
	})
}
