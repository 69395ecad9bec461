package fault

import (
	"context"
	"fmt"

	"gwlab/topologies"
)

// NodeKill powers a node off.
type NodeKill struct {
	Node string `yaml:"node"`
	// Silent keeps the neighbours' carrier: what dies says nothing.
	Silent bool `yaml:"silent"`
}

// Validate wants an existing node whose links are cables.
func (f *NodeKill) Validate(t *topologies.Topology) error {
	n, err := node(t, f.Node)
	if err != nil {
		return err
	}
	for _, p := range n.Ports {
		if err := cable(t, p.Endpoint()); err != nil {
			return err
		}
	}
	return nil
}

// Inject powers off; confirmed by the neighbours: carrier lost, or, when
// silent, packets counted as dropped towards the dead node.
func (f *NodeKill) Inject(ctx context.Context, lab Lab) (Active, error) {
	n, err := node(lab.Topology(), f.Node)
	if err != nil {
		return Active{}, err
	}
	before, err := dropped(ctx, lab, n)
	if err != nil {
		return Active{}, err
	}
	effect, err := lab.PowerOff(ctx, f.Node, f.Silent)
	if err != nil {
		return Active{}, fmt.Errorf("power off %s: %w", f.Node, err)
	}
	return Active{
		Effect: effect, Target: f.Node,
		Confirm: func(ctx context.Context) (string, error) {
			if f.Silent {
				return droppedMore(ctx, lab, n, before)
			}
			var far []topologies.Endpoint
			for _, p := range n.Ports {
				far = append(far, p.Other().Endpoint())
			}
			if err := noCarrier(ctx, lab, far...); err != nil {
				return "", err
			}
			return fmt.Sprintf("no carrier at %d neighbours of %s", len(far), f.Node), nil
		},
		Heal: func(ctx context.Context) (Effect, error) { return lab.PowerOn(ctx, f.Node) },
	}, nil
}

func droppedMore(ctx context.Context, lab Lab, n *topologies.Node, before uint64) (evidence string, err error) {
	err = until(ctx, func() (bool, error) {
		now, err := dropped(ctx, lab, n)
		evidence = fmt.Sprintf("links of %s dropped %d packets, carrier kept", n.Name, now-before)
		return now > before, err
	})
	return evidence, err
}

// dropped sums what the middles of a node's links have dropped, both ways.
func dropped(ctx context.Context, lab Lab, n *topologies.Node) (uint64, error) {
	var sum uint64
	for _, p := range n.Ports {
		a, b, err := lab.CableCounters(ctx, p.Endpoint())
		if err != nil {
			return 0, fmt.Errorf("read counters of %s: %w", p.Endpoint(), err)
		}
		sum += a.Dropped + b.Dropped
	}
	return sum, nil
}

func node(t *topologies.Topology, name string) (*topologies.Node, error) {
	if n := t.Node(name); n != nil {
		return n, nil
	}
	var names []string
	for _, n := range t.Nodes {
		names = append(names, n.Name)
	}
	return nil, fmt.Errorf("no node %q in topology %s: it has %s", name, t.Name, list(names))
}
