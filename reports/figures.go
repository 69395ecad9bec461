package reports

import (
	"errors"
	"fmt"
	"time"

	"gwlab/reports/convergence"
)

// figure prints a metric of a phase, or in a word why it has none.
func figure(r *convergence.Result, phase, metric, stat string) string {
	m, err := convergence.Value(r, phase, metric, nil, stat)
	switch {
	case errors.Is(err, convergence.ErrNotRecovered):
		return "not recovered"
	case err != nil:
		return "–"
	default:
		return m.String()
	}
}

// darkest is the flow of a phase with the longest Route LoC Period; nil if
// none was dark.
func darkest(p *convergence.PhaseResult) *convergence.FlowResult {
	var worst *convergence.FlowResult
	for i := range p.Flows {
		f := &p.Flows[i]
		if f.LossPeriods > 0 && (worst == nil || f.RouteLoC > worst.RouteLoC) {
			worst = f
		}
	}
	return worst
}

// loc prints a flow's Route LoC Period.
func loc(f *convergence.FlowResult) string {
	text := convergence.FormatTime(f.RouteLoC, f.Uncertainty)
	if !f.Recovered {
		return "≥ " + text
	}
	return text
}

// health says the tester's fitness in one line.
func health(h convergence.Health) string {
	scheduling := "SCHED_FIFO"
	if !h.RealTime {
		scheduling = "not real-time"
	}
	pressure := "unknown"
	if h.CPUPressure >= 0 {
		pressure = fmt.Sprintf("%.1f %%", h.CPUPressure)
	}
	return fmt.Sprintf("late p99 %s, worst %s; worst gap +%s; stalls %d; overruns %d; send errors %d; steal %.1f %%; pressure %s; busy %.0f %%; %s",
		short(h.P99Lateness), short(h.WorstLateness), short(h.WorstGap), len(h.Stalls), h.Overruns+h.NoBuffers,
		h.SendErrors, h.StealPercent, pressure, h.BusyPercent, scheduling)
}

// short prints a time of the tester itself, "0.09 ms".
func short(d time.Duration) string {
	return fmt.Sprintf("%.2f ms", float64(d)/float64(time.Millisecond))
}

// plain prints a time without uncertainty, "200.0 ms".
func plain(d time.Duration) string { return convergence.FormatTime(d, 0) }

// title names a run: "UPLINK-02 #1 on dual-isp with gatewayd".
func title(r *convergence.Result) string {
	text := r.Scenario
	if r.Repeat > 0 {
		text += fmt.Sprintf(" #%d", r.Repeat)
	}
	if r.Topology != "" {
		text += " on " + r.Topology
	}
	if r.Gateway != "" {
		text += " with " + r.Gateway
	}
	return text
}
