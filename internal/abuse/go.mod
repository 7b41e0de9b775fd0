// A server under abuse. Nothing imports this module.
module postern/internal/abuse

go 1.26.0

require postern v0.0.0

replace postern => ../..
