package fault

import (
	"context"

	"gwlab/topologies"
)

// Effect brackets the instant a verb took effect, CLOCK_MONOTONIC ns.
type Effect struct{ Call, Return int64 }

// Pass is what a cable's middle lets through in one direction.
type Pass string

// The two there are: a direction is whole or cut.
const (
	PassAll  Pass = "all"
	PassNone Pass = "none"
)

// CableState is what both directions of a link's middle do. AtoB is traffic
// that enters at Link.A.
type CableState struct {
	AtoB, BtoA Pass
	// Carrier false takes both outer ends to NO-CARRIER.
	Carrier bool
}

// Counters of one direction of a cable, by the program in its middle.
type Counters struct {
	Passed  uint64 `json:"passed"`
	Dropped uint64 `json:"dropped"`
	// FirstDrop and LastDrop are CLOCK_MONOTONIC ns, 0 for never; FirstDrop
	// is reset by SetCable.
	FirstDrop int64 `json:"first_drop_ns"`
	LastDrop  int64 `json:"last_drop_ns"`
}

// Lab is the verbs a fault may use on a running lab. Each is idempotent.
type Lab interface {
	// Topology is what the lab was built from; it is read, never changed.
	Topology() *topologies.Topology
	// SetCable changes a link's middle; refused on a bare veth.
	SetCable(ctx context.Context, link topologies.Endpoint, s CableState) (Effect, error)
	// CableCounters reads what a link's middle has passed and dropped.
	CableCounters(ctx context.Context, link topologies.Endpoint) (aToB, bToA Counters, err error)
	// SetPort sets a port administratively up or down.
	SetPort(ctx context.Context, port topologies.Endpoint, up bool) (Effect, error)
	// Carrier reports whether a port sees carrier (IFF_RUNNING).
	Carrier(ctx context.Context, port topologies.Endpoint) (bool, error)
	// PowerOff ends every process of a node at once and forgets its kernel
	// state; with silent its links keep carrier and drop everything,
	// otherwise the neighbours lose carrier in the same instant.
	PowerOff(ctx context.Context, node string, silent bool) (Effect, error)
	// PowerOn starts it again with its configuration.
	PowerOn(ctx context.Context, node string) (Effect, error)
	// Signal sends a signal to a named process of a node and, unless the
	// signal lets it live, keeps the supervisor from restarting it.
	Signal(ctx context.Context, node, process string, sig string) (Effect, error)
	// Start starts a process that was signalled to death.
	Start(ctx context.Context, node, process string) (Effect, error)
	// Pid is the process id, in the root PID namespace, of a named process of
	// a node; 0 when it does not run.
	Pid(ctx context.Context, node, process string) (int, error)
}

// Active is an injected fault.
type Active struct {
	Effect Effect
	// Target as resolved, for the record: "gw1:isp1 -- isp1:gw1".
	Target string
	// Confirm waits until a counter independent of the injector shows that
	// the fault took effect, and says which; it errs when ctx ends first.
	Confirm func(ctx context.Context) (evidence string, err error)
	// Heal undoes it; idempotent.
	Heal func(ctx context.Context) (Effect, error)
}

// Fault is one fault with its options, decoded from YAML.
type Fault interface {
	// Validate checks the target and what it needs against a topology.
	Validate(*topologies.Topology) error
	// Inject does it. A fault that half-applies undoes itself before it
	// returns an error.
	Inject(ctx context.Context, lab Lab) (Active, error)
}
