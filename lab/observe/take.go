package observe

import (
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"
)

// take takes in one message. One that cannot be read says nothing.
func (n *node) take(at int64, m message) {
	switch m.kind {
	case unix.RTM_NEWLINK, unix.RTM_DELLINK:
		n.takeLink(at, m)
	case unix.RTM_NEWROUTE:
		n.takeRoute(at, m.body, false)
	case unix.RTM_DELROUTE:
		n.takeRoute(at, m.body, true)
	case unix.RTM_NEWNEXTHOP:
		if nh, err := parseNexthop(m.body); err == nil {
			n.told(n.name, at, n.model.setNexthop(nh))
			n.dirty = at
		}
	case unix.RTM_DELNEXTHOP:
		if nh, err := parseNexthop(m.body); err == nil {
			n.told(n.name, at, n.model.deleteNexthop(nh))
			n.dirty = at
		}
	}
}

func (n *node) takeLink(at int64, m message) {
	l, err := parseLink(m.body)
	if err != nil || m.body[0] != unix.AF_UNSPEC { // AF_BRIDGE tells of ports
		return
	}
	var c change
	var moved bool
	if m.kind == unix.RTM_DELLINK {
		c, moved = n.model.deleteLink(l.index)
	} else {
		c, moved = n.model.setLink(l)
	}
	if !moved {
		return
	}
	n.told(n.name, at, c)
	n.dirty = at
	n.rechecks = append(n.rechecks, at)
	for _, d := range recheckAfter {
		n.rechecks = append(n.rechecks, at+int64(d))
	}
	slices.Sort(n.rechecks)
}

func (n *node) takeRoute(at int64, body []byte, deleted bool) {
	p, table, err := parseDestination(body)
	if err != nil || table == unix.RT_TABLE_LOCAL || !p.Addr().IsGlobalUnicast() && p.Bits() != 0 {
		return
	}
	if !n.singled(p) {
		if deleted {
			n.deleted.take(at)
		} else {
			n.changed.take(at)
		}
		return
	}
	r, err := parseRoute(body)
	if err != nil {
		return
	}
	n.told(n.name, at, n.model.routeChange(r, deleted))
	n.dirty = at
}

// singled reports whether a route is told of by itself.
func (n *node) singled(p netip.Prefix) bool {
	return p.Bits() == 0 || slices.ContainsFunc(n.prefixes, p.Overlaps)
}

// recheck compares what is known with the kernel and tells what differs.
func (n *node) recheck(now int64) error {
	links, err := n.query.links()
	if err != nil {
		return err
	}
	present := map[int]bool{}
	for _, l := range links {
		present[l.index] = true
		if c, moved := n.model.setLink(l); moved {
			n.told(n.name, now, c)
		}
	}
	for index := range n.model.links {
		if !present[index] {
			if c, moved := n.model.deleteLink(index); moved {
				n.told(n.name, now, c)
			}
		}
	}
	nexthops, err := n.query.nexthops()
	if err != nil {
		return err
	}
	for _, c := range n.model.replaceNexthops(nexthops) {
		n.told(n.name, now, c)
	}
	n.dirty = max(n.dirty, now)
	return nil
}

// lookUp asks the kernel which way the followed prefixes go and tells those
// that moved.
func (n *node) lookUp(at int64, initial bool) error {
	for _, p := range n.prefixes {
		r, ok, err := n.query.route(sample(p))
		if err != nil {
			return err
		}
		var hops, standby []hop
		data := map[string]string{"prefix": p.String()}
		if ok {
			hops, standby = n.model.hops(r)
			data["route"] = r.prefix.String()
		}
		data["via"], data["nexthops"] = n.model.interfaces(hops), n.model.describe(hops)
		n.model.addStandby(data, standby)
		if initial {
			data["initial"] = "true"
		} else if n.fib[p] == data["nexthops"] {
			continue
		}
		n.fib[p] = data["nexthops"]
		n.told(n.name, at, change{FIBChange, p.String(), data})
	}
	return nil
}

// sample is an address that stands for a prefix: not the subnet's own, which
// routers answer to (RFC 4291 §2.6.1).
func sample(p netip.Prefix) netip.Addr {
	a := p.Addr()
	if next := a.Next(); p.Bits() < a.BitLen() && a == p.Masked().Addr() && p.Contains(next) {
		return next
	}
	return a
}
