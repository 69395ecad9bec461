package kind

import (
	"gwlab/topologies"
)

// planExec treats a node with an AS number as a router whose speaker is among
// its commands.
func planExec(_ *topologies.Topology, n *topologies.Node, _ Binaries) (Spec, error) {
	if n.Speaks() {
		return Spec{Sysctls: forwarding(n)}, nil
	}
	return Spec{Sysctls: quiet(), StaticRoutes: defaultRoutes(n)}, nil
}
