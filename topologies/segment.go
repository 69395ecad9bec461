package topologies

import "slices"

// segment is a set of ports that reach each other without a router: a link's
// two ends, or those of all links that bridges join.
type segment struct {
	ports []*Port // in link order, those of bridges left out
	links []*Link
}

// routers are the ports of nodes that route or speak BGP.
func (s *segment) routers() []*Port { return s.pick(func(n *Node) bool { return !n.isEnd() }) }

// ends are the ports of nodes that need a router.
func (s *segment) ends() []*Port { return s.pick((*Node).isEnd) }

func (s *segment) pick(want func(*Node) bool) []*Port {
	var out []*Port
	for _, p := range s.ports {
		if want(p.Node) {
			out = append(out, p)
		}
	}
	return out
}

// isEnd reports whether the node has a default route and no routing of its own.
func (n *Node) isEnd() bool { return !n.Forwards() && n.Kind != "bridge" && n.ASN == 0 }

// segments returns all segments in link order. Links in a loop of bridges,
// which would carry a frame round for ever, are returned beside them.
func (t *Topology) segments() (all []*segment, loops []*Link) {
	of := map[*Node]*segment{} // by bridge
	var order []*segment
	for _, l := range t.Links {
		a, b := of[l.A.Node], of[l.B.Node]
		switch {
		case a == nil && b == nil:
			a = &segment{}
			order = append(order, a)
		case a == nil:
			a = b
		case a == b:
			loops = append(loops, l)
			continue
		case b != nil:
			a.absorb(b)
			for bridge, s := range of {
				if s == b {
					of[bridge] = a
				}
			}
		}
		a.links = append(a.links, l)
		for _, p := range []*Port{l.A, l.B} {
			if p.Node.Kind == "bridge" {
				of[p.Node] = a
			} else {
				a.ports = append(a.ports, p)
			}
		}
	}
	for _, s := range order {
		if len(s.links) > 0 {
			slices.SortStableFunc(s.ports, func(a, b *Port) int { return a.Link.Index - b.Link.Index })
			slices.SortStableFunc(s.links, func(a, b *Link) int { return a.Index - b.Index })
			all = append(all, s)
		}
	}
	return all, loops
}

// absorb empties old into s.
func (s *segment) absorb(old *segment) {
	s.ports = append(s.ports, old.ports...)
	s.links = append(s.links, old.links...)
	*old = segment{}
}
