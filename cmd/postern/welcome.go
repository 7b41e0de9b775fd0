package main

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"

	"postern/server"
)

//go:embed welcome.html
var welcomeHTML string

var welcomePage = template.Must(template.New("welcome.html").Parse(welcomeHTML))

// welcomeData is what the page tells about this server.
type welcomeData struct {
	Tables []string // shown unless Token
	File   bool     // the store is in a file
	Token  bool     // clients need one
}

// welcome makes the page, which is the same for everybody. Its policy lets the
// browser run the script and use the style that are in it, by their hashes, and
// talk to this server; nothing else.
func welcome(d welcomeData) server.Response {
	var page bytes.Buffer
	if err := welcomePage.Execute(&page, d); err != nil {
		panic(err) // only a wrong template can fail here
	}
	policy := fmt.Sprintf("default-src 'none'; script-src %s; style-src %s; connect-src 'self'; img-src 'self'; "+
		"base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
		hashOf(page.Bytes(), "script"), hashOf(page.Bytes(), "style"))
	return server.Bytes("text/html; charset=utf-8", page.Bytes()).
		With("Content-Security-Policy", policy).
		With("Referrer-Policy", "no-referrer").
		With("X-Content-Type-Options", "nosniff").
		With("Cache-Control", "no-cache")
}

// hashOf returns the source expression for the content of the page's one element
// of that name (CSP Level 3, 2.3.1).
func hashOf(page []byte, element string) string {
	_, rest, _ := bytes.Cut(page, []byte("<"+element+">"))
	content, _, ok := bytes.Cut(rest, []byte("</"+element+">"))
	if !ok {
		panic("welcome.html has no " + element)
	}
	sum := sha256.Sum256(content)
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}
