package convergence

import (
	"math/rand/v2"
	"testing"
	"time"
)

func phase(t *testing.T, r Result, name string) PhaseResult {
	t.Helper()
	for _, p := range r.Phases {
		if p.Phase == name {
			return p
		}
	}
	t.Fatalf("no phase %s", name)
	return PhaseResult{}
}

const micro = time.Microsecond
const milli = time.Millisecond

// RFC 6412's times from their definitions. Flow 0 is dark for packets 101..140,
// flow 1 for 101..120, flow 2 never; all sent on the millisecond.
func TestConvergenceTimes(t *testing.T) {
	run := failover([]dark{{100*ms + 1, 141 * ms}}, []dark{{100*ms + 1, 121 * ms}}, nil)
	r := Analyze(run, Options{})
	p := phase(t, r, "failure")
	if p.Event != 100*ms+20_000 {
		t.Errorf("Convergence Event Instant %d", p.Event)
	}
	// Down after packet 100 and by 101, up after 140 and by 141: 39..41 ms.
	f := p.Flows[0]
	if f.Lost != 40 || f.RouteLoC != 40*milli || f.Uncertainty != milli || f.LossPeriods != 1 || !f.Recovered {
		t.Errorf("flow 0: %+v", f)
	}
	// Event at 100.02, first good packet after the last loss at 141.
	if f.RouteSpecific != 41*milli-20*micro {
		t.Errorf("Route-Specific Convergence Time %v", f.RouteSpecific)
	}
	if f := p.Flows[2]; f.RouteLoC != 0 || f.Uncertainty != milli || f.RouteSpecific != 0 || f.Stages != nil {
		t.Errorf("a flow without loss: %+v", f)
	}
	// The first route is back with flow 1's packet at 121.
	if p.FirstRouteConvergence != 21*milli-20*micro {
		t.Errorf("First Route Convergence Time %v", p.FirstRouteConvergence)
	}
	// Flow 0 is back 40.98 ms after the event, in the 41st interval of 1 ms.
	if p.FullConvergence != 41*milli {
		t.Errorf("Full Convergence Time %v", p.FullConvergence)
	}
	// 60 packets of 3000 a second.
	if p.LossDerivedLoC != 20*milli || p.Lost != 60 || p.Offered != 1200 {
		t.Errorf("Loss-Derived LoC %v, %d of %d lost", p.LossDerivedLoC, p.Lost, p.Offered)
	}
	if s := phase(t, r, "steady"); s.Event != 0 || s.FullConvergence != 0 || s.Lost != 0 || s.Offered != 300 {
		t.Errorf("steady: %+v", s)
	}
	if r.Settings.OfferedLoad != 3000 || r.Settings.PacketSamplingInterval != milli || r.Settings.ForwardingDelayThreshold != 2*time.Second {
		t.Errorf("settings %+v", r.Settings)
	}
}

// A coarser Packet Sampling Interval only rounds the full convergence up.
func TestPacketSamplingInterval(t *testing.T) {
	run := failover([]dark{{100*ms + 1, 141 * ms}})
	r := Analyze(run, Options{PacketSamplingInterval: 25 * milli})
	if p := phase(t, r, "failure"); p.FullConvergence != 50*milli || p.Flows[0].RouteLoC != 40*milli {
		t.Errorf("full convergence %v, route LoC %v", p.FullConvergence, p.Flows[0].RouteLoC)
	}
}

// A fault that took 6 ms to do had taken effect when the first packet was lost.
func TestEventOfASlowFault(t *testing.T) {
	run := failover([]dark{{102 * ms, 109 * ms}}, nil)
	run.Injections[0].Return = 106 * ms
	r := Analyze(run, Options{})
	p := phase(t, r, "failure")
	if f := p.Flows[0]; p.Event != 102*ms || f.RouteLoC != 7*milli || f.RouteSpecific != 7*milli {
		t.Errorf("event %d, %+v", p.Event, f)
	}
	// It lies between the call at 100 ms and the loss at 102.
	if m, err := Value(&r, "failure", "route_convergence", nil, Max); err != nil || m.Uncertainty != 3*milli {
		t.Errorf("%v %v", m, err)
	}
	run.Flows = run.Flows[1:]
	if p := phase(t, Analyze(run, Options{}), "failure"); p.Event != 106*ms {
		t.Errorf("nothing lost: event %d", p.Event)
	}
}

// RFC 3357: two losses apart are two periods; both are of the Route LoC, and
// convergence is over only after the second.
func TestLossPeriods(t *testing.T) {
	run := failover([]dark{{101 * ms, 111 * ms}, {150 * ms, 155 * ms}})
	f := phase(t, Analyze(run, Options{}), "failure").Flows[0]
	if f.LossPeriods != 2 || f.Lost != 15 || f.RouteLoC != 15*milli || f.Uncertainty != 2*milli {
		t.Errorf("%+v", f)
	}
	if f.RouteSpecific != 55*milli-20*micro {
		t.Errorf("convergence %v", f.RouteSpecific)
	}
}

// RFC 6412 Forwarding Delay Threshold: what comes later is lost, and counted as late.
func TestForwardingDelayThreshold(t *testing.T) {
	run := failover(nil)
	f := &run.Flows[0]
	for i := 200; i < 210; i++ {
		f.Received[i] = f.Sent[i] + 3*int64(time.Second)
	}
	f.Received[300] = f.Sent[300] + 2*int64(time.Second) // exactly the threshold: in time
	got := phase(t, Analyze(run, Options{}), "failure").Flows[0]
	if got.Lost != 10 || got.Late != 10 || got.LossPeriods != 1 || got.RouteLoC != 10*milli {
		t.Errorf("%+v", got)
	}
	if got.DelayMax != 2*time.Second || got.DelayP50 != 100*micro {
		t.Errorf("delays: median %v, largest %v", got.DelayP50, got.DelayMax)
	}
	if got := phase(t, Analyze(run, Options{ForwardingDelayThreshold: 4 * time.Second}), "failure").Flows[0]; got.Lost != 0 {
		t.Errorf("with 4 s: %+v", got)
	}
}

// A packet belongs to the phase in which it was sent; an outage that spans a
// phase's end is open in it and goes on in the next.
func TestOutageAcrossPhases(t *testing.T) {
	run := failover([]dark{{90 * ms, 130 * ms}})
	r := Analyze(run, Options{})
	before, after := phase(t, r, "steady").Flows[0], phase(t, r, "failure").Flows[0]
	// Packets 90..99, down after 89: at least 9 ms, at most to the edge: 11 ms.
	want := Outage{Start: 90 * ms, End: 100 * ms, Lost: 10, Min: 9 * milli, Max: 11 * milli, Open: true}
	if before.Recovered || len(before.Outages) != 1 || before.Outages[0] != want {
		t.Errorf("before: %+v", before)
	}
	// Dark from the edge at 100 until after 129 and by 130.
	want = Outage{Start: 100 * ms, End: 130 * ms, Lost: 30, Min: 29 * milli, Max: 30 * milli}
	if !after.Recovered || len(after.Outages) != 1 || after.Outages[0] != want {
		t.Errorf("after: %+v", after)
	}
}

// Never recovered: the rest of the phase is the least it took.
func TestNotRecovered(t *testing.T) {
	p := phase(t, Analyze(failover([]dark{{101 * ms, 600 * ms}}), Options{}), "failure")
	if f := p.Flows[0]; f.Recovered || f.RouteSpecific != 400*milli-20*micro || f.Stages != nil {
		t.Errorf("%+v", f)
	}
	if p.FullConvergence != 400*milli-20*micro || p.FirstRouteConvergence != 0 {
		t.Errorf("full %v first %v", p.FullConvergence, p.FirstRouteConvergence)
	}
}

// A pause of the sender widens what is said of a flow that lost nothing.
func TestSilenceIsNotSuccess(t *testing.T) {
	run := failover(nil)
	f := &run.Flows[0]
	f.Sent = append(f.Sent[:200:200], f.Sent[207:]...)
	f.Received = append(f.Received[:200:200], f.Received[207:]...)
	if got := phase(t, Analyze(run, Options{}), "failure").Flows[0]; got.RouteLoC != 0 || got.Uncertainty != 8*milli {
		t.Errorf("%v ±%v", got.RouteLoC, got.Uncertainty)
	}
}

// RFC 4737: a packet is reordered if one sent later arrived before it.
func TestReordered(t *testing.T) {
	run := failover(nil)
	f := &run.Flows[0]
	f.Received[150] = f.Received[153] + 1 // behind 151, 152 and 153: one packet
	f.Received[99] = f.Received[101] + 1  // sent in the phase before
	f.Duplicated, f.Duplicates = []int64{f.Sent[50], f.Sent[200], f.Sent[200]}, 3
	r := Analyze(run, Options{})
	before, after := phase(t, r, "steady"), phase(t, r, "failure")
	if before.Reordered != 1 || after.Reordered != 1 || before.Duplicates != 1 || after.Duplicates != 2 {
		t.Errorf("before %d, %d; after %d, %d", before.Reordered, before.Duplicates, after.Reordered, after.Duplicates)
	}
	if before.Lost+after.Lost != 0 {
		t.Error("reordered or duplicate packets counted as lost")
	}
}

func TestReorderedAgainstArrivalOrder(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 200 {
		f := simulate(nil, 0, 60, ms, 0, nil)
		for i := range f.Received {
			f.Received[i] += r.Int64N(5 * ms)
			if r.IntN(8) == 0 {
				f.Received[i] = 0
			}
		}
		want := 0
		for i, at := range f.Received {
			for _, later := range f.Received[i+1:] {
				if at != 0 && later != 0 && later < at {
					want++
					break
				}
			}
		}
		if got := newWindow(&f, Phase{End: 1000 * ms}, time.Second).reordered(); got != want {
			t.Fatalf("%d reordered, want %d", got, want)
		}
	}
}

// Over the phases of any run, no packet is counted twice or forgotten.
func TestPhasesShareThePackets(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for range 300 {
		f := scramble(r, simulate(r, 0, 400, ms, ms/2, nil))
		run := Run{Flows: []Flow{f}}
		for at := int64(0); at < 401*ms; {
			end := at + 1 + r.Int64N(100*ms)
			run.Phases = append(run.Phases, Phase{Start: at, End: end})
			at = end
		}
		lost := 0
		for i := range f.Sent {
			if d := f.Received[i] - f.Sent[i]; f.Received[i] == 0 || d > 2*int64(time.Second) {
				lost++
			}
		}
		var offered, gone, duplicates int
		for _, p := range Analyze(run, Options{}).Phases {
			offered, gone, duplicates = offered+p.Offered, gone+p.Lost, duplicates+p.Duplicates
		}
		if offered != len(f.Sent) || gone != lost || duplicates != len(f.Duplicated) {
			t.Fatalf("%d offered of %d, %d lost of %d, %d duplicates of %d", offered, len(f.Sent), gone, lost, duplicates, len(f.Duplicated))
		}
	}
}

func TestPercentileRank(t *testing.T) {
	for _, c := range []struct{ p, n, want int }{{50, 1, 0}, {50, 4, 1}, {99, 100, 98}, {99, 10, 9}, {95, 20, 18}} {
		if got := rank(c.p, c.n); got != c.want {
			t.Errorf("rank(%d, %d) = %d, want %d", c.p, c.n, got, c.want)
		}
	}
}

func TestAnalyzeOfNothing(t *testing.T) {
	r := Analyze(Run{Phases: []Phase{{Name: "p", Start: 1, End: 2}}, Flows: []Flow{{Group: "out"}}}, Options{})
	if len(r.Phases) != 1 || r.Phases[0].Offered != 0 || !r.Phases[0].Flows[0].Recovered {
		t.Errorf("%+v", r)
	}
}
