package kind

import (
	"fmt"
	"net/netip"
	"time"

	"gwlab/gateway/config"
	"gwlab/topologies"
)

// Config is what the operator of a speaking node would write for it: its
// neighbours from the links, their filters from the roles, its networks from
// what it originates.
func Config(t *topologies.Topology, n *topologies.Node) (config.Config, error) {
	if !n.Speaks() {
		return config.Config{}, fmt.Errorf("configure %s: it speaks no BGP", n.Name)
	}
	c := config.Default()
	c.ASN, c.RouterID = n.ASN, n.RouterID
	c.Socket, c.StateDir = gatewaydSocket, gatewaydState
	c.BFD = config.BFD{Off: n.BFD.Off, Interval: n.BFD.Interval, Multiplier: n.BFD.Multiplier}
	c.BGP.HoldTime, c.BGP.Keepalive = n.BGP.HoldTime, n.BGP.HoldTime/3
	c.BGP.Multipath = n.BGP.Multipath
	c.BGP.GracefulRestart.Off = !n.BGP.GracefulRestart
	c.Networks = networks(n)
	taken := map[string]bool{}
	for _, s := range t.SessionsOf(n) {
		c.Neighbors = append(c.Neighbors, neighbor(t, s, taken))
	}
	return c, nil
}

// networks are what the node originates, in the order written, the default
// routes of a provider, then its feed.
func networks(n *topologies.Node) []config.Network {
	var out []config.Network
	written := map[netip.Prefix]bool{}
	for _, p := range n.Originate {
		out = append(out, config.Network{Prefix: p})
		written[p] = true
	}
	counts := map[string]int{"ipv4": n.Feed.IPv4, "ipv6": n.Feed.IPv6}
	for _, family := range topologies.Families() {
		if p := topologies.DefaultRoute(family); n.Provider() && !written[p] {
			out = append(out, config.Network{Prefix: p})
		}
	}
	for _, family := range topologies.Families() {
		if counts[family] > 0 {
			from, bits := topologies.FeedRange(family)
			out = append(out, config.Network{Prefix: from, Length: bits, Count: counts[family]})
		}
	}
	return out
}

// neighbor is a session as the local node configures it. Its name is the
// neighbour's and the family, "isp1/ipv4"; a second link to the same
// neighbour adds the local port.
func neighbor(t *topologies.Topology, s topologies.Session, taken map[string]bool) config.Neighbor {
	policy := s.Policy()
	name := s.Remote.Node.Name + "/" + s.Family
	if taken[name] {
		name += "/" + s.Local.Name
	}
	taken[name] = true
	n := config.Neighbor{
		Name: name, Address: s.RemoteAddr, LocalAddress: s.LocalAddr, Interface: s.Local.Name,
		ASN: s.Remote.Node.ASN, Password: s.Password(), TTLSecurity: s.TTLSecurity(),
		NextHopSelf: s.Internal(), MaxPrefixes: policy.MaxPrefixes,
		Import: config.Filter{LocalPref: policy.LocalPref},
		Export: config.Filter{Prepend: policy.Prepend},
	}
	if own := s.Local.Node.BFD; s.BFD() {
		n.BFD = config.BFD{Interval: own.Interval, Multiplier: own.Multiplier}
	} else {
		n.BFD = config.BFD{Off: true, Interval: own.Interval, Multiplier: own.Multiplier}
	}
	if policy.Import != nil {
		n.Import.Prefixes = covered(policy.Import, s.Family)
	}
	if policy.Export != nil {
		n.Export.Prefixes = covered(policy.Export, s.Family)
	} else if prefixes, all := t.Export(s); !all {
		n.Export.Prefixes = make([]config.PrefixRule, 0, len(prefixes))
		for _, p := range prefixes {
			n.Export.Prefixes = append(n.Export.Prefixes, config.PrefixRule{Prefix: p})
		}
	}
	return n
}

// covered are rules for the prefixes of a family and all they cover. No
// prefix of the family means no rule, which accepts nothing.
func covered(prefixes []netip.Prefix, family string) []config.PrefixRule {
	out := []config.PrefixRule{}
	for _, p := range prefixes {
		if p.Addr().Is4() == (family == "ipv4") {
			out = append(out, config.PrefixRule{Prefix: p, Le: p.Addr().BitLen()})
		}
	}
	return out
}

// expand lists the prefixes a network originates.
func expand(n config.Network) []netip.Prefix {
	if n.Count == 0 {
		return []netip.Prefix{n.Prefix}
	}
	return topologies.Cut(n.Prefix, n.Length, n.Count)
}

// bounds are the prefix lengths a rule matches.
func bounds(r config.PrefixRule) (ge, le int) {
	ge = max(r.Ge, r.Prefix.Bits())
	return ge, max(ge, r.Le)
}

func familyName(a netip.Addr) string {
	if a.Is4() {
		return "ipv4"
	}
	return "ipv6"
}

// seconds rounds up to whole seconds, at least one: all that FRR and BIRD take.
func seconds(d time.Duration) int { return max(1, int((d+time.Second-1)/time.Second)) }
