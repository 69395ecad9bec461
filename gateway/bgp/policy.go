package bgp

import (
	"net/netip"

	"gwlab/gateway/config"
)

// matcher is a compiled prefix filter. Rules for one exact prefix, the usual
// case of a long list, are looked up; the others are tried in order.
type matcher struct {
	all    bool
	exact  map[netip.Prefix]bool
	ranges []config.PrefixRule
}

func newMatcher(rules []config.PrefixRule) matcher {
	m := matcher{all: rules == nil, exact: map[netip.Prefix]bool{}}
	for _, r := range rules {
		r.Prefix = r.Prefix.Masked()
		if r.Ge == 0 {
			r.Ge = r.Prefix.Bits()
		}
		if r.Le == 0 {
			r.Le = r.Ge
		}
		if r.Ge == r.Prefix.Bits() && r.Le == r.Ge {
			m.exact[r.Prefix] = true
			continue
		}
		m.ranges = append(m.ranges, r)
	}
	return m
}

func (m *matcher) accepts(p netip.Prefix) bool {
	if m.all || m.exact[p] {
		return true
	}
	for _, r := range m.ranges {
		if p.Bits() >= r.Ge && p.Bits() <= r.Le && p.Bits() >= r.Prefix.Bits() && r.Prefix.Contains(p.Addr()) {
			return true
		}
	}
	return false
}

// verdict is what import makes of a block of attributes, whatever the prefix.
type verdict struct {
	usable bool
	pref   uint32
}

// judge applies the checks of RFC 4271 §9.1.2 and the import policy to a
// block of attributes. The last answer is kept: blocks come in runs.
func (p *peer) judge(a *attributes) verdict {
	if p.judged == a {
		return p.judgedAs
	}
	v := verdict{
		usable: !a.contains(p.router.cfg.ASN) && p.onLink(a.nextHop) && a.originator != p.router.cfg.RouterID,
		pref:   defaultLocalPref,
	}
	if a.hasLocalPref && !p.external() {
		v.pref = a.localPref
	}
	if p.cfg.Import.LocalPref != 0 {
		v.pref = p.cfg.Import.LocalPref
	}
	if a.has(communityGracefulShutdown) { // RFC 8326 §4.2
		v.pref = 0
	}
	p.judged, p.judgedAs = a, v
	return v
}

// admit makes the path of a prefix learned from the peer.
func (p *peer) admit(prefix netip.Prefix, a *attributes) path {
	v := p.judge(a)
	return path{peer: p, attrs: a, pref: v.pref, session: p.session,
		accepted: v.usable && p.imports.accepts(prefix)}
}

// onLink tells whether a next hop can be used as it is: the peer itself, or
// a third party on the subnet shared with it (RFC 4271 §5.1.3), not this host.
func (p *peer) onLink(hop netip.Addr) bool {
	return hop == p.cfg.Address || (hop != p.localAddr && p.subnet.IsValid() && p.subnet.Contains(hop))
}

// export builds what the peer is told about a best path; ok is false for
// nothing. It reads the path and the peer only, so that the answer can be
// kept for the next prefix with the same attributes.
func (p *peer) export(best path) (attributes, bool) {
	a := best.attrs
	external := p.external()
	switch {
	case best.peer == p: // back where it came from
		return attributes{}, false
	case !best.peer.local && !best.peer.external() && !external: // RFC 4271 §9.2: never iBGP to iBGP
		return attributes{}, false
	case a.has(communityNoAdvertise):
		return attributes{}, false
	case external && (a.has(communityNoExport) || a.has(communityNoExportSubconf)):
		return attributes{}, false
	case external && a.contains(p.cfg.ASN): // it would refuse it as a loop
		return attributes{}, false
	}
	out := *a
	out.key, out.originator = "", netip.Addr{}
	if external {
		out.setPath(prepended(a.asPath, p.router.cfg.ASN, 1+p.cfg.Export.Prepend))
		out.hasLocalPref, out.hasMED, out.nextHop = false, false, p.localAddr
	} else {
		out.localPref, out.hasLocalPref = best.pref, true
		if best.peer.local || p.cfg.NextHopSelf {
			out.nextHop = p.localAddr
		}
	}
	if p.cfg.Export.MEDSet {
		out.med, out.hasMED = p.cfg.Export.MED, true
	}
	out.communities = p.exportCommunities(a.communities)
	return out, true
}

func (p *peer) exportCommunities(received []uint32) []uint32 {
	out := append([]uint32(nil), received...)
	add := p.cfg.Export.Communities
	if p.router.draining {
		add = append([]uint32{communityGracefulShutdown}, add...)
	}
	for _, c := range add {
		if !containsCommunity(out, c) {
			out = append(out, c)
		}
	}
	return out
}

func containsCommunity(list []uint32, c uint32) bool {
	for _, x := range list {
		if x == c {
			return true
		}
	}
	return false
}
