package kind

import (
	"fmt"
	"hash/fnv"

	"gwlab/topologies"
)

// onAll sets a key for the interfaces there are and those to come.
func onAll(family, key, value string) []Sysctl {
	return []Sysctl{
		{Key: "net." + family + ".conf.all." + key, Value: value},
		{Key: "net." + family + ".conf.default." + key, Value: value},
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
		Sysctl{Key: "net.ipv4.fib_multipath_hash_policy", Value: "1"},
		Sysctl{Key: "net.ipv6.fib_multipath_hash_policy", Value: "1"},
	)
}

// forwarding are the settings of every router, those that FRR's and BIRD's
// documentation ask for included: a next hop without carrier is not used.
//
// Each router hashes flows with a seed of its own, as machines of their own
// would: with one seed for the whole kernel, the flows that a first router
// sends one way are just those that the next one sends the same way, and half
// of the paths carry nothing. Kernels before 6.11 have one seed.
func forwarding(n *topologies.Node) []Sysctl {
	seed := fnv.New32a()
	seed.Write([]byte(n.Name))
	out := append(quiet(),
		Sysctl{Key: "net.ipv4.ip_forward", Value: "1"},
		Sysctl{Key: "net.ipv4.fib_multipath_hash_seed", Value: fmt.Sprint(seed.Sum32() | 1), Optional: true},
	)
	out = append(out, onAll("ipv6", "forwarding", "1")...)
	out = append(out, onAll("ipv4", "ignore_routes_with_linkdown", "1")...)
	out = append(out, onAll("ipv6", "ignore_routes_with_linkdown", "1")...)
	out = append(out, onAll("ipv4", "send_redirects", "0")...)
	return out
}

// mute are the settings of a node that must not send a frame of its own.
func mute() []Sysctl { return onAll("ipv6", "disable_ipv6", "1") }
