package kind

import (
	"gwlab/topologies"
)

// planRouter differs from a gateway in its role alone, which the topology
// has settled already.
func planRouter(t *topologies.Topology, n *topologies.Node, b Binaries) (Spec, error) {
	return planGateway(t, n, b)
}
