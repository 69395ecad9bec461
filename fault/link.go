package fault

import (
	"context"
	"fmt"

	"gwlab/topologies"
)

// up is a cable as it is built: everything passes, carrier on.
var up = CableState{AtoB: PassAll, BtoA: PassAll, Carrier: true}

// LinkCut takes carrier from both ends of a cable.
type LinkCut struct {
	Link topologies.Endpoint `yaml:"link"`
}

// Validate wants a cable: a bare veth has no middle to cut.
func (f *LinkCut) Validate(t *topologies.Topology) error { return cable(t, f.Link) }

// Inject cuts; confirmed when the kernel reports no carrier at both ends.
func (f *LinkCut) Inject(ctx context.Context, lab Lab) (Active, error) {
	p, err := port(lab.Topology(), f.Link)
	if err != nil {
		return Active{}, err
	}
	effect, err := lab.SetCable(ctx, f.Link, CableState{AtoB: PassNone, BtoA: PassNone})
	if err != nil {
		return Active{}, fmt.Errorf("cut %s: %w", f.Link, err)
	}
	return Active{
		Effect: effect, Target: p.Link.String(),
		Confirm: func(ctx context.Context) (string, error) {
			if err := noCarrier(ctx, lab, p.Endpoint(), p.Other().Endpoint()); err != nil {
				return "", err
			}
			return fmt.Sprintf("no carrier at %s and %s", p.Endpoint(), p.Other().Endpoint()), nil
		},
		Heal: func(ctx context.Context) (Effect, error) { return lab.SetCable(ctx, f.Link, up) },
	}, nil
}

// LinkDown sets one end administratively down.
type LinkDown struct {
	Port topologies.Endpoint `yaml:"port"`
}

// Validate wants an existing port.
func (f *LinkDown) Validate(t *topologies.Topology) error {
	_, err := port(t, f.Port)
	return err
}

// Inject sets the port down; confirmed when the other end has lost carrier.
func (f *LinkDown) Inject(ctx context.Context, lab Lab) (Active, error) {
	p, err := port(lab.Topology(), f.Port)
	if err != nil {
		return Active{}, err
	}
	effect, err := lab.SetPort(ctx, f.Port, false)
	if err != nil {
		return Active{}, fmt.Errorf("set %s down: %w", f.Port, err)
	}
	other := p.Other().Endpoint()
	return Active{
		Effect: effect, Target: string(f.Port),
		Confirm: func(ctx context.Context) (string, error) {
			if err := noCarrier(ctx, lab, other); err != nil {
				return "", err
			}
			return fmt.Sprintf("no carrier at %s", other), nil
		},
		Heal: func(ctx context.Context) (Effect, error) { return lab.SetPort(ctx, f.Port, true) },
	}, nil
}

// LinkBlackhole drops packets in a cable's middle while carrier stays.
type LinkBlackhole struct {
	Link topologies.Endpoint `yaml:"link"`
	// Dir is "both" (default), "a-to-b" or "b-to-a"; a is the node that
	// Link names, b the one at the other end.
	Dir string `yaml:"dir"`
}

// Validate wants a cable and a known direction.
func (f *LinkBlackhole) Validate(t *topologies.Topology) error {
	switch f.Dir {
	case "", "both", "a-to-b", "b-to-a":
		return cable(t, f.Link)
	default:
		return fmt.Errorf("unknown dir %q: use both, a-to-b or b-to-a (a is the node of link: %s)", f.Dir, f.Link)
	}
}

// Inject drops; confirmed when the middle has counted a dropped packet.
func (f *LinkBlackhole) Inject(ctx context.Context, lab Lab) (Active, error) {
	p, err := port(lab.Topology(), f.Link)
	if err != nil {
		return Active{}, err
	}
	s := up
	named, far := f.Dir != "b-to-a", f.Dir != "a-to-b" // which directions drop, seen from the named end
	if p.Link.B == p {
		named, far = far, named
	}
	if named {
		s.AtoB = PassNone
	}
	if far {
		s.BtoA = PassNone
	}
	a0, b0, err := lab.CableCounters(ctx, f.Link)
	if err != nil {
		return Active{}, fmt.Errorf("read counters of %s: %w", f.Link, err)
	}
	effect, err := lab.SetCable(ctx, f.Link, s)
	if err != nil {
		return Active{}, fmt.Errorf("blackhole %s: %w", f.Link, err)
	}
	target := p.Link.String()
	if f.Dir != "" && f.Dir != "both" {
		target += " " + f.Dir
	}
	return Active{
		Effect: effect, Target: target,
		Confirm: func(ctx context.Context) (evidence string, err error) {
			// Traffic may flow one way only: one dropped packet is proof enough.
			err = until(ctx, func() (bool, error) {
				a, b, err := lab.CableCounters(ctx, f.Link)
				if err != nil {
					return false, err
				}
				da, db := a.Dropped-a0.Dropped, b.Dropped-b0.Dropped
				evidence = fmt.Sprintf("middle dropped %d a-to-b, %d b-to-a", da, db)
				return da+db > 0, nil
			})
			return evidence, err
		},
		Heal: func(ctx context.Context) (Effect, error) { return lab.SetCable(ctx, f.Link, up) },
	}, nil
}

func port(t *topologies.Topology, e topologies.Endpoint) (*topologies.Port, error) {
	if e == "" {
		return nil, fmt.Errorf("target missing: name an endpoint such as \"gw1:isp1\"")
	}
	p := t.Port(e)
	if p == nil {
		return nil, fmt.Errorf("no endpoint %q in topology %s%s", e, t.Name, near(t, e))
	}
	return p, nil
}

func cable(t *topologies.Topology, e topologies.Endpoint) error {
	p, err := port(t, e)
	if err != nil {
		return err
	}
	if p.Link.Type == "veth" {
		return fmt.Errorf("link %s is a bare veth, which has no middle to act on: remove `type: veth` from it", p.Link)
	}
	return nil
}
