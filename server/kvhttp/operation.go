package kvhttp

import (
	"bytes"
	"slices"
	"strings"
)

// operation is a line of a batch.
type operation struct {
	name string // "get", "put", "add", "cas" or "delete"
	place
	value   []byte
	counter *uint64 // that the entry must have, or nil
	until   lifetime
}

func (o *operation) writes() bool { return o.name != "get" && o.name != "delete" }

// parseBatch reads the lines of a body.
func (h *handler) parseBatch(body []byte) ([]operation, error) {
	var all []operation
	for line := range bytes.Lines(body) {
		if h.MaxBatch >= 0 && len(all) >= h.MaxBatch {
			return nil, refusef(413, "a batch has at most %d operations", h.MaxBatch)
		}
		o, err := h.parseOperation(line)
		if err != nil {
			return nil, inLine(len(all)+1, err)
		}
		all = append(all, o)
	}
	if len(all) == 0 {
		return nil, refusef(400, "a batch has at least one operation")
	}
	return all, nil
}

func (h *handler) parseOperation(line []byte) (operation, error) {
	m := parseMembers(line)
	o := operation{name: m.text("op")}
	o.table = m.text("table")
	o.key = m.content("key")
	switch o.name {
	case "put", "add", "cas":
		o.value = []byte(m.content("value"))
		o.until = m.lifetime()
		if o.name == "cas" {
			o.counter = m.number("counter")
		}
	case "get", "delete":
		if m.has("counter") {
			o.counter = m.number("counter")
		}
	default:
		m.refuse(400, "op %s: must be get, put, add, cas or delete", clip(o.name))
	}
	m.end(o.name)
	switch {
	case !slices.Contains(h.tables, o.table):
		m.refuse(400, "no table %s; there is: %s", clip(o.table), strings.Join(h.tables, ", "))
	case o.key == "":
		m.refuse(400, "key: must not be empty")
	case h.MaxValue >= 0 && int64(len(o.value)) > h.MaxValue:
		m.refuse(413, "value for %v: longer than %d bytes", o.place, h.MaxValue)
	}
	if m.refused != nil {
		return operation{}, m.refused
	}
	return o, nil
}
