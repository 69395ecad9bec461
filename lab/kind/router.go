package kind

import (
	"gwlab/topologies"
)

// planRouter differs from a gateway in its role, which the topology has
// settled already, and is never the build under test.
func planRouter(t *topologies.Topology, n *topologies.Node, b Binaries) (Spec, error) {
	return planGatewayd(t, n, b.Gatewayd)
}
