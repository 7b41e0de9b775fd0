//go:build linux

package main

import (
	"bytes"
	"fmt"
	"strings"

	"postern/bench/serve/peer"
)

// workload is what clients ask for, and how.
type workload struct {
	name  string
	about string
	path  string
	conns int
	echo  int  // bytes of content in each request, which come back
	depth int  // requests in each write; 0: one
	rate  int  // requests a second, whatever the replies do; 0: the next when the reply is there
	close bool // one request a connection
	unix  bool
	tls   bool
	free  bool // not pinned: server and client share two processors
	goals map[string]goal
}

// goal is what postern is to reach, as a ratio to one peer. 0: nothing.
type goal struct {
	cpu  float64 // at most: CPU time a request
	rate float64 // at least: requests a second
	user float64 // at most: CPU time outside of the kernel
}

var workloads = []workload{
	{name: "hello", about: "13 bytes", path: "/", conns: 64, goals: map[string]goal{
		"nginx": {cpu: 0.92, rate: 1.05, user: 0.60}, "fasthttp": {cpu: 0.82, rate: 1.20, user: 0.50},
		"nethttp": {cpu: 0.53, rate: 1.90}, "epoll": {cpu: 1.05, rate: 0.95}}},
	{name: "b500", about: "500 bytes", path: "/500", conns: 40, goals: map[string]goal{
		"nginx": {cpu: 0.93}, "fasthttp": {cpu: 0.86}}},
	{name: "b12k", about: "12 KiB", path: "/12k", conns: 40, goals: map[string]goal{
		"nginx": {cpu: 0.75}, "fasthttp": {cpu: 0.55}}},
	{name: "pipe16", about: "13 bytes, 16 requests in each write", path: "/", conns: 64, depth: 16, goals: map[string]goal{
		"fasthttp": {rate: 2.00}, "nginx": {rate: 12.00}, "epoll": {rate: 0.88}}},
	{name: "echo1k", about: "POST of 1 KiB, sent back", path: "/echo", conns: 64, echo: 1024, goals: map[string]goal{
		"fasthttp": {cpu: 0.80}, "epoll": {cpu: 1.06}}},
	{name: "unix", about: "13 bytes over a Unix socket", path: "/", conns: 64, unix: true, goals: map[string]goal{
		"nginx": {cpu: 0.83}, "fasthttp": {cpu: 0.70}}},
	{name: "close", about: "13 bytes, a connection for each request", path: "/", conns: 64, close: true, goals: map[string]goal{
		"nginx": {cpu: 0.95}, "fasthttp": {cpu: 0.72}}},
	{name: "one", about: "13 bytes, a single connection", path: "/", conns: 1, goals: map[string]goal{
		"nginx": {cpu: 1.00}}},
	{name: "rate20k", about: "13 bytes, 20,000 requests a second", path: "/", conns: 64, rate: 20_000, goals: map[string]goal{
		"nginx": {cpu: 0.98}, "fasthttp": {cpu: 0.75}}},
	{name: "idle1k", about: "13 bytes, 5,000 requests a second", path: "/", conns: 1000, rate: 5_000, goals: map[string]goal{
		"nginx": {cpu: 1.00}, "fasthttp": {cpu: 0.45}}},
	{name: "two", about: "13 bytes, not pinned", path: "/", conns: 64, free: true, goals: map[string]goal{
		"nethttp": {rate: 1.85}, "fasthttp": {rate: 1.40}, "nginx": {cpu: 0.70}}},
	{name: "tls", about: "13 bytes, TLS 1.3", path: "/", conns: 64, tls: true, goals: map[string]goal{
		"nginx": {cpu: 0.86}, "fasthttp": {cpu: 0.88}}},
	{name: "tls12k", about: "12 KiB, TLS 1.3", path: "/12k", conns: 40, tls: true, goals: map[string]goal{
		"nginx": {cpu: 0.78}, "fasthttp": {cpu: 0.66}}},
}

// title is the workload in a few words.
func (w *workload) title() string {
	s := fmt.Sprintf("%s: %s, %d connections", w.name, w.about, w.conns)
	return strings.Replace(s, "single connection, 1 connections", "single connection", 1)
}

// request returns the bytes of one request.
func (w *workload) request() []byte {
	method, fields := "GET", ""
	if w.close {
		fields = "Connection: close\r\n"
	}
	if w.echo > 0 {
		method = "POST"
		fields += fmt.Sprintf("Content-Type: text/plain\r\nContent-Length: %d\r\n", w.echo)
	}
	return append(fmt.Appendf(nil, "%s %s HTTP/1.1\r\nHost: 127.0.0.1\r\n%s\r\n", method, w.path, fields), w.content()...)
}

// content is that of the request.
func (w *workload) content() []byte { return bytes.Repeat([]byte("e"), w.echo) }

// reply is the content that a right reply has.
func (w *workload) reply() []byte {
	if w.echo > 0 {
		return w.content()
	}
	return peer.Content(w.path)
}
