package config

import "time"

// Default returns every setting that has a default. A Config made in code
// starts here; ASN and RouterID are for the caller to set. Keepalive stays
// zero: Parse makes it a third of HoldTime.
func Default() Config {
	return Config{
		Socket:        "/run/gatewayd/gatewayd.sock",
		StateDir:      "/var/lib/gatewayd",
		BFD:           BFD{Interval: 50 * time.Millisecond, Multiplier: 3},
		Drain:         time.Second,
		Table:         254,
		MultipathHash: "l4",
		BGP: BGP{
			Port:         179,
			HoldTime:     9 * time.Second,
			ConnectRetry: 500 * time.Millisecond,
			Multipath:    8,
			GracefulRestart: GracefulRestart{
				RestartTime:       30 * time.Second,
				SelectionDeferral: 30 * time.Second,
			},
		},
	}
}
