package scenarios_test

import (
	"strings"
	"testing"
	"time"

	"gwlab/fault"
	"gwlab/scenarios"
)

const good = `id: UPLINK-02
about: The wire goes dark while carrier stays up.
topology: dual-isp
repeat: 3
flows:
  out: {from: host1, to: srv, proto: udp, rate: 1000pps, count: 10}
  in:  {from: srv, to: host1, rate: 500pps, family: ipv6}
timeline:
  - {at: 0s, phase: steady}
  - {at: 2s, phase: failure, inject: {kind: link.blackhole, link: "gw1:isp1", dir: a-to-b}, jitter: 100ms}
  - {after: converged, hold: 2s, phase: repaired, heal: all}
  - {after: converged, hold: 2s, within: 9s, phase: end}
expect:
  steady:   [{metric: loss, max: 0}]
  failure:  [{metric: route_loc, flows: [out, in], stat: max, max: 200ms}, {event: bfd.down, node: gw1, within: 160ms}]
  repaired: [{metric: route_loc, max: 10ms}]
`

func TestParse(t *testing.T) {
	s, err := scenarios.Parse("x.scenario.yaml", []byte(good))
	if err != nil {
		t.Fatal(err)
	}
	if s.ID != "UPLINK-02" || s.Repeat != 3 || string(s.Source) != good {
		t.Errorf("scenario %+v", s)
	}
	if f := s.Flows[0]; f.Name != "out" || f.Count != 10 || f.Rate != 1000 || f.Family != "both" {
		t.Errorf("flow %+v", f)
	}
	if f := s.Flows[1]; f.Name != "in" || f.Count != 1 || f.Rate != 500 || f.Family != "ipv6" {
		t.Errorf("flow %+v", f)
	}
	st := s.Timeline[1]
	if st.At != 2*time.Second || st.Jitter != 100*time.Millisecond || st.Phase != "failure" || len(st.Inject) != 1 {
		t.Errorf("step %+v", st)
	}
	if f, ok := st.Inject[0].Fault.(*fault.LinkBlackhole); !ok || f.Link != "gw1:isp1" || f.Dir != "a-to-b" {
		t.Errorf("fault %#v", st.Inject[0].Fault)
	}
	if st := s.Timeline[2]; !st.AfterConverged || !st.Heal || st.Hold != 2*time.Second || st.Within != 30*time.Second {
		t.Errorf("step %+v", st)
	}
	if s.Timeline[3].Within != 9*time.Second {
		t.Errorf("within %v", s.Timeline[3].Within)
	}
	if len(s.Expect) != 4 || s.Expect[1].Max.Duration != 200*time.Millisecond || s.Expect[2].Event != "bfd.down" {
		t.Errorf("expect %+v", s.Expect)
	}
}

func TestParseSeveralFaultsInOneStep(t *testing.T) {
	src := strings.Replace(good, `{kind: link.blackhole, link: "gw1:isp1", dir: a-to-b}`,
		`[{kind: link.cut, link: "gw1:isp1"}, {kind: node.kill, node: gw2, silent: true}]`, 1)
	s, err := scenarios.Parse("x.scenario.yaml", []byte(src))
	if err != nil {
		t.Fatal(err)
	}
	in := s.Timeline[1].Inject
	if len(in) != 2 || in[0].Kind != "link.cut" || !in[1].Fault.(*fault.NodeKill).Silent {
		t.Errorf("inject %+v", in)
	}
}

// TestBadInput changes one thing of a good file and wants the line, the
// column and the way to mend it.
func TestBadInput(t *testing.T) {
	for _, c := range []struct{ name, old, new, want string }{
		{"unknown key", "repeat: 3", "repeats: 3", "4:1: unknown key \"repeats\""},
		{"bad id", "id: UPLINK-02", "id: \"UP LINK\"", "1:5: bad id \"UP LINK\": use letters"},
		{"repeat range", "repeat: 3", "repeat: 2000", "4:9: repeat 2000 is out of range: 1 … 1000"},
		{"rate without unit", "rate: 1000pps", "rate: 1000", "6:49: missing unit: write 1000pps"},
		{"rate too high", "rate: 1000pps", "rate: 5000pps", "6:49: rate 5000pps is out of range: 1pps … 1000pps a stream; raise count for more"},
		{"unknown proto", "proto: udp", "proto: tcp", "6:38: unknown proto \"tcp\""},
		{"unknown family", "family: ipv6", "family: ipx", "7:53: unknown family \"ipx\""},
		{"count", "count: 10", "count: 100", "6:65: count 100 is out of range: 1 … 64"},
		{"to itself", "from: srv, to: host1", "from: srv, to: srv", "flow in goes from srv to itself"},
		{"at without unit", "at: 2s", "at: 2", "10:10: missing unit: write 3s or 300ms"},
		{"at and after", "{after: converged, hold: 2s, phase: repaired", "{at: 3s, after: converged, phase: repaired", "11:21: at and after in one step: keep one of them"},
		{"neither at nor after", "{at: 0s, phase: steady}", "{phase: steady}", "a step needs at: or after:"},
		{"order of time", "at: 0s", "at: 5s", "10:10: at 2s is before the step above it can end"},
		{"unknown condition", "after: converged, hold: 2s, phase: repaired", "after: happy, hold: 2s, phase: repaired", "11:13: unknown condition \"happy\""},
		{"unknown fault", "link.blackhole", "link.blackhol", "10:45: unknown fault kind \"link.blackhol\": use one of link.blackhole, link.cut"},
		{"unknown fault option", "dir: a-to-b", "direction: a-to-b", "unknown key \"direction\""},
		{"inject without kind", "{kind: link.blackhole, ", "{", "inject needs a kind"},
		{"unknown heal", "heal: all", "heal: most", "unknown heal \"most\""},
		{"nothing to heal", "phase: steady}", "phase: steady, heal: all}", "nothing to heal"},
		{"duplicate phase", "phase: end", "phase: steady", "phase \"steady\" is a duplicate or not a name"},
		{"unknown phase", "  repaired: [", "  repared: [", "unknown phase \"repared\", did you mean \"repaired\"?"},
		{"unknown metric", "metric: loss", "metric: los", "unknown metric \"los\", did you mean \"loss\"?"},
		{"unknown stat", "stat: max", "stat: mean", "unknown stat \"mean\""},
		{"unknown flow", "flows: [out, in]", "flows: [out, inn]", "unknown flow \"inn\", did you mean \"in\"?"},
		{"bound without unit", "max: 200ms", "max: 200", "missing unit: route_loc is a time, write 200ms"},
		{"bound with unit", "max: 0", "max: 1ms", "loss is a count, write a number without unit"},
		{"no bound", "{metric: loss, max: 0}", "{metric: loss}", "metric loss needs a bound: max or min"},
		{"event without within", ", within: 160ms", "", "event bfd.down needs within"},
		{"metric and event", "{metric: loss, max: 0}", "{metric: loss, event: bfd.down, max: 0}", "an expectation is either"},
		{"no flows", "  out: {from: host1, to: srv, proto: udp, rate: 1000pps, count: 10}\n  in:  {from: srv, to: host1, rate: 500pps, family: ipv6}\n", "", "a scenario needs at least one flow"},
	} {
		t.Run(c.name, func(t *testing.T) {
			src := strings.Replace(good, c.old, c.new, 1)
			if src == good {
				t.Fatal("the case changes nothing")
			}
			_, err := scenarios.Parse("x.scenario.yaml", []byte(src))
			if err == nil {
				t.Fatal("accepted")
			}
			if got := err.Error(); !strings.Contains(got, c.want) || !strings.HasPrefix(got, "x.scenario.yaml:") {
				t.Errorf("got\n%s\nwant …%s", got, c.want)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(good))
	f.Add([]byte("id: a\ntimeline: [{inject: [[]]}]"))
	f.Add([]byte("expect: {a: [{max: {}}]}"))
	f.Fuzz(func(t *testing.T, src []byte) {
		s, err := scenarios.Parse("f", src)
		if err == nil && (s.ID == "" || len(s.Timeline) < 2 || len(s.Flows) == 0) {
			t.Errorf("accepted a scenario without id, timeline or flows: %+v", s)
		}
	})
}
