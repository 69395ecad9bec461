package kind

import (
	"gwlab/topologies"
)

func planBridge(*topologies.Topology, *topologies.Node, Binaries) (Spec, error) {
	return Spec{Sysctls: mute(), Bridge: true}, nil
}
