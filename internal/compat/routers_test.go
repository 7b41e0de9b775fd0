package compat_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"testing"
	"testing/fstest"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/go-chi/chi/v5"
	chimw "github.com/go-chi/chi/v5/middleware"
	"github.com/gorilla/handlers"
	"github.com/gorilla/mux"
	"github.com/labstack/echo/v4"
	echomw "github.com/labstack/echo/v4/middleware"
	"github.com/rs/cors"
)

var big = bytes.Repeat([]byte("0123456789 BCDEF"), 20_000)

func TestChi(t *testing.T) {
	same(t, func(s *session) http.Handler {
		r := chi.NewRouter()
		r.Use(chimw.RequestSize(1<<20), chimw.StripSlashes, chimw.Heartbeat("/ping"), chimw.Compress(5, "text/plain"), chimw.Timeout(5*time.Second))
		r.Group(func(r chi.Router) {
			r.Use(func(next http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					ww := chimw.NewWrapResponseWriter(w, r.ProtoMajor)
					next.ServeHTTP(ww, r)
					s.saw("wrote %d, %d bytes", ww.Status(), ww.BytesWritten())
				})
			})
			r.Get("/users/{id}/*", func(w http.ResponseWriter, r *http.Request) {
				fmt.Fprintf(w, "%s %s", chi.URLParam(r, "id"), chi.URLParam(r, "*"))
			})
			r.Get("/big", func(w http.ResponseWriter, r *http.Request) { io.Copy(w, bytes.NewReader(big)) })
			r.Get("/flush", func(w http.ResponseWriter, r *http.Request) {
				fmt.Fprint(w, "one")
				w.(http.Flusher).Flush()
				fmt.Fprint(w, "two")
			})
		})
		r.With(chimw.BasicAuth("realm", map[string]string{"a": "b"})).Get("/private", func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, "in")
		})
		r.Route("/api", func(r chi.Router) {
			r.Use(chimw.AllowContentType("application/json"), chimw.SetHeader("X", "y"))
			r.Post("/", func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) })
		})
		r.With(chimw.Recoverer).Get("/panic", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
		r.Get("/slow", func(w http.ResponseWriter, r *http.Request) {
			_, ok := r.Context().Deadline()
			fmt.Fprint(w, ok)
		})
		return r
	}, func(s *session) {
		s.get("/users/7/a/b?c")
		s.get("/users/7/a%2Fb/")
		s.get("/ping")
		s.get("/big")
		s.get("/big", "Accept-Encoding", "gzip")
		s.get("/flush")
		s.get("/private")
		s.get("/private", "Authorization", "Basic YTpi")
		s.do("POST", "/api", `{"a":1}`, "Content-Type", "application/json")
		s.do("POST", "/api", `a=1`, "Content-Type", "text/plain")
		s.do("DELETE", "/api", "")
		s.get("/none")
		s.get("/panic")
		s.get("/slow")
	})
}

func TestEcho(t *testing.T) {
	same(t, func(s *session) http.Handler {
		e := echo.New()
		e.Logger.SetOutput(io.Discard)
		e.Use(echomw.Recover(), echomw.BodyLimit("1M"), echomw.RequestIDWithConfig(echomw.RequestIDConfig{Generator: func() string { return "id" }}))
		e.GET("/users/:id", func(c echo.Context) error { return c.JSON(200, map[string]string{"id": c.Param("id")}) })
		e.POST("/bind", func(c echo.Context) error {
			var v struct {
				A int    `json:"a" form:"a"`
				B string `query:"b"`
			}
			if err := c.Bind(&v); err != nil {
				return err
			}
			return c.String(201, fmt.Sprint(v))
		})
		e.GET("/stream", func(c echo.Context) error { return c.Stream(200, "text/plain", bytes.NewReader(big)) })
		e.GET("/sse", func(c echo.Context) error {
			c.Response().Header().Set("Content-Type", "text/event-stream")
			for i := range 3 {
				fmt.Fprintf(c.Response(), "data: %d\n\n", i)
				c.Response().Flush()
			}
			return nil
		})
		e.GET("/fail", func(echo.Context) error { return echo.NewHTTPError(418, "tea") })
		e.GET("/error", func(echo.Context) error { return errors.New("no luck") })
		e.GET("/panic", func(echo.Context) error { panic("oops") })
		e.GET("/empty", func(c echo.Context) error { return c.NoContent(204) })
		e.GET("/redirect", func(c echo.Context) error { return c.Redirect(303, "/a") })
		e.StaticFS("/static", fstest.MapFS{"a.txt": {Data: []byte("hello")}})
		e.GET("/gzip", func(c echo.Context) error { return c.String(200, string(big)) }, echomw.Gzip())
		e.POST("/upload", func(c echo.Context) error {
			f, err := c.FormFile("f")
			if err != nil {
				return err
			}
			return c.String(200, fmt.Sprint(f.Filename, f.Size))
		})
		e.GET("/hijack", func(c echo.Context) error {
			nc, rw, err := c.Response().Hijack()
			if err != nil {
				return err
			}
			defer nc.Close()
			fmt.Fprint(rw, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nraw")
			return rw.Flush()
		})
		return e
	}, func(s *session) {
		s.get("/users/7")
		s.do("POST", "/bind", `{"a":1}`, "Content-Type", "application/json")
		s.do("POST", "/bind?b=x", `a=2`, "Content-Type", "application/x-www-form-urlencoded")
		s.do("POST", "/bind", `{`, "Content-Type", "application/json")
		s.do("POST", "/bind", string(bytes.Repeat([]byte(" "), 2<<20)), "Content-Type", "application/json")
		for _, p := range []string{"/stream", "/sse", "/fail", "/error", "/panic", "/empty", "/redirect", "/static/a.txt", "/static/none", "/none", "/hijack"} {
			s.get(p)
		}
		s.get("/gzip", "Accept-Encoding", "gzip")
		s.do("POST", "/upload", "--x\r\nContent-Disposition: form-data; name=f; filename=a\r\n\r\nhello\r\n--x--\r\n", "Content-Type", "multipart/form-data; boundary=x")
		s.do("HEAD", "/users/7", "")
		s.do("DELETE", "/users/7", "")
	})
}

func TestGin(t *testing.T) {
	gin.SetMode(gin.ReleaseMode)
	gin.DefaultErrorWriter = io.Discard
	same(t, func(s *session) http.Handler {
		g := gin.New()
		g.Use(gin.RecoveryWithWriter(io.Discard))
		g.MaxMultipartMemory = 1
		g.GET("/users/:id", func(c *gin.Context) { c.JSON(200, gin.H{"id": c.Param("id"), "ip": c.ClientIP()}) })
		g.POST("/bind", func(c *gin.Context) {
			var v struct {
				A int `json:"a" binding:"required"`
			}
			if err := c.ShouldBindJSON(&v); err != nil {
				c.AbortWithStatusJSON(400, gin.H{"error": err.Error()})
				return
			}
			c.String(201, "%d", v.A)
		})
		g.GET("/stream", func(c *gin.Context) {
			i := 0
			gone := c.Stream(func(w io.Writer) bool {
				fmt.Fprintf(w, "%d\n", i)
				i++
				return i < 3
			})
			s.saw("gone %v", gone)
		})
		g.GET("/sse", func(c *gin.Context) { c.SSEvent("e", gin.H{"a": 1}) })
		g.GET("/panic", func(c *gin.Context) { panic("oops") })
		g.GET("/empty", func(c *gin.Context) { c.Status(204) })
		g.GET("/redirect", func(c *gin.Context) { c.Redirect(308, "/a") })
		g.GET("/reader", func(c *gin.Context) {
			c.DataFromReader(200, int64(len(big)), "a/b", bytes.NewReader(big), map[string]string{"X": "y"})
		})
		g.POST("/upload", func(c *gin.Context) {
			f, err := c.FormFile("f")
			if err != nil {
				c.String(400, err.Error())
				return
			}
			c.String(200, "%s %d", f.Filename, f.Size)
		})
		g.GET("/written", func(c *gin.Context) {
			c.String(200, "hello")
			s.saw("%v %d %d", c.Writer.Written(), c.Writer.Status(), c.Writer.Size())
		})
		g.StaticFS("/static", http.FS(fstest.MapFS{"a.txt": {Data: []byte("hello")}}))
		return g
	}, func(s *session) {
		s.do("POST", "/bind", `{"a":1}`, "Content-Type", "application/json")
		s.do("POST", "/bind", `{}`, "Content-Type", "application/json")
		for _, p := range []string{"/users/7", "/stream", "/sse", "/panic", "/empty", "/redirect", "/reader", "/written", "/static/a.txt", "/users/7/", "/none"} {
			s.get(p)
		}
		s.do("POST", "/upload", "--x\r\nContent-Disposition: form-data; name=f; filename=a\r\n\r\nhello\r\n--x--\r\n", "Content-Type", "multipart/form-data; boundary=x")
		s.do("HEAD", "/none", "")
	})
}

var logTime = regexp.MustCompile(`\[[^]]*\]|127\.0\.0\.1:\d+`)

func TestGorilla(t *testing.T) {
	same(t, func(s *session) http.Handler {
		var log bytes.Buffer
		r := mux.NewRouter()
		r.HandleFunc("/users/{id:[0-9]+}", func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, mux.Vars(r)["id"])
		}).Methods("GET", "PUT").Name("user")
		r.HandleFunc("/log", func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, logTime.ReplaceAllString(log.String(), "-"))
		})
		r.Host("b.example").Path("/host").HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "host b") })
		api := r.PathPrefix("/api").Subrouter()
		api.Use(func(h http.Handler) http.Handler { return handlers.ContentTypeHandler(h, "application/json") })
		api.HandleFunc("/echo", func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) })
		r.Handle("/big", handlers.CompressHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.Write(big) })))
		r.HandleFunc("/panic", func(http.ResponseWriter, *http.Request) { panic("oops") })
		r.HandleFunc("/remote", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.RemoteAddr, r.URL.Scheme) })
		var h http.Handler = r
		h = handlers.RecoveryHandler(handlers.RecoveryLogger(silent{}))(h)
		h = handlers.CORS(handlers.AllowedOrigins([]string{"http://c.example"}), handlers.AllowedMethods([]string{"PUT"}))(h)
		h = handlers.ProxyHeaders(h)
		h = handlers.HTTPMethodOverrideHandler(h)
		return handlers.CombinedLoggingHandler(&log, h)
	}, func(s *session) {
		s.get("/users/7", "User-Agent", "x", "Referer", "y")
		s.get("/users/x")
		s.do("DELETE", "/users/7", "")
		s.do("POST", "/users/7", "", "X-HTTP-Method-Override", "PUT")
		s.do("POST", "/api/echo", "{}", "Content-Type", "application/json")
		s.do("POST", "/api/echo", "{}", "Content-Type", "text/plain")
		s.get("/big", "Accept-Encoding", "gzip")
		s.get("/big")
		s.get("/panic")
		s.get("/remote", "X-Forwarded-For", "10.0.0.1", "X-Forwarded-Proto", "https")
		s.do("OPTIONS", "/users/7", "", "Origin", "http://c.example", "Access-Control-Request-Method", "PUT")
		s.get("/a/../users/7")
		s.raw("GET /host HTTP/1.1\r\nHost: b.example\r\nConnection: close\r\n\r\n")
		s.get("/log")
	})
}

type silent struct{}

func (silent) Println(...any) {}

func TestCORS(t *testing.T) {
	same(t, func(s *session) http.Handler {
		return cors.New(cors.Options{AllowedOrigins: []string{"http://a.example"}, AllowedMethods: []string{"PUT"}, AllowedHeaders: []string{"X-Y"},
			AllowCredentials: true, ExposedHeaders: []string{"X-Z"}, MaxAge: 60}).Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Add("Vary", "Accept")
			fmt.Fprint(w, "hello")
		}))
	}, func(s *session) {
		s.get("/")
		s.get("/", "Origin", "http://a.example")
		s.get("/", "Origin", "http://b.example")
		s.do("OPTIONS", "/", "", "Origin", "http://a.example", "Access-Control-Request-Method", "PUT", "Access-Control-Request-Headers", "x-y")
		s.do("OPTIONS", "/", "", "Origin", "http://a.example", "Access-Control-Request-Method", "DELETE")
		s.do("PUT", "/", "x", "Origin", "http://a.example")
	})
}
