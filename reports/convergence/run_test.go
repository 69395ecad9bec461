package convergence

import (
	"math/rand/v2"
	"time"
)

// failover is a run of two phases, steady [0, 100) ms and failure [100, 500)
// ms, with a fault that takes effect at 100.02 ms. The flows are "out/0", …,
// each sending every ms from 0 and dark as told.
func failover(dark ...[]dark) Run {
	run := Run{
		Schema: SchemaVersion, Scenario: "TEST-01", StartedAt: time.Unix(0, 0), End: 500 * ms,
		Phases:     []Phase{{Name: "steady", Start: 0, End: 100 * ms}, {Name: "failure", Start: 100 * ms, End: 500 * ms}},
		Injections: []Injection{{Kind: "link.cut", Target: "a:b", Phase: "failure", Call: 100 * ms, Return: 100*ms + 20_000, Confirmed: true}},
	}
	for i, d := range dark {
		f := simulate(nil, 0, 500, ms, 0, d)
		f.ID, f.Group, f.Index = uint16(i), "out", i
		run.Flows = append(run.Flows, f)
	}
	return run
}

// scramble returns the flow with random losses, late packets and duplicates.
func scramble(r *rand.Rand, f Flow) Flow {
	for i := range f.Received {
		switch r.IntN(10) {
		case 0:
			f.Received[i] = 0
		case 1:
			f.Received[i] = f.Sent[i] + r.Int64N(3*int64(time.Second))
		case 2:
			f.Received[i] = f.Sent[i] - r.Int64N(1000) - 1 // a clock step
		case 3:
			f.Duplicated = append(f.Duplicated, f.Sent[i])
		}
	}
	return f
}
