package fault

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"gwlab/topologies"
)

// poll is how often a confirmation looks again. Counters have no event to
// wait for; the instant of the fault comes from the injector, not from here.
const poll = 5 * time.Millisecond

// until calls check at once and then every poll, until it is true, errs, or
// ctx ends.
func until(ctx context.Context, check func() (bool, error)) error {
	tick := time.NewTicker(poll)
	defer tick.Stop()
	for {
		ok, err := check()
		if ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("not confirmed: %w", context.Cause(ctx))
		case <-tick.C:
		}
	}
}

func noCarrier(ctx context.Context, lab Lab, ports ...topologies.Endpoint) error {
	return until(ctx, func() (bool, error) {
		for _, p := range ports {
			if up, err := lab.Carrier(ctx, p); up || err != nil {
				return false, err
			}
		}
		return true, nil
	})
}

// near lists the endpoints of the node that e means, or the nodes there are.
func near(t *topologies.Topology, e topologies.Endpoint) string {
	name, _, _ := strings.Cut(string(e), ":")
	n := t.Node(name)
	if n == nil {
		var names []string
		for _, n := range t.Nodes {
			names = append(names, n.Name)
		}
		return ": nodes are " + list(names)
	}
	var ports []string
	for _, p := range n.Ports {
		ports = append(ports, string(p.Endpoint()))
	}
	return fmt.Sprintf(": %s has %s", name, list(ports))
}

func list(names []string) string {
	slices.Sort(names)
	return strings.Join(names, ", ")
}
