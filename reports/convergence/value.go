package convergence

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Why a metric has no value. Each is a failure of what was expected of it.
var (
	ErrNoData       = errors.New("no data")
	ErrNotRecovered = errors.New("not recovered")
)

// Statistics over the flows. P95 is the nearest rank and needs 20 flows: of
// fewer, it would be the maximum under another name.
const (
	Max    = "max"
	Median = "median"
	Min    = "min"
	P95    = "p95"
)

const minForP95 = 20

// Measurement is a value with what is known of its error.
type Measurement struct {
	Time        time.Duration // of a metric that is a time
	Count       int           // of one that is a count
	IsTime      bool
	Uncertainty time.Duration // the truth is within Time ± Uncertainty
	Samples     int           // flows it was taken over
}

// String prints "128.0 ms ±1.0" or "3".
func (m Measurement) String() string {
	if !m.IsTime {
		return fmt.Sprint(m.Count)
	}
	return FormatTime(m.Time, m.Uncertainty)
}

// FormatTime prints a time in ms with its uncertainty: "128.0 ms ±1.0". What
// is below 0.05 ms is printed to the microsecond, uncertainty rounded up.
func FormatTime(t, uncertainty time.Duration) string {
	digits := 1
	if uncertainty > 0 && uncertainty < 50*time.Microsecond || t != 0 && t.Abs() < 50*time.Microsecond {
		digits = 3
	}
	if uncertainty == 0 {
		return fmt.Sprintf("%.*f ms", digits, milliseconds(t))
	}
	if digits == 3 {
		uncertainty = (uncertainty + time.Microsecond - 1).Truncate(time.Microsecond)
	}
	return fmt.Sprintf("%.*f ms ±%.*f", digits, milliseconds(t), digits, milliseconds(uncertainty))
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// sample is one flow's value of a metric.
type sample struct {
	value       int64
	uncertainty time.Duration
}

// Value returns a metric of a phase: the statistic over the flows of the
// groups, all of them if groups is empty. first_convergence and
// full_convergence are one number of all these flows; the statistic does not
// change them. The error is ErrNoData or ErrNotRecovered, with the details.
func Value(r *Result, phase, metric string, groups []string, stat string) (Measurement, error) {
	p, flows, err := selectFlows(r, phase, groups)
	if err != nil {
		return Measurement{}, err
	}
	bracket := r.bracket(p)
	switch metric {
	case "first_convergence", "full_convergence":
		return eventTime(r, p, flows, metric, bracket)
	}
	var samples []sample
	for i := range flows {
		s, ok, err := sampleOf(p, &flows[i], metric, bracket)
		if err != nil {
			return Measurement{}, err
		}
		if ok {
			samples = append(samples, s)
		}
	}
	if len(samples) == 0 {
		return Measurement{}, fmt.Errorf("%w: no flow of phase %s has a value of %s", ErrNoData, phase, metric)
	}
	s, err := statistic(samples, stat)
	if err != nil {
		return Measurement{}, err
	}
	if isCount(metric) {
		return Measurement{Count: int(s.value), Samples: len(samples)}, nil
	}
	return Measurement{Time: time.Duration(s.value), IsTime: true, Uncertainty: s.uncertainty, Samples: len(samples)}, nil
}

// bracket is the uncertainty of a phase's Convergence Event Instant.
func (r *Result) bracket(p *PhaseResult) time.Duration {
	for _, in := range r.Injections {
		if in.Phase == p.Phase && in.Call <= p.Event && p.Event <= in.Return {
			return time.Duration(p.Event - in.Call)
		}
	}
	return 0
}

func selectFlows(r *Result, phase string, groups []string) (*PhaseResult, []FlowResult, error) {
	i := slices.IndexFunc(r.Phases, func(p PhaseResult) bool { return p.Phase == phase })
	if i < 0 {
		return nil, nil, fmt.Errorf("%w: phase %s was not reached", ErrNoData, phase)
	}
	p := &r.Phases[i]
	var flows []FlowResult
	for _, f := range p.Flows {
		if len(groups) > 0 && !slices.Contains(groups, f.Group) {
			continue
		}
		if f.Sent == 0 {
			return nil, nil, fmt.Errorf("%w: %s sent nothing in phase %s", ErrNoData, f.Flow, phase)
		}
		flows = append(flows, f)
	}
	for _, g := range groups {
		if !slices.ContainsFunc(flows, func(f FlowResult) bool { return f.Group == g }) {
			return nil, nil, fmt.Errorf("%w: no flow %s in phase %s", ErrNoData, g, phase)
		}
	}
	if len(flows) == 0 {
		return nil, nil, fmt.Errorf("%w: no flows in phase %s", ErrNoData, phase)
	}
	return p, flows, nil
}

// eventTime is a metric of the event as a whole.
func eventTime(r *Result, p *PhaseResult, flows []FlowResult, metric string, bracket time.Duration) (Measurement, error) {
	if p.Event == 0 {
		return Measurement{}, fmt.Errorf("%w: nothing was done to the network in phase %s", ErrNoData, p.Phase)
	}
	if err := recovered(p, flows); err != nil {
		return Measurement{}, err
	}
	psi := r.Settings.PacketSamplingInterval
	m := Measurement{IsTime: true, Uncertainty: psi + bracket, Samples: len(flows)}
	if metric == "first_convergence" {
		m.Time = firstConvergence(flows, p.Event)
	} else {
		m.Time = fullConvergence(flows, p.Event, p.End, psi)
		m.Uncertainty += psi // the sampling interval on top of the packet's
	}
	return m, nil
}

func recovered(p *PhaseResult, flows []FlowResult) error {
	for _, f := range flows {
		if !f.Recovered {
			return fmt.Errorf("%w: %s was still dark at the end of phase %s", ErrNotRecovered, f.Flow, p.Phase)
		}
	}
	return nil
}

func isCount(metric string) bool {
	switch metric {
	case "loss", "loss_periods", "late", "duplicates", "reordered":
		return true
	}
	return false
}

// sampleOf is a flow's value; false if it has none because it was not dark
// or the evidence is missing.
func sampleOf(p *PhaseResult, f *FlowResult, metric string, bracket time.Duration) (sample, bool, error) {
	switch metric {
	case "loss":
		return sample{value: int64(f.Lost)}, true, nil
	case "loss_periods":
		return sample{value: int64(f.LossPeriods)}, true, nil
	case "late":
		return sample{value: int64(f.Late)}, true, nil
	case "duplicates":
		return sample{value: int64(f.Duplicates)}, true, nil
	case "reordered":
		return sample{value: int64(f.Reordered)}, true, nil
	case "delay_p99":
		return sample{value: int64(f.DelayP99)}, f.Lost < f.Sent, nil
	case "route_loc":
		return sample{int64(f.RouteLoC), f.Uncertainty}, true, recovered(p, []FlowResult{*f})
	case "route_convergence":
		if p.Event == 0 {
			return sample{}, false, nil
		}
		return sample{int64(f.RouteSpecific), f.Uncertainty + bracket}, true, recovered(p, []FlowResult{*f})
	case "detect", "decide", "signal", "program", "residual":
		d, ok := f.Stages.stage(metric)
		s := sample{int64(d), bracket}
		if metric == "residual" {
			s.uncertainty = f.Uncertainty
		}
		return s, ok, recovered(p, []FlowResult{*f})
	default:
		return sample{}, false, fmt.Errorf("%w: there is no metric %s", ErrNoData, metric)
	}
}

// stage returns a stage by name; false if there is no evidence of it.
func (s *Stages) stage(name string) (time.Duration, bool) {
	if s == nil || slices.Contains(s.Missing, name) {
		return 0, false
	}
	switch name {
	case "detect":
		return s.Detect, true
	case "decide":
		return s.Decide, true
	case "signal":
		return s.Signal, true
	case "program":
		return s.Program, true
	default:
		return s.Residual, true
	}
}

// statistic reduces samples to one. The median of an even number is the mean
// of the two in the middle, with the larger of their uncertainties.
func statistic(samples []sample, stat string) (sample, error) {
	sorted := slices.SortedStableFunc(slices.Values(samples), func(a, b sample) int { return cmp.Compare(a.value, b.value) })
	n := len(sorted)
	switch stat {
	case Max, "":
		return sorted[n-1], nil
	case Min:
		return sorted[0], nil
	case Median:
		a, b := sorted[(n-1)/2], sorted[n/2]
		return sample{a.value + (b.value-a.value)/2, max(a.uncertainty, b.uncertainty)}, nil
	case P95:
		if n < minForP95 {
			return sample{}, fmt.Errorf("%w: p95 needs %d flows, there are %d: use max", ErrNoData, minForP95, n)
		}
		return sorted[rank(95, n)], nil
	default:
		return sample{}, fmt.Errorf("%w: there is no statistic %s", ErrNoData, stat)
	}
}
