package bgp

import (
	"cmp"
	"slices"
)

// decider runs the decision process (RFC 4271 §9.1.2) over one prefix at a
// time. Its slices are reused from prefix to prefix.
type decider struct {
	limit      int // multipath: how many equal paths share the traffic
	candidates []path
	primary    []path
	backup     []path
}

// decide splits the eligible paths of an entry into those that carry traffic
// and those that would if all of the former were gone. best is the one to
// advertise; its peer is nil when there is none.
func (d *decider) decide(paths []path) (best path) {
	d.candidates, d.primary, d.backup = d.candidates[:0], d.primary[:0], d.backup[:0]
	for _, p := range paths {
		if p.eligible() {
			d.candidates = append(d.candidates, p)
		}
	}
	if len(d.candidates) == 0 {
		return path{}
	}
	d.primary = d.choose(d.primary)
	best = d.primary[0]
	if len(d.primary) < len(d.candidates) {
		d.candidates = slices.DeleteFunc(d.candidates, func(p path) bool {
			return slices.ContainsFunc(d.primary, func(q path) bool { return q.peer == p.peer || sameHop(p, q) })
		})
		if len(d.candidates) > 0 {
			d.backup = d.choose(d.backup)
		}
	}
	return best
}

func sameHop(a, b path) bool { return a.peer.hopID(a.attrs) == b.peer.hopID(b.attrs) }

// choose appends the equal best of the candidates to dst, best first.
func (d *decider) choose(dst []path) []path {
	from := len(dst)
	first := d.candidates[0]
	for _, p := range d.candidates[1:] {
		if compare(p, first) < 0 {
			first = p
		}
	}
	for _, p := range d.candidates {
		if compare(p, first) == 0 {
			dst = append(dst, p)
		}
	}
	dst = dropHigherMED(dst, from)
	dst = preferExternal(dst, from)
	if len(dst)-from > 1 {
		slices.SortFunc(dst[from:], tieBreak)
	}
	return dst[:min(len(dst), from+max(1, d.limit))]
}

// compare orders by what is compared between all paths alike: degree of
// preference, AS_PATH length, ORIGIN (RFC 4271 §9.1.1, §9.1.2.2 a, b). Paths
// through different ASes are equal when they are as long (multipath-relax).
func compare(a, b path) int {
	if a.peer.local != b.peer.local {
		if a.peer.local {
			return -1
		}
		return 1
	}
	return cmp.Or(
		cmp.Compare(b.pref, a.pref),
		cmp.Compare(a.attrs.pathLen, b.attrs.pathLen),
		cmp.Compare(a.attrs.origin, b.attrs.origin))
}

// dropHigherMED removes each path that has a higher MED than another from
// the same neighbouring AS (RFC 4271 §9.1.2.2 c).
func dropHigherMED(ps []path, from int) []path {
	kept := from
	for i := from; i < len(ps); i++ {
		worse := slices.ContainsFunc(ps[from:], func(q path) bool {
			return q.attrs.neighborAS == ps[i].attrs.neighborAS && q.attrs.med < ps[i].attrs.med
		})
		if !worse {
			ps[kept], ps[i] = ps[i], ps[kept]
			kept++
		}
	}
	return ps[:kept]
}

// preferExternal removes iBGP paths when there is an eBGP one (RFC 4271
// §9.1.2.2 d); so no multipath set ever mixes both.
func preferExternal(ps []path, from int) []path {
	external := slices.ContainsFunc(ps[from:], func(p path) bool { return p.peer.external() })
	if !external {
		return ps
	}
	kept := from
	for i := from; i < len(ps); i++ {
		if ps[i].peer.external() {
			ps[kept] = ps[i]
			kept++
		}
	}
	return ps[:kept]
}

// tieBreak orders equal paths by BGP identifier, then peer address (RFC 4271
// §9.1.2.2 f, g; ORIGINATOR_ID stands in for the identifier, RFC 4456 §9).
func tieBreak(a, b path) int {
	return cmp.Or(a.identifier().Compare(b.identifier()), a.peer.cfg.Address.Compare(b.peer.cfg.Address))
}
