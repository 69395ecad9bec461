package gateway

import (
	"fmt"
	"net/netip"
	"time"

	"gwlab/gateway/bfd"
	"gwlab/gateway/bgp"
	"gwlab/gateway/config"
)

// Status is the answer of GET /v1/status.
type Status struct {
	Version  string     `json:"version"`
	PID      int        `json:"pid"`
	Start    int64      `json:"start_ns"` // CLOCK_MONOTONIC
	Now      int64      `json:"now_ns"`   // CLOCK_MONOTONIC
	ASN      uint32     `json:"asn"`
	RouterID netip.Addr `json:"router_id"`
	// RealTime tells whether the BFD thread runs under SCHED_FIFO.
	RealTime bool `json:"real_time"`
	// Ready: every neighbor Established and synced, every BFD session Up, the
	// FIB programmed. Pending says what is missing, one line each.
	Ready    bool     `json:"ready"`
	Pending  []string `json:"pending"`
	Draining bool     `json:"draining"`
	// ConfigError is why the last reload was rejected; empty when it was not.
	ConfigError string           `json:"config_error,omitempty"`
	Peers       []bgp.PeerStatus `json:"peers"`
	BFD         []bfd.Status     `json:"bfd"`
	FIB         FIBStatus        `json:"fib"`
}

// FIBStatus sums up what was done to the kernel's routes.
type FIBStatus struct {
	// Programmed: nothing that BGP decided waits to be written.
	Programmed bool   `json:"programmed"`
	Routes     int    `json:"routes"`
	Programs   uint64 `json:"programs"`
	Repairs    uint64 `json:"repairs"`
	// LastRepair is how long the last repair took in the kernel.
	LastRepair time.Duration `json:"last_repair_ns"`
	Mended     uint64        `json:"mended"` // differences the audit put right
	Swept      uint64        `json:"swept"`  // stale routes removed after a restart
}

// established is the state RFC 4271 §8.2.2 ends in.
const established = "Established"

// pending lists what stands between this state and readiness. synced are the
// peers whose End-of-RIB has reached the agent.
func pending(cfg config.Config, peers []bgp.PeerStatus, synced map[string]bool, sessions []bfd.Status, fib FIBStatus) []string {
	out := []string{}
	byAddress := make(map[netip.Addr]bgp.PeerStatus, len(peers))
	for _, p := range peers {
		byAddress[p.Address] = p
	}
	type link struct {
		iface string
		peer  netip.Addr
	}
	states := make(map[link]string, len(sessions))
	for _, s := range sessions {
		states[link{s.Key.Interface, s.Key.Peer}] = s.State
	}
	for _, n := range cfg.Neighbors {
		switch p, known := byAddress[n.Address]; {
		case !known:
			out = append(out, fmt.Sprintf("bgp %s: not started", n.Name))
		case p.State != established:
			out = append(out, fmt.Sprintf("bgp %s: %s", n.Name, p.State))
		case !p.Synced || !synced[n.Address.String()]:
			out = append(out, fmt.Sprintf("bgp %s: no End-of-RIB yet", n.Name))
		}
		if n.BFD.Off {
			continue
		}
		switch state, known := states[link{n.Interface, n.Address}]; {
		case !known:
			out = append(out, fmt.Sprintf("bfd %s: not started", n.Name))
		case state != bfd.Up.String():
			out = append(out, fmt.Sprintf("bfd %s: %s", n.Name, state))
		}
	}
	if !fib.Programmed {
		out = append(out, "fib: routes wait to be programmed")
	}
	return out
}
