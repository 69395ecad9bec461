package convergence

import "time"

// Outage is a maximal run of lost packets of one flow (RFC 3357 loss period)
// with its bounds from send instants: the true duration lies in [Min, Max].
type Outage struct {
	Start int64         `json:"start_ns"` // first lost packet was sent
	End   int64         `json:"end_ns"`   // first packet delivered after it was sent
	Lost  int           `json:"lost"`
	Min   time.Duration `json:"min_ns"`
	Max   time.Duration `json:"max_ns"`
	Open  bool          `json:"open,omitempty"` // not recovered when the window ended
}

// FlowResult is one flow in one phase.
type FlowResult struct {
	Flow        string        `json:"flow"` // "out/0"
	Group       string        `json:"group"`
	Sent        int           `json:"sent"`
	Lost        int           `json:"lost"` // never came, or later than the Forwarding Delay Threshold
	Late        int           `json:"late"` // of the lost, those that came after all
	Duplicates  int           `json:"duplicates"`
	Reordered   int           `json:"reordered"`    // RFC 4737 type-P-reordered
	RouteLoC    time.Duration `json:"route_loc_ns"` // Route Loss of Connectivity Period: all outages of the phase together
	Uncertainty time.Duration `json:"uncertainty_ns"`
	// RouteSpecific is the Route-Specific Convergence Time: event instant to
	// the first packet after which none is lost.
	RouteSpecific time.Duration `json:"route_specific_convergence_ns"`
	LossPeriods   int           `json:"loss_periods"`
	Outages       []Outage      `json:"outages,omitempty"`
	Recovered     bool          `json:"recovered"`
	Stages        *Stages       `json:"stages,omitempty"`
	DelayP50      time.Duration `json:"delay_p50_ns"`
	DelayP99      time.Duration `json:"delay_p99_ns"`
	DelayMax      time.Duration `json:"delay_max_ns"`
}

// Stages say where the time went. They sum to the flow's convergence time; a
// stage without evidence is 0 and named in Missing.
type Stages struct {
	Detect   time.Duration `json:"detect_ns"`
	Decide   time.Duration `json:"decide_ns"`
	Signal   time.Duration `json:"signal_ns"`
	Program  time.Duration `json:"program_ns"`
	Residual time.Duration `json:"residual_ns"`
	By       string        `json:"by"` // node whose repair ended the outage
	Missing  []string      `json:"missing,omitempty"`
}

// PhaseResult are RFC 6413 §7's numbers of one phase.
type PhaseResult struct {
	Phase                 string        `json:"phase"`
	Start                 int64         `json:"start_ns"`
	End                   int64         `json:"end_ns"`
	Event                 int64         `json:"convergence_event_instant_ns"` // 0 without a fault
	Flows                 []FlowResult  `json:"flows"`
	FirstRouteConvergence time.Duration `json:"first_route_convergence_ns"`
	FullConvergence       time.Duration `json:"full_convergence_ns"`
	LossDerivedLoC        time.Duration `json:"loss_derived_loc_ns"`
	Offered               int           `json:"offered"`
	Lost                  int           `json:"lost"`
	Late                  int           `json:"late"`
	Duplicates            int           `json:"duplicates"`
	Reordered             int           `json:"reordered"`
}

// Verdict of a check, a run or a suite. The order is the order of severity.
type Verdict string

// The verdicts, the mildest first.
const (
	Pass      Verdict = "pass"
	Regressed Verdict = "regressed"
	Fail      Verdict = "fail"
	Invalid   Verdict = "invalid" // the tester was unfit or the fault unconfirmed: no statement
)

// Check is one judged expectation.
type Check struct {
	Phase string `json:"phase"`
	Text  string `json:"text"`  // "route_loc(out,in) max ≤ 165 ms"
	Value string `json:"value"` // "128.0 ms ±1.0"
	// Measured is Value as a number, ns or a count; it means something only when Known.
	Measured int64   `json:"measured"`
	Known    bool    `json:"known"`
	Limit    string  `json:"limit"`
	Verdict  Verdict `json:"verdict"`
	Reason   string  `json:"reason,omitempty"`
}

// Result is a judged run: result.json.
type Result struct {
	Schema      int               `json:"schema"`
	Scenario    string            `json:"scenario"`
	About       string            `json:"about"`
	Topology    string            `json:"topology"`
	Gateway     string            `json:"gateway"`
	Repeat      int               `json:"repeat"`
	Seed        uint64            `json:"seed"`
	Verdict     Verdict           `json:"verdict"`
	Reasons     []string          `json:"reasons,omitempty"`
	Phases      []PhaseResult     `json:"phases"`
	Checks      []Check           `json:"checks"`
	Injections  []Injection       `json:"injections"`
	Health      Health            `json:"tester_health"`
	Environment map[string]string `json:"environment"`
	Settings    Settings          `json:"settings"`
}

// Settings that RFC 6413 §7 asks every report to print.
type Settings struct {
	PacketSamplingInterval         time.Duration `json:"packet_sampling_interval_ns"`
	ForwardingDelayThreshold       time.Duration `json:"forwarding_delay_threshold_ns"`
	SustainedConvergenceValidation time.Duration `json:"sustained_convergence_validation_time_ns"`
	PacketSize                     int           `json:"packet_size_bytes"`
	OfferedLoad                    int           `json:"offered_load_pps"`
	Flows                          int           `json:"flows"`
}
