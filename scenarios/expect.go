package scenarios

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"gwlab/internal/strictyaml"
)

// Quantity is the bound of a metric: a duration or a count, as the metric needs.
type Quantity struct {
	Text     string
	Duration time.Duration
	Count    int
	isTime   bool
}

// UnmarshalNode reads "200ms" or 0.
func (q *Quantity) UnmarshalNode(n strictyaml.Node) error {
	q.Text = n.Text()
	if c, err := strconv.Atoi(q.Text); err == nil && c >= 0 {
		q.Count = c
		return nil
	}
	d, err := strictyaml.ParseDuration(q.Text)
	if err != nil {
		return fmt.Errorf("not a bound: %q, write a time like 200ms or a count like 0", q.Text)
	}
	q.Duration, q.isTime = d, true
	return nil
}

// Metric is what an expectation can bound.
type Metric struct {
	Name string
	Doc  string
	Time bool // a duration; otherwise a count
}

// Metrics lists them all: the only list there is.
func Metrics() []Metric {
	return []Metric{
		{"route_loc", "Route Loss of Connectivity Period (RFC 6412): how long the flow was dark.", true},
		{"route_convergence", "Route-Specific Convergence Time (RFC 6412): fault to the flow's last recovery.", true},
		{"first_convergence", "First Route Convergence Time (RFC 6412).", true},
		{"full_convergence", "Full Convergence Time (RFC 6412).", true},
		{"reversion", "Reversion (RFC 6414): from the heal until every node forwards on its primary paths again.", true},
		{"detect", "From the fault to the first evidence that a node noticed.", true},
		{"decide", "From there to the first decision: repair or best path.", true},
		{"signal", "From there to the last word from another node that was waited for.", true},
		{"program", "From there to the kernel's forwarding state.", true},
		{"residual", "From there to the first delivered packet.", true},
		{"delay_p99", "99th percentile of the one-way delay.", true},
		{"loss", "Packets lost.", false},
		{"loss_periods", "Loss periods (RFC 3357): more than one means flapping or a loop.", false},
		{"late", "Packets later than the Forwarding Delay Threshold (RFC 6412).", false},
		{"duplicates", "Packets received more than once.", false},
		{"reordered", "Packets out of order (RFC 4737).", false},
	}
}

var stats = []string{"max", "median", "p95", "min"}

func (p *parser) expect(s *Scenario, at, phase string, y expectYAML) Expect {
	e := Expect{Phase: phase, Metric: y.Metric, Flows: y.Flows, Stat: y.Stat, Max: y.Max, Min: y.Min,
		Event: y.Event, Node: y.Node, Key: y.Key, Within: y.Within, place: p.doc.At(at)}
	if !slices.ContainsFunc(s.Timeline, func(t Step) bool { return t.Phase == phase }) {
		var known []string
		for _, t := range s.Timeline {
			known = append(known, t.Phase)
		}
		p.errs = append(p.errs, p.doc.KeyErrorf(strictyaml.Path("$.expect", phase), "%s", strictyaml.Unknown("phase", phase, known)))
		return e
	}
	switch {
	case (y.Metric == "") == (y.Event == ""):
		p.errorf(at, "an expectation is either {metric: …, max: …} or {event: …, within: …}")
	case y.Metric != "":
		p.metric(s, at, &e)
	case y.Within == 0:
		p.errorf(at, "event %s needs within: the longest time from the fault to the event", y.Event)
	case y.Max != nil || y.Min != nil || y.Stat != "" || y.Flows != nil:
		p.errorf(at, "flows, stat, min and max go with a metric, not with an event")
	}
	return e
}

func (p *parser) metric(s *Scenario, at string, e *Expect) {
	var names []string
	metric := Metric{}
	for _, m := range Metrics() {
		names = append(names, m.Name)
		if m.Name == e.Metric {
			metric = m
		}
	}
	if metric.Name == "" {
		p.errorf(at+".metric", "%s", strictyaml.Unknown("metric", e.Metric, names))
		return
	}
	if e.Stat == "" {
		e.Stat = "max"
	}
	if !slices.Contains(stats, e.Stat) {
		p.errorf(at+".stat", "%s", strictyaml.Unknown("stat", e.Stat, stats))
	}
	if e.Max == nil && e.Min == nil {
		p.errorf(at, "metric %s needs a bound: max or min", e.Metric)
	}
	for key, q := range map[string]*Quantity{"max": e.Max, "min": e.Min} {
		switch {
		case q == nil:
		case metric.Time && !q.isTime:
			p.errorf(at+"."+key, "missing unit: %s is a time, write %sms", e.Metric, q.Text)
		case !metric.Time && q.isTime:
			p.errorf(at+"."+key, "%s is a count, write a number without unit", e.Metric)
		}
	}
	if e.Max != nil && e.Min != nil && e.Min.number(metric.Time) > e.Max.number(metric.Time) {
		p.errorf(at+".min", "min %s is above max %s: nothing is both", e.Min.Text, e.Max.Text)
	}
	if e.Node != "" || e.Key != "" || e.Within != 0 {
		p.errorf(at, "node, key and within go with an event, not with a metric")
	}
	for _, name := range e.Flows {
		if !slices.ContainsFunc(s.Flows, func(f Flow) bool { return f.Name == name }) {
			var known []string
			for _, f := range s.Flows {
				known = append(known, f.Name)
			}
			p.errorf(at+".flows", "%s", strictyaml.Unknown("flow", name, known))
		}
	}
}

// Text says the expectation in one line, as reports print it.
func (e Expect) Text() string {
	if e.Event != "" {
		text := e.Event
		if e.Node != "" {
			text += " at " + e.Node
		}
		if e.Key != "" {
			text += " for " + e.Key
		}
		return text
	}
	text := e.Metric
	if len(e.Flows) > 0 {
		text += fmt.Sprintf(" %v", e.Flows)
	}
	return text + " " + e.Stat
}
