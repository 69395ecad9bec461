package kind

// onAll sets a key for the interfaces there are and those to come.
func onAll(family, key, value string) []Sysctl {
	return []Sysctl{
		{"net." + family + ".conf.all." + key, value},
		{"net." + family + ".conf.default." + key, value},
	}
}

// quiet are the settings of every node with addresses: they come and stay as
// the topology says, at once, whatever the network sends.
func quiet() []Sysctl {
	var out []Sysctl
	out = append(out, onAll("ipv6", "disable_ipv6", "0")...)
	out = append(out, onAll("ipv6", "accept_dad", "0")...)
	out = append(out, onAll("ipv6", "accept_ra", "0")...)
	out = append(out, onAll("ipv6", "autoconf", "0")...)
	out = append(out, onAll("ipv6", "keep_addr_on_down", "1")...)
	out = append(out, onAll("ipv4", "rp_filter", "0")...)
	return append(out,
		Sysctl{"net.ipv4.fib_multipath_hash_policy", "1"},
		Sysctl{"net.ipv6.fib_multipath_hash_policy", "1"},
	)
}

// forwarding are the settings of every router, those that FRR's and BIRD's
// documentation ask for included: a next hop without carrier is not used.
func forwarding() []Sysctl {
	out := append(quiet(), Sysctl{"net.ipv4.ip_forward", "1"})
	out = append(out, onAll("ipv6", "forwarding", "1")...)
	out = append(out, onAll("ipv4", "ignore_routes_with_linkdown", "1")...)
	out = append(out, onAll("ipv6", "ignore_routes_with_linkdown", "1")...)
	out = append(out, onAll("ipv4", "send_redirects", "0")...)
	return out
}

// mute are the settings of a node that must not send a frame of its own.
func mute() []Sysctl { return onAll("ipv6", "disable_ipv6", "1") }
