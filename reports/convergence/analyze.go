package convergence

import (
	"cmp"
	"fmt"
	"slices"
	"sort"
	"time"
)

// Defaults of Options.
const (
	DefaultForwardingDelayThreshold       = 2 * time.Second
	DefaultSustainedConvergenceValidation = 100 * time.Millisecond
	packetSize                            = 64 // of the probe, UDP payload bytes
)

// Options of an analysis; the zero value means the defaults.
type Options struct {
	// PacketSamplingInterval is the resolution of the rate-derived times
	// (RFC 6412), at least the largest packet interval of the run, which is
	// the default.
	PacketSamplingInterval time.Duration
	// ForwardingDelayThreshold is the delay beyond which a packet counts as
	// lost (RFC 6412).
	ForwardingDelayThreshold time.Duration
	// SustainedConvergenceValidation is for how long the engine saw clean
	// traffic before it called the network converged. It is only reported.
	SustainedConvergenceValidation time.Duration
	// AllowLossBeforeFault keeps a run valid that lost packets before
	// anything was injected.
	AllowLossBeforeFault bool
}

func (o Options) withDefaults(run Run) Options {
	if o.ForwardingDelayThreshold <= 0 {
		o.ForwardingDelayThreshold = DefaultForwardingDelayThreshold
	}
	if o.SustainedConvergenceValidation <= 0 {
		o.SustainedConvergenceValidation = DefaultSustainedConvergenceValidation
	}
	for _, f := range run.Flows {
		o.PacketSamplingInterval = max(o.PacketSamplingInterval, f.Interval)
	}
	return o
}

// Analyze computes every number of a run. Verdict, Checks and Reasons are
// left empty: Conclude sets them.
func Analyze(run Run, o Options) Result {
	o = o.withDefaults(run)
	r := Result{
		Schema: SchemaVersion, Scenario: run.Scenario, Topology: run.Topology, Gateway: run.Gateway,
		Repeat: run.Repeat, Seed: run.Seed, Injections: run.Injections, Health: run.Health,
		Environment: run.Environment,
		Settings: Settings{
			PacketSamplingInterval:         o.PacketSamplingInterval,
			ForwardingDelayThreshold:       o.ForwardingDelayThreshold,
			SustainedConvergenceValidation: o.SustainedConvergenceValidation,
			PacketSize:                     packetSize,
			OfferedLoad:                    int(offeredLoad(run.Flows) + 0.5),
			Flows:                          len(run.Flows),
		},
	}
	events := slices.SortedStableFunc(slices.Values(run.Events), func(a, b Event) int { return cmp.Compare(a.T, b.T) })
	evidence := make([][]Event, len(run.Flows))
	for i, f := range run.Flows {
		evidence[i] = ofFlow(events, f)
	}
	for _, p := range run.Phases {
		r.Phases = append(r.Phases, analyzePhase(run, p, evidence, o))
	}
	return r
}

// offeredLoad is in packets per second, all flows together.
func offeredLoad(flows []Flow) (load float64) {
	for _, f := range flows {
		if f.Interval > 0 {
			load += float64(time.Second) / float64(f.Interval)
		}
	}
	return load
}

// cause is the first thing done to the network in a phase.
type cause struct {
	call, at int64 // at is the Convergence Event Instant; 0 without a cause
	heal     bool
}

func causeOf(run Run, phase string) cause {
	var c cause
	for _, in := range run.Injections {
		if in.Phase == phase && in.Return != 0 && (c.at == 0 || in.Return < c.at) {
			c = cause{in.Call, in.Return, in.Heal}
		}
	}
	return c
}

// narrow puts the Convergence Event Instant of a cause that took a while at
// the first packet lost meanwhile: by then it had taken effect.
func (c cause) narrow(run Run, p Phase, o Options) cause {
	for _, f := range run.Flows {
		for _, out := range Outages(f, p, o.ForwardingDelayThreshold) {
			if out.Start > c.call && out.Start < c.at {
				c.at = out.Start
			}
		}
	}
	return c
}

func analyzePhase(run Run, p Phase, evidence [][]Event, o Options) PhaseResult {
	c := causeOf(run, p.Name).narrow(run, p, o)
	r := PhaseResult{Phase: p.Name, Start: p.Start, End: p.End, Event: c.at}
	for i := range run.Flows {
		f := newWindow(&run.Flows[i], p, o.ForwardingDelayThreshold).result(c, evidence[i])
		r.Flows = append(r.Flows, f)
		r.Offered += f.Sent
		r.Lost += f.Lost
		r.Late += f.Late
		r.Duplicates += f.Duplicates
		r.Reordered += f.Reordered
	}
	if load := offeredLoad(run.Flows); load > 0 {
		r.LossDerivedLoC = time.Duration(float64(r.Lost) / load * float64(time.Second))
	}
	r.FirstRouteConvergence = firstConvergence(r.Flows, c.at)
	r.FullConvergence = fullConvergence(r.Flows, c.at, p.End, o.PacketSamplingInterval)
	return r
}

// result is the flow's line of its phase.
func (w window) result(c cause, events []Event) FlowResult {
	f := FlowResult{
		Flow: fmt.Sprintf("%s/%d", w.flow.Group, w.flow.Index), Group: w.flow.Group,
		Sent: w.to - w.from, Outages: w.outages(), Recovered: true, Reordered: w.reordered(),
	}
	for _, at := range w.flow.Duplicated {
		if at >= w.start && at < w.end {
			f.Duplicates++
		}
	}
	f.LossPeriods = len(f.Outages)
	for _, o := range f.Outages {
		d, u := o.Duration()
		f.Lost, f.RouteLoC, f.Uncertainty = f.Lost+o.Lost, f.RouteLoC+d, f.Uncertainty+u
		f.Recovered = f.Recovered && !o.Open
	}
	if len(f.Outages) == 0 {
		// An outage may hide between two packets.
		f.Uncertainty = w.widestGap()
	}
	f.Late, f.DelayP50, f.DelayP99, f.DelayMax = w.delays()
	if last, ok := lastOutage(f.Outages, c); ok {
		f.RouteSpecific = max(0, time.Duration(last.End-c.at))
		if f.Recovered {
			f.Stages = stages(events, c, last, w.flow.Interval)
		}
	}
	return f
}

// lastOutage is the last one that had not ended before the cause.
func lastOutage(list []Outage, c cause) (Outage, bool) {
	if n := len(list); n > 0 && c.at != 0 && list[n-1].End > c.call {
		return list[n-1], true
	}
	return Outage{}, false
}

// widestGap is the longest time between two sends, at least the interval.
func (w window) widestGap() time.Duration {
	gap := int64(w.flow.Interval)
	for i := max(w.from, 1); i < w.to; i++ {
		gap = max(gap, w.flow.Sent[i]-w.flow.Sent[i-1])
	}
	return time.Duration(gap)
}

// delays counts the late packets, and sorts the delays of the delivered.
func (w window) delays() (late int, p50, p99, worst time.Duration) {
	var list []time.Duration
	for i := w.from; i < w.to; i++ {
		switch {
		case w.late(i):
			late++
		case w.flow.Received[i] != 0:
			list = append(list, time.Duration(w.flow.Received[i]-w.flow.Sent[i]))
		}
	}
	if len(list) == 0 {
		return late, 0, 0, 0
	}
	slices.Sort(list)
	return late, list[rank(50, len(list))], list[rank(99, len(list))], list[len(list)-1]
}

// rank is the index of the p-th percentile of n sorted values, nearest rank.
func rank(p, n int) int { return max((p*n+99)/100, 1) - 1 }

// reordered counts the packets that arrived behind one sent later, over the
// whole flow, of those sent in the window (RFC 4737 section 3.3).
func (w window) reordered() (n int) {
	earliest := int64(0) // arrival of any packet sent later
	for i := len(w.flow.Received) - 1; i >= w.from; i-- {
		at := w.flow.Received[i]
		if at == 0 {
			continue
		}
		if i < w.to && earliest != 0 && earliest < at {
			n++
		}
		if earliest == 0 || at < earliest {
			earliest = at
		}
	}
	return n
}

// firstConvergence is the First Route Convergence Time: event to the first
// packet of a flow that had been dark. 0 if none was.
func firstConvergence(flows []FlowResult, event int64) time.Duration {
	var first time.Duration
	for _, f := range flows {
		i := sort.Search(len(f.Outages), func(i int) bool { return f.Outages[i].End > event })
		if event == 0 || i == len(f.Outages) || f.Outages[i].Open {
			continue
		}
		if t := time.Duration(f.Outages[i].End - event); first == 0 || t < first {
			first = t
		}
	}
	return first
}

// fullConvergence is the rate-derived Full Convergence Time: event to the end
// of the Packet Sampling Interval in which the last of the flows was back, so
// never less than any flow's own. It is the rest of the phase if some flow
// never recovered, 0 if none was dark.
func fullConvergence(flows []FlowResult, event, end int64, psi time.Duration) time.Duration {
	var full time.Duration
	for _, f := range flows {
		n := len(f.Outages)
		if event == 0 || n == 0 || f.Outages[n-1].End <= event {
			continue
		}
		last := f.Outages[n-1]
		if last.Open {
			return time.Duration(end - event)
		}
		back := time.Duration(last.End - event)
		full = max(full, (back+psi-1)/psi*psi)
	}
	return full
}
