package probe

import "gwlab/reports/convergence"

// message is one line of the probe's standard output. After the line with
// Final the samples follow as they are (convergence.WriteSamples).
type message struct {
	T        int64                      `json:"t_ns"`              // CLOCK_MONOTONIC
	Started  bool                       `json:"started,omitempty"` // sending begins now
	Progress []convergence.FlowProgress `json:"progress,omitempty"`
	Final    *final                     `json:"final,omitempty"`
	Error    string                     `json:"error,omitempty"`
}

// final is what the probe knows at the end, beside the samples.
type final struct {
	Health convergence.Health `json:"health"`
	Flows  []counts           `json:"flows"`
	// Limited: it ended by its time limit, not because it was told to.
	Limited bool `json:"limited,omitempty"`
}

// counts of one flow, in the order of the spec.
type counts struct {
	Duplicates int `json:"duplicates"`
	Reordered  int `json:"reordered"`
}
