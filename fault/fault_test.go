package fault_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gwlab/fault"
	"gwlab/topologies"
)

// bench is a lab made of values: cables, ports and processes that do what
// the verbs say, and count what a real middle would count.
type bench struct {
	top      *topologies.Topology
	cables   map[*topologies.Link]fault.CableState
	portDown map[topologies.Endpoint]bool
	off      map[string]string // node → "carrier" or "silent"
	pids     map[string]int
	nextPID  int
	deaf     bool // traffic has stopped: nothing is dropped, nothing confirms
	dropped  map[*topologies.Link][2]uint64
}

func newBench() *bench {
	gw := &topologies.Node{Name: "gw1", Kind: "gateway"}
	isp := &topologies.Node{Name: "isp1", Kind: "frr"}
	host := &topologies.Node{Name: "host1", Kind: "host"}
	t := &topologies.Topology{Name: "bench", Nodes: []*topologies.Node{gw, isp, host}}
	link := func(a *topologies.Node, an string, b *topologies.Node, bn, kind string) {
		pa, pb := &topologies.Port{Node: a, Name: an}, &topologies.Port{Node: b, Name: bn}
		l := &topologies.Link{A: pa, B: pb, Type: kind, Index: len(t.Links)}
		pa.Link, pb.Link = l, l
		a.Ports, b.Ports = append(a.Ports, pa), append(b.Ports, pb)
		t.Links = append(t.Links, l)
	}
	link(gw, "isp1", isp, "gw1", "cable")
	link(gw, "lan", host, "eth0", "veth")
	return &bench{
		top: t, cables: map[*topologies.Link]fault.CableState{}, portDown: map[topologies.Endpoint]bool{},
		off: map[string]string{}, pids: map[string]int{"gw1/gatewayd": 100, "isp1/bgpd": 101}, nextPID: 200,
		dropped: map[*topologies.Link][2]uint64{},
	}
}

func now() fault.Effect {
	n := time.Now().UnixNano()
	return fault.Effect{Call: n, Return: n + 1}
}

func (b *bench) Topology() *topologies.Topology { return b.top }

func (b *bench) SetCable(_ context.Context, e topologies.Endpoint, s fault.CableState) (fault.Effect, error) {
	b.cables[b.top.Port(e).Link] = s
	return now(), nil
}

// CableCounters moves one packet each way between two looks, as live BFD would.
func (b *bench) CableCounters(_ context.Context, e topologies.Endpoint) (fault.Counters, fault.Counters, error) {
	l := b.top.Port(e).Link
	s, set := b.cables[l]
	d := b.dropped[l]
	silent := b.off[l.A.Node.Name] == "silent" || b.off[l.B.Node.Name] == "silent"
	if !b.deaf && ((set && s.AtoB == fault.PassNone) || silent) {
		d[0]++
	}
	if !b.deaf && ((set && s.BtoA == fault.PassNone) || silent) {
		d[1]++
	}
	b.dropped[l] = d
	return fault.Counters{Dropped: d[0]}, fault.Counters{Dropped: d[1]}, nil
}

func (b *bench) SetPort(_ context.Context, e topologies.Endpoint, up bool) (fault.Effect, error) {
	b.portDown[e] = !up
	return now(), nil
}

func (b *bench) Carrier(_ context.Context, e topologies.Endpoint) (bool, error) {
	p := b.top.Port(e)
	s, set := b.cables[p.Link]
	dead := b.off[p.Node.Name] == "carrier" || b.off[p.Other().Node.Name] == "carrier"
	return !b.portDown[e] && !b.portDown[p.Other().Endpoint()] && (!set || s.Carrier) && !dead, nil
}

func (b *bench) PowerOff(_ context.Context, node string, silent bool) (fault.Effect, error) {
	b.off[node] = map[bool]string{true: "silent", false: "carrier"}[silent]
	return now(), nil
}

func (b *bench) PowerOn(_ context.Context, node string) (fault.Effect, error) {
	delete(b.off, node)
	return now(), nil
}

func (b *bench) Signal(_ context.Context, node, process, _ string) (fault.Effect, error) {
	if b.pids[node+"/"+process] == 0 {
		return fault.Effect{}, fmt.Errorf("%s does not run", process)
	}
	b.pids[node+"/"+process] = 0
	return now(), nil
}

func (b *bench) Start(_ context.Context, node, process string) (fault.Effect, error) {
	if b.pids[node+"/"+process] == 0 {
		b.nextPID++
		b.pids[node+"/"+process] = b.nextPID
	}
	return now(), nil
}

func (b *bench) Pid(_ context.Context, node, process string) (int, error) {
	return b.pids[node+"/"+process], nil
}

// state is everything a fault could leave behind.
func (b *bench) state() string {
	var lines []string
	for l, s := range b.cables {
		if s != (fault.CableState{AtoB: fault.PassAll, BtoA: fault.PassAll, Carrier: true}) {
			lines = append(lines, fmt.Sprintf("cable %s %+v", l, s))
		}
	}
	for e, down := range b.portDown {
		if down {
			lines = append(lines, "down "+string(e))
		}
	}
	for n, how := range b.off {
		lines = append(lines, "off "+n+" "+how)
	}
	for p, pid := range b.pids {
		if pid == 0 {
			lines = append(lines, "dead "+p)
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

var cases = []struct {
	name   string
	kind   string
	fault  fault.Fault
	during string // the state while it is active
}{
	{"cut", "link.cut", &fault.LinkCut{Link: "gw1:isp1"}, "cable gw1:isp1 -- isp1:gw1 {AtoB:none BtoA:none Carrier:false}"},
	{"down", "link.down", &fault.LinkDown{Port: "isp1:gw1"}, "down isp1:gw1"},
	{"down on a veth", "link.down", &fault.LinkDown{Port: "gw1:lan"}, "down gw1:lan"},
	{"blackhole", "link.blackhole", &fault.LinkBlackhole{Link: "gw1:isp1"}, "cable gw1:isp1 -- isp1:gw1 {AtoB:none BtoA:none Carrier:true}"},
	{"a to b from the a end", "link.blackhole", &fault.LinkBlackhole{Link: "gw1:isp1", Dir: "a-to-b"}, "cable gw1:isp1 -- isp1:gw1 {AtoB:none BtoA:all Carrier:true}"},
	{"a to b from the b end", "link.blackhole", &fault.LinkBlackhole{Link: "isp1:gw1", Dir: "a-to-b"}, "cable gw1:isp1 -- isp1:gw1 {AtoB:all BtoA:none Carrier:true}"},
	{"b to a", "link.blackhole", &fault.LinkBlackhole{Link: "gw1:isp1", Dir: "b-to-a"}, "cable gw1:isp1 -- isp1:gw1 {AtoB:all BtoA:none Carrier:true}"},
	{"power off", "node.kill", &fault.NodeKill{Node: "isp1"}, "off isp1 carrier"},
	{"power off, silent", "node.kill", &fault.NodeKill{Node: "isp1", Silent: true}, "off isp1 silent"},
	{"kill", "process.kill", &fault.ProcessKill{Node: "gw1"}, "dead gw1/gatewayd"},
	{"kill a named one", "process.kill", &fault.ProcessKill{Node: "isp1", Process: "bgpd"}, "dead isp1/bgpd"},
	{"kill and restart", "process.kill", &fault.ProcessKill{Node: "gw1", Restart: true}, ""},
	{"stop", "process.stop", &fault.ProcessStop{Node: "isp1"}, "dead isp1/bgpd"},
}

func TestEachFaultActsIsConfirmedAndHeals(t *testing.T) {
	covered := map[string]bool{}
	for _, c := range cases {
		covered[c.kind] = true
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench()
				if err := c.fault.Validate(b.top); err != nil {
					t.Fatal(err)
				}
				active, err := c.fault.Inject(t.Context(), b)
				if err != nil {
					t.Fatal(err)
				}
				if got := b.state(); got != c.during {
					t.Errorf("while active:\n%s\nwant\n%s", got, c.during)
				}
				if active.Effect.Call == 0 || active.Effect.Return < active.Effect.Call || active.Target == "" {
					t.Errorf("effect %+v on %q", active.Effect, active.Target)
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				if evidence, err := active.Confirm(ctx); err != nil || evidence == "" {
					t.Errorf("confirm: %q, %v", evidence, err)
				}
				for range 2 { // a heal is idempotent
					if _, err := active.Heal(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
				if left := b.state(); left != "" {
					t.Errorf("left behind:\n%s", left)
				}
			})
		})
	}
	for _, k := range fault.Kinds() {
		if !covered[k.Name] {
			t.Errorf("kind %s has no case", k.Name)
		}
	}
}

func TestNothingConfirmsWithoutTraffic(t *testing.T) {
	for _, f := range []fault.Fault{&fault.LinkBlackhole{Link: "gw1:isp1"}} {
		synctest.Test(t, func(t *testing.T) {
			b := newBench()
			b.deaf = true
			active, err := f.Inject(t.Context(), b)
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, errors.New("time is up"))
			defer cancel()
			if _, err := active.Confirm(ctx); err == nil || !strings.Contains(err.Error(), "time is up") {
				t.Errorf("confirm: %v", err)
			}
		})
	}
}

func TestValidateSaysHowToMend(t *testing.T) {
	top := newBench().top
	top.Nodes[2].Kind = "host"
	for _, c := range []struct {
		fault fault.Fault
		want  string
	}{
		{&fault.LinkCut{}, `target missing: name an endpoint such as "gw1:isp1"`},
		{&fault.LinkCut{Link: "gw1:nope"}, `no endpoint "gw1:nope" in topology bench: gw1 has gw1:isp1, gw1:lan`},
		{&fault.LinkCut{Link: "gw9:isp1"}, `no endpoint "gw9:isp1" in topology bench: nodes are gw1, host1, isp1`},
		{&fault.LinkCut{Link: "gw1:lan"}, "link gw1:lan -- host1:eth0 is a bare veth, which has no middle to act on: remove `type: veth` from it"},
		{&fault.LinkBlackhole{Link: "gw1:isp1", Dir: "up"}, `unknown dir "up": use both, a-to-b or b-to-a (a is the node of link: gw1:isp1)`},
		{&fault.NodeKill{Node: "gw3"}, "no node \"gw3\" in topology bench: it has gw1, host1, isp1"},
		{&fault.NodeKill{Node: "host1"}, "link gw1:lan -- host1:eth0 is a bare veth, which has no middle to act on: remove `type: veth` from it"},
		{&fault.ProcessKill{Node: "host1"}, "node host1 (kind host) runs no daemon: name a process"},
		{&fault.ProcessStop{Node: ""}, "no node \"\" in topology bench: it has gw1, host1, isp1"},
	} {
		if err := c.fault.Validate(top); err == nil || err.Error() != c.want {
			t.Errorf("%#v:\n got %v\nwant %s", c.fault, err, c.want)
		}
	}
}

func TestCatalogue(t *testing.T) {
	seen := map[string]bool{}
	for _, k := range fault.Kinds() {
		if seen[k.Name] || k.Doc == "" || !strings.HasSuffix(k.Doc, ".") || k.New() == nil {
			t.Errorf("kind %q: duplicate, or without a doc sentence or a constructor", k.Name)
		}
		seen[k.Name] = true
		if _, err := fault.New(k.Name); err != nil {
			t.Error(err)
		}
	}
	if _, err := fault.New("link.melt"); err == nil || !strings.Contains(err.Error(), "link.cut") {
		t.Errorf("an unknown kind must list the known ones: %v", err)
	}
}
