package gateway

import (
	"net/http"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"gwlab/gateway/bfd"
	"gwlab/gateway/bgp"
)

// metricsHandler serves a registry of its own: nothing that a library
// registers by itself gets in.
func metricsHandler(m *meter, status func() Status) http.Handler {
	reg := prometheus.NewRegistry()
	reg.MustRegister(m.repairs, m.took, &sampler{status: status, counted: m.counted},
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return promhttp.HandlerFor(reg, promhttp.HandlerOpts{MaxRequestsInFlight: 2})
}

// sampler turns a status into samples at each scrape.
type sampler struct {
	status  func() Status
	counted func() counts
}

// Describe sends nothing: which samples there are depends on the sessions.
func (*sampler) Describe(chan<- *prometheus.Desc) {}

// Collect samples the daemon once.
func (s *sampler) Collect(out chan<- prometheus.Metric) {
	status, x := s.status(), samples(out)
	x.daemon(status)
	for _, b := range status.BFD {
		x.bfd(b)
	}
	for _, p := range status.Peers {
		x.bgp(p)
	}
	x.fib(status.FIB, s.counted())
}

type samples chan<- prometheus.Metric

// labels are names and values in turn.
type labels []string

func (x samples) send(typ prometheus.ValueType, name, help string, value float64, l labels) {
	names, values := make([]string, 0, len(l)/2), make([]string, 0, len(l)/2)
	for i := 0; i+1 < len(l); i += 2 {
		names, values = append(names, l[i]), append(values, l[i+1])
	}
	x <- prometheus.MustNewConstMetric(prometheus.NewDesc("gatewayd_"+name, help, names, nil), typ, value, values...)
}

func (x samples) gauge(name, help string, value float64, l ...string) {
	x.send(prometheus.GaugeValue, name, help, value, l)
}

func (x samples) counter(name, help string, value uint64, l ...string) {
	x.send(prometheus.CounterValue, name, help, float64(value), l)
}

func (x samples) daemon(s Status) {
	x.gauge("info", "Always 1; the version is its label.", 1, "version", s.Version)
	x.gauge("ready", "1 when every neighbor, BFD session and the FIB is as configured.", one(s.Ready))
	x.gauge("draining", "1 during a graceful stop.", one(s.Draining))
	x.gauge("real_time", "1 when the BFD thread runs under SCHED_FIFO.", one(s.RealTime))
	x.gauge("config_rejected", "1 when the last reload was rejected.", one(s.ConfigError != ""))
}

func (x samples) bfd(s bfd.Status) {
	id := func(more ...string) []string {
		return append([]string{"interface", s.Key.Interface, "peer", s.Key.Peer.String()}, more...)
	}
	x.gauge("bfd_session_up", "1 when the session is Up.", one(s.State == bfd.Up.String()), id()...)
	x.gauge("bfd_session_state", "1 for the state the session is in.", 1, id("state", s.State)...)
	x.counter("bfd_session_transitions_total", "State changes of the session.", s.Transitions, id()...)
	const packets, help = "bfd_packets_total", "Control packets of the session."
	x.counter(packets, help, s.Tx, id("direction", "sent")...)
	x.counter(packets, help, s.Rx, id("direction", "received")...)
	x.counter(packets, help, s.Dropped, id("direction", "dropped")...)
	x.gauge("bfd_detect_time_seconds", "Detection time in force.", s.DetectTime.Seconds(), id()...)
	x.gauge("bfd_worst_tx_lateness_seconds", "Worst delay of a transmission against its schedule.",
		s.WorstTxLateness.Seconds(), id()...)
}

func (x samples) bgp(p bgp.PeerStatus) {
	id := func(more ...string) []string {
		asn := strconv.FormatUint(uint64(p.ASN), 10)
		return append([]string{"peer", p.Address.String(), "name", p.Name, "asn", asn}, more...)
	}
	x.gauge("bgp_peer_up", "1 when the session is Established.", one(p.State == established), id()...)
	x.gauge("bgp_peer_state", "1 for the state the session is in.", 1, id("state", p.State)...)
	const prefixes, help = "bgp_peer_prefixes", "Prefixes accepted from and advertised to the peer."
	x.gauge(prefixes, help, float64(p.Received), id("direction", "received")...)
	x.gauge(prefixes, help, float64(p.Advertised), id("direction", "advertised")...)
	x.counter("bgp_peer_established_total", "Times the session was Established.", p.Established, id()...)
}

func (x samples) fib(f FIBStatus, c counts) {
	x.gauge("fib_routes", "Routes wanted in the kernel.", float64(f.Routes))
	x.gauge("fib_programmed", "1 when nothing waits to be written.", one(f.Programmed))
	x.counter("fib_programs_total", "Batches of routes programmed.", f.Programs)
	x.counter("fib_audit_mended_total", "Differences from the kernel that the audit put right.", f.Mended)
	x.counter("fib_swept_routes_total", "Stale routes removed after a restart.", f.Swept)
	for kind, n := range c.kinds {
		x.counter("events_total", "Events emitted.", n, "kind", kind)
	}
}

func one(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
