package kind

import (
	"cmp"
	"context"
	"fmt"

	"gwlab/gateway/config"
)

// bgpState is what a daemon tells of a BGP session.
type bgpState struct {
	state    string
	prefixes int // received
}

// sessionsOf lists the sessions of a configuration, given the states a daemon
// reports by address and its words for up.
func sessionsOf(c config.Config, bgp map[string]bgpState, bgpUp string, bfd map[string]string, bfdUp string) []Session {
	var all []Session
	add := func(protocol string, n config.Neighbor, state, up string, prefixes int) {
		all = append(all, Session{
			Protocol: protocol, Peer: n.Address.String(), Name: n.Name,
			State: cmp.Or(state, "not started"), Up: state == up, Prefixes: prefixes,
		})
	}
	for _, n := range c.Neighbors {
		heard := bgp[n.Address.String()]
		add("bgp", n, heard.state, bgpUp, heard.prefixes)
		if !n.BFD.Off {
			add("bfd", n, bfd[n.Address.String()], bfdUp, 0)
		}
	}
	return all
}

// allUp is a Ready that waits for sessions.
func allUp(sessions func(context.Context, Access) ([]Session, error)) func(context.Context, Access) ([]string, error) {
	return func(ctx context.Context, in Access) ([]string, error) {
		all, err := sessions(ctx, in)
		if err != nil {
			return nil, err
		}
		pending := []string{}
		for _, s := range all {
			if !s.Up {
				pending = append(pending, fmt.Sprintf("%s %s: %s", s.Protocol, s.Name, s.State))
			}
		}
		return pending, nil
	}
}
