package bfd

import (
	"context"
	"net/netip"
	"time"
)

// Key names a session: single hop, one per interface, family and peer (RFC 5881 §3).
type Key struct {
	Interface string
	Local     netip.Addr
	Peer      netip.Addr
}

// Params are what the operator asks of a session.
type Params struct {
	// Interval is bfd.DesiredMinTxInterval and bfd.RequiredMinRxInterval:
	// 1 ms to 1 h, values outside are clipped; 0 means 50 ms.
	Interval time.Duration
	// Multiplier is bfd.DetectMult: 1 to 255; 0 means 3.
	Multiplier uint8
}

// Change is one session state transition as the clients see it, or the news
// that the peer of a session in Down has gone AdminDown: then Old is Down too.
type Change struct {
	Key         Key
	State       State // Up, or Down / AdminDown / Init
	Old         State
	Diag        Diag
	RemoteState State
	// RemoteIndependent is the C bit last received: the peer's BFD survives
	// a restart of its control plane (RFC 5882 §4.3).
	RemoteIndependent bool
	At                int64         // CLOCK_MONOTONIC, ns
	LastRx            int64         // of the last packet accepted, ns; 0 for none
	DetectTime        time.Duration // in force when it happened
}

// Status is a session as the operator sees it.
type Status struct {
	Key                 Key           `json:"key"`
	State               string        `json:"state"`
	Diag                string        `json:"diag"`
	RemoteState         string        `json:"remote_state"`
	TxInterval          time.Duration `json:"tx_interval_ns"`
	RxInterval          time.Duration `json:"rx_interval_ns"`
	DetectTime          time.Duration `json:"detect_time_ns"`
	Tx, Rx, Dropped     uint64
	TxErrors            uint64 // packets the kernel would not send: no interface, no carrier, no address
	LocalDisc, PeerDisc uint32
	Transitions         uint64
	// WorstTxLateness is the longest a packet waited for the packet thread to
	// run: of this process, or of the machine.
	WorstTxLateness time.Duration `json:"worst_tx_lateness_ns"`
}

// Service runs every session of this network namespace on one real-time
// thread; Engine is the one that does. Its methods may be called from any goroutine while Run runs.
type Service interface {
	// Set makes the sessions exactly these: new ones start, missing ones go
	// AdminDown and away, changed timers are renegotiated by Poll (RFC 5880 §6.8.3).
	Set(map[Key]Params)
	// Run works until ctx ends, then sends AdminDown once on every session.
	Run(ctx context.Context) error
	// Status describes every session; nil while Run does not run.
	Status() []Status
}
