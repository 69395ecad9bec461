package convergence

import "time"

// SchemaVersion of Run's JSON form. Raise it when a field changes meaning.
const SchemaVersion = 1

// Run is everything one execution of a scenario recorded, raw: all numbers
// of a report are computed from it and nothing else. Instants are
// CLOCK_MONOTONIC nanoseconds.
type Run struct {
	Schema   int    `json:"schema"`
	Scenario string `json:"scenario"` // id
	Repeat   int    `json:"repeat"`   // from 1
	Seed     uint64 `json:"seed"`
	// The inputs' text: a run can be judged again without them.
	ScenarioText string            `json:"scenario_text"`
	TopologyText string            `json:"topology_text"`
	Topology     string            `json:"topology"`
	Gateway      string            `json:"gateway"`    // implementation under test: gatewayd, frr, bird, or a path
	StartedAt    time.Time         `json:"started_at"` // wall clock, for people
	Start        int64             `json:"start_ns"`
	End          int64             `json:"end_ns"`
	Environment  map[string]string `json:"environment"` // kernel, cpus, versions, commit
	Phases       []Phase           `json:"phases"`
	Injections   []Injection       `json:"injections"`
	Flows        []Flow            `json:"flows"`
	Health       Health            `json:"tester_health"`
	// Aborted says why the timeline did not reach its end; empty if it did.
	Aborted string `json:"aborted,omitempty"`
	// Events and the flows' samples live in files beside run.json.
	Events []Event `json:"-"`
}

// Phase is a named window of the timeline.
type Phase struct {
	Name  string `json:"name"`
	Start int64  `json:"start_ns"`
	End   int64  `json:"end_ns"`
	// Converged is when the wait that ended this phase was satisfied, 0 if
	// the phase did not wait, -1 if it waited in vain.
	Converged int64 `json:"converged_ns,omitempty"`
}

// Injection is one fault or heal that was done.
type Injection struct {
	Kind   string `json:"kind"`   // fault kind
	Target string `json:"target"` // as resolved
	Heal   bool   `json:"heal"`   // true: the fault was undone here
	Phase  string `json:"phase"`
	// Call and Return bracket the instant it took effect (the RFC 6412
	// Convergence Event Instant); the width is the stated uncertainty.
	Call   int64 `json:"call_ns"`
	Return int64 `json:"return_ns"`
	// Confirmed by a counter independent of the injector; Evidence says which.
	Confirmed bool   `json:"confirmed"`
	Evidence  string `json:"evidence"`
	Error     string `json:"error,omitempty"`
}

// Event is one line of events.jsonl.
type Event struct {
	T      int64             `json:"t_ns"`
	Source string            `json:"source"` // "gatewayd", "netlink", "engine", "probe"
	Node   string            `json:"node,omitempty"`
	Kind   string            `json:"kind"`
	Key    string            `json:"key,omitempty"`
	Data   map[string]string `json:"data,omitempty"`
}

// Flow is one one-way packet stream and what became of each packet.
type Flow struct {
	ID       uint16        `json:"id"`
	Group    string        `json:"group"` // the scenario's flow name
	Index    int           `json:"index"` // within the group, from 0
	From     string        `json:"from"`  // node
	To       string        `json:"to"`
	Src      string        `json:"src"` // addr:port
	Dst      string        `json:"dst"`
	Family   string        `json:"family"`
	Interval time.Duration `json:"interval_ns"` // T: the flow's resolution
	// Sent[i] and Received[i] are packet i's send instant and the kernel's
	// receive instant; Received[i] is 0 for a packet that never came.
	Sent     []int64 `json:"-"`
	Received []int64 `json:"-"`
	// Duplicated are the send instants of the packets that arrived again,
	// one entry for each extra copy.
	Duplicated []int64 `json:"-"`
	// Duplicates and Reordered (RFC 4737 type-P-reordered) are counts; they
	// are never an outage.
	Duplicates int `json:"duplicates"`
	Reordered  int `json:"reordered"`
}

// Health is the tester's record of its own fitness.
type Health struct {
	WorstLateness time.Duration `json:"worst_lateness_ns"` // sender behind its grid
	P99Lateness   time.Duration `json:"p99_lateness_ns"`
	WorstGap      time.Duration `json:"worst_gap_ns"` // largest pause between two sends of one flow beyond its interval
	Overruns      uint64        `json:"overruns"`     // receive queue overflows, packets
	SendErrors    uint64        `json:"send_errors"`
	// NoBuffers are sends refused by a full transmit queue of the sending
	// host (ENOBUFS): the tester's own loss. SendErrors are the others, such
	// as no route: an outage of that host.
	NoBuffers uint64 `json:"no_buffers"`
	// Foreign are packets at the probe's sockets that are none of its own.
	Foreign uint64 `json:"foreign_packets"`
	// ClockStep is by how much the wall clock was stepped while packets were
	// being stamped with it; delays are wrong by that much.
	ClockStep    time.Duration `json:"clock_step_ns"`
	RealTime     bool          `json:"real_time"` // sender ran SCHED_FIFO
	StealPercent float64       `json:"steal_percent"`
	CPUPressure  float64       `json:"cpu_pressure_percent"` // PSI "some", avg over the run; -1 unknown
	BusyPercent  float64       `json:"busy_percent"`
	Stalls       []Stall       `json:"stalls,omitempty"` // sender gaps > 2T
}

// Stall is a pause of the sender itself.
type Stall struct {
	Start int64 `json:"start_ns"`
	End   int64 `json:"end_ns"`
}

// FlowProgress is what the running probe knows of one flow.
type FlowProgress struct {
	ID       uint16 `json:"id"`
	Sent     uint64 `json:"sent"`
	Received uint64 `json:"received"`
	// CleanSince is the send instant since which every packet arrived
	// (packets of the last 20 ms not counted); 0 while packets are being lost.
	CleanSince int64 `json:"clean_since_ns"`
}
