package gateway

import (
	"net/http"
	"runtime"
	"strconv"

	"golang.org/x/sys/unix"

	"gwlab/gateway/bfd"
	"gwlab/gateway/bgp"
)

// metricsHandler samples the daemon at each scrape.
func metricsHandler(status func() Status, counted func() counts) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		var x exposition
		s := status()
		daemonMetrics(&x, s)
		bfdMetrics(&x, s.BFD)
		bgpMetrics(&x, s.Peers)
		fibMetrics(&x, s.FIB, counted())
		processMetrics(&x)
		w.Header().Set("Content-Type", expositionType)
		_ = x.writeTo(w) // the reader went away: nobody to tell
	})
}

func daemonMetrics(x *exposition, s Status) {
	x.family("gatewayd_info", "gauge", "Always 1; the version is its label.")(1, "version", s.Version)
	x.family("gatewayd_ready", "gauge", "1 when every neighbor, BFD session and the FIB is as configured.")(one(s.Ready))
	x.family("gatewayd_draining", "gauge", "1 during a graceful stop.")(one(s.Draining))
	x.family("gatewayd_real_time", "gauge", "1 when the BFD thread runs under SCHED_FIFO.")(one(s.RealTime))
	x.family("gatewayd_config_rejected", "gauge", "1 when the last reload was rejected.")(one(s.ConfigError != ""))
}

func bfdMetrics(x *exposition, sessions []bfd.Status) {
	each := func(sample func(float64, ...string), value func(bfd.Status) float64, more ...string) {
		for _, s := range sessions {
			sample(value(s), append([]string{"interface", s.Key.Interface, "peer", s.Key.Peer.String()}, more...)...)
		}
	}
	each(x.family("gatewayd_bfd_session_up", "gauge", "1 when the session is Up."),
		func(s bfd.Status) float64 { return one(s.State == bfd.Up.String()) })
	state := x.family("gatewayd_bfd_session_state", "gauge", "1 for the state the session is in.")
	for _, s := range sessions {
		state(1, "interface", s.Key.Interface, "peer", s.Key.Peer.String(), "state", s.State)
	}
	each(x.family("gatewayd_bfd_session_transitions_total", "counter", "State changes of the session."),
		func(s bfd.Status) float64 { return float64(s.Transitions) })
	packets := x.family("gatewayd_bfd_packets_total", "counter", "Control packets of the session.")
	each(packets, func(s bfd.Status) float64 { return float64(s.Tx) }, "direction", "sent")
	each(packets, func(s bfd.Status) float64 { return float64(s.Rx) }, "direction", "received")
	each(packets, func(s bfd.Status) float64 { return float64(s.Dropped) }, "direction", "dropped")
	each(x.family("gatewayd_bfd_detect_time_seconds", "gauge", "Detection time in force."),
		func(s bfd.Status) float64 { return s.DetectTime.Seconds() })
	each(x.family("gatewayd_bfd_worst_tx_lateness_seconds", "gauge", "Worst delay of a transmission against its schedule."),
		func(s bfd.Status) float64 { return s.WorstTxLateness.Seconds() })
}

func bgpMetrics(x *exposition, peers []bgp.PeerStatus) {
	each := func(sample func(float64, ...string), value func(bgp.PeerStatus) float64, more ...string) {
		for _, p := range peers {
			sample(value(p), append(peerLabels(p), more...)...)
		}
	}
	each(x.family("gatewayd_bgp_peer_up", "gauge", "1 when the session is Established."),
		func(p bgp.PeerStatus) float64 { return one(p.State == established) })
	state := x.family("gatewayd_bgp_peer_state", "gauge", "1 for the state the session is in.")
	for _, p := range peers {
		state(1, append(peerLabels(p), "state", p.State)...)
	}
	prefixes := x.family("gatewayd_bgp_peer_prefixes", "gauge", "Prefixes accepted from and advertised to the peer.")
	each(prefixes, func(p bgp.PeerStatus) float64 { return float64(p.Received) }, "direction", "received")
	each(prefixes, func(p bgp.PeerStatus) float64 { return float64(p.Advertised) }, "direction", "advertised")
	each(x.family("gatewayd_bgp_peer_established_total", "counter", "Times the session was Established."),
		func(p bgp.PeerStatus) float64 { return float64(p.Established) })
}

func peerLabels(p bgp.PeerStatus) []string {
	return []string{"peer", p.Address.String(), "name", p.Name, "asn", strconv.FormatUint(uint64(p.ASN), 10)}
}

func fibMetrics(x *exposition, fib FIBStatus, c counts) {
	x.family("gatewayd_fib_routes", "gauge", "Routes wanted in the kernel.")(float64(fib.Routes))
	x.family("gatewayd_fib_programmed", "gauge", "1 when nothing waits to be written.")(one(fib.Programmed))
	x.family("gatewayd_fib_programs_total", "counter", "Batches of routes programmed.")(float64(fib.Programs))
	x.family("gatewayd_fib_audit_mended_total", "counter", "Differences from the kernel that the audit put right.")(float64(fib.Mended))
	x.family("gatewayd_fib_swept_routes_total", "counter", "Stale routes removed after a restart.")(float64(fib.Swept))
	repairs := x.family("gatewayd_fib_repairs_total", "counter", "Repairs of nexthop groups, by what caused them.")
	for _, cause := range sortedKeys(c.causes) {
		repairs(float64(c.causes[cause]), "cause", cause)
	}
	x.histogram("gatewayd_fib_repair_duration_seconds", "How long the kernel took for one repair.", c.took)
	events := x.family("gatewayd_events_total", "counter", "Events emitted.")
	for _, kind := range sortedKeys(c.kinds) {
		events(float64(c.kinds[kind]), "kind", kind)
	}
}

func processMetrics(x *exposition) {
	x.family("go_goroutines", "gauge", "Goroutines that exist.")(float64(runtime.NumGoroutine()))
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	x.family("go_memstats_heap_alloc_bytes", "gauge", "Bytes of the live heap.")(float64(mem.HeapAlloc))
	var use unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &use) == nil {
		cpu := use.Utime.Nano() + use.Stime.Nano()
		x.family("process_cpu_seconds_total", "counter", "Processor time used.")(float64(cpu) / 1e9)
	}
}
