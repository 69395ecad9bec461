package topologies

import (
	"net/netip"
	"time"
)

// Endpoint names one end of a link, written "node:port" everywhere.
type Endpoint string

// Topology is a validated network with every address, AS number and BGP
// session decided. It has no handle on anything that runs.
type Topology struct {
	Name  string
	About string
	Nodes []*Node // in file order
	Links []*Link // in file order
	// Source is the YAML text it was parsed from; runs store it.
	Source []byte
}

// Node is one machine of the network.
type Node struct {
	Name string
	Kind string // "host", "gateway", "router", "frr", "bird", "bridge", "exec"
	Role string // "gateway", "isp", "core", "tor", or "" for a speaker without policy
	// ASN is 0 for a node that speaks no BGP.
	ASN      uint32
	RouterID netip.Addr
	// Originate are the prefixes this node announces as its own.
	Originate []netip.Prefix
	Feed      Feed
	BFD       BFD
	BGP       BGP
	// Neighbors are per-port BGP overrides, by local port name.
	Neighbors map[string]Policy
	// Processes run in the node beside what its kind starts; for kind "exec"
	// they are all that runs.
	Processes []Process
	Env       map[string]string
	Ports     []*Port // in link order
	Line      int     // in Source, from 1
}

// Port is a node's interface on a link.
type Port struct {
	Node *Node
	Name string
	// Index is the interface index, unique over the whole lab and different
	// from the index of every other end: the kernel delays the carrier event
	// of a veth whose two ends share one (net/core/link_watch.c,
	// linkwatch_urgent_event).
	Index int
	// Addresses hold at most one IPv4 and one IPv6 prefix, host bits set.
	Addresses []netip.Prefix
	// DefaultVia are the routers a host sends everything to, one a family.
	DefaultVia []netip.Addr
	Link       *Link
}

// Link joins two ports.
type Link struct {
	A, B *Port
	Type string // "cable" (default) or "veth"
	MTU  int    // 0 means the kernel's default, 1500
	// Index is the link's place in Topology.Links; the cable's own
	// interfaces derive their indexes from it.
	Index int
	Line  int
}

// Feed is how many synthetic prefixes a speaker originates beside its own:
// a full table's stand-in. Two speakers with equal feeds announce the same prefixes.
type Feed struct{ IPv4, IPv6 int }

// BFD are the timers of every BFD session of a node (RFC 5880 §6.8.1).
type BFD struct {
	Off        bool
	Interval   time.Duration // both DesiredMinTx and RequiredMinRx; 10 ms … 60 s; default 50 ms
	Multiplier int           // 1 … 255; default 3
}

// BGP are the settings of every BGP session of a node.
type BGP struct {
	HoldTime        time.Duration // 0, or 3 s … 65535 s (RFC 4271 §4.2); default 9 s
	GracefulRestart bool          // RFC 4724; default true
	Multipath       int           // 1 … 64; default 8
	Password        string        // RFC 2385 TCP MD5
	TTLSecurity     bool          // RFC 5082
}

// Policy overrides what role and defaults decide for one BGP neighbour.
type Policy struct {
	LocalPref   uint32         // 0: unchanged
	Prepend     int            // own AS added this many extra times on export
	Import      []netip.Prefix // accept only these and what they cover; nil: all
	Export      []netip.Prefix // announce only these and what they cover; nil: by role
	MaxPrefixes int            // 0: unlimited
}

// Process is a command run inside a node.
type Process struct {
	Name    string
	Command []string
	// Restart "always" or "never" (default).
	Restart string
}

// Session is one BGP adjacency, seen from Local.
type Session struct {
	Local, Remote         *Port
	LocalAddr, RemoteAddr netip.Addr
	Family                string // "ipv4" or "ipv6"
}

// Other returns the port at the far end of p's link.
func (p *Port) Other() *Port {
	if p.Link.A == p {
		return p.Link.B
	}
	return p.Link.A
}

// Endpoint returns "node:port".
func (p *Port) Endpoint() Endpoint { return Endpoint(p.Node.Name + ":" + p.Name) }

// Addr returns the port's address of a family ("ipv4" or "ipv6"); the zero
// Addr when it has none.
func (p *Port) Addr(family string) netip.Addr {
	for _, a := range p.Addresses {
		if a.Addr().Is4() == (family == "ipv4") {
			return a.Addr()
		}
	}
	return netip.Addr{}
}

// String returns "a:port -- b:port".
func (l *Link) String() string {
	return string(l.A.Endpoint()) + " -- " + string(l.B.Endpoint())
}

// Node returns the node of that name, nil when there is none.
func (t *Topology) Node(name string) *Node {
	for _, n := range t.Nodes {
		if n.Name == name {
			return n
		}
	}
	return nil
}

// Port returns the port an endpoint names, nil when there is none.
func (t *Topology) Port(e Endpoint) *Port {
	for _, n := range t.Nodes {
		for _, p := range n.Ports {
			if p.Endpoint() == e {
				return p
			}
		}
	}
	return nil
}

// Speaks reports whether the node runs BGP.
func (n *Node) Speaks() bool { return n.ASN != 0 }

// Forwards reports whether the node routes packets between its ports.
func (n *Node) Forwards() bool { return n.Kind != "host" && n.Kind != "bridge" && n.Kind != "exec" }
