package lab

import (
	"net/netip"
	"time"

	"gwlab/fault"
	"gwlab/lab/kind"
	"gwlab/lab/proc"
	"gwlab/topologies"
)

// UpOptions say which lab to bring up.
type UpOptions struct {
	Topology *topologies.Topology
	// Name of the lab; default the topology's.
	Name     string
	Binaries kind.Binaries
	// Owned ties the lab's life to this process: it goes when the returned
	// Lab is closed or the process dies, until Release.
	Owned bool
	// WaitReady waits for every session of every node.
	WaitReady bool
	// Timeout of the whole; default 60 s.
	Timeout time.Duration
}

// Progress is a step of a build or a teardown.
type Progress struct {
	Stage string `json:"stage"` // "namespaces", "links", "nodes", "ready", "stop", "remove"
	Done  int    `json:"done"`
	Total int    `json:"total"`
	Text  string `json:"text"`
}

// State of a lab.
type State string

const (
	Building State = "building"
	Running  State = "up"
	Stopping State = "stopping"
	Dead     State = "dead"    // its supervisor is gone; down or sweep removes the rest
	Unknown  State = "unknown" // this user may not ask its supervisor: only root may
)

// Info is a lab in a list.
type Info struct {
	Name     string    `json:"name"`
	State    State     `json:"state"`
	Pid      int       `json:"pid"` // of the supervisor
	Nodes    int       `json:"nodes"`
	Since    time.Time `json:"since,omitzero"` // zero when the supervisor does not say
	Topology string    `json:"topology"`
	Owned    bool      `json:"owned"` // goes with the run that made it
}

// Status is everything about a running lab.
type Status struct {
	Info
	Ready      bool         `json:"ready"`
	Pending    []string     `json:"pending,omitempty"` // what Ready waits for
	NodeStatus []NodeStatus `json:"node_status"`
	Links      []LinkStatus `json:"links"`
}

// NodeStatus is one node.
type NodeStatus struct {
	Name      string          `json:"name"`
	Kind      string          `json:"kind"`
	Role      string          `json:"role,omitempty"`
	ASN       uint32          `json:"asn,omitempty"`
	RouterID  netip.Addr      `json:"router_id,omitzero"`
	Namespace string          `json:"namespace"`
	Powered   bool            `json:"powered"`
	InitPid   int             `json:"init_pid,omitempty"`
	Ports     []PortStatus    `json:"ports"`
	Processes []proc.Status   `json:"processes,omitempty"`
	Sessions  []SessionStatus `json:"sessions,omitempty"`
}

// PortStatus is a node's interface.
type PortStatus struct {
	Name      string         `json:"name"`
	Addresses []netip.Prefix `json:"addresses"`
	Peer      string         `json:"peer"` // "node:port"
	Carrier   bool           `json:"carrier"`
}

// SessionStatus is a BGP or BFD session as the node's daemon tells it.
type SessionStatus struct {
	Protocol string `json:"protocol"` // "bgp" or "bfd"
	Peer     string `json:"peer"`
	Name     string `json:"name,omitempty"`
	State    string `json:"state"`
	Up       bool   `json:"up"`
	Prefixes int    `json:"prefixes,omitempty"` // received, of BGP
}

// LinkStatus is a link.
type LinkStatus struct {
	A     topologies.Endpoint `json:"a"`
	B     topologies.Endpoint `json:"b"`
	Type  string              `json:"type"`
	State fault.CableState    `json:"state"` // of a cable
	AtoB  fault.Counters      `json:"a_to_b"`
	BtoA  fault.Counters      `json:"b_to_a"`
}

// readiness is the answer to the question whether every session is up.
type readiness struct {
	Ready   bool     `json:"ready"`
	Pending []string `json:"pending,omitempty"`
}

// leaseLine is what the supervisor tells its starter: the build's progress,
// then its end.
type leaseLine struct {
	Progress *Progress `json:"progress,omitempty"`
	Built    bool      `json:"built,omitempty"`
	Error    string    `json:"error,omitempty"`
}

// downLine is a line of the answer to /v1/down.
type downLine struct {
	Progress *Progress `json:"progress,omitempty"`
	Gone     bool      `json:"gone,omitempty"`
	Error    string    `json:"error,omitempty"`
}

// description is what a client needs to know of a lab before it uses it.
type description struct {
	Info
	Topology []byte `json:"topology_file"`
}

// Requests of the verbs.
type (
	cableRequest struct {
		Link  topologies.Endpoint `json:"link"`
		State fault.CableState    `json:"state"`
	}
	portRequest struct {
		Port topologies.Endpoint `json:"port"`
		Up   bool                `json:"up"`
	}
	powerRequest struct {
		Node   string `json:"node"`
		Silent bool   `json:"silent"`
	}
	processRequest struct {
		Node    string `json:"node"`
		Process string `json:"process"`
		Signal  string `json:"signal"`
	}
	bothCounters struct {
		AtoB fault.Counters `json:"a_to_b"`
		BtoA fault.Counters `json:"b_to_a"`
	}
	carrierAnswer struct {
		Carrier bool `json:"carrier"`
	}
	pidAnswer struct {
		Pid int `json:"pid"`
	}
)
