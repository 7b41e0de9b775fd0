package h1

// A client offers to switch protocols with Upgrade, or asks for a tunnel with
// CONNECT (RFC 9110 7.8, 9.3.6). The request is read to its end as any other, and
// then nothing is read until it is answered: what follows may be the new
// protocol's. 101, or 2xx to CONNECT, takes the offer; any other final response
// leaves it, and the connection goes on as it was.

// OffersUpgrade reports whether the request offers to switch to another protocol:
// it has an Upgrade field, Connection names it, and the version is 1.1.
func (h *Head) OffersUpgrade() bool {
	return h.line.version == HTTP11 && h.options&connUpgrade != 0 && h.index(FieldUpgrade) >= 0
}

// maySwitch returns the rule that 101 would break now, or 0.
func (c *conn) maySwitch() Code {
	switch {
	case c.send != Idle || c.recv != Done:
		return ErrState
	case !c.head.OffersUpgrade():
		return ErrStatus
	case c.mustAnswer:
		return ErrStatus // 100 comes first (RFC 9110 7.8)
	}
	return 0
}

// switchRules checks 101 at the client: it was offered, and names protocols that
// were.
func (c *conn) switchRules(h *Head) int {
	if c.asked.oldest()&offeredUpgrade == 0 || h.index(FieldUpgrade) < 0 {
		return c.fault(ErrNotOffered, len("HTTP/1.1 "))
	}
	for i := range h.fields {
		if h.fields[i].id != FieldUpgrade {
			continue
		}
		for protocol := range members(h.value(i)) {
			if !c.asked.offered(string(protocol)) {
				return c.blame(ErrNotOffered, h, i)
			}
		}
	}
	return 0
}

// endSwitch ends a head that switches protocols. It has no content, so no framing.
func (c *conn) endSwitch(w *HeadWriter) Code {
	switch {
	case w.length >= 0 || w.has != 0 || w.options&connClose != 0:
		return ErrFraming
	case w.status == 101 && w.upgrades == 0:
		return ErrUpgrade
	}
	w.nameUpgrade()
	w.dst = append(w.dst, "\r\n"...)
	move(&c.recv, onSwitch)
	move(&c.send, onSwitch)
	return 0
}

// nameUpgrade lists Upgrade in Connection, as whoever sends it must (RFC 9110 7.8).
func (w *HeadWriter) nameUpgrade() {
	if w.upgrades > 0 && w.options&connUpgrade == 0 {
		w.connection("upgrade")
	}
}

// offered reports whether each protocol that the value of an Upgrade field to be
// sent names was offered by the client.
func (c *conn) offered(value string) bool {
	for protocol := range members(value) {
		if !c.asked.offered(protocol) {
			return false
		}
	}
	return true
}
