package server

type pathValue struct{ Name, Value string }

// PathValue returns the part of the path that a router has given that name, or "".
func (r *Request) PathValue(name string) string {
	for i := range r.values {
		if r.values[i].Name == name {
			return r.values[i].Value
		}
	}
	return ""
}

// SetPathValue gives a name to a part of the path, for handlers further in. It is
// called by routers.
func (r *Request) SetPathValue(name, value string) {
	for i := range r.values {
		if r.values[i].Name == name {
			r.values[i].Value = value
			return
		}
	}
	r.values = append(r.values, pathValue{name, value})
}
