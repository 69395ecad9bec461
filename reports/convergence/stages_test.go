package convergence

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"
)

func event(at time.Duration, node, kind string, took ...time.Duration) Event {
	e := Event{T: int64(at), Source: "gatewayd", Node: node, Kind: kind}
	if len(took) > 0 {
		e.Data = map[string]string{"took_ns": strconv.FormatInt(int64(took[0]), 10)}
	}
	return e
}

// The flow is dark for packets 101..250, the fault was at 100.02 ms and the
// first good packet left at 251 ms: 150.98 ms of convergence.
func TestStages(t *testing.T) {
	const whole = 151*milli - 20*micro
	for _, c := range []struct {
		name   string
		events []Event
		want   Stages
	}{
		{"local repair", []Event{
			event(240*milli, "gw1", "bfd.down"),
			event(250*milli+500*micro, "gw1", "fib.repair", 300*micro),
			event(400*milli, "gw1", "bgp.best"), // cleans up later
		}, Stages{Detect: 140*milli - 20*micro, Decide: 10*milli + 200*micro, Program: 300 * micro, Residual: 500 * micro, By: "gw1"}},
		{"news from another node", []Event{
			event(200*milli, "gw1", "link.down"),
			event(201*milli, "gw1", "bgp.best"),
			event(230*milli, "tor", "bgp.best"),
			event(249*milli, "tor", "fib.program"),
		}, Stages{Detect: 100*milli - 20*micro, Decide: milli, Signal: 29 * milli, Program: 19 * milli, Residual: 2 * milli, By: "tor"}},
		{"only the kernel tells", []Event{
			event(101*milli, "gw1", "link.down"),
			event(250*milli+200*micro, "gw1", "nexthop.change"),
		}, Stages{Detect: milli - 20*micro, Program: 149*milli + 200*micro, Residual: 800 * micro, By: "gw1", Missing: []string{"decide"}}},
		{"the kernel tells before the repair is done", []Event{
			event(240*milli, "gw1", "bfd.down"),
			event(250*milli+300*micro, "gw1", "nexthop.change"),
			event(250*milli+500*micro, "gw1", "fib.repair", 400*micro),
		}, Stages{Detect: 140*milli - 20*micro, Decide: 10*milli + 100*micro, Program: 200 * micro, Residual: 700 * micro, By: "gw1"}},
		{"nobody tells anything", nil,
			Stages{Residual: whole, Missing: []string{"detect", "decide", "signal", "program"}}},
		{"a session lost before the fault is no detection", []Event{
			event(50*milli, "gw1", "bfd.down"),
			event(250*milli, "gw1", "fib.change"),
		}, Stages{Program: 150*milli - 20*micro, Residual: milli, By: "gw1", Missing: []string{"detect", "decide", "signal"}}},
		{"a session that comes up is no detection of a fault", []Event{event(150*milli, "gw1", "bfd.up")},
			Stages{Residual: whole, Missing: []string{"detect", "decide", "signal", "program"}}},
		{"told a little late", []Event{
			event(251*milli+100*micro, "gw1", "fib.repair", 200*micro),
			event(251*milli+50*micro, "gw1", "bfd.down"),
		}, Stages{Detect: whole, By: "gw1"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			run := failover([]dark{{101 * ms, 251 * ms}})
			run.Events = c.events
			f := phase(t, Analyze(run, Options{}), "failure").Flows[0]
			if fmt.Sprint(*f.Stages) != fmt.Sprint(c.want) {
				t.Errorf("got  %+v\nwant %+v", *f.Stages, c.want)
			}
			if f.RouteSpecific != whole {
				t.Errorf("convergence %v", f.RouteSpecific)
			}
		})
	}
}

// A heal's evidence is what comes up again.
func TestStagesOfReversion(t *testing.T) {
	run := failover([]dark{{110 * ms, 121 * ms}})
	run.Injections[0].Heal = true
	run.Events = []Event{event(105*milli, "gw1", "bgp.down"), event(110*milli, "gw1", "bgp.up"), event(120*milli, "gw1", "fib.program")}
	s := phase(t, Analyze(run, Options{}), "failure").Flows[0].Stages
	if s.Detect != 10*milli-20*micro || s.Program != 10*milli || s.Residual != milli || !slices.Equal(s.Missing, []string{"decide"}) {
		t.Errorf("%+v", s)
	}
}

// Whatever happened when, no stage is negative and they sum to the whole.
func TestStagesSum(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	kinds := []string{"link.down", "bfd.down", "bgp.down", "bgp.best", "fib.repair", "fib.program", "nexthop.change", "bfd.up"}
	for range 3000 {
		from := 101*ms + r.Int64N(100*ms)
		run := failover([]dark{{from, from + 2*ms + r.Int64N(150*ms)}})
		for range r.IntN(12) {
			run.Events = append(run.Events, event(time.Duration(r.Int64N(500*ms)), []string{"a", "b", "c"}[r.IntN(3)], kinds[r.IntN(len(kinds))], time.Duration(r.Int64N(300*ms))))
		}
		f := phase(t, Analyze(run, Options{}), "failure").Flows[0]
		s := f.Stages
		if sum := s.Detect + s.Decide + s.Signal + s.Program + s.Residual; sum != f.RouteSpecific {
			t.Fatalf("stages sum to %v of %v: %+v %v", sum, f.RouteSpecific, s, run.Events)
		}
		for name, d := range map[string]time.Duration{"detect": s.Detect, "decide": s.Decide, "signal": s.Signal, "program": s.Program, "residual": s.Residual} {
			if d < 0 || d != 0 && slices.Contains(s.Missing, name) {
				t.Fatalf("%s is %v: %+v", name, d, s)
			}
		}
	}
}

// A session of one address family is no evidence for a flow of the other.
func TestStagesOfAFamily(t *testing.T) {
	run := failover([]dark{{101 * ms, 151 * ms}}, []dark{{101 * ms, 161 * ms}})
	run.Flows[0].Family, run.Flows[1].Family = "ipv4", "ipv6"
	about := func(e Event, key, via string) Event {
		e.Key, e.Data = key, map[string]string{"via": via}
		return e
	}
	run.Events = []Event{
		about(event(140*milli, "gw1", "bfd.down"), "198.18.0.1", ""),
		about(event(150*milli+200*micro, "gw1", "nexthop.change"), "1735852042", "198.18.0.3 dev isp2,198.18.0.9 dev gw2"),
		about(event(160*milli, "gw1", "bfd.down"), "fd00:18::1", ""),
		about(event(160*milli+300*micro, "gw1", "fib.change"), "2001:db8::/32", "isp2"),
	}
	flows := phase(t, Analyze(run, Options{}), "failure").Flows
	if s := flows[0].Stages; s.Detect != 40*milli-20*micro || s.Program != 10*milli+200*micro || s.Residual != 800*micro {
		t.Errorf("ipv4: %+v", s)
	}
	if s := flows[1].Stages; s.Detect != 60*milli-20*micro || s.Program != 300*micro || s.Residual != 700*micro {
		t.Errorf("ipv6: %+v", s)
	}
}

// Of the nodes that program something at the end of an outage, the one whose
// way to the flow's destination changed repaired it.
func TestRepairedByTheNodeOnTheWay(t *testing.T) {
	run := failover([]dark{{101 * ms, 151 * ms}})
	run.Flows[0].Dst, run.Flows[0].Family = "203.0.113.5:7000", "ipv4"
	way := func(at time.Duration, node, prefix string) Event {
		e := event(at, node, "fib.change")
		e.Key = prefix
		return e
	}
	run.Events = []Event{
		event(140*milli, "gw1", "link.down"),
		event(140*milli, "isp1", "link.down"),
		event(150*milli+100*micro, "gw1", "nexthop.change"),
		way(150*milli+150*micro, "gw1", "192.0.2.0/24"), // the way back
		event(150*milli+300*micro, "isp1", "nexthop.change"),
		way(150*milli+400*micro, "isp1", "203.0.113.0/28"),
	}
	if s := phase(t, Analyze(run, Options{}), "failure").Flows[0].Stages; s.By != "isp1" || s.Residual != 700*micro {
		t.Errorf("%+v", s)
	}
}

func TestFamilyOf(t *testing.T) {
	for _, c := range []struct{ key, via, want string }{
		{"198.18.0.1", "", "ipv4"}, {"fd00::1", "", "ipv6"}, {"0.0.0.0/0", "", "ipv4"}, {"2001:db8::/32", "198.18.0.3 dev x", "ipv6"},
		{"isp1", "", ""}, {"17", "fd00::1 dev isp1", "ipv6"}, {"17", "isp1,isp2", ""}, {"", "", ""}, {"::ffff:10.0.0.1", "", "ipv4"},
	} {
		if got := familyOf(Event{Key: c.key, Data: map[string]string{"via": c.via}}); got != c.want {
			t.Errorf("%+v: %q", c, got)
		}
	}
}

func TestFirstEvent(t *testing.T) {
	run := Run{Events: []Event{
		{T: 30, Node: "gw2", Kind: "bfd.down", Key: "10.0.0.1"},
		{T: 20, Node: "gw1", Kind: "bfd.down", Key: "10.0.0.2"},
		{T: 10, Node: "gw1", Kind: "bfd.down", Key: "10.0.0.1"},
		{T: 5, Node: "gw1", Kind: "bgp.down"},
	}}
	for _, c := range []struct {
		node, key string
		after     int64
		want      int64
		ok        bool
	}{
		{"", "", 0, 10, true}, {"gw2", "", 0, 30, true}, {"", "10.0.0.2", 0, 20, true},
		{"gw1", "", 11, 20, true}, {"gw1", "", 20, 20, true}, {"gw1", "", 21, 0, false}, {"gw3", "", 0, 0, false},
	} {
		if got, ok := FirstEvent(run, "bfd.down", c.node, c.key, c.after); got != c.want || ok != c.ok {
			t.Errorf("%+v: %d %v", c, got, ok)
		}
	}
}
