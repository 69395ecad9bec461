package topologies

import (
	"fmt"
	"net/netip"
)

// Line returns n hosts in a row, each linked to the next: the raw cost of
// namespaces and links, with nothing running. n is 2 … 4001.
func Line(n int, linkType string) *Topology {
	t := &Topology{Name: fmt.Sprintf("line-%d", n), About: "Hosts in a row."}
	for i := range n {
		t.Nodes = append(t.Nodes, &Node{Name: fmt.Sprintf("n%d", i+1), Kind: "host"})
	}
	v4, v6 := pool{prefix: linkPool("ipv4")}, pool{prefix: linkPool("ipv6")}
	for i := range n - 1 {
		l := &Link{Type: linkType, Index: i}
		l.A = &Port{Node: t.Nodes[i], Name: "right", Index: PortIndex(i, 0), Link: l}
		l.B = &Port{Node: t.Nodes[i+1], Name: "left", Index: PortIndex(i, 1), Link: l}
		for _, subnet := range []netip.Prefix{v4.mustCut(31), v6.mustCut(127)} {
			l.A.Addresses = append(l.A.Addresses, subnet)
			l.B.Addresses = append(l.B.Addresses, netip.PrefixFrom(subnet.Addr().Next(), subnet.Bits()))
		}
		l.A.Node.Ports, l.B.Node.Ports = append(l.A.Node.Ports, l.A), append(l.B.Node.Ports, l.B)
		t.Links = append(t.Links, l)
	}
	return t
}
