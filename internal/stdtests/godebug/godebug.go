// Package godebug is internal/godebug for whoever sets no GODEBUG.
package godebug

// Setting is a setting that has its default value.
type Setting struct{}

// New returns a setting.
func New(string) *Setting { return &Setting{} }

// Value returns what GODEBUG says.
func (*Setting) Value() string { return "" }

// IncNonDefault counts uses of what is not the default.
func (*Setting) IncNonDefault() {}
