package scenarios_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"gwlab/scenarios"
	"gwlab/topologies"
)

func load(t *testing.T) (*scenarios.Scenario, *topologies.Topology) {
	t.Helper()
	s, err := scenarios.Parse("x.scenario.yaml", []byte(good))
	if err != nil {
		t.Fatal(err)
	}
	top, err := topologies.Load(topologies.Library(), s.Topology)
	if err != nil {
		t.Fatal(err)
	}
	return s, top
}

func TestCompile(t *testing.T) {
	s, top := load(t)
	p, err := scenarios.Compile(s, top, 42, 2)
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Flows) != 11 {
		t.Fatalf("%d flows, want 10 out and 1 in", len(p.Flows))
	}
	ports := map[string]bool{}
	for i, f := range p.Flows {
		src, dst := netip.MustParseAddrPort(f.Src), netip.MustParseAddrPort(f.Dst)
		if int(f.ID) != i || ports[f.Src] {
			t.Errorf("flow %d: id %d, source %s: want unique ones", i, f.ID, f.Src)
		}
		ports[f.Src] = true
		if src.Addr().Is4() != (f.Family == "ipv4") || dst.Addr().Is4() != src.Addr().Is4() {
			t.Errorf("flow %d of %s: %s to %s", i, f.Family, f.Src, f.Dst)
		}
	}
	if p.Flows[0].Family != "ipv4" || p.Flows[1].Family != "ipv6" || p.Flows[10].Family != "ipv6" {
		t.Error("both must alternate, and a named family must hold")
	}
	if p.Flows[0].Interval != time.Millisecond || p.Flows[10].Interval != 2*time.Millisecond {
		t.Errorf("intervals %v, %v", p.Flows[0].Interval, p.Flows[10].Interval)
	}
	if at := p.Steps[1].At; at < 2*time.Second || at >= 2100*time.Millisecond || p.Steps[1].Jitter != 0 {
		t.Errorf("jitter drew %v", at)
	}
	if s.Timeline[1].At != 2*time.Second {
		t.Error("compiling changed the scenario")
	}
}

func TestCompileIsDeterministicPerSeedAndRepeat(t *testing.T) {
	s, top := load(t)
	at := func(seed uint64, repeat int) time.Duration {
		p, err := scenarios.Compile(s, top, seed, repeat)
		if err != nil {
			t.Fatal(err)
		}
		return p.Steps[1].At
	}
	if first, again := at(1, 1), at(1, 1); first != again {
		t.Error("same seed and repeat, different plan")
	}
	if at(1, 1) == at(1, 2) || at(1, 1) == at(2, 1) {
		t.Error("the fault's instant does not vary with seed and repeat")
	}
}

func TestCompileErrors(t *testing.T) {
	_, top := load(t)
	for _, c := range []struct{ old, new, want string }{
		{"gw1:isp1\", dir", "gw1:isp9\", dir", "x.scenario.yaml:10:"},
		{"gw1:isp1\", dir", "gw1:isp9\", dir", "no endpoint \"gw1:isp9\" in topology dual-isp: gw1 has"},
		{"from: host1, to: srv", "from: hosst1, to: srv", "flow out: unknown node \"hosst1\", did you mean \"host1\"?"},
		{"node: gw1, within", "node: gw7, within", "expect failure: unknown node \"gw7\""},
	} {
		s, err := scenarios.Parse("x.scenario.yaml", []byte(strings.Replace(good, c.old, c.new, 1)))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := scenarios.Compile(s, top, 1, 1); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want …%s", c.new, err, c.want)
		}
	}
}

func TestLibrary(t *testing.T) {
	all, err := scenarios.All(scenarios.Library())
	if err != nil {
		t.Fatal(err)
	}
	ids := map[string]bool{}
	kinds := map[string]bool{}
	for _, s := range all {
		if ids[s.ID] {
			t.Errorf("id %s twice", s.ID)
		}
		ids[s.ID] = true
		top, err := topologies.Load(topologies.Library(), s.Topology)
		if err != nil {
			t.Errorf("%s: %v", s.File, err)
			continue
		}
		if _, err := scenarios.Compile(s, top, 1, 1); err != nil {
			t.Errorf("%s: %v", s.File, err)
		}
		for _, st := range s.Timeline {
			for _, in := range st.Inject {
				kinds[in.Kind] = true
			}
		}
	}
	if len(all) < 12 {
		t.Errorf("%d scenarios", len(all))
	}
	for _, k := range []string{"link.cut", "link.down", "link.blackhole", "node.kill", "process.kill", "process.stop"} {
		if !kinds[k] {
			t.Errorf("no library scenario uses %s", k)
		}
	}
	if _, err := scenarios.Load(scenarios.Library(), "uplink-02"); err != nil {
		t.Error(err)
	}
	if _, err := scenarios.Load(scenarios.Library(), "UPLINK-99"); err == nil || !strings.Contains(err.Error(), "UPLINK-02") {
		t.Errorf("an unknown id must list the known ones: %v", err)
	}
}
