package gateway

import (
	"bufio"
	"encoding/json"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gwlab/gateway/bfd"
	"gwlab/gateway/bgp"
	"gwlab/gateway/event"
)

func TestStatusPage(t *testing.T) {
	cfg := testConfig(t)
	r := startFake(t, cfg, Deps{Version: "v1"})
	c := Dial(cfg.Socket)
	s, err := c.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if s.Ready || s.Version != "v1" || s.PID == 0 || s.Start == 0 || s.Now <= s.Start || !s.RealTime {
		t.Errorf("got %+v", s)
	}
	if diff := cmp.Diff([]string{"bgp isp1: not started", "bfd isp1: not started"}, s.Pending); diff != "" {
		t.Error(diff)
	}
	r.mu.Lock()
	r.peers = []bgp.PeerStatus{{Name: "isp1", Address: netip.MustParseAddr("192.0.2.1"), State: "Established", Synced: true}}
	r.bfd = []bfd.Status{{Key: bfd.Key{Interface: "up1", Peer: netip.MustParseAddr("192.0.2.1")}, State: "up"}}
	r.mu.Unlock()
	r.d.meter.Emit(event.Event{Kind: event.BGPSynced, Key: "192.0.2.1"})
	if s, err = c.Status(t.Context()); err != nil || !s.Ready || len(s.Pending) != 0 || s.FIB.Routes != 4 {
		t.Errorf("got %+v, %v", s, err)
	}
	r.d.meter.Emit(event.Event{Kind: event.BGPDown, Key: "192.0.2.1"})
	r.d.meter.Emit(event.Event{Kind: event.BGPUp, Key: "192.0.2.1"})
	if s, err = c.Status(t.Context()); err != nil || s.Ready {
		t.Errorf("a new session owes its End-of-RIB: %+v, %v", s, err)
	}
	r.d.meter.Emit(event.Event{Kind: event.BGPSynced, Key: "192.0.2.1"})
	raw, err := c.Text(t.Context(), "/v1/status")
	if err != nil || !strings.Contains(raw, `"pending": []`) {
		t.Errorf("an empty list is a list: %s, %v", raw, err)
	}
}

func TestEventsPage(t *testing.T) {
	cfg := testConfig(t)
	r := startFake(t, cfg, Deps{})
	r.d.meter.Emit(event.Event{T: 1 << 62, Kind: event.Repair, Key: "192.0.2.1", Data: map[string]string{"cause": "bfd"}})
	c := Dial(cfg.Socket)
	var kinds []string
	each := func(e event.Event) error {
		kinds = append(kinds, e.Kind)
		return nil
	}
	if err := c.Events(t.Context(), 0, false, each); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{event.ConfigGood, event.Repair}, kinds); diff != "" {
		t.Error(diff)
	}
	kinds = nil
	if err := c.Events(t.Context(), 1<<61, false, each); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{event.Repair}, kinds); diff != "" {
		t.Error(diff)
	}
	if _, err := c.Text(t.Context(), "/v1/events?since=yesterday"); err == nil || err.Error() != `parameter since="yesterday" is not a whole number` {
		t.Errorf("got %v", err)
	}
	if _, err := c.Text(t.Context(), "/v1/events?follow=x"); err == nil {
		t.Error("follow=x must be refused")
	}
}

func TestEventsFollowUntilTheDaemonEnds(t *testing.T) {
	cfg := testConfig(t)
	r := startFake(t, cfg, Deps{})
	seen := make(chan string)
	ended := make(chan error, 1)
	go func() {
		ended <- Dial(cfg.Socket).Events(t.Context(), 0, true, func(e event.Event) error {
			seen <- e.Kind
			return nil
		})
	}()
	if got := <-seen; got != event.ConfigGood {
		t.Errorf("history first, got %s", got)
	}
	r.d.emit(event.BFDDown, nil)
	if got := <-seen; got != event.BFDDown {
		t.Errorf("got %s", got)
	}
	r.stop()
	if got := <-seen; got != event.Drain {
		t.Errorf("got %s", got)
	}
	if err := <-ended; err != nil {
		t.Errorf("the end of the daemon is the end of the stream: %v", err)
	}
	if err := r.wait(); err != nil {
		t.Error(err)
	}
}

func TestSlowReaderIsTold(t *testing.T) {
	var b strings.Builder
	if err := writeEvents(&b, []event.Event{{T: 5, Kind: event.BFDUp}}, 7); err != nil {
		t.Fatal(err)
	}
	want := `{"t_ns":5,"kind":"events.lost","data":{"events":"7"}}` + "\n" + `{"t_ns":5,"kind":"bfd.up"}` + "\n"
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Error(diff)
	}
}

func TestFIBAndRoutesPages(t *testing.T) {
	cfg := testConfig(t)
	startFake(t, cfg, Deps{})
	c := Dial(cfg.Socket)
	if got, err := c.Text(t.Context(), "/v1/fib"); err != nil || got != "desired\nkernel\n" {
		t.Errorf("got %q, %v", got, err)
	}
	text, err := c.Text(t.Context(), "/v1/routes")
	if err != nil {
		t.Fatal(err)
	}
	var got []Route
	for lines := bufio.NewScanner(strings.NewReader(text)); lines.Scan(); {
		var r Route
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			t.Fatal(err)
		}
		got = append(got, r)
	}
	want := []Route{
		{netip.MustParsePrefix("0.0.0.0/0"), []string{"192.0.2.1%up1", "192.0.2.5%up2"}, nil},
		{netip.MustParsePrefix("203.0.113.0/24"), []string{"192.0.2.1%up1"}, []string{"192.0.2.5%up2"}},
		{netip.MustParsePrefix("203.0.113.0/25"), []string{"192.0.2.5%up2"}, nil},
		{netip.MustParsePrefix("2001:db8::/32"), []string{"2001:db8::1%up1"}, nil},
	}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
		t.Error(diff)
	}
}

func TestMetricsPage(t *testing.T) {
	cfg := testConfig(t)
	r := startFake(t, cfg, Deps{Version: "v1"})
	peer := netip.MustParseAddr("192.0.2.1")
	r.mu.Lock()
	r.peers = []bgp.PeerStatus{{Name: "isp1", Address: peer, ASN: 64511, State: "Established", Received: 1000, Established: 2}}
	r.bfd = []bfd.Status{{Key: bfd.Key{Interface: "up1", Peer: peer}, State: "up", Transitions: 3, Tx: 9, Rx: 8, DetectTime: 150 * time.Millisecond}}
	r.mu.Unlock()
	r.d.meter.Emit(event.Event{Kind: event.Repair, Data: map[string]string{"cause": "bfd", "took_ns": "40000"}})
	r.d.meter.Emit(event.Event{Kind: event.Repair, Data: map[string]string{"cause": "carrier", "took_ns": "not a number"}})
	r.d.meter.Emit(event.Event{Kind: event.Mended, Data: map[string]string{"count": "1"}})
	r.d.meter.Emit(event.Event{Kind: event.Program})
	r.d.meter.Emit(event.Event{Kind: event.Swept, Data: map[string]string{"routes": "12"}})
	text, err := Dial(cfg.Socket).Text(t.Context(), "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`gatewayd_info{version="v1"} 1`,
		`gatewayd_ready 0`,
		`gatewayd_draining 0`,
		`gatewayd_bfd_session_up{interface="up1",peer="192.0.2.1"} 1`,
		`gatewayd_bfd_session_transitions_total{interface="up1",peer="192.0.2.1"} 3`,
		`gatewayd_bfd_packets_total{direction="sent",interface="up1",peer="192.0.2.1"} 9`,
		`gatewayd_bfd_packets_total{direction="received",interface="up1",peer="192.0.2.1"} 8`,
		`gatewayd_bfd_detect_time_seconds{interface="up1",peer="192.0.2.1"} 0.15`,
		`gatewayd_bgp_peer_up{asn="64511",name="isp1",peer="192.0.2.1"} 1`,
		`gatewayd_bgp_peer_state{asn="64511",name="isp1",peer="192.0.2.1",state="Established"} 1`,
		`gatewayd_bgp_peer_prefixes{asn="64511",direction="received",name="isp1",peer="192.0.2.1"} 1000`,
		`gatewayd_bgp_peer_established_total{asn="64511",name="isp1",peer="192.0.2.1"} 2`,
		`gatewayd_fib_routes 4`,
		`gatewayd_fib_repairs_total{cause="bfd"} 1`,
		`gatewayd_fib_repairs_total{cause="carrier"} 1`,
		`gatewayd_fib_repair_duration_seconds_count 1`,
		`gatewayd_fib_repair_duration_seconds_bucket{le="4e-05"} 1`,
		`gatewayd_fib_audit_mended_total 1`,
		`gatewayd_fib_swept_routes_total 12`,
		`gatewayd_fib_programs_total 1`,
		`gatewayd_events_total{kind="fib.repair"} 2`,
		`gatewayd_fib_repair_duration_seconds_bucket{le="2e-05"} 0`,
		`gatewayd_fib_repair_duration_seconds_bucket{le="+Inf"} 1`,
		`gatewayd_fib_repair_duration_seconds_sum 4e-05`,
		`go_goroutines`,
		`process_cpu_seconds_total`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("missing %s", want)
		}
	}
}

func TestOnlyWhatIsThere(t *testing.T) {
	cfg := testConfig(t)
	startFake(t, cfg, Deps{})
	c := Dial(cfg.Socket)
	if _, err := c.Text(t.Context(), "/v2/status"); err == nil {
		t.Error("an unknown page must not be found")
	}
	if _, err := c.do(t.Context(), http.MethodGet, "/v1/reload"); err == nil {
		t.Error("a reload is asked for by POST")
	}
}
