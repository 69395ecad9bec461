package scenarios

import (
	"time"

	"gwlab/fault"
	"gwlab/internal/strictyaml"
	"gwlab/reports/convergence"
	"gwlab/topologies"
)

// Scenario is what breaks, when, and what is expected of the network.
type Scenario struct {
	ID       string
	About    string
	Topology string // a library name or a file
	Repeat   int    // default 1
	Flows    []Flow // in file order
	Timeline []Step
	Expect   []Expect // in file order
	File     string
	// Source is the YAML text it was parsed from; runs store it.
	Source []byte
}

// Flow is a group of equal one-way packet streams.
type Flow struct {
	Name     string
	From, To string // nodes
	Rate     int    // packets a second of each stream, 1 … 1000
	Count    int    // streams, each with its own source port; default 1
	// Family is "ipv4", "ipv6" or "both" (default: the streams alternate).
	Family string
	place  strictyaml.Node // where errors about it are reported
}

// Step begins a phase, and may inject or heal at that instant.
type Step struct {
	// At is the offset from the start of the timeline. With AfterConverged
	// it is unused: the step waits until every flow delivers and, while no
	// fault is active, every session is up; then Hold longer.
	At             time.Duration
	AfterConverged bool
	Hold           time.Duration
	// Within bounds the wait for convergence; default 30 s. A wait in vain
	// ends the phase as "not recovered".
	Within time.Duration
	// Jitter adds a uniform random delay in [0, Jitter), drawn from the
	// run's seed, so that the fault's phase against timers is random.
	Jitter time.Duration
	Phase  string
	Inject []Inject
	Heal   bool // undo every active fault, last first
}

// Inject is one fault of a step.
type Inject struct {
	Kind  string
	Fault fault.Fault
	place strictyaml.Node // where errors about it are reported
}

// Expect is one expectation of one phase: either a bound on a metric or an
// event that must come in time.
type Expect struct {
	Phase string

	Metric string   // see convergence.Metrics
	Flows  []string // flow names; empty means all
	Stat   string   // "max" (default), "median", "p95", "min"
	Max    *Quantity
	Min    *Quantity

	Event  string        // an event kind
	Node   string        // empty: any
	Key    string        // empty: any
	Within time.Duration // of the phase's first injection or heal

	place strictyaml.Node
}

// Plan is a scenario made concrete for one topology and one seed: nothing in
// it is left to decide but the instant of convergence.
type Plan struct {
	Scenario *Scenario
	Topology *topologies.Topology
	Seed     uint64
	Repeat   int
	Flows    []convergence.Flow // without samples
	Steps    []Step             // jitter drawn into At and Hold, Jitter 0
}
