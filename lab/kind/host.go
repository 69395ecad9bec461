package kind

import (
	"gwlab/topologies"
)

func planHost(_ *topologies.Topology, n *topologies.Node, _ Binaries) (Spec, error) {
	return Spec{Sysctls: quiet(), StaticRoutes: defaultRoutes(n)}, nil
}

// defaultRoutes sends everything to the routers of all the node's ports.
func defaultRoutes(n *topologies.Node) []Route {
	var out []Route
	for _, family := range topologies.Families() {
		r := Route{Prefix: topologies.DefaultRoute(family)}
		for _, p := range n.Ports {
			for _, via := range p.DefaultVia {
				if via.Is4() == r.Prefix.Addr().Is4() {
					r.Via = append(r.Via, NextHop{via, p.Name})
				}
			}
		}
		if len(r.Via) > 0 {
			out = append(out, r)
		}
	}
	return out
}
