package scenarios

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"time"

	"gwlab/internal/strictyaml"
	"gwlab/reports/convergence"
	"gwlab/topologies"
)

// The ports of measured traffic: source ports differ so that ECMP spreads
// the flows; the destination port is one, to be told apart in a capture.
const (
	firstSource = 40001
	destination = 40000
)

// Compile makes a scenario concrete for a topology and a seed. The same
// arguments give the same plan. Errors are joined, one line each.
func Compile(s *Scenario, t *topologies.Topology, seed uint64, repeat int) (*Plan, error) {
	rng := rand.New(rand.NewPCG(seed, uint64(repeat)))
	p := &Plan{Scenario: s, Topology: t, Seed: seed, Repeat: repeat}
	var errs []error
	for _, f := range s.Flows {
		flows, err := streams(f, t, len(p.Flows))
		if err != nil {
			errs = append(errs, f.place.Errorf("%s", err))
		}
		p.Flows = append(p.Flows, flows...)
	}
	for _, st := range s.Timeline {
		if st.Jitter > 0 {
			d := time.Duration(rng.Int64N(int64(st.Jitter)))
			if st.AfterConverged {
				st.Hold += d
			} else {
				st.At += d
			}
			st.Jitter = 0
		}
		for _, in := range st.Inject {
			if err := in.Fault.Validate(t); err != nil {
				errs = append(errs, in.place.Errorf("%s", err))
			}
		}
		p.Steps = append(p.Steps, st)
	}
	for _, e := range s.Expect {
		if e.Node != "" && t.Node(e.Node) == nil {
			errs = append(errs, e.place.Errorf("expect %s: %s", e.Phase, unknownNode(t, e.Node)))
		}
	}
	return p, errors.Join(errs...)
}

// streams expands a flow group into its one-way packet streams.
func streams(f Flow, t *topologies.Topology, first int) ([]convergence.Flow, error) {
	var ends [2]*topologies.Node
	for i, name := range []string{f.From, f.To} {
		if ends[i] = t.Node(name); ends[i] == nil {
			return nil, fmt.Errorf("flow %s: %s", f.Name, unknownNode(t, name))
		}
	}
	var out []convergence.Flow
	for i := range f.Count {
		family := f.Family
		if family == "both" {
			family = []string{"ipv4", "ipv6"}[i%2]
		}
		src, dst := address(ends[0], family), address(ends[1], family)
		if !src.IsValid() || !dst.IsValid() {
			return nil, fmt.Errorf("flow %s: %s and %s have no common %s: set family", f.Name, f.From, f.To, family)
		}
		id := first + i
		out = append(out, convergence.Flow{
			ID: uint16(id), Group: f.Name, Index: i, From: f.From, To: f.To, Family: family,
			Src:      netip.AddrPortFrom(src, uint16(firstSource+id)).String(),
			Dst:      netip.AddrPortFrom(dst, destination).String(),
			Interval: time.Second / time.Duration(f.Rate),
		})
	}
	return out, nil
}

// address is the node's first address of a family.
func address(n *topologies.Node, family string) netip.Addr {
	for _, p := range n.Ports {
		if a := p.Addr(family); a.IsValid() {
			return a
		}
	}
	return netip.Addr{}
}

func unknownNode(t *topologies.Topology, name string) string {
	var names []string
	for _, n := range t.Nodes {
		names = append(names, n.Name)
	}
	return strictyaml.Unknown("node", name, names)
}
