package topologies

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
)

// everyRole has one speaker of each role, twice, on one bridge; each
// originates a prefix of both families of its own.
func everyRole(t *testing.T) *Topology {
	body, links := "  nodes:\n    sw: {kind: bridge}\n", "  links:\n"
	for i, role := range append(Roles(), "") {
		for j := range 2 {
			name := fmt.Sprintf("n%d%d", i, j)
			settings := "asn: " + fmt.Sprint(64000+10*i+j)
			if role != "" {
				settings += ", role: " + role
			}
			body += fmt.Sprintf("    %s: {kind: frr, %s, originate: [10.%d.%d.0/24, \"2001:db8:%d%d::/48\"]}\n", name, settings, i, j, i, j)
			links += fmt.Sprintf("    - endpoints: [\"%s:sw\", \"sw:%s\"]\n", name, name)
		}
	}
	return parse(t, body+links)
}

// No site and no peer becomes transit: what an isp or the core tells goes on
// to no other isp or core, whichever way it came.
func TestExportMakesNoSiteTransit(t *testing.T) {
	topo := everyRole(t)
	outside := func(n *Node) bool { return n.Role == "isp" || n.Role == "core" }
	pairs := 0
	for _, s := range topo.allSessions() {
		local, remote := s.Local.Node, s.Remote.Node
		prefixes, all := topo.Export(s)
		pairs++
		if all && len(prefixes) != 0 {
			t.Errorf("%s to %s: everything, and a list", local.Role, remote.Role)
		}
		for _, p := range prefixes {
			if (p.Addr().Is4()) != (s.Family == "ipv4") {
				t.Errorf("%s session exports %s", s.Family, p)
			}
		}
		if local.Role == "" || !outside(remote) {
			continue
		}
		if all {
			t.Errorf("%s tells %s everything", local.Role, remote.Role)
		}
		for _, n := range topo.Nodes {
			if n != local && outside(n) && slices.ContainsFunc(n.Originate, func(p netip.Prefix) bool { return slices.Contains(prefixes, p) }) {
				t.Errorf("%s passes %s's prefix on to %s", local.Role, n.Role, remote.Role)
			}
		}
	}
	if speakers := 2 * (len(Roles()) + 1); pairs != speakers*(speakers-1)*len(Families()) {
		t.Errorf("%d sessions of %d speakers", pairs, speakers)
	}
}

// Who tells everything, who the default route alone, for each pair of roles.
func TestExportMatrix(t *testing.T) {
	const everything, dflt = "everything", "default"
	own, site, ownAndSite := "own", "site", "own and site"
	want := map[string]map[string]string{
		"gateway": {"gateway": everything, "isp": site, "core": site, "tor": dflt, "": everything},
		"isp":     {"gateway": everything, "isp": ownAndSite, "core": ownAndSite, "tor": everything, "": everything},
		"core":    {"gateway": own, "isp": own, "core": own, "tor": own, "": everything},
		"tor":     {"gateway": own, "isp": own, "core": own, "tor": own, "": everything},
		"":        {"gateway": everything, "isp": everything, "core": everything, "tor": everything, "": everything},
	}
	topo := everyRole(t)
	of := func(family string, by func(*Node) bool) string {
		var out []netip.Prefix
		for _, n := range topo.Nodes {
			for _, p := range n.Originate {
				if by(n) && p.Addr().Is4() == (family == "ipv4") {
					out = append(out, p)
				}
			}
		}
		return fmt.Sprint(out)
	}
	isSite := func(n *Node) bool { return n.Role == "gateway" || n.Role == "tor" }
	for _, s := range topo.allSessions() {
		isOwn := func(n *Node) bool { return n == s.Local.Node }
		meaning := map[string]string{
			own: of(s.Family, isOwn), site: of(s.Family, isSite),
			ownAndSite: of(s.Family, func(n *Node) bool { return isOwn(n) || isSite(n) }),
			dflt:       fmt.Sprint([]netip.Prefix{DefaultRoute(s.Family)}),
		}
		prefixes, all := topo.Export(s)
		got := fmt.Sprint(prefixes)
		if all {
			got = everything
			meaning[everything] = everything
		}
		if kind := want[s.Local.Node.Role][s.Remote.Node.Role]; got != meaning[kind] {
			t.Errorf("%q to %q in %s: %s, want %s: %s", s.Local.Node.Role, s.Remote.Node.Role, s.Family, got, kind, meaning[kind])
		}
	}
	for _, n := range topo.Nodes {
		if n.Provider() != (n.Role == "isp") {
			t.Errorf("%q provides: %v", n.Role, n.Provider())
		}
	}
}

// Each session is seen from both ends alike, and listed once.
func TestSessionsAreSymmetric(t *testing.T) {
	topo := everyRole(t)
	type end struct {
		local, remote netip.Addr
	}
	listed := map[end]bool{}
	for _, s := range topo.Sessions() {
		listed[end{s.LocalAddr, s.RemoteAddr}] = true
	}
	total := 0
	for _, n := range topo.Nodes {
		for _, s := range topo.SessionsOf(n) {
			total++
			there, back := listed[end{s.LocalAddr, s.RemoteAddr}], listed[end{s.RemoteAddr, s.LocalAddr}]
			if there == back || s.Local.Node != n || s.Local.Addr(s.Family) != s.LocalAddr || s.Remote.Addr(s.Family) != s.RemoteAddr {
				t.Errorf("%s to %s: listed %v, its other end %v", s.LocalAddr, s.RemoteAddr, there, back)
			}
		}
	}
	if total != 2*len(listed) || total == 0 {
		t.Errorf("%d ends of %d sessions", total, len(listed))
	}
}
