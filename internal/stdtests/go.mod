// The tests of package net/http on our server. Nothing imports this module.
module postern/internal/stdtests

go 1.26.0

require postern v0.0.0

replace postern => ../..
