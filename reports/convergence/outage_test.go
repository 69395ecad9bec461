package convergence

import (
	"math/rand/v2"
	"testing"
	"time"
)

const ms = int64(time.Millisecond)

// dark is a stretch of time in which a path delivers nothing: [from, to).
type dark struct{ from, to int64 }

// simulate sends a flow over a path with these outages, each packet at its
// grid instant plus up to jitter, and delivers it 100 µs later.
func simulate(r *rand.Rand, start int64, n int, interval, jitter int64, outages []dark) Flow {
	f := Flow{Interval: time.Duration(interval), Sent: make([]int64, n), Received: make([]int64, n)}
	for i := range n {
		f.Sent[i] = start + int64(i)*interval
		if jitter > 0 {
			f.Sent[i] += r.Int64N(jitter)
		}
		f.Received[i] = f.Sent[i] + ms/10
		for _, d := range outages {
			if f.Sent[i] >= d.from && f.Sent[i] < d.to {
				f.Received[i] = 0
			}
		}
	}
	return f
}

// Whatever the outages are and however the sender jitters, the truth lies in
// the bounds, and the estimate errs by no more than it says.
func TestOutageBoundsHoldTruth(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		interval := ms * (1 + r.Int64N(10))
		var truth []dark
		at := 100 * interval
		for range 1 + r.IntN(4) {
			at += 3*interval + r.Int64N(50*interval)
			d := dark{at, at + 2*interval + r.Int64N(40*interval)}
			truth, at = append(truth, d), d.to
		}
		f := simulate(r, 5, int(at/interval)+20, interval, interval/2, truth)
		got := newWindow(&f, Phase{Start: 0, End: at + 100*interval}, time.Second).outages()
		if len(got) != len(truth) {
			t.Fatalf("%d outages of %d: %v %v", len(got), len(truth), got, truth)
		}
		for i, o := range got {
			length := time.Duration(truth[i].to - truth[i].from)
			estimate, u := o.Duration()
			if length < o.Min || length > o.Max || (estimate-length).Abs() > u || o.Open {
				t.Fatalf("outage of %v: %+v, estimate %v ± %v", length, o, estimate, u)
			}
			if u > time.Duration(interval+interval/2) {
				t.Fatalf("uncertainty %v of an interval of %v", u, time.Duration(interval))
			}
		}
	}
}

// Without jitter the uncertainty is one packet interval: RFC 6413 section 6.
func TestOutageUncertaintyIsOneInterval(t *testing.T) {
	f := simulate(nil, 0, 100, ms, 0, []dark{{20 * ms, 50 * ms}})
	got := newWindow(&f, Phase{Start: 0, End: 100 * ms}, time.Second).outages()
	// Packets 20..49 are lost: down after 19 and by 20, up after 49 and by 50.
	want := Outage{Start: 20 * ms, End: 50 * ms, Lost: 30, Min: 29 * time.Millisecond, Max: 31 * time.Millisecond}
	if len(got) != 1 || got[0] != want {
		t.Fatalf("got %+v, want %+v", got, want)
	}
	if estimate, u := got[0].Duration(); estimate != 30*time.Millisecond || u != time.Millisecond {
		t.Errorf("estimate %v ± %v", estimate, u)
	}
}
