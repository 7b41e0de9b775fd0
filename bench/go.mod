// Comparisons with peers. Nothing imports this module; it keeps their weight out of
// the root's go.mod.
module postern/bench

go 1.26.0

require (
	github.com/valyala/fasthttp v1.73.0
	postern v0.0.0
)

require (
	github.com/andybalholm/brotli v1.2.2 // indirect
	github.com/klauspost/compress v1.19.1 // indirect
	github.com/valyala/bytebufferpool v1.0.0 // indirect
)

replace postern => ../
