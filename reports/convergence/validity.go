package convergence

import (
	"fmt"
	"strings"
	"time"
)

const (
	maxStealPercent = 5
	maxClockStep    = time.Millisecond
	// hiding is how long after a cause an outage may be expected that a
	// pause of the sender could hide.
	hiding = 100 * time.Millisecond
	// blind is the pause, in packet intervals, from which on "no outage" is
	// no statement. A shorter one only widens its uncertainty.
	blind = 10
)

// Validity says why a run allows no statement; empty if it does.
func Validity(run Run, o Options) []string {
	o = o.withDefaults(run)
	var reasons []string
	add := func(format string, args ...any) { reasons = append(reasons, fmt.Sprintf(format, args...)) }
	if run.Aborted != "" {
		add("the run was aborted: %s", run.Aborted)
	}
	if len(run.Phases) == 0 {
		add("the run has no phases")
	}
	packets := 0
	for _, f := range run.Flows {
		packets += len(f.Sent)
	}
	if packets == 0 {
		add("no packets were sent")
	}
	for _, in := range run.Injections {
		if !in.Heal && !in.Confirmed {
			add("%s of %s was not confirmed%s", in.Kind, in.Target, because(in.Error))
		}
	}
	reasons = append(reasons, unfit(run.Health)...)
	if !o.AllowLossBeforeFault {
		reasons = append(reasons, lossBefore(run, o)...)
	}
	return append(reasons, stalls(run, o)...)
}

func because(text string) string {
	if text == "" {
		return ""
	}
	return ": " + text
}

// unfit judges the whole run's health.
func unfit(h Health) []string {
	var reasons []string
	add := func(format string, args ...any) { reasons = append(reasons, fmt.Sprintf(format, args...)) }
	if h.Overruns > 0 {
		add("the tester's receive queues overflowed: %d packets lost by the tester itself", h.Overruns)
	}
	if h.NoBuffers > 0 {
		add("the tester's transmit queues were full: %d packets lost by the tester itself", h.NoBuffers)
	}
	if h.StealPercent > maxStealPercent {
		add("the hypervisor took %.1f %% of the CPU time, more than %d %%", h.StealPercent, maxStealPercent)
	}
	if h.ClockStep.Abs() > maxClockStep {
		add("the wall clock was stepped by %v: packet delays are wrong", h.ClockStep)
	}
	return reasons
}

// lossBefore finds packets lost before anything was done to the network.
func lossBefore(run Run, o Options) []string {
	var fault int64
	for _, in := range run.Injections {
		if fault == 0 || in.Call < fault {
			fault = in.Call
		}
	}
	if fault == 0 || len(run.Phases) == 0 {
		return nil
	}
	var (
		before = Phase{Start: run.Phases[0].Start, End: fault}
		lost   int
		names  []string
	)
	for i := range run.Flows {
		n := 0
		for _, out := range newWindow(&run.Flows[i], before, o.ForwardingDelayThreshold).outages() {
			// What is still dark when the fault comes may be dark by it: a
			// packet sent just before may die in the queue of a dead node.
			if !out.Open || out.Min > run.Flows[i].Interval {
				n += out.Lost
			}
		}
		if n > 0 {
			lost += n
			names = append(names, flowName(run.Flows[i]))
		}
	}
	if lost == 0 {
		return nil
	}
	return []string{fmt.Sprintf("%d packets were lost before the first fault (%s)", lost, abbreviate(names))}
}

// stalls finds pauses of the sender that spoil an outage's bounds, or that
// could hide an outage of a flow that seems to have had none.
func stalls(run Run, o Options) []string {
	var reasons []string
	for _, p := range run.Phases {
		var (
			c     = causeOf(run, p.Name)
			until = c.call + int64(hiding)
			edges = make(map[Stall][]string)
			clean []Flow
		)
		for _, f := range run.Flows {
			list := Outages(f, p, o.ForwardingDelayThreshold)
			for _, out := range list {
				until = max(until, out.End)
				if s := StallAtEdge(f, out, run.Health.Stalls); s != nil {
					edges[*s] = append(edges[*s], flowName(f))
				}
			}
			if len(list) == 0 {
				clean = append(clean, f)
			}
		}
		for _, s := range run.Health.Stalls {
			length := time.Duration(s.End - s.Start).Round(10 * time.Microsecond)
			if names := edges[s]; len(names) > 0 {
				reasons = append(reasons, fmt.Sprintf("phase %s: the sender stalled %v where an outage began or ended (%s)", p.Name, length, abbreviate(names)))
			}
			if c.at == 0 || s.End <= c.call || s.Start >= until {
				continue
			}
			if names := blinded(clean, s); len(names) > 0 {
				reasons = append(reasons, fmt.Sprintf("phase %s: the sender stalled %v while an outage could have passed unseen (%s)", p.Name, length, abbreviate(names)))
			}
		}
	}
	return reasons
}

// blinded names the flows whose silence about an outage a stall makes worthless.
func blinded(flows []Flow, s Stall) (names []string) {
	for _, f := range flows {
		if s.End-s.Start >= blind*int64(f.Interval) {
			names = append(names, flowName(f))
		}
	}
	return names
}

func flowName(f Flow) string { return fmt.Sprintf("%s/%d", f.Group, f.Index) }

// abbreviate names a few of many.
func abbreviate(names []string) string {
	const most = 4
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}
