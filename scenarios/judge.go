package scenarios

import (
	"fmt"
	"time"

	"gwlab/reports/convergence"
)

// Judge turns a recorded run into a result: every metric, every expectation
// as a check, and the verdict. It is pure: the same run, judged again, gives
// the same result.
func Judge(s *Scenario, run convergence.Run) convergence.Result {
	var o convergence.Options
	result := convergence.Analyze(run, o)
	result.About = s.About
	var checks []convergence.Check
	for _, e := range s.Expect {
		if e.Event != "" {
			checks = append(checks, e.judgeEvent(run))
		} else {
			checks = append(checks, e.judgeMetric(run, &result))
		}
	}
	convergence.Conclude(&result, run, checks, convergence.Validity(run, o))
	return result
}

func (e Expect) judgeMetric(run convergence.Run, r *convergence.Result) convergence.Check {
	c := convergence.Check{Phase: e.Phase, Text: e.Text(), Limit: e.limit(), Verdict: convergence.Fail}
	m, err := e.measure(run, r)
	if err != nil {
		c.Value, c.Reason = "-", err.Error()
		return c
	}
	c.Value, c.Known, c.Measured = m.String(), true, int64(m.Count)
	if m.IsTime {
		c.Measured = int64(m.Time)
	}
	switch {
	case e.Max != nil && c.Measured > e.Max.number(m.IsTime):
		c.Reason = "above the limit"
	case e.Min != nil && c.Measured < e.Min.number(m.IsTime):
		c.Reason = "below the limit"
	default:
		c.Verdict = convergence.Pass
	}
	return c
}

func (e Expect) measure(run convergence.Run, r *convergence.Result) (convergence.Measurement, error) {
	if e.Metric != "reversion" {
		return convergence.Value(r, e.Phase, e.Metric, e.Flows, e.Stat)
	}
	took, uncertainty, ok := convergence.Reversion(run, e.Phase)
	if !ok {
		return convergence.Measurement{}, convergence.ErrNotRecovered
	}
	return convergence.Measurement{Time: took, IsTime: true, Uncertainty: uncertainty}, nil
}

// judgeEvent measures from the first thing done to the network in the phase.
func (e Expect) judgeEvent(run convergence.Run) convergence.Check {
	c := convergence.Check{Phase: e.Phase, Text: e.Text(), Limit: e.limit(), Value: "-", Verdict: convergence.Fail}
	var cause *convergence.Injection
	for i := range run.Injections {
		if run.Injections[i].Phase == e.Phase {
			cause = &run.Injections[i]
			break
		}
	}
	if cause == nil {
		c.Reason = "no data: nothing was done to the network in this phase"
		return c
	}
	at, ok := convergence.FirstEvent(run, e.Event, e.Node, e.Key, cause.Call)
	if !ok {
		c.Reason = "no data: the event never came"
		return c
	}
	// The fault took effect somewhere between call and return.
	took := time.Duration(at - cause.Call)
	c.Value, c.Known, c.Measured = convergence.FormatTime(took, time.Duration(cause.Return-cause.Call)), true, int64(took)
	if took > e.Within {
		c.Reason = "too late"
		return c
	}
	c.Verdict = convergence.Pass
	return c
}

func (e Expect) limit() string {
	switch {
	case e.Event != "":
		return "≤ " + e.Within.String()
	case e.Max != nil && e.Min != nil:
		return fmt.Sprintf("%s … %s", e.Min.Text, e.Max.Text)
	case e.Max != nil:
		return "≤ " + e.Max.Text
	default:
		return "≥ " + e.Min.Text
	}
}

func (q *Quantity) number(isTime bool) int64 {
	if isTime {
		return int64(q.Duration)
	}
	return int64(q.Count)
}
