package convergence

import (
	"errors"
	"strings"
	"testing"
	"time"
)

// four flows dark for 10, 20, 40 and 0 ms; the last is of another group.
func fourFlows() Result {
	run := failover([]dark{{101 * ms, 111 * ms}}, []dark{{101 * ms, 121 * ms}}, []dark{{101 * ms, 141 * ms}}, nil)
	run.Flows[3].Group = "in"
	run.Events = []Event{event(110*milli, "gw1", "bfd.down"), event(110*milli+500*micro, "gw1", "fib.repair", 100*micro)}
	return Analyze(run, Options{})
}

func TestValue(t *testing.T) {
	r := fourFlows()
	for _, c := range []struct {
		metric string
		groups string
		stat   string
		want   string
	}{
		{"route_loc", "", Max, "40.0 ms ±1.0"},
		{"route_loc", "", "", "40.0 ms ±1.0"},
		{"route_loc", "", Min, "0.0 ms ±1.0"},
		{"route_loc", "out", Min, "10.0 ms ±1.0"},
		{"route_loc", "out", Median, "20.0 ms ±1.0"},
		{"route_loc", "", Median, "15.0 ms ±1.0"}, // between 10 and 20
		{"route_loc", "in", Max, "0.0 ms ±1.0"},
		{"loss", "", Max, "40"},
		{"loss", "in", Max, "0"},
		{"loss_periods", "", Max, "1"},
		{"late", "", Max, "0"},
		{"duplicates", "", Max, "0"},
		{"reordered", "", Max, "0"},
		{"route_convergence", "", Max, "41.0 ms ±1.0"}, // 141 - 100.02
		{"first_convergence", "", Max, "11.0 ms ±1.0"}, // 111 - 100.02
		{"full_convergence", "", Max, "41.0 ms ±2.0"},  // 141 - 100.02, whole intervals
		{"full_convergence", "in", Max, "0.0 ms ±2.0"},
		{"delay_p99", "", Max, "0.1 ms"},
		{"detect", "", Max, "10.0 ms ±0.020"},
	} {
		var groups []string
		if c.groups != "" {
			groups = []string{c.groups}
		}
		m, err := Value(&r, "failure", c.metric, groups, c.stat)
		got := m.String()
		if c.metric == "detect" {
			c.want = "9.980 ms ±0.020" // 110 - 100.02, ± the bracket of the fault
		}
		if err != nil || got != c.want {
			t.Errorf("%s %s %s: %q, want %q (%v)", c.metric, c.groups, c.stat, got, c.want, err)
		}
	}
}

func TestNoValue(t *testing.T) {
	r := fourFlows()
	dark := Analyze(failover([]dark{{101 * ms, 600 * ms}}), Options{})
	silent := fourFlows()
	silent.Phases[1].Flows[0].Sent = 0
	for _, c := range []struct {
		r                           *Result
		phase, metric, groups, stat string
		want                        error
		text                        string
	}{
		{&r, "repaired", "loss", "", Max, ErrNoData, "was not reached"},
		{&r, "failure", "loss", "up", Max, ErrNoData, "no flow up"},
		{&r, "failure", "lossiness", "", Max, ErrNoData, "no metric lossiness"},
		{&r, "failure", "loss", "", "mean", ErrNoData, "no statistic mean"},
		{&r, "failure", "loss", "", P95, ErrNoData, "p95 needs 20 flows, there are 4"},
		{&r, "failure", "detect", "in", Max, ErrNoData, "no flow of phase failure has a value"},
		{&r, "steady", "full_convergence", "", Max, ErrNoData, "nothing was done"},
		{&r, "steady", "route_convergence", "", Max, ErrNoData, "has a value"},
		{&silent, "failure", "loss", "", Max, ErrNoData, "sent nothing"},
		{&dark, "failure", "route_loc", "", Max, ErrNotRecovered, "out/0 was still dark"},
		{&dark, "failure", "full_convergence", "", Max, ErrNotRecovered, "out/0"},
		{&dark, "failure", "detect", "", Max, ErrNotRecovered, "out/0"},
		{&Result{Phases: []PhaseResult{{Phase: "p"}}}, "p", "loss", "", Max, ErrNoData, "no flows"},
	} {
		var groups []string
		if c.groups != "" {
			groups = []string{c.groups}
		}
		if m, err := Value(c.r, c.phase, c.metric, groups, c.stat); !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s %s: %v, %v; want %v … %q", c.phase, c.metric, m, err, c.want, c.text)
		}
	}
	if m, err := Value(&dark, "failure", "loss", nil, Max); err != nil || m.Count != 399 {
		t.Errorf("loss of a flow that never recovered: %v %v", m, err)
	}
}

func TestP95(t *testing.T) {
	var samples []sample
	for i := range 20 {
		samples = append(samples, sample{value: int64(20 - i)})
	}
	if s, err := statistic(samples, P95); err != nil || s.value != 19 {
		t.Errorf("%v %v", s, err)
	}
}

func TestFormatTime(t *testing.T) {
	for _, c := range []struct {
		t, u time.Duration
		want string
	}{
		{128 * milli, milli, "128.0 ms ±1.0"},
		{128*milli + 40*micro, milli, "128.0 ms ±1.0"},
		{0, milli, "0.0 ms ±1.0"},
		{2 * time.Second, 0, "2000.0 ms"},
		{3 * micro, 0, "0.003 ms"},
		{113*milli + 429*micro, 300, "113.429 ms ±0.001"},
		{10 * milli, 20 * micro, "10.000 ms ±0.020"},
	} {
		if got := FormatTime(c.t, c.u); got != c.want {
			t.Errorf("%v ± %v: %q, want %q", c.t, c.u, got, c.want)
		}
	}
}
