package lab

import (
	"context"
	"fmt"

	"gwlab/fault"
	"gwlab/topologies"
)

// verb asks the supervisor for an act and returns when it took effect.
func (l *Lab) verb(ctx context.Context, path, what string, request any) (fault.Effect, error) {
	e, err := call[fault.Effect](ctx, l.client, path, request)
	if err != nil {
		return e, fmt.Errorf("%s: %w", what, err)
	}
	return e, nil
}

// SetCable changes a link's middle; refused on a bare veth.
func (l *Lab) SetCable(ctx context.Context, link topologies.Endpoint, s fault.CableState) (fault.Effect, error) {
	return l.verb(ctx, "/v1/cable", "set cable "+string(link), cableRequest{link, s})
}

// CableCounters of both directions; AtoB is traffic that enters at Link.A.
func (l *Lab) CableCounters(ctx context.Context, link topologies.Endpoint) (aToB, bToA fault.Counters, err error) {
	c, err := call[bothCounters](ctx, l.client, "/v1/counters", cableRequest{Link: link})
	if err != nil {
		return aToB, bToA, fmt.Errorf("read counters of %s: %w", link, err)
	}
	return c.AtoB, c.BtoA, nil
}

// SetPort sets a port administratively up or down.
func (l *Lab) SetPort(ctx context.Context, port topologies.Endpoint, up bool) (fault.Effect, error) {
	return l.verb(ctx, "/v1/port", "set port "+string(port), portRequest{port, up})
}

// Carrier reports whether a port sees carrier.
func (l *Lab) Carrier(ctx context.Context, port topologies.Endpoint) (bool, error) {
	c, err := call[carrierAnswer](ctx, l.client, "/v1/carrier", portRequest{Port: port})
	if err != nil {
		return false, fmt.Errorf("read carrier of %s: %w", port, err)
	}
	return c.Carrier, nil
}

// PowerOff ends every process of a node at once and forgets its kernel state.
func (l *Lab) PowerOff(ctx context.Context, node string, silent bool) (fault.Effect, error) {
	return l.verb(ctx, "/v1/poweroff", "power off "+node, powerRequest{node, silent})
}

// PowerOn starts a node again with its configuration.
func (l *Lab) PowerOn(ctx context.Context, node string) (fault.Effect, error) {
	return l.verb(ctx, "/v1/poweron", "power on "+node, powerRequest{Node: node})
}

// Signal sends a signal to a named process of a node.
func (l *Lab) Signal(ctx context.Context, node, process, sig string) (fault.Effect, error) {
	return l.verb(ctx, "/v1/signal", fmt.Sprintf("signal %s on %s", process, node), processRequest{node, process, sig})
}

// Start starts a process that was signalled to death.
func (l *Lab) Start(ctx context.Context, node, process string) (fault.Effect, error) {
	return l.verb(ctx, "/v1/start", fmt.Sprintf("start %s on %s", process, node), processRequest{Node: node, Process: process})
}

// Pid is the process id of a named process, outside of the node's own PID
// namespace; 0 when it does not run.
func (l *Lab) Pid(ctx context.Context, node, process string) (int, error) {
	p, err := call[pidAnswer](ctx, l.client, "/v1/pid", processRequest{Node: node, Process: process})
	if err != nil {
		return 0, fmt.Errorf("find %s on %s: %w", process, node, err)
	}
	return p.Pid, nil
}
